//! `[job.NAME]`.
//!
//! A job is done by a process of its own or by a request. The help of a key for one of the two alone begins with `Process` or
//! `Request`.

use super::{
    key::{Field, Key, Kind},
    service::{ACTIONS, CARD, CLASSES, FIGURE, ON_FAILURE, PROCESSES, SIGNAL, WHEN},
};

const AUTO_OR_BOOL: Kind = Kind::OneOf(&[Kind::Word(&["auto"]), Kind::Bool]);

pub(super) const KEYS: &[Key] = &[
    Key::new(
        "job.*.command",
        Kind::Command,
        "Process: Program and arguments of a process that does one job and ends, in the same forms as a service's. \
         `${param.NAME}` and `${output}` are filled in for each job. Either this or `service`.",
    ),
    Key::new(
        "job.*.service",
        Kind::Named,
        "Request: The service or remote that does a job when it is asked. Either this or `command`.",
    ),
    Key::new(
        "job.*.request",
        Kind::Record(&[
            Field::must("method", Kind::Word(&["GET", "POST", "PUT", "PATCH", "DELETE"])),
            Field::must("path", Kind::HttpPath),
            Field::may("body_file", Kind::Path),
            Field::may("set", Kind::Map(&Kind::ScalarTemplate)),
        ]),
        "Request: What it is asked. The body are the params, as a JSON object; or the JSON file `body_file`, in which `set` puts \
         values at places such as `6.inputs.text`. A value that is one `${param.NAME}` keeps its type. Required with \
         `service`.",
    ).not_beside("command"),
    Key::new(
        "job.*.params.*",
        Kind::Record(&[
            Field::may("default", Kind::Scalar),
            Field::may("flag", Kind::Named),
            Field::may("type", Kind::Word(&["text", "int", "float", "bool", "file"])),
        ]),
        "What a job is given. `{}`: a text that must be there. `default`: what it is otherwise, which also says its `type`. \
         `flag`: it may be left out, and where it is given, flag and value are appended to the command (a `bool`: the flag \
         alone). `type = \"file\"`: sent along with the job; its path is filled in, or its contents in base64 in a request.",
    ),
    Key::new(
        "job.*.serves",
        Kind::List(&Kind::Named),
        "Names under which requests of clients for images become jobs of this kind.",
    )
    .or("[]"),
    Key::new("job.*.timeout", Kind::Duration, "The longest an attempt may run, waiting not counted; 0 = no limit.")
        .or("\"10m\""),
    Key::new(
        "job.*.retries",
        Kind::Int(0, 1_000),
        "Further attempts after one that failed for a reason that may pass.",
    )
    .or("1"),
    Key::new(
        "job.*.max_parallel",
        Kind::Int(1, 10_000),
        "Attempts at a time. Those of a process are `NAME`, `NAME.2` and so on, and at most 64.",
    )
    .or("1"),
    Key::new("job.*.keep_output", Kind::Duration, "How long what a job has made is kept after its end.").or("\"7d\""),
    Key::new("job.*.engine", Kind::Engine, "Process: What kind of program it is; `auto`: by the name of the command's program.")
        .or("\"auto\"").not_beside("service"),
    Key::new("job.*.model_file", Kind::Path, "Process: What `${model_file}` stands for; checked to be readable.").or("\"\"").not_beside("service"),
    Key::new("job.*.env.*", Kind::Template, "Process: A variable set on top of what is inherited.").not_beside("service"),
    Key::new(
        "job.*.inherit_env",
        Kind::OneOf(&[Kind::Bool, Kind::List(&Kind::Named)]),
        "Process: Whether the runtime's environment is passed on; or the names of the variables that are.",
    )
    .or("true").not_beside("service"),
    Key::new("job.*.working_dir", Kind::Path, "Process: Where it runs; by default the config file's folder.").or("\".\"").not_beside("service"),
    Key::new(
        "job.*.gpu",
        Kind::OneOf(&[CARD, Kind::List(&CARD)]),
        "Process: The cards it may use: `any`, `none`, an index, a UUID, or several of these.",
    )
    .or("\"any\"").not_beside("service"),
    Key::new(
        "job.*.gpu_layers",
        Kind::OneOf(&[Kind::Int(0, 100_000), Kind::Word(&["auto", "all"])]),
        "Process: What `${gpu_layers}` stands for.",
    )
    .or("\"auto\"").not_beside("service"),
    Key::new("job.*.vram", FIGURE, "Process: GPU memory it needs: a size, `{ idle, peak }`, or `auto`, as for a service.")
        .or("\"auto\"").not_beside("service"),
    Key::new("job.*.ram", FIGURE, "Process: Host memory it needs, in the same forms.").or("\"auto\"").not_beside("service"),
    Key::new("job.*.needs.*", Kind::Int(0, i64::MAX), "Process: What it needs of a pool in `resources.custom`.").not_beside("service"),
    Key::new(
        "job.*.priority",
        Kind::Int(-1_000_000, 1_000_000),
        "Process: What its process counts beside services when there is too little memory for both. Which job goes first is said \
         with the job.",
    )
    .or("0").not_beside("service"),
    Key::new(
        "job.*.failure",
        Kind::List(&Kind::Record(&[Field::must("pattern", Kind::Regex), Field::must("class", Kind::Word(CLASSES))])),
        "Process: Lines of output that name the cause of a failure, before the engine's own rules: `pattern` (a regular \
         expression) and `class`.",
    )
    .or("[]").not_beside("service"),
    Key::new("job.*.stop.signal", SIGNAL, "Process: Sent to every process of its tree when it is cancelled or out of time.")
        .or("\"SIGTERM\"").not_beside("service"),
    Key::new("job.*.stop.grace", Kind::Duration, "Process: From that signal to the kill.").or_as("runtime.shutdown.grace").not_beside("service"),
    Key::new(
        "job.*.progress",
        Kind::OneOf(&[Kind::Word(&["auto"]), Kind::Regex]),
        "Process: What of its output tells how far it is: `auto` = what the engine knows, or a regular expression with the named \
         groups `step` and `steps`.",
    )
    .or("\"auto\"").not_beside("service"),
    Key::new(
        "job.*.limits.processes",
        PROCESSES,
        "Process: How many of its tree are a warning, and critical; the one that is left out is half or twice the other. Above \
         critical its tree is ended, if it has doubled within `watchdog.runaway.double_within`. There is no `auto`: a job is at \
         no moment ready, so no count of its own is the normal one.",
    )
    .or("{ warning = 64, critical = 128 }").not_beside("service"),
    Key::new(
        "job.*.limits.progress",
        Kind::Duration,
        "Process: Between its first step and its last one, the longest that it may stay at one, where its output tells steps; \
         then it is stuck, is ended and fails; 0 = never. Before the first and after the last there is `timeout`.",
    )
    .or("\"10m\"").not_beside("service"),
    Key::new(
        "job.*.clip_on_cpu",
        AUTO_OR_BOOL,
        "Process: `sd-cpp`: whether the text encoder stays on the CPU; `auto`: where the card has little room.",
    )
    .or("\"auto\"").not_beside("service"),
    Key::new("job.*.vae_on_cpu", AUTO_OR_BOOL, "Process: `sd-cpp`: the same for the VAE.").or("\"auto\"").not_beside("service"),
    Key::new("job.*.batch_size", Kind::Int(0, 100_000), "Process: `sd-cpp`: images at a time; 0 = the engine's.").or("0").not_beside("service"),
    Key::new(
        "job.*.cleanup.actions",
        ACTIONS,
        "Done after each attempt, one after the other, on success, failure and cancellation. `exec` runs a program. `purge` \
         empties a folder below the `${data_dir}` or a `working_dir` that is set: of its own process, or of the service. \
         `http` asks the service or remote of a request; a process has ended by then. What the service cleans up itself comes after \
         it.",
    )
    .or("[]"),
    Key::new("job.*.cleanup.delay", Kind::Duration, "Pause between the end of the work and the first of them.")
        .or("\"500ms\""),
    Key::new("job.*.cleanup.when", WHEN, "After each attempt, or only when more than this share of memory is in use then.")
        .or("\"always\""),
    Key::new(
        "job.*.cleanup.on_failure",
        ON_FAILURE,
        "When one of them fails: an alert, or a restart of the service that was asked.",
    )
    .or("\"warn\""),
];
