//! Where a life stands.

use std::{sync::Arc, time::Instant};

use super::{
    event::{Alert, Sentence},
    machine::LifeSpec,
};
use crate::{
    ids::{Pid, RunId},
    job::JobProgress,
    lease::Wish,
    memory::{Placement, Refusal},
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
    Waiting { wish: Wish, from: Rest },
    /// It failed and begins again at `until`.
    Backoff { until: Instant, timer: u64 },
    /// It begins as soon as it has got its memory.
    Asking(Ask),
    /// A run is live: something of it may exist.
    Live(Run),
    /// Nothing of it runs, and the memory of this run is not measured back yet.
    Reclaiming { run: RunId, then: Rest },
}

/// A question for memory that is open.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Ask {
    /// The run that would begin. Every question has a run of its own, so that no answer is taken for another's.
    pub run: RunId,
    pub wish: Wish,
    /// Why it begins.
    pub why: Option<String>,
    /// Whether it is shown as reserved: room is being made, or waited for, or it comes back by itself.
    pub pending: bool,
    /// As what it rests if nothing comes of it.
    pub from: Rest,
}

/// Why nothing runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rest {
    Stopped,
    Offloaded,
    Completed,
    Failed,
    Quarantined,
}

/// The live run.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Run {
    pub id: RunId,
    pub pid: Option<Pid>,
    pub port: Option<u16>,
    /// How far its load has come; of interest while it starts.
    pub load: Option<LoadProgress>,
    /// How far its job has come.
    pub step: Option<JobProgress>,
    /// Whether it has been ready before: the history remembers the first time only.
    pub was_ready: bool,
    /// What it was begun with: a run is ended by the rules that it was begun by.
    pub spec: LifeSpec,
    pub stage: Stage,
    pub next: Next,
    pub hands: Hands,
    /// Where it is; not known yet of one that was adopted.
    pub placement: Option<Arc<Placement>>,
    /// Whether it was told that it is leaving.
    pub leaving: bool,
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
        how: Drain,
    },
    /// Its engine was asked to unload the model.
    FallingAsleep,
    /// Its engine has unloaded the model.
    Asleep {
        /// Whether what it gave back is still waited for.
        reclaiming: bool,
        /// On whose wish it asks for memory, if it does.
        wish: Option<Wish>,
    },
    /// Its engine was asked to load the model again.
    Waking,
    Stopping,
    Killing,
    Stuck,
}

/// What happens when a drain takes too long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Drain {
    /// It is ended all the same.
    Firm,
    /// It stays: nothing busy is pushed out.
    Soft {
        /// Whether its liveness probe fails.
        unready: bool,
    },
}

/// What comes when the live run's containment is empty.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Next {
    /// It ended by itself: the restart policy decides.
    Judge,
    /// It was ended because it failed: the sentence says what follows.
    Failed { class: FailureClass, reason: String, sentence: Sentence },
    /// It slept: nobody misses it before somebody wants it.
    Slept,
    /// Another run, since somebody wants one.
    Again(Wish),
    /// Nothing.
    Rest(Rest),
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
    /// Of a worker: how far the live run has come with its job.
    pub step: Option<JobProgress>,
    /// Failures in a row.
    pub failures: u32,
    /// Restarts after failures, ever.
    pub restarts: u64,
    /// How the last run ended.
    pub last_exit: Option<ExitReport>,
    /// In `backoff`: when it begins again.
    pub next_start: Option<Instant>,
    /// Why it got no memory when it was wanted last.
    pub refusal: Option<Arc<Refusal>>,
    /// Where the live run is, if that is anywhere that is counted.
    pub placement: Option<Arc<Placement>>,
    /// Whether it was taken out of the configuration.
    pub retired: bool,
}

impl Phase {
    pub(super) fn state(&self) -> ServiceState {
        match self {
            Self::Resting(rest) => rest.state(),
            Self::Waiting { .. } => ServiceState::Stopped,
            Self::Asking(Ask { pending: true, .. }) => ServiceState::Reserved,
            Self::Asking(ask) => ask.from.state(),
            Self::Backoff { .. } => ServiceState::Backoff,
            Self::Live(run) => run.stage.state(),
            Self::Reclaiming { .. } => ServiceState::Reclaiming,
        }
    }

    pub(super) fn run(&self) -> Option<&Run> {
        match self {
            Self::Live(run) => Some(run),
            Self::Resting(_)
            | Self::Waiting { .. }
            | Self::Backoff { .. }
            | Self::Asking(_)
            | Self::Reclaiming { .. } => None,
        }
    }

    /// As what it rests if nothing comes of a beginning.
    pub(super) fn rest(&self) -> Rest {
        match self {
            Self::Resting(Rest::Offloaded)
            | Self::Reclaiming { then: Rest::Offloaded, .. }
            | Self::Waiting { from: Rest::Offloaded, .. }
            | Self::Asking(Ask { from: Rest::Offloaded, .. }) => Rest::Offloaded,
            Self::Resting(_)
            | Self::Reclaiming { .. }
            | Self::Waiting { .. }
            | Self::Asking(_)
            | Self::Backoff { .. }
            | Self::Live(_) => Rest::Stopped,
        }
    }
}

impl Rest {
    /// What needs attention while it rests so.
    pub(super) fn alert(self) -> Option<Alert> {
        match self {
            Self::Failed => Some(Alert::Failed),
            Self::Quarantined => Some(Alert::Quarantined),
            Self::Stopped | Self::Offloaded | Self::Completed => None,
        }
    }

    fn state(self) -> ServiceState {
        match self {
            Self::Stopped => ServiceState::Stopped,
            Self::Offloaded => ServiceState::Offloaded,
            Self::Completed => ServiceState::Completed,
            Self::Failed => ServiceState::Failed,
            Self::Quarantined => ServiceState::Quarantined,
        }
    }
}

impl Run {
    /// Whether it holds memory that is counted.
    pub(super) fn holds_lease(&self) -> bool {
        self.placement.as_ref().is_some_and(|placement| !placement.lease.is_empty())
    }

    /// Whether its engine can give its memory back and stay, as it was configured.
    pub(super) fn may_sleep(&self) -> bool {
        self.spec.sleeps && self.was_ready && self.port.is_some()
    }

    /// Whether it is asked whether it works before it is pushed out.
    pub(super) fn is_asked(&self) -> bool {
        self.spec.is_asked && self.port.is_some()
    }
}

impl Stage {
    fn state(&self) -> ServiceState {
        match self {
            Self::Spawning => ServiceState::Spawning,
            Self::Starting | Self::Waking => ServiceState::Starting,
            Self::Ready { .. } => ServiceState::Ready,
            Self::Unready => ServiceState::Unready,
            Self::Draining { .. } | Self::FallingAsleep => ServiceState::Draining,
            Self::Asleep { reclaiming: true, wish: None } => ServiceState::Reclaiming,
            Self::Asleep { .. } => ServiceState::Sleeping,
            Self::Stopping => ServiceState::Stopping,
            Self::Killing => ServiceState::Killing,
            Self::Stuck => ServiceState::Stuck,
        }
    }

    /// Whether its end has been begun by us, or its way out of memory.
    pub(super) fn is_ending(&self) -> bool {
        self.is_leaving_softly() || matches!(self, Self::Draining { .. } | Self::Stopping | Self::Killing | Self::Stuck)
    }

    /// Whether it leaves the memory, or has left it, without its processes having been asked to end.
    pub(super) fn is_leaving_softly(&self) -> bool {
        matches!(self, Self::Draining { how: Drain::Soft { .. }, .. } | Self::FallingAsleep | Self::Asleep { .. })
    }

    /// Whether somebody may be using it.
    pub(super) fn is_usable(&self) -> bool {
        matches!(self, Self::Ready { .. } | Self::Unready)
    }
}
