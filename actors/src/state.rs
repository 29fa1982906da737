//! What a service is doing and what is wanted of it, as status, events, history and the API name it.

use std::{fmt, sync::Arc, time::Duration};

use serde::{Deserialize, Serialize};

use crate::{
    ids::{Pid, RunId, ServiceName},
    job::JobProgress,
    memory::{Placement, Refusal},
    spec::{FailureClass, StartMode},
    time::Timestamp,
};

/// Where a service stands in its life. `stopped` means: containment empty and port free.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ServiceState {
    /// Nothing of it runs.
    Stopped,
    /// Memory is being made for it.
    Reserved,
    /// Its containment is made and its process started.
    Spawning,
    /// Its process runs; the readiness probe has not succeeded yet.
    Starting,
    /// It can be used.
    Ready,
    /// It was ready and its liveness probe fails.
    Unready,
    /// It is about to be stopped: nobody gets in any more, and those who are in may finish.
    Draining,
    /// It was asked to stop and has its grace.
    Stopping,
    /// Its whole tree is being killed.
    Killing,
    /// Nothing of it runs, and its memory has not been measured back yet.
    Reclaiming,
    /// Nothing of it runs, because it was taken out of memory; it comes back when it is needed or there is room.
    Offloaded,
    /// Its processes run, and its engine has unloaded the model.
    Sleeping,
    /// It failed and is started again after a wait.
    Backoff,
    /// It ran to its end with status 0 and is not to be restarted.
    Completed,
    /// It gave up; the reason says why.
    Failed,
    /// It did harm: it is started for nobody but a person or a changed configuration. The reason says what it did.
    Quarantined,
    /// Something of it outlived SIGKILL; nothing is started in its place until that is gone.
    Stuck,
}

impl ServiceState {
    /// Every state, in the order of a life.
    pub const ALL: [Self; 17] = [
        Self::Stopped,
        Self::Reserved,
        Self::Spawning,
        Self::Starting,
        Self::Ready,
        Self::Unready,
        Self::Draining,
        Self::Stopping,
        Self::Killing,
        Self::Reclaiming,
        Self::Offloaded,
        Self::Sleeping,
        Self::Backoff,
        Self::Completed,
        Self::Failed,
        Self::Quarantined,
        Self::Stuck,
    ];

    /// The name in the API, the history and the terminal.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Stopped => "stopped",
            Self::Reserved => "reserved",
            Self::Spawning => "spawning",
            Self::Starting => "starting",
            Self::Ready => "ready",
            Self::Unready => "unready",
            Self::Draining => "draining",
            Self::Stopping => "stopping",
            Self::Killing => "killing",
            Self::Reclaiming => "reclaiming",
            Self::Offloaded => "offloaded",
            Self::Sleeping => "sleeping",
            Self::Backoff => "backoff",
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Quarantined => "quarantined",
            Self::Stuck => "stuck",
        }
    }

    /// Whether a process of it may be running.
    #[must_use]
    pub fn is_live(self) -> bool {
        !matches!(
            self,
            Self::Stopped
                | Self::Reserved
                | Self::Reclaiming
                | Self::Offloaded
                | Self::Backoff
                | Self::Completed
                | Self::Failed
                | Self::Quarantined
        )
    }
}

/// What is wanted of a service, apart from what it is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Disposition {
    /// It shall run.
    Up,
    /// It shall not run until a person says so.
    Down,
    /// It runs when it is needed.
    OnDemand,
}

impl Disposition {
    /// What a start mode wants before anybody has said anything.
    #[must_use]
    pub fn of(start: StartMode) -> Self {
        match start {
            StartMode::Eager => Self::Up,
            StartMode::OnDemand => Self::OnDemand,
            StartMode::Manual => Self::Down,
        }
    }
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExitReport {
    /// Exit status, unless a signal ended it.
    pub code: Option<i32>,
    /// The signal's number, if one ended it.
    pub signal: Option<i32>,
    /// The class of the failure; `None` after a clean or a wanted end.
    pub class: Option<FailureClass>,
    /// The last lines of stderr (of stdout if stderr was empty), oldest first, at most 20.
    pub stderr: Vec<String>,
    /// When the end was noticed.
    pub at: Timestamp,
}

/// How far the load of a service has come, as its own output tells it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LoadProgress {
    /// What it does, in a word: `weights`, `graphs`.
    pub phase: String,
    /// How much of this phase is done, in whatever the program counts; 0 of 1 for a phase that it only names.
    pub done: u64,
    /// The whole of this phase, in the same; at least 1.
    pub total: u64,
    /// Seconds until this phase is done at its pace so far; `None` until there is a pace.
    pub eta: Option<f64>,
}

impl fmt::Display for LoadProgress {
    /// `weights 1/4, 2.1s left`, as much of it as is known.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.phase)?;
        if self.total > 1 {
            write!(f, " {}/{}", self.done, self.total)?;
        }
        match self.eta {
            Some(seconds) if seconds > 0.0 => write!(f, ", {seconds:.1}s left"),
            Some(_) | None => Ok(()),
        }
    }
}

/// What is known of one service at this moment. Published by its supervisor, read by anybody without a wait.
#[derive(Debug, Clone, PartialEq)]
pub struct ServiceStatus {
    /// Its name.
    pub name: ServiceName,
    /// What it is doing.
    pub state: ServiceState,
    /// What is wanted of it.
    pub disposition: Disposition,
    /// Why it is in that state, in a sentence, where there is something to say.
    pub reason: Option<String>,
    /// Its main process.
    pub pid: Option<Pid>,
    /// The current or last run.
    pub run_id: Option<RunId>,
    /// Since when it is in that state.
    pub since: Timestamp,
    /// Since when it is ready, if it is.
    pub ready_since: Option<Timestamp>,
    /// How long its last start took, from the process to ready; `None` until one has come so far.
    pub loaded_in: Option<Duration>,
    /// Failures in a row, as `restart.max` counts them.
    pub restarts_consecutive: u32,
    /// Restarts after failures since the runtime started.
    pub restarts_total: u64,
    /// The port it has now.
    pub port: Option<u16>,
    /// In `starting`: how far its load has come, where its engine tells.
    pub load: Option<LoadProgress>,
    /// Of a worker: how far it has come with its job, where its output tells.
    pub step: Option<JobProgress>,
    /// How its last run ended.
    pub last_exit: Option<ExitReport>,
    /// In `backoff`: when the next start is due.
    pub next_start: Option<Timestamp>,
    /// Why it got no memory when somebody wanted it last; nothing once it is asked for again.
    pub refusal: Option<Arc<Refusal>>,
    /// Where it is, and what it may hold there.
    pub placement: Option<Arc<Placement>>,
    /// Whether it was taken out of the configuration: it ends, takes no start any more, and then is not there any more.
    pub retired: bool,
}

impl ServiceStatus {
    /// What is known of a service before its supervisor has said anything.
    #[must_use]
    pub fn initial(name: ServiceName, disposition: Disposition, since: Timestamp) -> Self {
        Self {
            name,
            state: ServiceState::Stopped,
            disposition,
            reason: None,
            pid: None,
            run_id: None,
            since,
            ready_since: None,
            loaded_in: None,
            restarts_consecutive: 0,
            restarts_total: 0,
            port: None,
            load: None,
            step: None,
            last_exit: None,
            next_start: None,
            refusal: None,
            placement: None,
            retired: false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_says_as_much_as_is_known() {
        let progress = |done, total, eta| LoadProgress { phase: "weights".to_owned(), done, total, eta }.to_string();
        assert_eq!(progress(1, 4, Some(2.14)), "weights 1/4, 2.1s left");
        assert_eq!(progress(0, 4, None), "weights 0/4");
        assert_eq!(progress(0, 1, None), "weights");
        assert_eq!(progress(4, 4, Some(0.0)), "weights 4/4");
    }
}
