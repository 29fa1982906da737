//! `[watchdog]`, `[history]`, `[log]` and `[metrics]`.

use super::key::{Field, Key, Kind};

pub(super) const KEYS: &[Key] = &[
    Key::new("watchdog.enabled", Kind::Bool, "Whether anything is watched.").or("true"),
    Key::new("watchdog.interval", Kind::Pause, "Pause between samples. Two in a row make an alert.").or("\"2s\""),
    Key::new("watchdog.memory.warning", Kind::Ratio, "Share of host memory in use from which it is a warning.")
        .or("0.85"),
    Key::new("watchdog.memory.critical", Kind::Ratio, "The same for critical.").or("0.95"),
    Key::new(
        "watchdog.runaway.double_within",
        Kind::Pause,
        "A process count that doubles within this and lies above `critical` is an emergency.",
    )
    .or("\"5m\""),
    Key::new(
        "watchdog.actor_heartbeat",
        Kind::Pause,
        "A part of the runtime that does not answer in time is reported by name.",
    )
    .or("\"5s\""),
    Key::new(
        "watchdog.bundle_on",
        Kind::List(&Kind::Word(&["warning", "critical", "emergency", "nan", "oom_gpu", "oom_host"])),
        "What makes a diagnostic bundle: alerts of these severities, failures of these classes.",
    )
    .or("[\"critical\", \"emergency\", \"nan\", \"oom_gpu\", \"oom_host\"]"),
    Key::new("watchdog.bundle_min_interval", Kind::Duration, "The shortest time between two bundles.").or("\"60s\""),
    Key::new("watchdog.bundle_keep", Kind::Int(1, 100_000), "Bundles kept; the oldest go.").or("20"),
    Key::new(
        "watchdog.notify",
        Kind::Record(&[Field::may("webhook", Kind::Url), Field::may("exec", Kind::Command)]),
        "Who is told of alerts at `warning` and above: `webhook`, a URL that gets each as JSON by POST, and `exec`, a \
         program that gets the message as its last argument.",
    )
    .or("{}"),
    Key::new("history.path", Kind::Path, "The database; `${state_dir}` stands for `runtime.state_dir`.")
        .or("\"${state_dir}/history.db\""),
    Key::new("history.retain", Kind::Duration, "Older rows are deleted.").or("\"90d\""),
    Key::new("history.max_size", Kind::SizeFrom(1024), "Past this the oldest rows are deleted.").or("\"2GiB\""),
    Key::new("log.format", Kind::Word(&["auto", "pretty", "json"]), "`auto`: pretty on a terminal, else json.")
        .or("\"auto\""),
    Key::new(
        "log.level",
        Kind::Named,
        "`error`, `warn`, `info`, `debug`, `trace` or `off`, or a filter such as `info,greenroom=debug`.",
    )
    .or("\"info\""),
    Key::new("log.service_logs.max_size", Kind::SizeFrom(1024), "A log file is rotated when it would grow past this.")
        .or("\"50MiB\""),
    Key::new("log.service_logs.keep", Kind::Int(0, 1_000), "Rotated files kept per service.").or("5"),
    Key::new("metrics.enabled", Kind::Bool, "`GET /metrics`, Prometheus text.").or("true"),
];
