//! What a job is doing and what became of it, as events, history and the API name it.

use std::{
    collections::BTreeMap,
    fmt,
    path::PathBuf,
    str::FromStr,
    sync::{Mutex, PoisonError},
};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use ulid::{Generator, Ulid};

use crate::{
    failure::{FailureAction, FailureClass},
    ids::ServiceName,
    time::Timestamp,
};

/// The name of a `[job.NAME]`: as a service's, and no service or remote has the same.
pub type JobName = ServiceName;

/// One submitted job: a ULID, so that ids sort by the time of their submission.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct JobId(Ulid);

impl JobId {
    /// A new id, unique on this machine and later than those that this process made before it, also within a millisecond.
    #[must_use]
    pub fn fresh() -> Self {
        static LAST: Mutex<Generator> = Mutex::new(Generator::new());
        let mut last = LAST.lock().unwrap_or_else(PoisonError::into_inner);
        // An error means that a millisecond has no more ids, which are 2^80 at the most.
        Self(last.generate().unwrap_or_else(|_| Ulid::new()))
    }

    /// When it was made, to the millisecond.
    #[must_use]
    pub fn made(self) -> Timestamp {
        let micros = self.0.timestamp_ms().saturating_mul(1_000);
        Timestamp::from_micros(i64::try_from(micros).unwrap_or(i64::MAX))
    }
}

impl fmt::Display for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for JobId {
    type Err = ulid::DecodeError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse().map(Self)
    }
}

/// Where a job stands in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JobState {
    /// Accepted, and on disk.
    Queued,
    /// Its turn has come; it waits for memory, a gate or a slot.
    Waiting,
    /// It is being worked on.
    Running,
    /// Its outcome is known and told; what it used is being cleaned up.
    Cleaning,
    /// It has done what it was there for.
    Succeeded,
    /// It has failed; the error says why.
    Failed,
    /// Somebody took it back.
    Cancelled,
}

impl JobState {
    /// Every state, in the order of a life.
    pub const ALL: [Self; 7] =
        [Self::Queued, Self::Waiting, Self::Running, Self::Cleaning, Self::Succeeded, Self::Failed, Self::Cancelled];

    /// The name in the API, the history and the terminal.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Waiting => "waiting",
            Self::Running => "running",
            Self::Cleaning => "cleaning",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }

    /// Whether nothing comes after it.
    #[must_use]
    pub fn is_final(self) -> bool {
        matches!(self, Self::Succeeded | Self::Failed | Self::Cancelled)
    }
}

/// What became of a job. Known, and on disk, before it is cleaned up after.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JobOutcome {
    /// It has done what it was there for.
    Succeeded,
    /// It has failed.
    Failed,
    /// Somebody took it back.
    Cancelled,
}

impl JobOutcome {
    /// The state in which a job of this outcome ends.
    #[must_use]
    pub fn state(self) -> JobState {
        match self {
            Self::Succeeded => JobState::Succeeded,
            Self::Failed => JobState::Failed,
            Self::Cancelled => JobState::Cancelled,
        }
    }
}

/// How far a running job has come.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct JobProgress {
    /// Steps done, in whatever its engine counts.
    pub done: u64,
    /// Steps in all; at least 1.
    pub total: u64,
    /// `done / total`, from 0 to 1.
    pub ratio: f64,
    /// Seconds until the end at the pace so far; `None` until there is a pace.
    pub eta: Option<f64>,
}

impl JobProgress {
    /// So many steps of so many; `done` past `total` counts as all of them.
    #[must_use]
    pub fn of(done: u64, total: u64, eta: Option<f64>) -> Self {
        let total = total.max(1);
        let done = done.min(total);
        Self { done, total, ratio: done as f64 / total as f64, eta }
    }
}

impl fmt::Display for JobProgress {
    /// `3/4, 2.1s left`, as much of it as is known.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.done, self.total)?;
        match self.eta {
            Some(seconds) if seconds > 0.0 => write!(f, ", {seconds:.1}s left"),
            Some(_) | None => Ok(()),
        }
    }
}

/// Why an attempt at a job failed, or why it was taken back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobError {
    /// The class of the failure; `None` for one that was cancelled.
    pub class: Option<FailureClass>,
    /// What happened, and what to do where that is known; a sentence.
    pub message: String,
    /// Exit status of its process, where it had one and it ended by itself.
    pub code: Option<i32>,
    /// The signal that ended it, if one did.
    pub signal: Option<i32>,
    /// HTTP status of the answer, where the job was a request.
    pub status: Option<u16>,
    /// The last lines of stderr (of stdout if stderr was empty), oldest first, at most 20.
    pub stderr: Vec<String>,
    /// There is no memory for it, whoever leaves; the message says what is missing.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub no_memory: bool,
    /// What the rule that has recognised the failure wants done about the program, where it wants anything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub action: Option<FailureAction>,
}

impl JobError {
    /// One without a process or an answer.
    pub fn new(class: Option<FailureClass>, message: impl Into<String>) -> Self {
        let (message, stderr) = (message.into(), Vec::new());
        Self { class, message, code: None, signal: None, status: None, stderr, no_memory: false, action: None }
    }

    /// Whether it leaves the program that it happened in unfit for everything that follows, so that the job gets one more
    /// attempt on a fresh run of it, and only one.
    #[must_use]
    pub fn poisons(&self) -> bool {
        self.action == Some(FailureAction::RestartOnce)
    }

    /// Whether trying again cannot help: by its class, or since there will never be room.
    #[must_use]
    pub fn is_permanent(&self) -> bool {
        self.no_memory || self.class.is_some_and(FailureClass::is_permanent)
    }
}

/// An attempt that failed and was followed by another one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailedAttempt {
    /// Which one, from 1.
    pub attempt: u32,
    /// When it ended.
    pub at: Timestamp,
    /// Why.
    pub error: JobError,
}

/// What a job has made.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct JobResult {
    /// Names of files, in their order, below the output folder of the job.
    pub files: Vec<String>,
    /// What was answered in JSON, if it was; images that stood in it are files, and their names stand there.
    pub json: Option<Value>,
}

/// One job: what was asked for, where it stands, what became of it. The same in the API, in the history and in memory.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct JobView {
    /// Its id.
    pub id: JobId,
    /// What kind of job it is: the `NAME` of a `[job.NAME]`.
    pub job: JobName,
    /// Where it stands.
    pub state: JobState,
    /// What became of it, as soon as that is known.
    pub outcome: Option<JobOutcome>,
    /// Why it is in that state, in a sentence, where there is something to say: what it waits for.
    pub reason: Option<String>,
    /// What it was given. A file is `{"file": NAME, "size": BYTES}`.
    pub params: Map<String, Value>,
    /// Higher ones go first; 0 is usual.
    pub priority: i32,
    /// Attempts that were begun.
    pub attempt: u32,
    /// In `running`: how far it has come, where that is known.
    pub progress: Option<JobProgress>,
    /// When it was accepted.
    pub submitted: Timestamp,
    /// When its last attempt began to run.
    pub started: Option<Timestamp>,
    /// When its outcome was known.
    pub finished: Option<Timestamp>,
    /// Why it failed or was cancelled.
    pub error: Option<JobError>,
    /// Earlier attempts that failed, oldest first.
    #[serde(default)]
    pub attempts: Vec<FailedAttempt>,
    /// What it has made.
    pub result: Option<JobResult>,
}

/// What one job fills into the command of its worker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Task {
    /// Which job.
    pub id: JobId,
    /// What `${param.X}` becomes.
    pub params: BTreeMap<String, String>,
    /// What `${output}` becomes, without an extension; its folder is there and empty.
    pub output: PathBuf,
    /// The extension that `${output}` gets where the text does not go on with one of its own.
    pub extension: Option<&'static str>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_in_the_order_in_which_they_were_made() {
        let ids: Vec<JobId> = (0..10_000).map(|_| JobId::fresh()).collect();
        assert!(ids.is_sorted_by(|one, next| one < next));
    }

    #[test]
    fn ids_survive_their_text_and_progress_stays_within_its_bounds() {
        let id = JobId::fresh();
        assert_eq!(id.to_string().parse().ok(), Some(id));
        let past = JobProgress::of(9, 4, None);
        assert_eq!((past.done, past.ratio, JobProgress::of(0, 0, None).total), (4, 1.0, 1));
    }
}

/// A job for unit tests.
#[cfg(test)]
pub mod sample {
    use super::*;

    /// A job that was submitted at so many seconds.
    pub fn queued(job: &str, at: i64) -> JobView {
        JobView {
            id: JobId::fresh(),
            job: job.parse().expect("a name"),
            state: JobState::Queued,
            outcome: None,
            reason: None,
            params: Map::new(),
            priority: 0,
            attempt: 0,
            progress: None,
            submitted: Timestamp::from_micros(at * 1_000_000),
            started: None,
            finished: None,
            error: None,
            attempts: Vec::new(),
            result: None,
        }
    }
}
