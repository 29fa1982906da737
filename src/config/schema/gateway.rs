//! `[gateway]`.

use super::key::{Key, Kind};

pub(super) const KEYS: &[Key] = &[
    Key::new(
        "gateway.listen",
        Kind::OneOf(&[Kind::Listen, Kind::List(&Kind::Listen)]),
        "Address and port (port 0: a free one), or `unix:` and a path; several as a list; `[]` = no gateway. A \
         configuration made in code has none unless it says so.",
    )
    .or("\"127.0.0.1:8484\""),
    Key::new(
        "gateway.api_keys",
        Kind::List(&Kind::Named),
        "Keys that open it; empty = open. Listening beyond loopback without one is refused.",
    )
    .or("[]"),
    Key::new("gateway.allow_unauthenticated", Kind::Bool, "Listen beyond loopback without a key all the same.")
        .or("false"),
    Key::new(
        "gateway.default_model",
        Kind::Text,
        "The model of requests that name none; empty: such requests are refused.",
    )
    .or("\"\""),
    Key::new("gateway.max_body", Kind::SizeFrom(1024), "Largest request body.").or("\"64MiB\""),
    Key::new("gateway.max_connections", Kind::Int(1, 1_000_000), "Connections at a time.").or("4096"),
    Key::new("gateway.header_timeout", Kind::Pause, "How long a client may take to send its headers.").or("\"10s\""),
    Key::new(
        "gateway.cors_origins",
        Kind::List(&Kind::Named),
        "Origins whose pages may call it from a browser, such as `https://chat.example`; `*` = any; empty = none but its \
         own.",
    )
    .or("[]"),
    Key::new("gateway.loading_comments", Kind::Bool, "SSE comments to a streaming client while its model loads.")
        .or("true"),
    Key::new("gateway.queue.max_waiting", Kind::Int(0, 1_000_000), "Waiting requests per model; more get 429.")
        .or("512"),
    Key::new("gateway.queue.max_wait", Kind::Duration, "A request that waited this long for its model gets 503.")
        .or("\"5m\""),
    Key::new(
        "gateway.queue.fairness",
        Kind::Duration,
        "The longest that requests for resident models may overtake others.",
    )
    .or("\"10s\""),
];
