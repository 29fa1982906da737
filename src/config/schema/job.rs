//! `[job.NAME]` and `[remote.NAME]`.

use super::key::{Field, Key, Kind};

const AUTO_OR_BOOL: Kind = Kind::OneOf(&[Kind::Word(&["auto"]), Kind::Bool]);

pub(super) const KEYS: &[Key] = &[
    Key::new(
        "job.*.engine",
        Kind::Word(&["auto", "sd-cpp", "llama-server", "sd-server", "comfyui", "a1111", "vllm", "generic"]),
        "What kind of program it is.",
    )
    .or("\"auto\"")
    .later(),
    Key::new("job.*.command", Kind::Command, "A process per job. Either this or `service`.").later(),
    Key::new("job.*.service", Kind::Named, "A request per job to this service. Either this or `command`.").later(),
    Key::new(
        "job.*.request",
        Kind::Record(&[
            Field::must("method", Kind::Word(&["GET", "POST", "PUT", "PATCH", "DELETE"])),
            Field::must("path", Kind::HttpPath),
            Field::may("body_file", Kind::Path),
            Field::may("set", Kind::Map(&Kind::Scalar)),
        ]),
        "The request of a job on a service.",
    )
    .later(),
    Key::new("job.*.model_file", Kind::Path, "What `${model_file}` stands for.").or("\"\"").later(),
    Key::new("job.*.serves", Kind::List(&Kind::Named), "Names clients use.").or("[]").later(),
    Key::new(
        "job.*.params.*",
        Kind::Record(&[
            Field::may("default", Kind::Scalar),
            Field::may("flag", Kind::Named),
            Field::may("type", Kind::Word(&["text", "int", "float", "bool", "file"])),
        ]),
        "A parameter; `{}` = required.",
    )
    .later(),
    Key::new(
        "job.*.vram",
        Kind::OneOf(&[
            Kind::Word(&["auto"]),
            Kind::Size,
            Kind::Record(&[Field::may("idle", Kind::Size), Field::must("peak", Kind::Size)]),
        ]),
        "GPU memory it needs.",
    )
    .or("\"auto\"")
    .later(),
    Key::new("job.*.timeout", Kind::Duration, "The longest it may take.").or("\"10m\"").later(),
    Key::new("job.*.retries", Kind::Int(0, 1_000), "Further tries after a failure.").or("1").later(),
    Key::new("job.*.clip_on_cpu", AUTO_OR_BOOL, "Text encoder on the CPU.").or("\"auto\"").later(),
    Key::new("job.*.vae_on_cpu", AUTO_OR_BOOL, "VAE on the CPU.").or("\"auto\"").later(),
    Key::new("job.*.batch_size", Kind::Int(0, 100_000), "Batch size; 0 = the engine's.").or("0").later(),
    Key::new(
        "job.*.progress",
        Kind::OneOf(&[Kind::Word(&["auto"]), Kind::Regex]),
        "The engine's, or a regular expression with the named groups `step` and `steps`.",
    )
    .or("\"auto\"")
    .later(),
    Key::new("job.*.max_parallel", Kind::Int(1, 10_000), "Jobs of it at a time.").or("1").later(),
    Key::new("job.*.keep_output", Kind::Duration, "How long results are kept.").or("\"7d\"").later(),
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
        "remote.*.reset",
        Kind::Record(&[Field::may("http", Kind::HttpRequest), Field::may("exec", Kind::Command)]),
        "The last resort.",
    )
    .or("{}")
    .later(),
];
