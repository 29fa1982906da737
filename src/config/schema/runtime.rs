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
        "How process trees are held. `auto` takes the best one that works here. This version has cgroup alone.",
    )
    .or("\"auto\"")
    .except(&["shim", "namespace"]),
    Key::new(
        "runtime.guardian",
        Kind::Word(&["required", "best_effort"]),
        "`required`: without a sure containment and a guardian nothing is started. `best_effort`: what a killed \
         runtime leaves is swept at the next start.",
    )
    .or("\"required\""),
    Key::new("runtime.watch_config", Kind::Bool, "Reload when the file changes.").or("false").later(),
    Key::new("runtime.shutdown.drain", Kind::Duration, "How long the queue and busy services may take to finish.")
        .or("\"10s\"")
        .later(),
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
    Key::new("runtime.shutdown.running_jobs", Kind::Word(&["drain", "cancel"]), "What becomes of running jobs.")
        .or("\"drain\"")
        .later(),
    Key::new("macros.*", Kind::Template, "A text that `${NAME}` stands for; it may hold other macros."),
];
