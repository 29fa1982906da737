//! `[runtime]` and `[macros]`.

use super::key::{Key, Kind};

pub(super) const KEYS: &[Key] = &[
    Key::new("runtime.name", Kind::Named, "A label for people.").or("\"greenroom\""),
    Key::new(
        "runtime.state_dir",
        Kind::Path,
        "Registry, `history.db`, `logs/`, `bundles/`, `greenroom.sock`; one runtime per folder (locked). Together with \
         `/greenroom.sock` at most 107 bytes long.",
    )
    .or("\"~/.local/state/greenroom\""),
    Key::new("runtime.ports", Kind::PortRange, "Where `${port}` comes from, both ends included.").or("\"10800-10999\""),
    Key::new(
        "runtime.containment",
        Kind::Word(&["auto", "cgroup", "shim", "namespace"]),
        "How process trees are held. `auto` takes `cgroup`, or `shim` where there is no writable cgroup; any other value \
         is that one or a refusal. With `namespace`, services see other process ids than the rest of the machine.",
    )
    .or("\"auto\""),
    Key::new(
        "runtime.guardian",
        Kind::Word(&["required", "best_effort"]),
        "`required`: without a sure containment and a guardian nothing is started. `best_effort`: what a killed \
         runtime leaves is swept at the next start; with `containment = \"auto\"`, trees are then held by session, descent and \
         environment alone where nothing better works.",
    )
    .or("\"required\""),
    Key::new(
        "runtime.watch_config",
        Kind::Bool,
        "Reload when a configuration file has changed; looked at once a second. What a reload does: \
         [operations.md](operations.md#changing-the-configuration).",
    )
    .or("false"),
    Key::new(
        "runtime.shutdown.drain",
        Kind::Duration,
        "How long what is in flight at a service may take to finish before the service is stopped, also by `stop` and \
         `restart`.",
    )
    .or("\"10s\""),
    Key::new(
        "runtime.shutdown.grace",
        Kind::Duration,
        "From the request to stop until the kill, for each service that does not say otherwise.",
    )
    .or("\"5s\""),
    Key::new(
        "runtime.shutdown.deadline",
        Kind::Pause,
        "Past this the process exits by force with code 5. Docker kills after 10 s unless told `--stop-timeout 40`.",
    )
    .or("\"30s\""),
    Key::new(
        "runtime.shutdown.running_jobs",
        Kind::Word(&["drain", "cancel"]),
        "What becomes of running jobs: `drain`: they may end within `drain`, and what has not by then is stopped and queued \
         again for the next start; `cancel`: they are cancelled. Queued ones stay queued in both cases.",
    )
    .or("\"drain\""),
    Key::new("macros.*", Kind::Template, "A text that `${NAME}` stands for; it may hold other macros."),
];
