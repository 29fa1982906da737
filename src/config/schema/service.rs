//! `[service.NAME]`; the same keys stand in `[defaults.service]`.

use super::key::{Field, Key, Kind};

/// Exit classes a failure rule may name.
pub(super) const CLASSES: &[&str] = &[
    "nan",
    "oom_gpu",
    "oom_host",
    "port_in_use",
    "missing_command",
    "missing_library",
    "bad_model",
    "driver",
    "timeout",
    "killed",
    "exit",
    "unknown",
];

const PROBE: Kind = Kind::OneOf(&[
    Kind::Word(&["auto", "none"]),
    Kind::HttpPath,
    Kind::Choice(&[
        Field::may("http", Kind::HttpPath),
        Field::may("tcp", Kind::OneOf(&[Kind::Bool, Kind::Int(1, 65_535), Kind::Word(&["${port}"])])),
        Field::may("log", Kind::Regex),
        Field::may("exec", Kind::Command),
        Field::may("delay", Kind::Duration),
    ]),
]);

pub(super) const FIGURE: Kind = Kind::OneOf(&[
    Kind::Word(&["auto"]),
    Kind::Size,
    Kind::Record(&[Field::may("idle", Kind::Size), Field::must("peak", Kind::Size)]),
]);

/// `limits.processes`.
pub(super) const PROCESSES: Kind =
    Kind::Record(&[Field::may("warning", Kind::Int(1, 1_000_000)), Field::may("critical", Kind::Int(1, 1_000_000))]);

/// `cleanup.actions`.
pub(super) const ACTIONS: Kind = Kind::List(&Kind::Choice(&[
    Field::may("http", Kind::HttpCall),
    Field::may("purge", Kind::Template),
    Field::may("exec", Kind::Command),
]));

/// `cleanup.when`.
pub(super) const WHEN: Kind = Kind::OneOf(&[Kind::Word(&["always"]), Kind::Condition]);

/// `cleanup.on_failure`.
pub(super) const ON_FAILURE: Kind = Kind::Word(&["warn", "restart"]);

/// `cleanup.last_resort_after`.
pub(super) const LAST_RESORT: Kind = Kind::Int(0, 1_000);

/// `stop.signal`.
pub(super) const SIGNAL: Kind =
    Kind::Word(&["SIGTERM", "SIGINT", "SIGQUIT", "SIGHUP", "SIGUSR1", "SIGUSR2", "SIGKILL"]);

pub(super) const CARD: Kind = Kind::OneOf(&[Kind::Int(0, 255), Kind::Named]);

pub(super) const KEYS: &[Key] = &[
    Key::new(
        "service.*.engine",
        Kind::Engine,
        "What kind of program it is; `auto`: by the name of the command's program.",
    )
    .or("\"auto\""),
    Key::new(
        "service.*.command",
        Kind::Command,
        "Program and arguments, as a list or as one string split like a POSIX shell would. No shell is run. Required.",
    ),
    Key::new("service.*.model_file", Kind::Path, "What `${model_file}` stands for; checked to be readable.").or("\"\""),
    Key::new("service.*.serves", Kind::List(&Kind::Named), "Names clients use; without any, the service's own.")
        .or("[]"),
    Key::new(
        "service.*.upstream_model",
        Kind::Text,
        "What the `model` field of a request becomes on its way to it, for engines that accept only their own; empty: it \
         stays.",
    )
    .or("\"\""),
    Key::new("service.*.env.*", Kind::Template, "A variable set on top of what is inherited."),
    Key::new(
        "service.*.inherit_env",
        Kind::OneOf(&[Kind::Bool, Kind::List(&Kind::Named)]),
        "Whether the runtime's environment is passed on; or the names of the variables that are.",
    )
    .or("true"),
    Key::new("service.*.working_dir", Kind::Path, "Where it runs; by default the config file's folder.").or("\".\""),
    Key::new("service.*.port", Kind::Int(0, 65_535), "Its port; 0 = one from `runtime.ports`, chosen at each start.")
        .or("0"),
    Key::new(
        "service.*.owner_check",
        Kind::Bool,
        "The listener on the port must be one of the service's own processes. `false` for `docker run` and the like, \
         which also escape containment.",
    )
    .or("true"),
    Key::new(
        "service.*.listen",
        Kind::OneOf(&[Kind::Word(&[""]), Kind::Listen]),
        "A door of its own beside the gateway, for clients that want root paths: every path there is its own, and loads it \
         as `wake_on` says. The gateway's keys open it.",
    )
    .or("\"\""),
    Key::new(
        "service.*.start",
        Kind::Word(&["auto", "eager", "on_demand", "manual"]),
        "When it is started: with the runtime, when a request, `load` or `start` asks for it, or by hand alone. `auto`: \
         generic ones eager, model engines on demand.",
    )
    .or("\"auto\""),
    Key::new(
        "service.*.depends_on.*",
        Kind::Word(&["started", "ready", "completed"]),
        "What must be so of that service before this one is started.",
    ),
    Key::new(
        "service.*.gpu",
        Kind::OneOf(&[CARD, Kind::List(&CARD)]),
        "The cards it may use: `any` (one that has room, or several if it fits on no single one), `none`, an index, a \
         UUID, or several of these, which it then takes all together.",
    )
    .or("\"any\""),
    Key::new(
        "service.*.gpu_layers",
        Kind::OneOf(&[Kind::Int(0, 100_000), Kind::Word(&["auto", "all"])]),
        "What `${gpu_layers}` stands for: a number, `all`, or `auto` = as many as fit, the rest in host memory.",
    )
    .or("\"auto\""),
    Key::new(
        "service.*.vram",
        FIGURE,
        "GPU memory it needs: a size, `{ idle, peak }` (`idle`: what it keeps while it sleeps), or `auto` = measured in \
         earlier runs, else estimated; where nobody knows, it has a card to itself until it has been measured once.",
    )
    .or("\"auto\""),
    Key::new("service.*.ram", FIGURE, "Host memory it needs, in the same forms.").or("\"auto\""),
    Key::new("service.*.needs.*", Kind::Int(0, i64::MAX), "What it needs of a pool in `resources.custom`."),
    Key::new(
        "service.*.priority",
        Kind::Int(-1_000_000, 1_000_000),
        "Higher is pushed out later, and started earlier with the runtime.",
    )
    .or("0"),
    Key::new("service.*.pinned", Kind::Bool, "Never offloaded to make room.").or("false"),
    Key::new("service.*.idle_timeout", Kind::Duration, "Offload after this long without work; 0 = never.")
        .or("\"0s\""),
    Key::new(
        "service.*.max_concurrency",
        Kind::OneOf(&[Kind::Word(&["auto"]), Kind::Int(0, 1_000_000)]),
        "Requests that it is given at a time, the others wait; `auto` = as many as the engine has slots (llama-server: \
         `-np`, where the command says so), else unlimited; 0 = unlimited.",
    )
    .or("\"auto\""),
    Key::new(
        "service.*.wake_on",
        Kind::List(&Kind::Requests),
        "Which requests load it or count as work: `*`, a path (a `*` at its end stands for anything), or a method and a \
         path. Others are answered 503 `not_loaded` while it is not there.",
    )
    .or("[\"*\"]"),
    Key::new(
        "service.*.busy",
        Kind::OneOf(&[
            Kind::Word(&["requests"]),
            Kind::Record(&[Field::must("http", Kind::HttpPath), Field::must("nonempty", Kind::List(&Kind::Named))]),
        ]),
        "What says that it works: requests in flight; and on top of them, with `{ http, nonempty }`, the JSON that this \
         path of it answers, while one of these members is not empty. Without the key, ComfyUI and A1111 are asked \
         their own way.",
    )
    .or("\"requests\""),
    Key::new(
        "service.*.restart_after_job",
        Kind::Bool,
        "Restart it after each job on it. Nobody else is let in before it is up again.",
    )
    .or("false"),
    Key::new(
        "service.*.offload.how",
        Kind::Word(&["stop", "sleep"]),
        "How it makes room: stop, or the engine's own unload, where it has one.",
    )
    .or("\"stop\""),
    Key::new(
        "service.*.offload.drain",
        Kind::Duration,
        "The longest wait for what is in flight; then it stays, and who wanted its memory is told so.",
    )
    .or("\"5m\""),
    Key::new(
        "service.*.offload.reload",
        Kind::Word(&["when_free", "on_demand", "never"]),
        "When it comes back after having been pushed out: as soon as there is room, when it is asked for, or by hand \
         alone.",
    )
    .or("\"on_demand\""),
    Key::new("service.*.offload.retries", Kind::Int(0, 1_000), "Tries to bring it back after the first one failed.")
        .or("3"),
    Key::new("service.*.offload.backoff", Kind::PauseRange, "Pause between them; doubles from the first to the second.")
        .or("\"1s..10s\""),
    Key::new(
        "service.*.ready.probe",
        PROBE,
        "How it is known to be ready: `auto` (the engine's way; generic: as soon as it runs), `none`, a path such as \
         `/health`, or one of `{ http = \"/path\" }`, `{ tcp = true }`, `{ log = \"regex\" }`, `{ exec = [...] }`, \
         `{ delay = \"5s\" }`. Short: `ready = \"/health\"`.",
    )
    .or("\"auto\""),
    Key::new(
        "service.*.ready.timeout",
        Kind::OneOf(&[Kind::Word(&["auto"]), Kind::Pause]),
        "From the spawn until it must be ready; `auto`: 120 s, or the model file's size at 100 MB/s if longer; vLLM \
         15 min.",
    )
    .or("\"auto\""),
    Key::new(
        "service.*.ready.interval",
        Kind::PauseRange,
        "Pause between tries: an eighth of the time waited so far, the first at least and the second at most.",
    )
    .or("\"2ms..20ms\""),
    Key::new(
        "service.*.alive.probe",
        PROBE,
        "How it is known to be alive while ready; same forms. `auto`: the engine's path; generic: a living process is \
         enough.",
    )
    .or("\"auto\""),
    Key::new("service.*.alive.interval", Kind::Pause, "Pause between tries.").or("\"10s\""),
    Key::new("service.*.alive.timeout", Kind::Pause, "How long one try may take.").or("\"3s\""),
    Key::new("service.*.alive.failures", Kind::Int(1, 1_000), "Failures in a row that restart it.").or("3"),
    Key::new(
        "service.*.alive.busy_timeout",
        Kind::Pause,
        "While somebody uses it, failures make it `unready`; without progress for this long it is restarted.",
    )
    .or("\"10m\""),
    Key::new(
        "service.*.alive.generation.every",
        Kind::Duration,
        "Ask for one token this often, because a program may answer its probe and be stuck all the same; 0 = never. For \
         engines that can be asked so.",
    )
    .or("\"0s\""),
    Key::new("service.*.alive.generation.timeout", Kind::Pause, "How long that may take.").or("\"60s\""),
    Key::new(
        "service.*.restart.policy",
        Kind::Word(&["always", "on_failure", "never"]),
        "When it is started again after it ended by itself.",
    )
    .or("\"on_failure\""),
    Key::new(
        "service.*.restart.max",
        Kind::Int(0, 1_000_000),
        "Failures in a row without `reset_after` of health in between that end in `failed`.",
    )
    .or("5"),
    Key::new(
        "service.*.restart.backoff",
        Kind::DurationRange,
        "The first restart is immediate, then this, doubling, with jitter.",
    )
    .or("\"1s..60s\""),
    Key::new(
        "service.*.restart.reset_after",
        Kind::Duration,
        "This much health in one piece sets the count of failures back to zero.",
    )
    .or("\"10m\""),
    Key::new(
        "service.*.stop.signal",
        SIGNAL,
        "Sent to every process of its tree.",
    )
    .or("\"SIGTERM\""),
    Key::new("service.*.stop.grace", Kind::Duration, "From the first request to the kill.")
        .or_as("runtime.shutdown.grace"),
    Key::new(
        "service.*.stop.http",
        Kind::OneOf(&[Kind::Word(&[""]), Kind::HttpCall]),
        "Asked first, on its port; for example `POST /shutdown`.",
    )
    .or("\"\""),
    Key::new("service.*.stop.exec", Kind::OneOf(&[Kind::List(&Kind::Template), Kind::Command]), "Run first.").or("[]"),
    Key::new(
        "service.*.stop.on_runtime_exit",
        Kind::Word(&["stop", "keep"]),
        "`keep`: it outlives the runtime and is adopted again.",
    )
    .or("\"stop\""),
    Key::new(
        "service.*.limits.ram",
        Kind::OneOf(&[Kind::Word(&[""]), Kind::Size]),
        "The most anonymous and shared memory of its whole tree; empty: no limit.",
    )
    .or("\"\""),
    Key::new(
        "service.*.limits.processes",
        Kind::OneOf(&[Kind::Word(&["auto"]), PROCESSES]),
        "Processes of its tree from which it is a warning, and critical; `auto`, and each that is left out: the count when \
         it was ready + 5 and + 10.",
    )
    .or("\"auto\""),
    Key::new(
        "service.*.limits.growth",
        Kind::OneOf(&[Kind::Word(&[""]), Kind::Growth]),
        "Sustained growth while idle that is a leak, such as `200MiB/10m`; empty: not looked for. The time is at least 4 x \
         `watchdog.interval`.",
    )
    .or("\"\""),
    Key::new(
        "service.*.limits.on_exceed",
        Kind::Word(&["warn", "restart_when_idle", "restart", "stop"]),
        "What is done past `ram` or `growth`: an alert alone, a restart as soon as nobody uses it, a restart at once, or a \
         stop.",
    )
    .or("\"restart_when_idle\""),
    Key::new(
        "service.*.limits.progress",
        Kind::Duration,
        "A job on it that has made no progress for this long, where that can be told, is stuck: it fails, and the service is \
         restarted; 0 = never.",
    )
    .or("\"10m\""),
    Key::new(
        "service.*.cleanup.actions",
        ACTIONS,
        "Done after each job on it, one after the other, on success, failure and cancellation, before anybody else is let \
         in: `http` asks the service itself (any answer below 400 will do; `POST /free` of ComfyUI \
         goes with the body that it wants), `purge` empties a folder below `${data_dir}` or \
         below a `working_dir` that is set, `exec` runs a program (status 0 will do).",
    )
    .or("[]"),
    Key::new(
        "service.*.cleanup.delay",
        Kind::Duration,
        "Pause between the end of the work and the first of them. The outcome of the job is told before it.",
    )
    .or("\"500ms\""),
    Key::new(
        "service.*.cleanup.when",
        WHEN,
        "After each job, or only when more than this share of memory is in use then: of a card that it is on, or of the \
         host's.",
    )
    .or("\"always\""),
    Key::new(
        "service.*.cleanup.on_failure",
        ON_FAILURE,
        "When one of them fails: an alert, or a restart of the service.",
    )
    .or("\"warn\""),
    Key::new(
        "service.*.cleanup.last_resort_after",
        LAST_RESORT,
        "Jobs that failed in a row, clean-up notwithstanding, after which the service is restarted; 0 = never.",
    )
    .or("3"),
    Key::new(
        "service.*.failure",
        Kind::List(&Kind::Record(&[
            Field::must("pattern", Kind::Regex),
            Field::must("class", Kind::Word(CLASSES)),
            Field::may("action", Kind::Word(&["none", "restart_once", "restart", "stop", "quarantine"])),
        ])),
        "Lines of output that name the cause of a failure, before the engine's own rules: `pattern` (a regular \
         expression), `class`, and `action`, what is done when a program that goes on running says it. Without an action: \
         `restart_once` for `nan`, `none` for all others.",
    )
    .or("[]"),
];
