//! What the queue and whoever does the work say to each other about one attempt at a job.

use std::{
    fmt,
    path::{Path, PathBuf},
    sync::Arc,
};

use actix::{Message, Recipient};
use serde_json::{Map, Value};
use tokio::sync::watch;

use crate::{
    gate::Ticket,
    ids::ServiceName,
    job::{JobError, JobId, JobName, JobProgress, JobResult},
    spec::JobDefinition,
};

/// One attempt at a job, as it is handed to whoever does it.
#[derive(Debug)]
pub struct Attempt {
    /// Which job.
    pub id: JobId,
    /// Which attempt, from 1.
    pub number: u32,
    /// What kind of job it is.
    pub definition: Arc<JobDefinition>,
    /// Its parameters, defaults filled in; a file is `{"file": NAME, "size": BYTES}` and lies in the input folder.
    pub params: Map<String, Value>,
    /// Its files.
    pub folder: JobFolder,
    /// For the line at a gate: when the attempt was begun, and how urgent the job is.
    pub ticket: Ticket,
    /// Which of the workers of `max_parallel` it is for, from 1; no other attempt has it at the same time.
    pub slot: u32,
    /// Whether an earlier attempt at this job has [poisoned](JobError::poisons) what it worked with: another such failure is the
    /// job's own, and nothing is restarted for it any more.
    pub has_poisoned: bool,
    /// What the queue wants of it.
    pub order: watch::Receiver<Order>,
}

/// What the queue wants of an attempt. Nothing takes a stop back; a kill overtakes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// Go on.
    Go,
    /// Stop the work, so that it has really stopped, and clean up.
    Stop(StopWhy),
    /// The same without grace and without cleaning up: the runtime is being forced to its end.
    Kill,
}

/// Why an attempt is to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StopWhy {
    /// Somebody took the job back.
    Cancelled,
    /// It ran for longer than it may.
    TimedOut,
    /// The runtime stops.
    Shutdown,
}

/// How an attempt fares.
#[derive(Debug, Clone, PartialEq)]
pub enum AttemptNews {
    /// It waits, and for what, in a sentence.
    Waiting(String),
    /// The work has begun.
    Running,
    /// It has come so far.
    Progress(JobProgress),
    /// The work has ended, and nothing of it goes on. What was used is being cleaned up from now on.
    Ended(AttemptEnd),
    /// All is cleaned up, or was given up; nothing more comes. Told when the teller is dropped.
    Over,
}

/// How the work of an attempt ended.
#[derive(Debug, Clone, PartialEq)]
pub enum AttemptEnd {
    /// It is done.
    Done(JobResult),
    /// It failed.
    Failed(JobError),
    /// It was stopped, as it was told to.
    Stopped,
}

/// News of an attempt, as the queue hears it.
#[derive(Debug, Clone, Message)]
#[rtype(result = "()")]
pub struct AttemptTold {
    /// Which job.
    pub id: JobId,
    /// Which attempt at it: what is told of an earlier one is dropped.
    pub number: u32,
    /// What is told.
    pub news: AttemptNews,
}

/// Where an attempt tells how it fares. Its drop tells that the attempt is over, however it came to that.
pub struct Teller {
    id: JobId,
    number: u32,
    to: Recipient<AttemptTold>,
}

impl Teller {
    /// One for this attempt.
    #[must_use]
    pub fn new(id: JobId, number: u32, to: Recipient<AttemptTold>) -> Self {
        Self { id, number, to }
    }

    /// Tells the queue.
    pub fn tell(&self, news: AttemptNews) {
        self.to.do_send(AttemptTold { id: self.id, number: self.number, news });
    }
}

impl fmt::Debug for Teller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Teller").field("id", &self.id).field("number", &self.number).finish_non_exhaustive()
    }
}

impl Drop for Teller {
    fn drop(&mut self) {
        self.tell(AttemptNews::Over);
    }
}

/// The name of the worker for this slot of a kind of job: the job's own for the first, `NAME.2` for the second.
#[must_use]
pub fn worker_name(job: &JobName, slot: u32) -> Option<ServiceName> {
    match slot {
        0 | 1 => Some(job.clone()),
        more => format!("{job}.{more}").parse().ok(),
    }
}

/// Begins an attempt, on a thread of its own choice, and returns at once.
pub type Doer = Arc<dyn Fn(Attempt, Teller) + Send + Sync>;

/// Where the files of one job lie: `jobs/ID` below the state dir.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobFolder(PathBuf);

impl JobFolder {
    /// Of this job.
    #[must_use]
    pub fn of(state_dir: &Path, id: JobId) -> Self {
        Self(state_dir.join("jobs").join(id.to_string()))
    }

    /// All of it.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// What was sent along.
    #[must_use]
    pub fn input(&self) -> PathBuf {
        self.0.join("input")
    }

    /// What it makes. Emptied before each attempt.
    #[must_use]
    pub fn output(&self) -> PathBuf {
        self.0.join("output")
    }
}
