//! Where a life stands.

use std::time::Instant;

use super::machine::LifeSpec;
use crate::{
    ids::{Pid, RunId},
    spec::FailureClass,
    state::{Disposition, ExitReport, LoadProgress, ServiceState},
};

/// Where it stands, with what belongs to that place and to no other.
#[derive(Debug, Clone, PartialEq)]
#[allow(clippy::large_enum_variant, reason = "there is one for each service, and it lives in place")]
pub(super) enum Phase {
    /// Nothing of it runs, and nothing is to begin.
    Resting(Rest),
    /// It begins as soon as its dependencies allow.
    Waiting,
    /// It failed and begins again at `until`.
    Backoff { until: Instant, timer: u64 },
    /// A run is live: something of it may exist.
    Live(Run),
}

/// Why nothing runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rest {
    Stopped,
    Completed,
    Failed,
}

/// The live run.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Run {
    pub id: RunId,
    pub pid: Option<Pid>,
    pub port: Option<u16>,
    /// How far its load has come; of interest while it starts.
    pub load: Option<LoadProgress>,
    /// Whether it has been ready before: the history remembers the first time only.
    pub was_ready: bool,
    /// What it was begun with: a run is ended by the rules that it was begun by.
    pub spec: LifeSpec,
    pub stage: Stage,
    pub next: Next,
    pub hands: Hands,
}

/// In whose hands a live run is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Hands {
    /// Ours, from its beginning.
    Ours,
    /// Ours, begun by an earlier runtime.
    Adopted,
    /// Its owner was told to let go of it.
    LettingGo,
    /// Nobody's: it runs on for the next runtime.
    LetGo,
}

/// How far the live run is.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Stage {
    Spawning,
    Starting,
    Ready {
        since: Instant,
        timer: Option<u64>,
    },
    Unready,
    /// Waits for those who use it, until this timer at most.
    Draining {
        timer: u64,
    },
    Stopping,
    Killing,
    Stuck,
}

/// What comes when the live run's containment is empty.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Next {
    /// It ended by itself: the restart policy decides.
    Judge,
    /// It was ended because it failed: the restart policy decides about this failure.
    Failed { class: FailureClass, reason: String },
    /// Another run, since somebody wants one.
    Again,
    /// Nothing.
    Rest,
}

/// What can be seen of a life from outside.
#[derive(Debug, Clone, PartialEq)]
pub struct View {
    /// Its state.
    pub state: ServiceState,
    /// What is wanted of it.
    pub disposition: Disposition,
    /// Why it is in that state.
    pub reason: Option<String>,
    /// The current or last run.
    pub run: Option<RunId>,
    /// The main process of the live run.
    pub pid: Option<Pid>,
    /// The port of the live run.
    pub port: Option<u16>,
    /// In `starting`: how far the load has come.
    pub load: Option<LoadProgress>,
    /// Failures in a row.
    pub failures: u32,
    /// Restarts after failures, ever.
    pub restarts: u64,
    /// How the last run ended.
    pub last_exit: Option<ExitReport>,
    /// In `backoff`: when it begins again.
    pub next_start: Option<Instant>,
}

impl Phase {
    pub(super) fn state(&self) -> ServiceState {
        match self {
            Self::Resting(Rest::Stopped) | Self::Waiting => ServiceState::Stopped,
            Self::Resting(Rest::Completed) => ServiceState::Completed,
            Self::Resting(Rest::Failed) => ServiceState::Failed,
            Self::Backoff { .. } => ServiceState::Backoff,
            Self::Live(run) => run.stage.state(),
        }
    }

    pub(super) fn run(&self) -> Option<&Run> {
        match self {
            Self::Live(run) => Some(run),
            Self::Resting(_) | Self::Waiting | Self::Backoff { .. } => None,
        }
    }
}

impl Stage {
    fn state(&self) -> ServiceState {
        match self {
            Self::Spawning => ServiceState::Spawning,
            Self::Starting => ServiceState::Starting,
            Self::Ready { .. } => ServiceState::Ready,
            Self::Unready => ServiceState::Unready,
            Self::Draining { .. } => ServiceState::Draining,
            Self::Stopping => ServiceState::Stopping,
            Self::Killing => ServiceState::Killing,
            Self::Stuck => ServiceState::Stuck,
        }
    }

    /// Whether its end has been begun by us.
    pub(super) fn is_ending(&self) -> bool {
        matches!(self, Self::Draining { .. } | Self::Stopping | Self::Killing | Self::Stuck)
    }

    /// Whether somebody may be using it.
    pub(super) fn is_usable(&self) -> bool {
        matches!(self, Self::Ready { .. } | Self::Unready)
    }
}
