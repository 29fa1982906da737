//! What the queue is told and asked.

use std::{path::PathBuf, sync::Arc, time::Duration};

use actix::Message;
use serde_json::{Map, Value};
use tokio::sync::watch;

use crate::{
    job::{JobId, JobName, JobState, JobView},
    spec::JobDefinition,
};

/// A job as somebody wants it.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct JobSpec {
    /// The `NAME` of a `[job.NAME]`.
    pub job: String,
    /// Its parameters by name. Files are not among them.
    pub params: Map<String, Value>,
    /// Files that are sent along: the parameter's name, the file's own name, and its contents.
    pub files: Vec<Upload>,
    /// Higher ones go first; each step counts as much as a minute of waiting. 0 is usual.
    pub priority: i32,
}

impl JobSpec {
    /// One of this kind, without parameters.
    pub fn new(job: impl Into<String>) -> Self {
        Self { job: job.into(), ..Self::default() }
    }

    /// With this parameter.
    #[must_use]
    pub fn param(mut self, name: impl Into<String>, value: impl Into<Value>) -> Self {
        self.params.insert(name.into(), value.into());
        self
    }

    /// With this file for the parameter `name`; `file` is what it is called.
    #[must_use]
    pub fn file(mut self, name: impl Into<String>, file: impl Into<String>, contents: Contents) -> Self {
        self.files.push(Upload { param: name.into(), name: file.into(), contents });
        self
    }

    /// With this priority.
    #[must_use]
    pub fn priority(self, priority: i32) -> Self {
        Self { priority, ..self }
    }
}

/// A file that is sent along with a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upload {
    /// The parameter that it is for.
    pub param: String,
    /// What it is called; of it the last part and its extension are kept.
    pub name: String,
    /// What is in it.
    pub contents: Contents,
}

/// What is in a file that is sent along.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Contents {
    /// These bytes.
    Bytes(bytes::Bytes),
    /// What is in this file, which is moved: somebody wrote it below the state dir for this.
    Moved(PathBuf),
}

/// Accepts a job. Answered once it is on disk.
#[derive(Debug, Message)]
#[rtype(result = "Result<JobView, SubmitError>")]
pub struct Submit(pub JobSpec);

/// Why a job is not accepted. Nothing of it is kept.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SubmitError {
    /// There is no such kind of job.
    #[error("there is no job `{job}`; there {}", known_jobs(.known))]
    UnknownJob {
        /// What was asked for.
        job: String,
        /// Those there are.
        known: Vec<JobName>,
    },
    /// Its parameters are not those of the job. All that is wrong, each in a sentence.
    #[error("the parameters do not fit: {}", .0.join("; "))]
    Params(Vec<String>),
    /// As many are queued as may be.
    #[error("{queued} jobs are queued, which is as many as may be; come again when some are done")]
    Full {
        /// How many.
        queued: usize,
        /// When it is of use to come again.
        retry_after: Duration,
    },
    /// It could not be written, so it would not survive.
    #[error("the job is not accepted, since it cannot be written down: {0}")]
    NotWritten(String),
    /// The runtime is stopping.
    #[error("the runtime is stopping and accepts nothing")]
    Stopping,
}

fn known_jobs(known: &[JobName]) -> String {
    if known.is_empty() {
        return "are none in the configuration".to_owned();
    }
    let names: Vec<&str> = known.iter().map(JobName::as_str).collect();
    format!("are: {}", names.join(", "))
}

/// Takes a job back. Answered when that is known to the queue: a job that runs is cancelled once its work has really
/// stopped, which its state tells.
#[derive(Debug, Clone, Copy, Message)]
#[rtype(result = "Result<JobView, CancelError>")]
pub struct Cancel(pub JobId);

/// Why a job cannot be cancelled or retried.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CancelError {
    /// Nobody knows it.
    #[error("there is no job {0}")]
    Unknown(JobId),
    /// It has come to its end.
    #[error("job {id} is {} already", .state.name())]
    Over {
        /// Which one.
        id: JobId,
        /// How it ended.
        state: JobState,
    },
    /// The runtime is stopping.
    #[error("the runtime is stopping")]
    Stopping,
}

/// One job, open or ended lately; older ones are in the history.
#[derive(Debug, Clone, Copy, Message)]
#[rtype(result = "Option<Arc<JobView>>")]
pub struct GetJob(pub JobId);

/// Jobs that are open, in the order in which they would be begun, and those that have ended lately, newest first.
#[derive(Debug, Clone, Default, Message)]
#[rtype(result = "Vec<Arc<JobView>>")]
pub struct ListJobs {
    /// Only of this kind.
    pub job: Option<JobName>,
    /// Only in one of these states; empty: in any.
    pub states: Vec<JobState>,
    /// At most so many; 0 stands for 100.
    pub limit: usize,
}

/// How many jobs are open, of each kind and in each state.
#[derive(Debug, Clone, Copy, Message)]
#[rtype(result = "Vec<CountedJobs>")]
pub struct CountJobs;

/// So many jobs of one kind are in one state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CountedJobs {
    /// The kind.
    pub job: JobName,
    /// The state.
    pub state: JobState,
    /// How many.
    pub count: u64,
}

/// Follows a job: the newest view of it, again and again. The sender goes when the job has come to its end.
#[derive(Debug, Clone, Copy, Message)]
#[rtype(result = "Option<watch::Receiver<Arc<JobView>>>")]
pub struct FollowJob(pub JobId);

/// The kinds of job have changed. What is queued of a kind that is no more waits until it is there again.
#[derive(Debug, Clone, Message)]
#[rtype(result = "()")]
pub struct RedefineJobs(pub Vec<Arc<JobDefinition>>);
