//! The keys at the top of the file. Pure.

use std::{collections::HashSet, time::Duration};

use greenroom_actors::units::format_duration;

use super::{macros::translate, notes::Notes, section::Section, yaml::Item};

/// The shortest time that llama-swap gives a server to become ready, in seconds (`internal/config/load.go`).
const LEAST_HEALTH_TIMEOUT: i64 = 15;

/// Longest time taken over, in seconds: a year.
const LONGEST: i64 = 366 * 86_400;

/// How many ports services choose from: as many as `runtime.ports` has by default.
const PORTS: i64 = 200;

/// What the ordered stop takes besides the longest grace: to drain, and to end by force.
const AROUND_GRACE: Duration = Duration::from_secs(20);

/// `runtime.shutdown.deadline` without being set.
const DEADLINE: Duration = Duration::from_secs(30);

/// Keys that Greenroom has nothing for, and what to do instead.
const WITHOUT: &[(&[&str], &str)] = &[
    (&["logTimeFormat"], "log lines have RFC 3339 times; nothing to do"),
    (
        &["logToStdout"],
        "services' output is kept in files: `greenroom logs -f NAME`; `log.format` is for the program's own",
    ),
    (&["logRequests"], "every request is recorded: `greenroom history requests`"),
    (&["store"], "the history is always kept, in `history.path`, for `history.retain`"),
    (&["metricsMaxInMemory"], "figures are not kept in memory: see `greenroom history requests` and GET /metrics"),
    (&["captureBuffer"], "bodies of requests and answers are not recorded"),
    (&["ui"], "there is no such page"),
    (&["performance"], "cards and memory are measured all the time: `greenroom gpus`, GET /metrics"),
    (
        &["profiles"],
        "names do not change at run time: put them into `serves` of the service that is meant, and `greenroom reload`",
    ),
    (
        &["selectors"],
        "a name means one service: put it into `serves` of the first target; several servers of one model are `urls` of a [remote.NAME]",
    ),
    (&["upstream", "ignorePaths"], "`wake_on` of a service says which requests load it, such as [\"POST /prompt\"]"),
    (&["routing", "scheduler", "use"], "within a line: higher `X-Priority` first, then who came first"),
    (
        &["routing", "scheduler", "settings", "fifo", "priority"],
        "clients with a key send `X-Priority`; a service's `priority` says who stays longer in memory",
    ),
];

/// Sections and keys that are read elsewhere or mean nothing by themselves.
const KNOWN: &[&str] = &[
    "models",
    "peers",
    "groups",
    "matrix",
    "routing",
    "macros",
    "hooks",
    "upstream",
    "healthCheckTimeout",
    "globalTTL",
    "unloadTimeout",
    "startPort",
    "logLevel",
    "apiKeys",
    "sendLoadingState",
    "includeAliasesInList",
];

/// What the top says for every model.
#[derive(Debug, Default)]
pub(super) struct Globals {
    /// Seconds until an idle model is unloaded; 0 = never.
    pub(super) ttl: i64,
    /// Whether clients were told that a model loads.
    pub(super) loading: bool,
    /// The models that are loaded at the start.
    pub(super) preload: HashSet<String>,
    /// The longest time a program has to end.
    pub(super) grace: Duration,
}

/// The sections at the top of the new file.
pub(super) struct Top {
    pub(super) runtime: Section,
    pub(super) shutdown: Section,
    pub(super) gateway: Section,
    pub(super) log: Section,
    pub(super) defaults: Section,
}

/// Seconds as a duration of at most a year.
pub(super) fn seconds(number: i64) -> Duration {
    Duration::from_secs(number.clamp(0, LONGEST).unsigned_abs())
}

/// Reads the top of the file.
pub(super) fn top(notes: &mut Notes<'_>, root: &Item<'_>) -> (Top, Globals) {
    let mut top = Top {
        runtime: Section::new(&["runtime"]),
        shutdown: Section::new(&["runtime", "shutdown"]),
        gateway: Section::new(&["gateway"]),
        log: Section::new(&["log"]),
        defaults: Section::new(&["defaults", "service"]),
    };
    let mut globals = Globals::default();
    if let Some(start) = root.field("startPort").and_then(|item| notes.number(&item)) {
        let start = start.clamp(1, 65_535);
        top.runtime.say("ports", &format!("{start}-{}", (start + PORTS - 1).min(65_535)));
    }
    if let Some(level) = root.field("logLevel").and_then(|item| Some((notes.text(&item)?, item))) {
        log_level(notes, &mut top.log, &level.1, &level.0);
    }
    keys(notes, &mut top.gateway, root);
    top.defaults.aside("llama-swap loads a model when the first request asks for it.");
    top.defaults.say("start", "on_demand");
    if let Some(timeout) = root.field("healthCheckTimeout").and_then(|item| notes.number(&item)) {
        top.defaults.say("ready.timeout", &format_duration(seconds(timeout.max(LEAST_HEALTH_TIMEOUT))));
    }
    globals.ttl = root.field("globalTTL").and_then(|item| notes.number(&item)).unwrap_or(0).max(0);
    if globals.ttl > 0 {
        top.defaults.say("idle_timeout", &format_duration(seconds(globals.ttl)));
    }
    if let Some(grace) = root.field("unloadTimeout").and_then(|item| notes.number(&item)).filter(|n| *n > 0) {
        globals.grace = seconds(grace);
        top.defaults.say("stop.grace", &format_duration(globals.grace));
    }
    if let Some(item) = root.field("sendLoadingState") {
        globals.loading = notes.flag(&item).unwrap_or(false);
        top.gateway.set("loading_comments", globals.loading.to_string());
        if globals.loading {
            notes.tell(&item, "the text was put into the answer's reasoning; `gateway.loading_comments` sends SSE comments, which keep a client from timing out and are not shown");
        }
    }
    if let Some(item) = root.field("includeAliasesInList")
        && notes.flag(&item) == Some(false)
    {
        notes.tell(&item, "every name of `serves` is a name to clients; none is hidden");
    }
    globals.preload = preload(notes, root);
    without(notes, root);
    (top, globals)
}

/// Writes the deadline of the whole stop, if what services may take does not fit into the default.
pub(super) fn deadline(shutdown: &mut Section, grace: Duration) {
    if grace + AROUND_GRACE > DEADLINE {
        shutdown.aside("Services may take as long to end as llama-swap let them.");
        shutdown.say("deadline", &format_duration(grace + AROUND_GRACE));
    }
}

fn log_level(notes: &mut Notes<'_>, log: &mut Section, item: &Item<'_>, level: &str) {
    match level.to_ascii_lowercase().as_str() {
        level @ ("debug" | "info" | "warn" | "error") => log.say("level", level),
        _ => notes.tell(item, format!("`{level}` is no level; left out, so it is `info`")),
    }
}

fn keys(notes: &mut Notes<'_>, gateway: &mut Section, root: &Item<'_>) {
    let Some(list) = root.field("apiKeys") else { return };
    let mut keys = Vec::new();
    for (item, key) in notes.texts(&list) {
        let translated = translate(&key);
        let fits = !key.is_empty() && key.chars().all(|c| c.is_ascii_graphic());
        if fits && translated.strange.is_empty() && !translated.has_port {
            keys.push(translated.text);
        } else {
            notes.tell(&item, "no client can send this key; left out");
        }
    }
    if !keys.is_empty() {
        gateway.list("api_keys", &keys);
    }
}

/// The models that `hooks.on_startup.preload` names, by id or alias.
fn preload(notes: &mut Notes<'_>, root: &Item<'_>) -> HashSet<String> {
    let mut found = HashSet::new();
    let Some(hooks) = root.field("hooks") else { return found };
    for item in notes.entries(&hooks).iter().flat_map(|hook| match hook.key() {
        "on_startup" => hook.entries(),
        _ => vec![hook.clone()],
    }) {
        if item.path != ["hooks", "on_startup", "preload"] {
            notes.tell(&item, "not a hook that llama-swap has; left out");
            continue;
        }
        for (at, name) in notes.texts(&item) {
            let name = name.trim();
            match owner(root, name) {
                Some(id) => drop(found.insert(id)),
                None => notes.tell(&at, format!("`{name}` is no model; left out")),
            }
        }
    }
    found
}

/// The model with this id or alias.
fn owner(root: &Item<'_>, name: &str) -> Option<String> {
    let models = root.field("models")?.entries();
    let is_alias = |model: &Item<'_>| {
        let aliases = model.field("aliases");
        aliases.is_some_and(|list| list.members().iter().any(|alias| alias.node.text() == Some(name)))
    };
    let found = models.iter().find(|model| model.key() == name).or_else(|| models.iter().find(|model| is_alias(model)));
    found.map(|model| model.key().to_owned())
}

fn without(notes: &mut Notes<'_>, root: &Item<'_>) {
    for (path, instead) in WITHOUT {
        if let Some(item) = root.below(path) {
            notes.tell(&item, instead);
        }
    }
    for item in root.entries() {
        let told = WITHOUT.iter().any(|(path, _)| path[0] == item.key());
        // What begins with `x-` is a customary place for anchors.
        if !told && !KNOWN.contains(&item.key()) && !item.key().starts_with("x-") {
            notes.tell(&item, "not a key of llama-swap; left out");
        }
    }
}
