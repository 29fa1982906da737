//! Every refusal that Greenroom itself gives over HTTP. Pure.

/// A refusal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Code {
    /// The HTTP status.
    pub status: u16,
    /// The word for programs.
    pub code: &'static str,
    /// When it is given.
    pub when: &'static str,
}

const fn code(status: u16, code: &'static str, when: &'static str) -> Code {
    Code { status, code, when }
}

/// All of them, by status.
pub const CODES: &[Code] = &[
    code(400, "invalid_request", "a parameter is none; `param` names it"),
    code(400, "bad_params", "a job: its parameters do not fit; `problems` has everything that is wrong"),
    code(400, "bad_config", "a reload: the configuration cannot be used; nothing has changed"),
    code(400, "no_model", "a request names no model, and there are several"),
    code(401, "unauthorized", "no key, or a wrong one"),
    code(403, "cross_site", "a page of another site asks"),
    code(403, "strange_host", "`Host` is not a name that only this machine can have, and no key is set"),
    code(404, "model_not_found", "no service, remote or kind of job has that name; the message names those there are"),
    code(404, "service_not_found", "there is no such service; the message names those there are"),
    code(404, "unknown_job", "the configuration has no such kind of job; the message names those there are"),
    code(404, "job_not_found", "nobody knows that job"),
    code(404, "output_expired", "the files of the job are kept no more (`job.NAME.keep_output`)"),
    code(404, "file_not_found", "the job has made no file of that name; the message names those there are"),
    code(404, "metrics_disabled", "the configuration says `metrics.enabled = false`"),
    code(404, "not_found", "there is nothing at that path"),
    code(405, "method_not_allowed", "the path takes another method"),
    code(409, "held", "an embedding application holds the service, so it is not offloaded"),
    code(409, "in_use", "those who use the service did not leave within `offload.drain`, so it stays"),
    code(409, "job_cancelled", "an image: somebody has cancelled the job that was to make it"),
    code(409, "job_over", "the job has come to its end"),
    code(409, "job_open", "the job has not come to its end"),
    code(409, "not_reloadable", "a reload: the runtime was not started from a configuration that it could read anew"),
    code(413, "body_too_large", "the body is larger than `gateway.max_body`"),
    code(
        416,
        "range_not_satisfiable",
        "the file has none of the bytes that `Range` asks for; `Content-Range` says how many it has",
    ),
    code(
        429,
        "queue_full",
        "`gateway.queue.max_waiting` wait for the service already, or as many jobs are queued as may be; `Retry-After` says when to come again",
    ),
    code(429, "jobs_full", "as many jobs are queued as may be; `Retry-After` says when to come again"),
    code(500, "bundle_failed", "the bundle cannot be written; the message says where and why"),
    code(500, "history_unavailable", "the database cannot be read"),
    code(500, "logs_unreadable", "the log files cannot be read"),
    code(500, "output_unreadable", "the files of the job cannot be read"),
    code(500, "reload_failed", "a reload could not be begun"),
    code(
        502,
        "answer_too_large",
        "images: in base64 they are larger than 256 MiB; the message names the job that has them",
    ),
    code(
        502,
        "job_failed",
        "an image: the job that was to make it has failed, or has made none; with `class` and `stderr` of its process",
    ),
    code(
        502,
        "start_failed",
        "a start ended in `failed` or `backoff`, or cannot be because it is `quarantined` (the message says why, and that \
         `greenroom start NAME` ends it) or of what it depends on",
    ),
    code(502, "upstream_closed", "the service was ready and gave no answer, or not all of it"),
    code(
        502,
        "upstream_refused",
        "in a stream that had begun with comments: the service answered with something else; with its own status where that says an error",
    ),
    code(503, "busy", "a reload: too many wait for their turn"),
    code(
        503,
        "insufficient_memory",
        "there is no memory for it, or for what it depends on; nobody was pushed out for it",
    ),
    code(503, "not_loaded", "the service is not ready, and this request does not load it (`wake_on`)"),
    code(503, "not_ready", "`/ready`: not everything that is wanted up is"),
    code(503, "not_written", "the job is not accepted, since it could not be written down and would not survive"),
    code(
        503,
        "service_stopped",
        "somebody has stopped the service or one that it depends on, or that is started by hand and was not",
    ),
    code(503, "stopping", "the runtime is stopping"),
    code(503, "stuck", "a process of it does not end on SIGKILL"),
    code(
        503,
        "wait_timeout",
        "the service could not be used within `gateway.queue.max_wait`, with `Retry-After`; or a job was not begun within it, and is cancelled",
    ),
];
