//! What the history is told and asked.

use std::path::PathBuf;

use actix::Message;
use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;

use crate::{
    event::{Event, SwapSeconds},
    ids::{Pid, RunId, ServiceName},
    job::JobView,
    state::ExitReport,
    time::Timestamp,
};

/// One thing to remember.
#[derive(Debug, Clone, PartialEq)]
pub enum Record {
    /// A run began. Recording the same run twice is one row.
    RunStarted {
        /// The run.
        run: RunId,
        /// Of this service.
        service: ServiceName,
        /// Its main process.
        pid: Pid,
        /// The command as it was run.
        command: Vec<String>,
        /// When.
        at: Timestamp,
    },
    /// A run became ready for the first time.
    RunReady {
        /// The run.
        run: RunId,
        /// When.
        at: Timestamp,
    },
    /// A run ended and its containment is empty.
    RunEnded {
        /// The run.
        run: RunId,
        /// How.
        exit: ExitReport,
        /// Whether somebody had asked for it.
        wanted: bool,
    },
    /// What a run has held at most. Recorded again with the same key and time, the larger figures stay.
    Peak(PeakRow),
    /// An event of the bus (state changes, alerts, phases of the runtime).
    Event(Event),
    /// A request for a model has ended. Recording the same one twice is one row.
    Request {
        /// Which runtime, as in event ids.
        epoch: u64,
        /// Which request of it, from 1.
        number: u64,
        /// What became of it.
        row: RequestRow,
    },
    /// A job as it is now. The newest record of a job is the one that is kept.
    Job(Box<JobView>),
    /// The report at the end of a runtime, as JSON.
    ShutdownReport {
        /// Which runtime, as in event ids.
        epoch: u64,
        /// When it ended.
        at: Timestamp,
        /// The report.
        report: serde_json::Value,
    },
}

/// Writes records and answers when they are on disk (group commit). The answer has a way of its own: actix leaves out a
/// question whose sender has stopped waiting while it was still in the mailbox (actix 0.13, `src/address/envelope.rs`), and
/// a record must not go with it.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct RecordAll {
    /// What is to be written.
    pub records: Vec<Record>,
    /// Who is told; nobody may be there any more.
    pub written: oneshot::Sender<Result<(), NotRecorded>>,
}

/// Why records are not on disk. They are kept in memory and tried again, up to a bound.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotRecorded {
    /// The database cannot be written now; the records wait in memory.
    #[error("the history cannot be written now ({0})")]
    Buffered(String),
    /// The buffer is full as well: the oldest records were dropped.
    #[error("the history cannot be written and its buffer is full: {0} records were dropped")]
    Dropped(u64),
    /// The history is closed.
    #[error("the history is closed")]
    Closed,
}

/// How the history fares.
#[derive(Debug, Clone, Copy, Message)]
#[rtype(result = "HistoryHealth")]
pub struct GetHealth;

/// What to read. All filters are joined by "and".
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct HistoryFilter {
    /// Only this service.
    pub service: Option<ServiceName>,
    /// Only what happened at or after this time.
    pub since: Option<Timestamp>,
    /// Only what failed.
    #[serde(default)]
    pub failed: bool,
    /// At most this many rows, the newest; 0 stands for 100, and more than
    /// [`MOST_ROWS`](super::MOST_ROWS) are never given.
    #[serde(default)]
    pub limit: u32,
}

/// A past or present run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunRow {
    /// The run.
    pub run_id: RunId,
    /// Of this service.
    pub service: ServiceName,
    /// Its main process.
    pub pid: Pid,
    /// The command as it was run.
    pub command: Vec<String>,
    /// When it was started.
    pub started: Timestamp,
    /// When it was first ready.
    pub ready: Option<Timestamp>,
    /// When it ended; `None` while it runs, or if the runtime was killed before it could say.
    pub ended: Option<Timestamp>,
    /// How it ended.
    pub exit: Option<ExitReport>,
    /// Whether somebody had asked for the end.
    pub wanted: Option<bool>,
}

/// What a run held at most.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PeakRow {
    /// Stands for command and model file; runs with the same one are expected to need the same.
    pub key: String,
    /// When the run was first measured; with the key, what it is found by.
    pub at: Timestamp,
    /// Of which service.
    pub service: ServiceName,
    /// Its command; what is known only at a start is left out.
    pub command: Vec<String>,
    /// Its model file.
    pub file: Option<PathBuf>,
    /// Layers on the card, where the planner chose.
    pub layers: Option<u32>,
    /// Bytes on all cards together; `None` where nobody measured.
    pub vram: Option<u64>,
    /// Bytes of host memory.
    pub ram: u64,
}

/// A past event: the JSON that the stream carried.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EventRow {
    /// `epoch-sequence`.
    pub id: String,
    /// When.
    pub at: Timestamp,
    /// The event, as in the stream.
    pub event: serde_json::Value,
}

/// A past swap: a service came into memory for which others had to leave, or memory had to come back.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SwapRow {
    /// When it was ready.
    pub at: Timestamp,
    /// Who came.
    pub service: ServiceName,
    /// Its run.
    pub run_id: RunId,
    /// Who left for it.
    pub from: Vec<ServiceName>,
    /// Where the time went.
    pub seconds: SwapSeconds,
}

/// A past request for a model, also one that was refused. Whose it was is not kept.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RequestRow {
    /// When it came.
    pub at: Timestamp,
    /// The name that it gave to the model, shortened; `None` where it gave none.
    pub model: Option<String>,
    /// The service that this stands for; `None` where there is none, or nobody looked.
    pub service: Option<ServiceName>,
    /// The status of the answer; 499 where the client left before there was one.
    pub code: u16,
    /// Why Greenroom itself refused it, for example `queue_full`.
    pub error: Option<String>,
    /// Seconds from its coming until it was let in, or until its end where it was not.
    pub waited: f64,
    /// Seconds from its coming until the end of the answer.
    pub took: f64,
    /// Bytes of the answer's body that were sent on.
    pub bytes: u64,
    /// Whether the answer came to its end; `false` where either side left in the middle.
    pub whole: bool,
}

/// The report of an ordered stop in the past.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ShutdownReportRow {
    /// Which runtime, as in event ids.
    pub epoch: u64,
    /// When it ended.
    pub at: Timestamp,
    /// The report.
    pub report: serde_json::Value,
}

/// How the history fares.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, actix::MessageResponse)]
pub struct HistoryHealth {
    /// `ok`, or what is wrong and what to do.
    pub state: HistoryState,
    /// Records waiting in memory.
    pub buffered: u64,
    /// Records lost because the buffer was full.
    pub dropped: u64,
}

/// The condition of the database.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "state", content = "reason")]
pub enum HistoryState {
    /// Everything acknowledged is on disk.
    Ok,
    /// This build keeps none.
    Absent,
    /// It cannot be written at present.
    Degraded(String),
}
