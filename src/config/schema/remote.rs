//! `[remote.NAME]`.

use super::{
    key::{Field, Key, Kind},
    service::{ACTIONS, LAST_RESORT, ON_FAILURE, WHEN},
};

pub(super) const KEYS: &[Key] = &[
    Key::new(
        "remote.*.urls",
        Kind::List(&Kind::Url),
        "Where it answers, several if there are several of it: scheme, host, perhaps a port and a path. Required.",
    ),
    Key::new(
        "remote.*.engine",
        Kind::Word(&["llama-server", "sd-server", "comfyui", "a1111", "vllm", "generic"]),
        "What kind of program it is, which says what is asked for its health; `generic`: `/v1/models`, and any answer \
         below 500 will do.",
    )
    .or("\"generic\""),
    Key::new("remote.*.serves", Kind::List(&Kind::Named), "Names clients use; without any, the remote's own.").or("[]"),
    Key::new(
        "remote.*.balance",
        Kind::Word(&["least_busy", "round_robin"]),
        "Which URL gets a request: the one with the fewest in flight, or one after the other.",
    )
    .or("\"least_busy\""),
    Key::new("remote.*.api_key", Kind::Text, "Sent as a bearer token, in the place of the client's own key.")
        .or("\"\""),
    Key::new("remote.*.alive.interval", Kind::Pause, "Pause between health checks of a URL.").or("\"10s\""),
    Key::new(
        "remote.*.cleanup.actions",
        ACTIONS,
        "Done after each job on it, one after the other, on success, failure and cancellation: `http` asks the URL that had \
         the job. `purge` and `exec` are for what runs here.",
    )
    .or("[]"),
    Key::new("remote.*.cleanup.delay", Kind::Duration, "Pause between the end of the work and the first of them.")
        .or("\"500ms\""),
    Key::new("remote.*.cleanup.when", WHEN, "`always`: the memory of another machine is not measured.")
        .or("\"always\""),
    Key::new(
        "remote.*.cleanup.on_failure",
        ON_FAILURE,
        "When one of them fails: `warn`, an alert. What is not started here is not restarted.",
    )
    .or("\"warn\""),
    Key::new(
        "remote.*.cleanup.last_resort_after",
        LAST_RESORT,
        "Jobs that failed in a row, clean-up notwithstanding, after which `reset` is done; 0 = never.",
    )
    .or("3"),
    Key::new(
        "remote.*.reset",
        Kind::Record(&[Field::may("http", Kind::HttpRequest), Field::may("exec", Kind::Command)]),
        "The last resort, when clean-up does not help: `http` asks a URL (any answer below 400 will do), `exec` runs a \
         program here (status 0 will do); both: one after the other.",
    )
    .or("{}"),
];
