//! What the command line reads of the control API's answers: the fields it shows and no others, so that a newer
//! runtime with more of them is still understood.

use std::collections::BTreeMap;

use greenroom_actors::{
    ids::{Pid, RunId},
    job::JobState,
    memory::Amounts,
    state::{Disposition, LoadProgress, ServiceState},
    time::Timestamp,
};
use serde::Deserialize;
use serde_json::Value;

/// `GET /api/status`.
#[derive(Debug, Clone, Deserialize)]
pub struct Status {
    /// The runtime.
    pub runtime: Runtime,
    /// Its services.
    pub services: Vec<Service>,
    /// What answers elsewhere.
    #[serde(default)]
    pub remotes: Vec<Remote>,
    /// Open jobs.
    #[serde(default)]
    pub jobs: Vec<JobCount>,
    /// What needs attention.
    #[serde(default)]
    pub alerts: Vec<Alert>,
}

/// Something that needs attention.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Alert {
    /// Its name.
    pub alert: String,
    /// `warning`, `critical` or `emergency`.
    pub severity: String,
    /// Whose.
    pub service: Option<String>,
    /// What happened and what to do.
    pub message: String,
    /// Since when.
    pub since: Timestamp,
}

/// How many jobs of a kind are in a state.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct JobCount {
    /// The kind.
    pub job: String,
    /// The state.
    pub state: JobState,
    /// How many.
    pub count: u64,
}

/// A remote.
#[derive(Debug, Clone, Deserialize)]
pub struct Remote {
    /// Its name.
    pub name: String,
    /// Its URLs.
    pub urls: Vec<RemoteUrl>,
}

/// A URL of a remote.
#[derive(Debug, Clone, Deserialize)]
pub struct RemoteUrl {
    /// The URL.
    pub url: String,
    /// `in` or `out`.
    pub state: String,
    /// Requests on their way to it.
    pub in_flight: u32,
    /// What was wrong last.
    pub last_error: Option<String>,
}

impl RemoteUrl {
    /// Whether it gets requests.
    #[must_use]
    pub fn is_in(&self) -> bool {
        self.state == "in"
    }
}

/// The runtime.
#[derive(Debug, Clone, Deserialize)]
pub struct Runtime {
    /// Its label.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Its phase.
    pub state: String,
    /// Its process.
    pub pid: Pid,
    /// Its guardian's process.
    pub guardian: Option<Pid>,
    /// Its state dir.
    pub state_dir: String,
    /// Since when it runs.
    pub started: Timestamp,
    /// The first half of its event ids.
    pub epoch: u64,
    /// How it holds trees.
    pub containment: String,
    /// What it cannot do therefore.
    #[serde(default)]
    pub containment_limits: Vec<String>,
    /// How its history fares.
    pub history: HistoryHealth,
}

/// How the history fares.
#[derive(Debug, Clone, Deserialize)]
pub struct HistoryHealth {
    /// `{"state": "ok"}` or `{"state": "degraded", "reason": ...}`.
    pub state: Value,
    /// Records lost.
    pub dropped: u64,
}

/// One service.
#[derive(Debug, Clone, Deserialize)]
pub struct Service {
    /// Its name.
    pub name: String,
    /// What it is doing.
    pub state: ServiceState,
    /// What is wanted of it.
    pub disposition: Disposition,
    /// Why it is in that state.
    pub reason: Option<String>,
    /// Its main process.
    pub pid: Option<Pid>,
    /// Its run.
    pub run_id: Option<RunId>,
    /// Since when it is ready.
    pub ready_since: Option<Timestamp>,
    /// How far its load has come.
    #[serde(default)]
    pub load: Option<LoadProgress>,
    /// Restart counts.
    pub restarts: Restarts,
    /// Where it listens.
    pub endpoint: Option<String>,
    /// What it directly depends on.
    #[serde(default)]
    pub depends_on: Vec<String>,
    /// How it is held.
    pub containment: Containment,
    /// How many use it.
    #[serde(default)]
    pub in_flight: u32,
    /// How many wait for it.
    #[serde(default)]
    pub in_line: u32,
    /// Seconds since it worked last.
    #[serde(default)]
    pub idle_for: Option<f64>,
    /// Its memory.
    pub memory: Memory,
    /// The memory it may hold.
    #[serde(default)]
    pub lease: Option<Amounts>,
}

/// Restart counts.
#[derive(Debug, Clone, Deserialize)]
pub struct Restarts {
    /// Since the runtime started.
    pub total: u64,
}

/// How a service is held.
#[derive(Debug, Clone, Deserialize)]
pub struct Containment {
    /// Processes in it.
    pub processes: usize,
}

/// Memory of a tree.
#[derive(Debug, Clone, Deserialize)]
pub struct Memory {
    /// Host memory in bytes.
    pub ram: u64,
    /// GPU memory in bytes, card by card.
    #[serde(default)]
    pub vram: BTreeMap<String, u64>,
}

/// `GET /api/services/{name}/why`.
#[derive(Debug, Clone, Deserialize)]
pub struct Why {
    /// The service.
    pub service: Service,
    /// Why it is in that state.
    pub because: Vec<String>,
    /// What to do.
    pub remedy: Vec<String>,
    /// Its last state changes.
    pub recent: Vec<Value>,
}

impl Service {
    /// The port it listens on.
    #[must_use]
    pub fn port(&self) -> Option<u16> {
        self.endpoint.as_ref().and_then(|e| e.rsplit(':').next()).and_then(|port| port.parse().ok())
    }
}

impl HistoryHealth {
    /// What is wrong with it, if anything is.
    #[must_use]
    pub fn trouble(&self) -> Option<String> {
        let state = if self.state.is_string() { &self.state } else { &self.state["state"] };
        let reason = || self.state["reason"].as_str().unwrap_or("no reason given").to_owned();
        let lost = (self.dropped > 0).then(|| format!("{} records lost", self.dropped));
        // A build without a history is not in trouble over it.
        if state == "ok" || state == "absent" { lost } else { Some(reason()) }
    }
}
