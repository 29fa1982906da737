//! What can happen.

use serde::{Deserialize, Serialize};

use crate::{
    ids::{Pid, RunId, ServiceName},
    job::{JobId, JobName, JobOutcome, JobProgress, JobState},
    memory::{Amounts, GpuId, NeedSource, Refusal},
    state::{ExitReport, LoadProgress, ServiceState},
};

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Worth a look.
    Warning,
    /// Something does not work.
    Critical,
    /// The machine is in danger.
    Emergency,
}

impl Severity {
    /// The name in API, history and metrics.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Warning => "warning",
            Self::Critical => "critical",
            Self::Emergency => "emergency",
        }
    }
}

/// Where the time of a swap went, in seconds. The parts follow one upon the other and add up to the total.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct SwapSeconds {
    /// From the wish until the plan was made: behind others who had asked before.
    pub queue: f64,
    /// Until the last of those who left was idle.
    pub drain: f64,
    /// Until the last of them had ended, or slept.
    pub stop: f64,
    /// Until their memory was measured back.
    pub reclaim: f64,
    /// From the grant until it was ready.
    pub load: f64,
    /// All of it.
    pub total: f64,
}

/// The kinds of event.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "type")]
pub enum EventKind {
    /// A service went from one state to another.
    #[serde(rename = "service.state")]
    ServiceState {
        /// Which service.
        service: ServiceName,
        /// Its current or last run.
        run_id: Option<RunId>,
        /// The state it left.
        from: ServiceState,
        /// The state it is in now.
        to: ServiceState,
        /// Why.
        reason: Option<String>,
        /// Its main process.
        pid: Option<Pid>,
        /// How the run ended, on the transition that the end caused.
        exit: Option<ExitReport>,
    },
    /// The load of a service has come further. At most ten a second for each service, and not kept in the history.
    #[serde(rename = "service.load")]
    ServiceLoad {
        /// Which service.
        service: ServiceName,
        /// Its run.
        run_id: Option<RunId>,
        /// How far.
        load: LoadProgress,
    },
    /// Something needs attention.
    #[serde(rename = "alert.raised")]
    AlertRaised {
        /// A short name of the condition, for example `stuck` or `history_degraded`.
        alert: String,
        /// How bad it is.
        severity: Severity,
        /// The service it is about.
        service: Option<ServiceName>,
        /// What happened and what to do.
        message: String,
    },
    /// What an alert was about is over.
    #[serde(rename = "alert.cleared")]
    AlertCleared {
        /// The condition.
        alert: String,
        /// The service it was about.
        service: Option<ServiceName>,
    },
    /// The runtime itself went from one phase to another: `starting`, `running`, `stopping`.
    #[serde(rename = "runtime.state")]
    RuntimeState {
        /// The phase.
        state: String,
        /// Why.
        reason: Option<String>,
    },
    /// The configuration was read anew, was sound and has been told to the services. What comes of that is theirs to
    /// tell.
    #[serde(rename = "config.reloaded")]
    ConfigReloaded {
        /// Keys with another value than before.
        changed: Vec<String>,
        /// Services with new values and the same process.
        live: Vec<ServiceName>,
        /// Services that are stopped and started anew.
        restarted: Vec<ServiceName>,
        /// New services.
        added: Vec<ServiceName>,
        /// Services that are no more.
        removed: Vec<ServiceName>,
        /// Keys that wait for the next start of the runtime.
        next_start: Vec<String>,
    },
    /// It was decided where a service goes and who leaves for it, or why it gets no memory.
    #[serde(rename = "plan.decided")]
    PlanDecided {
        /// Who asked.
        service: ServiceName,
        /// For which run.
        run_id: RunId,
        /// What it needs: where the figure comes from.
        need: NeedSource,
        /// Where it goes; nothing when it was refused.
        gpus: Vec<GpuId>,
        /// What it may hold there.
        lease: Amounts,
        /// Layers on the cards, where they were chosen.
        gpu_layers: Option<u32>,
        /// Who leaves for it, in this order.
        offload: Vec<ServiceName>,
        /// Why there is no room.
        refusal: Option<Box<Refusal>>,
    },
    /// A service has come into memory for which others had to leave, or memory had to come back.
    #[serde(rename = "swap.done")]
    SwapDone {
        /// Who came.
        service: ServiceName,
        /// Its run.
        run_id: RunId,
        /// Who left for it.
        from: Vec<ServiceName>,
        /// Where the time went.
        seconds: SwapSeconds,
    },
    /// A job went from one state to another.
    #[serde(rename = "job.state")]
    JobState {
        /// Which one. `id` is the event's own.
        #[serde(rename(serialize = "job_id"))]
        id: JobId,
        /// What kind of job it is.
        job: JobName,
        /// The state it left; nothing when it was submitted.
        from: Option<JobState>,
        /// The state it is in now.
        to: JobState,
        /// Why: what it waits for, what failed.
        reason: Option<String>,
        /// What became of it, as soon as that is known.
        outcome: Option<JobOutcome>,
        /// Attempts that were begun.
        attempt: u32,
    },
    /// A job has come further. At most ten a second for each job, and not kept in the history.
    #[serde(rename = "job.progress")]
    JobProgress {
        /// Which one. `id` is the event's own.
        #[serde(rename(serialize = "job_id"))]
        id: JobId,
        /// What kind of job it is.
        job: JobName,
        /// How far.
        progress: JobProgress,
    },
    /// This subscriber was too slow, or came back too late.
    #[serde(rename = "gap")]
    Gap {
        /// Events lost; 0 if nobody knows (an earlier runtime's id).
        missed: u64,
    },
}

impl EventKind {
    /// The name in the stream, for example `service.state`.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::ServiceState { .. } => "service.state",
            Self::ServiceLoad { .. } => "service.load",
            Self::AlertRaised { .. } => "alert.raised",
            Self::AlertCleared { .. } => "alert.cleared",
            Self::RuntimeState { .. } => "runtime.state",
            Self::ConfigReloaded { .. } => "config.reloaded",
            Self::PlanDecided { .. } => "plan.decided",
            Self::SwapDone { .. } => "swap.done",
            Self::JobState { .. } => "job.state",
            Self::JobProgress { .. } => "job.progress",
            Self::Gap { .. } => "gap",
        }
    }

    /// Whether it is of interest only while it is news: a step of progress is overtaken by the next one.
    #[must_use]
    pub fn is_passing(&self) -> bool {
        matches!(self, Self::ServiceLoad { .. } | Self::JobProgress { .. })
    }

    /// The service it is about, if it is about one.
    #[must_use]
    pub fn service(&self) -> Option<&ServiceName> {
        match self {
            Self::ServiceState { service, .. }
            | Self::ServiceLoad { service, .. }
            | Self::PlanDecided { service, .. }
            | Self::SwapDone { service, .. } => Some(service),
            Self::AlertRaised { service, .. } | Self::AlertCleared { service, .. } => service.as_ref(),
            Self::RuntimeState { .. }
            | Self::ConfigReloaded { .. }
            | Self::JobState { .. }
            | Self::JobProgress { .. }
            | Self::Gap { .. } => None,
        }
    }
}
