//! Every path that Greenroom answers. Pure.

/// One of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Endpoint {
    /// `GET`, `POST`, ...; `any`: every one of them.
    pub method: &'static str,
    /// With its places in braces.
    pub path: &'static str,
    /// What it belongs to.
    pub group: Group,
    /// What it does, in half a sentence.
    pub summary: &'static str,
    /// What may stand in the query or the headers.
    pub parameters: &'static [Parameter],
    /// What it wants in the body.
    pub body: Body,
    /// What it answers when all is well.
    pub answer: Answer,
    /// The refusals of its own, beside those that every path may give.
    pub codes: &'static [&'static str],
}

/// What an endpoint belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Group {
    /// For whoever watches over the machine.
    Operations,
    /// What the command line uses.
    Control,
    /// Requests for models.
    Traffic,
    /// What clients of other gateways know.
    Peers,
}

impl Group {
    /// The tag in the document.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Operations => "operations",
            Self::Control => "control",
            Self::Traffic => "model traffic",
            Self::Peers => "for clients of other gateways",
        }
    }
}

/// A parameter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Parameter {
    /// Its name.
    pub name: &'static str,
    /// Whether it is a header; else it stands in the query.
    pub is_header: bool,
    /// What it is: `boolean`, `integer`, `string`.
    pub kind: &'static str,
    /// Its meaning, with what holds where it is not there.
    pub meaning: &'static str,
}

/// What an endpoint wants in the body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Body {
    /// Nothing; what is there is not read.
    Nothing,
    /// JSON with at least a `model`; the rest is the engine's.
    Model,
    /// A form with at least a `model`; the rest is the engine's.
    Form,
    /// Whatever the service takes.
    Whatever,
    /// A job, as JSON or as a form.
    Job,
}

/// What an endpoint answers when all is well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// 200 and this shape.
    Json(&'static str),
    /// 200 and a list of this shape.
    List(&'static str),
    /// 200 and this shape when it is done, 202 and the same where the caller does not wait.
    JsonOrAccepted(&'static str),
    /// 202 and this shape.
    Accepted(&'static str),
    /// 200 and text of this kind.
    Text(&'static str),
    /// 200 and server-sent events of this shape.
    Events(&'static str),
    /// 200 and a file of whatever kind, or a list of this shape; 206 and a part of the file.
    FileOrList(&'static str),
    /// 200 and a file of this kind.
    File(&'static str),
    /// Whatever the service answers.
    Passed,
}

const fn query(name: &'static str, kind: &'static str, meaning: &'static str) -> Parameter {
    Parameter { name, is_header: false, kind, meaning }
}

const fn header(name: &'static str, meaning: &'static str) -> Parameter {
    Parameter { name, is_header: true, kind: "string", meaning }
}

const WAIT: &[Parameter] = &[query("wait", "boolean", "off: 202 at once; on by default")];
const LOGS: &[Parameter] = &[
    query("follow", "boolean", "go on with what is added; off by default"),
    query("tail", "integer", "how many of the last lines to begin with; 100 by default"),
];
const HISTORY: &[Parameter] = &[
    query("service", "string", "only this one"),
    query("since", "string", "an age such as `2h`, or a time such as `2026-11-21T09:00:00Z`"),
    query("failed", "boolean", "only what failed; off by default"),
    query("limit", "integer", "at most this many, up to 10000; 100 by default"),
];
const EVENTS: &[Parameter] = &[
    header("Last-Event-ID", "from just after this event"),
    query("since", "string", "the same, where there is no such header"),
    query("follow", "boolean", "off: end where waiting would begin; on by default"),
];
const STREAM: &[Parameter] = &[
    query("no-history", "string", "begin with what is added, whatever its value"),
    query("follow", "boolean", "off: end where waiting would begin; on by default"),
];
const SHUTDOWN: &[Parameter] = &[query("force", "boolean", "skip every grace; off by default")];
const TRAFFIC: &[Parameter] = &[
    header("X-Model", "the model, where the body does not say it"),
    header(
        "X-Priority",
        "a whole number; a higher one is let in before others that wait, where a key is needed and brought",
    ),
];

const JOBS: &[Parameter] = &[
    query("job", "string", "only of this kind"),
    query("state", "string", "only in this state, or in one of several between commas"),
    query("limit", "integer", "at most this many; 100 by default"),
    query("id", "string", "alone: those whose ids begin so, however old, at most 10; or `last`"),
];
const OUTPUT: &[Parameter] = &[
    query("file", "string", "one of the files of its result"),
    header("Range", "one range of bytes of the file, such as `bytes=0-1023`; then 206 with these"),
];

/// What a new job may come to.
const SUBMITTED: &[&str] = &["unknown_job", "bad_params", "body_too_large", "jobs_full", "not_written", "stopping"];
/// What a job that is done once more may come to.
const AGAIN: &[&str] = &[
    "job_not_found",
    "job_open",
    "output_expired",
    "output_unreadable",
    "history_unavailable",
    "unknown_job",
    "bad_params",
    "jobs_full",
    "not_written",
    "stopping",
];
/// What a command may come to.
const COMMAND: &[&str] = &[
    "service_not_found",
    "held",
    "in_use",
    "start_failed",
    "insufficient_memory",
    "service_stopped",
    "stuck",
    "stopping",
];
/// What a command may come to that is not waited for.
const TOLD: &[&str] = &["model_not_found", "stopping"];
/// What taking everything out of memory may come to.
const OFFLOAD: &[&str] = &["held", "in_use", "stuck", "stopping"];
/// What a request for a model may come to.
const PASSED: &[&str] = &[
    "no_model",
    "model_not_found",
    "body_too_large",
    "queue_full",
    "start_failed",
    "upstream_closed",
    "insufficient_memory",
    "not_loaded",
    "service_stopped",
    "stopping",
    "stuck",
    "upstream_refused",
    "wait_timeout",
];
/// What a job that makes an image for a client may come to besides.
const DRAWN: &[&str] = &["bad_params", "not_written", "job_cancelled", "job_failed", "answer_too_large"];
/// What a request for an image may come to.
const IMAGE: &[&str] = &both::<{ PASSED.len() + DRAWN.len() }>(PASSED, DRAWN);

/// One list after the other; `N` is the length of both.
const fn both<const N: usize>(first: &[&'static str], second: &[&'static str]) -> [&'static str; N] {
    let mut all = [""; N];
    let mut at = 0;
    while at < N {
        all[at] = if at < first.len() { first[at] } else { second[at - first.len()] };
        at += 1;
    }
    all
}

const fn get(path: &'static str, group: Group, summary: &'static str, answer: Answer) -> Endpoint {
    Endpoint { method: "GET", path, group, summary, parameters: &[], body: Body::Nothing, answer, codes: &[] }
}

const fn post(path: &'static str, group: Group, summary: &'static str, answer: Answer) -> Endpoint {
    Endpoint { method: "POST", ..get(path, group, summary, answer) }
}

const fn passed(method: &'static str, path: &'static str, body: Body, summary: &'static str) -> Endpoint {
    let to = get(path, Group::Traffic, summary, Answer::Passed);
    Endpoint { method, parameters: TRAFFIC, body, codes: PASSED, ..to }
}

impl Endpoint {
    const fn with(self, parameters: &'static [Parameter], codes: &'static [&'static str]) -> Self {
        Self { parameters, codes, ..self }
    }

    const fn taking(self, body: Body) -> Self {
        Self { body, ..self }
    }

    /// Whether it is answered without a key.
    #[must_use]
    pub fn is_open(&self) -> bool {
        matches!(self.path, "/health" | "/ready")
    }
}

use Answer::{Accepted, Events, File, FileOrList, Json, JsonOrAccepted, List, Text};
use Group::{Control, Operations, Peers};

/// All of them.
pub const ENDPOINTS: &[Endpoint] = &[
    get("/health", Operations, "the process is up", Text("text/plain")),
    get("/ready", Operations, "everything that is wanted up is of use", Json("Ready")).with(&[], &["not_ready"]),
    get("/metrics", Operations, "the figures for Prometheus", Text("text/plain; version=0.0.4"))
        .with(&[], &["metrics_disabled"]),
    get("/api/openapi.json", Operations, "this document", Json("Document")),
    get("/api/status", Control, "the runtime and all services", Json("Status")),
    get("/api/services", Control, "all services, in the order of the configuration", List("Service")),
    get("/api/services/{name}", Control, "one service", Json("Service")).with(&[], &["service_not_found"]),
    get("/api/services/{name}/logs", Control, "its output as it came", Text("text/plain"))
        .with(LOGS, &["service_not_found", "logs_unreadable"]),
    get("/api/services/{name}/why", Control, "why it is in its state and what to do", Json("Why"))
        .with(&[], &["service_not_found"]),
    post(
        "/api/services/{name}/{command}",
        Control,
        "`start`, `stop`, `restart`, `load`, `offload` or `reset`, and what came of it",
        JsonOrAccepted("Service"),
    )
    .with(WAIT, COMMAND),
    get(
        "/api/remotes",
        Control,
        "what answers elsewhere: each URL, whether it gets requests, how many, and its last error",
        List("Remote"),
    ),
    get("/api/alerts", Control, "what needs attention now, the worst first", List("Alert")),
    get("/api/gpus", Control, "cards and who holds their memory, RAM, further pools, leases, needs", Json("Memory")),
    get("/api/plan/{name}", Control, "what a load of the service would do now; changes nothing", Json("Plan"))
        .with(&[], &["service_not_found", "stopping"]),
    get("/api/history/runs", Control, "past runs, newest first", List("Run")).with(HISTORY, &["history_unavailable"]),
    get("/api/history/events", Control, "past events, newest first", List("PastEvent"))
        .with(HISTORY, &["history_unavailable"]),
    get(
        "/api/history/swaps",
        Control,
        "past swaps, newest first: who came, who left, where the time went",
        List("Swap"),
    )
    .with(HISTORY, &["history_unavailable"]),
    get(
        "/api/history/requests",
        Control,
        "past requests for models, newest first, also those refused",
        List("Request"),
    )
    .with(HISTORY, &["history_unavailable"]),
    get("/api/history/jobs", Control, "past and present jobs, newest first", List("Job"))
        .with(HISTORY, &["history_unavailable"]),
    post("/api/jobs", Control, "accepts a job, once it is on disk", Accepted("Job"))
        .with(&[], SUBMITTED)
        .taking(Body::Job),
    get("/api/jobs", Control, "jobs that are open or have ended lately", List("Job"))
        .with(JOBS, &["stopping", "history_unavailable"]),
    get("/api/jobs/{id}", Control, "one job, however old", Json("Job"))
        .with(&[], &["job_not_found", "history_unavailable"]),
    Endpoint {
        method: "DELETE",
        ..get("/api/jobs/{id}", Control, "takes it back; it is cancelled once its work has stopped", Accepted("Job"))
    }
    .with(&[], &["job_not_found", "job_over", "history_unavailable", "stopping"]),
    post("/api/jobs/{id}/retry", Control, "the same once more, as another job", Accepted("Job")).with(&[], AGAIN),
    get("/api/jobs/{id}/output", Control, "the file that it has made; a list of several", FileOrList("MadeFile")).with(
        OUTPUT,
        &[
            "job_not_found",
            "job_open",
            "output_expired",
            "file_not_found",
            "range_not_satisfiable",
            "output_unreadable",
            "history_unavailable",
        ],
    ),
    get("/api/jobs/{id}/logs", Control, "what its own processes have printed", Text("text/plain"))
        .with(LOGS, &["job_not_found", "output_expired", "logs_unreadable", "history_unavailable"]),
    get("/api/events", Control, "events as they happen", Events("Event")).with(EVENTS, &[]),
    post(
        "/api/bundle",
        Control,
        "makes a diagnostic bundle and sends it: a `tar` archive without secrets",
        File("application/x-tar"),
    )
    .with(&[], &["bundle_failed", "stopping"]),
    post("/api/reload", Control, "reads the configuration anew and answers what came of it", JsonOrAccepted("Reload"))
        .with(WAIT, &["bad_config", "not_reloadable", "reload_failed", "busy", "stopping"]),
    post("/api/shutdown", Control, "the stop has begun", Accepted("Runtime")).with(SHUTDOWN, &[]),
    passed("POST", "/v1/chat/completions", Body::Model, "a chat"),
    passed("POST", "/v1/completions", Body::Model, "a text goes on"),
    passed("POST", "/v1/responses", Body::Model, "a chat in OpenAI's later shape"),
    passed("POST", "/v1/messages", Body::Model, "a chat in Anthropic's shape"),
    passed("POST", "/v1/messages/count_tokens", Body::Model, "how long such a chat is"),
    passed("POST", "/v1/embeddings", Body::Model, "texts as vectors"),
    passed("POST", "/v1/rerank", Body::Model, "documents by how well they answer"),
    passed("POST", "/v1/images/generations", Body::Model, "an image from a text").with(TRAFFIC, IMAGE),
    passed("POST", "/v1/images/edits", Body::Form, "an image from an image").with(TRAFFIC, IMAGE),
    passed("POST", "/v1/audio/speech", Body::Model, "a text as speech"),
    passed("POST", "/v1/audio/transcriptions", Body::Form, "speech as text"),
    passed("POST", "/v1/audio/translations", Body::Form, "speech as English text"),
    passed("POST", "/infill", Body::Model, "llama.cpp: what stands between two texts"),
    passed("POST", "/completion", Body::Model, "llama.cpp: a text goes on"),
    passed("any", "/props", Body::Whatever, "llama.cpp: what the model is set to"),
    passed("any", "/slots", Body::Whatever, "llama.cpp: what it works on"),
    passed("any", "/slots/{id}", Body::Whatever, "llama.cpp: one of them"),
    passed("any", "/sdapi/v1/{call}", Body::Whatever, "the API of Stable Diffusion web UI").with(TRAFFIC, IMAGE),
    passed("any", "/upstream/{service}", Body::Whatever, "to that service, as `/`; also a WebSocket"),
    passed(
        "any",
        "/upstream/{service}/{path}",
        Body::Whatever,
        "to that service, as `/{path}`, byte for byte, with its query; also a WebSocket",
    ),
    get("/v1/models", Peers, "what there is, as OpenAI's clients ask for it", Json("ModelList")),
    get("/v1/models/{id}", Peers, "one of them", Json("Model")).with(&[], &["model_not_found"]),
    get("/models", Peers, "the same as `/v1/models`, for users of llama.cpp's router", Json("ModelList")),
    post("/models/load", Peers, "begins to load the model that the body names", Json("Success"))
        .with(&[], TOLD)
        .taking(Body::Model),
    post("/models/unload", Peers, "begins to take it out of memory", Json("Success"))
        .with(&[], TOLD)
        .taking(Body::Model),
    get("/running", Peers, "what is in memory, for users of llama-swap", Json("Running")),
    get("/unload", Peers, "takes everything out of memory and waits for it", Text("text/plain")).with(&[], OFFLOAD),
    post("/api/models/unload", Peers, "the same, answered in JSON", Json("Unloaded")).with(&[], OFFLOAD),
    post("/api/models/unload/{id}", Peers, "takes one out of memory and waits for it", Text("text/plain"))
        .with(&[], &["model_not_found", "held", "in_use", "stuck", "stopping"]),
    get("/api/version", Peers, "which version this is", Json("Version")),
    get("/logs", Peers, "the last 100 lines of each service, each part under its name", Text("text/plain"))
        .with(&[], &["logs_unreadable"]),
    get("/logs/stream", Peers, "the same, and what is added", Text("text/plain")).with(STREAM, &["logs_unreadable"]),
    get("/logs/stream/{id}", Peers, "of one model, or of all as `upstream`", Text("text/plain"))
        .with(STREAM, &["model_not_found", "not_found", "logs_unreadable"]),
];
