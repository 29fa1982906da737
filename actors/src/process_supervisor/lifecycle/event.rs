//! What a lifecycle hears and what it wants done.

use std::time::Instant;

use super::machine::LifeSpec;
use crate::{
    ids::{Pid, RunId},
    job::JobProgress,
    lease::{Fate, LeaseVerdict, Wish},
    shutdown_coordinator::messages::StopOutcome,
    spec::FailureClass,
    state::{ExitReport, LoadProgress},
};

/// What a step needs of the world: the time, and two things that are drawn, so that the step itself stays repeatable.
#[derive(Debug, Clone, Copy)]
pub struct Moment {
    /// Now.
    pub now: Instant,
    /// The id of the run, should one begin in this step.
    pub next_run: RunId,
    /// From `0.0..=1.0`, for the spread of waits.
    pub chance: f64,
    /// How many are using the service. For an event that [may drain](Event::may_drain), counted after its gate was closed,
    /// so that nobody can have come in since.
    pub in_flight: u32,
    /// How many wait for the service to be ready.
    pub waiting: u32,
    /// How many services depend on it that are up, or on their way.
    pub needed: u32,
}

impl Moment {
    /// On whose wish a run begins that nobody has asked for: on that of whoever waits for one, if anybody does.
    pub(super) fn wish_to_come_back(&self) -> Wish {
        if self.waiting > 0 { Wish::Wanted } else { Wish::Restart }
    }
}

/// What happened.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// It shall run.
    Start(Wish),
    /// It shall run, and what is wanted of it stays as it is.
    Load {
        /// On whose wish.
        wish: Wish,
        /// Whether also where it is kept down, which it is no more then.
        lifts: bool,
    },
    /// It shall leave the memory, and what is wanted of it stays as it is.
    Offload {
        /// Why.
        reason: String,
    },
    /// It shall not run.
    Stop {
        /// Why.
        reason: String,
    },
    /// It shall run anew.
    Restart {
        /// Why.
        reason: String,
    },
    /// Its run is to be replaced by another one, if it has one.
    Recycle {
        /// Why.
        reason: String,
    },
    /// This run of it does harm, or is of no use. One that is over is left alone.
    Condemn {
        /// The run.
        run: RunId,
        /// What for, as the class of a failure.
        class: FailureClass,
        /// What for.
        reason: String,
        /// Its whole tree is killed now: nobody is waited for, and it has no grace.
        at_once: bool,
        /// What follows.
        sentence: Sentence,
    },
    /// Its failures are to be forgotten.
    Reset,
    /// Its configuration has changed.
    Reconfigure {
        /// What its life depends on from now on.
        spec: LifeSpec,
        /// Whether what runs now is of no use any more: it is ended as it was configured, and run anew.
        restart: bool,
        /// As in [`Event::Dependencies`].
        blocked: Option<String>,
    },
    /// A run that an earlier runtime began and left to us: it is ours from now on.
    Adopt {
        /// The run.
        run: RunId,
        /// Its main process.
        pid: Pid,
        /// Its port.
        port: Option<u16>,
    },
    /// It is taken out of the configuration: end it and never start it again.
    Retire {
        /// Why.
        reason: String,
    },
    /// The runtime stops: end it, or let it go where it is to be kept, and never start it again.
    Close {
        /// Everything of it is gone by then.
        until: Instant,
        /// Without any grace.
        force: bool,
    },
    /// What its dependencies allow: `None`, or a sentence that says what it waits for.
    Dependencies(Option<String>),
    /// An answer about the memory of a run.
    Lease(RunId, LeaseVerdict),
    /// Nobody uses the service any more, as [`Effect::AwaitDrain`] had asked for.
    Drained(RunId),
    /// A timer that [`Effect::Arm`] had set.
    Due(u64),
    /// News of a run.
    Run(RunId, RunNews),
}

impl Event {
    /// Whether it may lead to a wait for those who use the service: they must be counted behind a closed gate.
    #[must_use]
    pub fn may_drain(&self) -> bool {
        match self {
            Self::Offload { .. }
            | Self::Stop { .. }
            | Self::Restart { .. }
            | Self::Recycle { .. }
            | Self::Reconfigure { restart: true, .. }
            | Self::Condemn { at_once: false, .. }
            | Self::Retire { .. }
            | Self::Close { .. } => true,
            Self::Start(_)
            | Self::Load { .. }
            | Self::Condemn { at_once: true, .. }
            | Self::Reset
            | Self::Reconfigure { restart: false, .. }
            | Self::Adopt { .. }
            | Self::Dependencies(_)
            | Self::Lease(..)
            | Self::Drained(_)
            | Self::Due(_)
            | Self::Run(..) => false,
        }
    }
}

/// What follows when a run has been condemned. Of a worker it is always the first: whoever gave it the job says what becomes
/// of that.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sentence {
    /// It is a failure, and its restart policy says what follows.
    Restart,
    /// It is stopped and stays down, as a person stops it.
    Stop,
    /// It is stopped, and starts for nobody but a person or a changed configuration.
    Quarantine,
}

/// What the owner of a run tells about it.
#[derive(Debug, Clone, PartialEq)]
pub enum RunNews {
    /// Its main process runs.
    Spawned {
        /// That process.
        pid: Pid,
        /// The port it was given.
        port: Option<u16>,
    },
    /// How far its load has come.
    Loading(LoadProgress),
    /// How far its job has come.
    Step(JobProgress),
    /// It can be used: for the first time, or again.
    Ready,
    /// Its liveness probe fails.
    Unready {
        /// What the probe says.
        reason: String,
    },
    /// It is of no use: not ready in time, or no longer alive. It still runs.
    Failing {
        /// The class of the failure.
        class: FailureClass,
        /// What was seen.
        reason: String,
    },
    /// Its engine has unloaded the model, as [`Effect::SleepRun`] had asked for.
    Asleep,
    /// Its engine did not unload the model.
    NotAsleep {
        /// Why.
        reason: String,
    },
    /// Its whole tree is being killed.
    Killing {
        /// Why.
        reason: String,
    },
    /// Something of it outlived SIGKILL.
    Stuck {
        /// What, and what to do.
        reason: String,
    },
    /// Nobody of ours holds it any more, and it runs on. Always the last news of a run that was let go.
    Released,
    /// Its main process is reaped, its containment empty and removed, its port free. Always the last news of a run, also
    /// of one whose process could not be started.
    Ended {
        /// How.
        exit: ExitReport,
        /// What caused it, as far as that is known: a line of output or the error of the start.
        cause: Option<String>,
        /// Whether it took SIGKILL.
        killed: bool,
    },
}

/// What is to be done, in this order.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// Ask for the memory of this run.
    AskLease {
        /// The run.
        run: RunId,
        /// On whose wish.
        wish: Wish,
    },
    /// Tell whoever gives out memory how this run fares.
    TellLease {
        /// The run.
        run: RunId,
        /// What happened.
        fate: Fate,
    },
    /// Open a containment and start the process in it, where [`View::placement`](super::View::placement) says.
    StartRun(RunId),
    /// Take over the run of an earlier runtime, which lives.
    AdoptRun(RunId),
    /// Come back with [`Event::Drained`] when nobody uses the service any more.
    AwaitDrain {
        /// The run.
        run: RunId,
        /// Whether it is to be asked whether it works once nobody is in.
        ask: bool,
    },
    /// Have its engine unload the model; come back with [`RunNews::Asleep`] or [`RunNews::NotAsleep`].
    SleepRun {
        /// The run.
        run: RunId,
        /// It must have answered by then.
        by: Instant,
    },
    /// Have its engine load the model again, and watch for its readiness as after a start.
    WakeRun(RunId),
    /// Let go of the run, which lives on.
    ReleaseRun(RunId),
    /// Ask the run to stop; kill what is left at `kill_at`.
    StopRun {
        /// Which run.
        run: RunId,
        /// The end of its grace.
        kill_at: Instant,
    },
    /// Kill the whole tree of the run now.
    KillRun(RunId),
    /// Come back with [`Event::Due`] and this number at that time.
    Arm {
        /// The number.
        timer: u64,
        /// The time.
        at: Instant,
    },
    /// Remember that a run began.
    NoteStarted {
        /// The run.
        run: RunId,
        /// Its main process.
        pid: Pid,
    },
    /// Remember that a run became ready for the first time.
    NoteReady(RunId),
    /// Remember how a run ended.
    NoteEnded {
        /// The run.
        run: RunId,
        /// How.
        exit: ExitReport,
        /// Whether somebody had asked for it.
        wanted: bool,
    },
    /// Tell that something needs attention.
    Raise(Alert, String),
    /// Tell that it is over.
    Clear(Alert),
    /// Answer those who asked for [`Event::Close`].
    Answer(StopOutcome),
}

/// What needs attention.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Alert {
    /// Something outlived SIGKILL.
    Stuck,
    /// The service gave up.
    Failed,
    /// The service is kept from starting.
    Quarantined,
}

impl Alert {
    /// Its name in events.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Stuck => "stuck",
            Self::Failed => "failed",
            Self::Quarantined => "quarantined",
        }
    }
}
