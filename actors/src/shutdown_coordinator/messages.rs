//! What the coordinator is told, and what it tells those it stops.

use std::time::{Duration, Instant};

use actix::{Message, Recipient};
use serde::{Deserialize, Serialize};

use crate::ids::Pid;

/// The name of something that is stopped in order: an actor (`history`) or a service (`service:chat`).
pub type UnitName = String;

/// Adds a unit. Registration order is start order; stopping goes the other way.
#[derive(Debug, Message)]
#[rtype(result = "Result<(), super::graph::GraphError>")]
pub struct Register {
    /// Its name, unique.
    pub name: UnitName,
    /// What it needs while it runs; those are stopped after it. They must have been registered before.
    pub depends_on: Vec<UnitName>,
    /// The longest its own stop may take.
    pub bound: Duration,
    /// Who stops it.
    pub stop: Recipient<StopUnit>,
}

/// Takes out a unit that has stopped by itself. Whatever needed it must have gone, or need something else, before.
#[derive(Debug, Clone, Message)]
#[rtype(result = "Result<(), super::graph::GraphError>")]
pub struct Unregister {
    /// Its name.
    pub name: UnitName,
}

/// Lets a unit need others than before.
#[derive(Debug, Clone, Message)]
#[rtype(result = "Result<(), super::graph::GraphError>")]
pub struct ChangeNeeds {
    /// Its name.
    pub name: UnitName,
    /// What it needs from now on.
    pub depends_on: Vec<UnitName>,
    /// The longest its own stop may take from now on.
    pub bound: Duration,
}

/// To a unit: stop, and answer with [`UnitStopped`]. A second one with `force` overtakes the first.
#[derive(Debug, Clone, Message)]
#[rtype(result = "()")]
pub struct StopUnit {
    /// The unit meant, for actors that stand for several.
    pub name: UnitName,
    /// No later than this.
    pub until: Instant,
    /// Skip every request and grace: kill.
    pub force: bool,
    /// Where to answer.
    pub answer: Recipient<UnitStopped>,
}

/// From a unit: this is what came of it.
#[derive(Debug, Clone, Message)]
#[rtype(result = "()")]
pub struct UnitStopped {
    /// Which unit.
    pub name: UnitName,
    /// How it went.
    pub outcome: StopOutcome,
}

/// How stopping one unit went.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "outcome", content = "detail")]
pub enum StopOutcome {
    /// It ended as asked.
    Clean,
    /// It had to be killed.
    Killed,
    /// It was killed before its grace was over, because the deadline left no more time.
    CutShort,
    /// It was let go of and runs on, as its configuration says.
    Kept {
        /// Its main process.
        pid: Pid,
    },
    /// Something of it is still there.
    Stuck(String),
    /// No answer in its time.
    TimedOut,
}

/// Begin the ordered stop. Further ones change nothing.
#[derive(Debug, Clone, Message)]
#[rtype(result = "()")]
pub struct BeginShutdown {
    /// Who or what asked.
    pub reason: String,
}

/// A second signal: skip all graces and end now.
#[derive(Debug, Clone, Copy, Message)]
#[rtype(result = "()")]
pub struct ForceShutdown;

/// One line of the report.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct UnitReport {
    /// Which unit.
    pub name: UnitName,
    /// How it went.
    #[serde(flatten)]
    pub outcome: StopOutcome,
    /// From the request to the answer, in seconds.
    pub seconds: f64,
}

/// What the ordered stop did. Given out once, at its end.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StopReport {
    /// Who or what asked.
    pub reason: String,
    /// Units in the order in which their stop ended.
    pub units: Vec<UnitReport>,
    /// Whether the deadline or a second signal cut it short.
    pub forced: bool,
    /// The whole of it, in seconds.
    pub seconds: f64,
}
