//! `[job.NAME]`, `cleanup` and what they say.

use std::{path::PathBuf, sync::Arc, time::Duration};

use serde_json::Value;

use super::ServiceSpec;
use crate::{
    ids::ServiceName,
    job::{JobName, Task},
    template::Template,
};

/// `[job.NAME]`: a kind of job.
#[derive(Debug, Clone, PartialEq)]
pub struct JobDefinition {
    /// Its name; no service and no remote has the same.
    pub name: JobName,
    /// Names under which image requests of clients become jobs of this kind.
    pub serves: Vec<String>,
    /// What it is given, in the order of the configuration.
    pub params: Vec<ParamSpec>,
    /// How it is done.
    pub work: JobWork,
    /// The longest an attempt may run, waiting not counted; zero: no limit.
    pub timeout: Duration,
    /// Further attempts after one that failed.
    pub retries: u32,
    /// Attempts at a time, at most.
    pub max_parallel: u32,
    /// How long what it made is kept.
    pub keep_output: Duration,
    /// What is done after each attempt.
    pub cleanup: CleanupSpec,
}

/// One of `job.NAME.params`.
#[derive(Debug, Clone, PartialEq)]
pub struct ParamSpec {
    /// Its name.
    pub name: String,
    /// What it takes.
    pub kind: ParamKind,
    /// What it is where it is not given. Without a default and a flag it is required.
    pub default: Option<Value>,
    /// Appended to the command with the value, where there is one; the parameter may be left out.
    pub flag: Option<String>,
}

/// `params.X.type`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ParamKind {
    /// Any text.
    Text,
    /// A whole number.
    Int,
    /// A number.
    Float,
    /// `true` or `false`; with a flag, the flag alone stands for `true`.
    Bool,
    /// A file that is sent along; its path is filled in.
    File,
}

/// How a job is done.
#[derive(Debug, Clone, PartialEq)]
pub enum JobWork {
    /// By a process of its own.
    Process(Box<ProcessJob>),
    /// By a request to a service or a remote.
    Request(RequestJob),
}

/// A process for each job.
#[derive(Debug, Clone, PartialEq)]
pub struct ProcessJob {
    /// What is run, as a service that runs to its end: `worker` is set, and its parts `${param.X}` and `${output}` are filled
    /// in for each job. Named as the job; further workers of `max_parallel` are `NAME.2`, `NAME.3` and so on.
    pub service: ServiceSpec,
    /// `clip_on_cpu`; `None` = auto.
    pub clip_on_cpu: Option<bool>,
    /// `vae_on_cpu`; `None` = auto.
    pub vae_on_cpu: Option<bool>,
    /// `batch_size`; `None`: the engine's.
    pub batch_size: Option<u32>,
}

/// A request for each job.
#[derive(Debug, Clone, PartialEq)]
pub struct RequestJob {
    /// To this service or remote.
    pub service: ServiceName,
    /// `POST`, for example.
    pub method: String,
    /// Path and query.
    pub path: String,
    /// What is sent.
    pub body: RequestBody,
}

/// What the request of a job sends.
#[derive(Debug, Clone, PartialEq)]
pub enum RequestBody {
    /// The parameters, as a JSON object. A file is its contents in base64.
    Params,
    /// A JSON file, in which some places are set.
    File {
        /// The file; read for each job.
        path: PathBuf,
        /// Places (`6.inputs.text`) and what is put there. A text that is one `${param.X}` becomes the parameter with its
        /// type.
        set: Vec<(String, SetValue)>,
    },
}

/// What is put into a place of a request's body.
#[derive(Debug, Clone, PartialEq)]
pub enum SetValue {
    /// As it stands.
    Fixed(Value),
    /// With parameters filled in.
    Filled(Template),
}

/// What makes a service the worker of a job.
#[derive(Debug, Clone, PartialEq)]
pub struct WorkerSpec {
    /// Whose worker it is.
    pub job: JobName,
    /// Lines of its output that tell its progress: a regular expression with the groups `step` and `steps`. `None`: the
    /// engine knows.
    pub progress: Option<String>,
    /// What it works on; nothing until it is given a job.
    pub task: Option<Arc<Task>>,
}

/// `cleanup`: what is done after a job, on every path.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct CleanupSpec {
    /// One after the other.
    pub actions: Vec<CleanupAction>,
    /// Pause before the first of them, counted from the end of the work.
    pub delay: Duration,
    /// Whether they are needed.
    pub when: CleanupWhen,
    /// What follows when one of them fails.
    pub on_failure: OnCleanupFailure,
    /// Jobs that failed in a row, clean-up notwithstanding, after which the last resort is taken: a service is restarted, a
    /// remote is reset; 0: never.
    pub last_resort_after: u32,
}

/// One of `cleanup.actions`.
#[derive(Debug, Clone, PartialEq)]
pub enum CleanupAction {
    /// Ask the service itself: method and path on its port. Any answer below 400 will do.
    Http {
        /// `POST`, for example.
        method: String,
        /// Path and query.
        path: String,
    },
    /// Empty a folder of the service's own; nothing is followed out of it.
    Purge(Template),
    /// Run a program; status 0 will do.
    Exec(Vec<Template>),
}

/// `cleanup.when`.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub enum CleanupWhen {
    /// After every job.
    #[default]
    Always,
    /// When more than this share of a card that the service is on is in use.
    Vram(f64),
    /// When more than this share of the host's memory is in use.
    Ram(f64),
}

/// `cleanup.on_failure`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnCleanupFailure {
    /// An alert, and on.
    #[default]
    Warn,
    /// The service is restarted.
    Restart,
}

/// `runtime.shutdown.running_jobs`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum RunningJobs {
    /// They may end within `drain`; what has not by then is stopped and queued again for the next start.
    #[default]
    Drain,
    /// They are cancelled.
    Cancel,
}
