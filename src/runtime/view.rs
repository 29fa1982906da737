//! What the API and the command line show: the JSON shapes.

use std::collections::BTreeMap;

use greenroom_actors::{
    history_store::messages::HistoryHealth,
    ids::{Pid, RunId, ServiceName},
    os::{containment::ContainmentKind, proc},
    spec::ServiceSpec,
    state::{Disposition, ExitReport, LoadProgress, ServiceState, ServiceStatus},
    time::Timestamp,
};
use serde::Serialize;

/// `GET /api/status`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct StatusView {
    /// The runtime.
    pub runtime: RuntimeView,
    /// Its services, in the order of the configuration.
    pub services: Vec<ServiceView>,
}

/// The runtime itself.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RuntimeView {
    /// `runtime.name`.
    pub name: String,
    /// This program's version.
    pub version: String,
    /// `running` or `stopping`. Whether the services are ready is theirs to say, and `/ready`'s.
    pub state: String,
    /// Its process.
    pub pid: Pid,
    /// The guardian's process, if there is one.
    pub guardian: Option<Pid>,
    /// Its state dir.
    pub state_dir: String,
    /// When it was started.
    pub started: Timestamp,
    /// The first half of event ids.
    pub epoch: u64,
    /// The layer in force: `cgroup`, `shim`, `namespace` or `best_effort`.
    pub containment: String,
    /// Where the trees are held.
    pub containment_root: String,
    /// What that layer cannot do, in sentences.
    pub containment_limits: Vec<String>,
    /// How the history fares.
    pub history: HistoryHealth,
}

/// `GET /api/services/{name}`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ServiceView {
    /// Its name.
    pub name: ServiceName,
    /// What kind of program it is.
    pub engine: String,
    /// What it is doing.
    pub state: ServiceState,
    /// What is wanted of it.
    pub disposition: Disposition,
    /// Why it is in that state.
    pub reason: Option<String>,
    /// Its main process.
    pub pid: Option<Pid>,
    /// The current or last run.
    pub run_id: Option<RunId>,
    /// Since when it is in that state.
    pub since: Timestamp,
    /// Since when it is ready.
    pub ready_since: Option<Timestamp>,
    /// Restart counts.
    pub restarts: RestartsView,
    /// Where it listens.
    pub endpoint: Option<String>,
    /// Names that clients use for it.
    pub serves: Vec<String>,
    /// What it directly depends on.
    pub depends_on: Vec<ServiceName>,
    /// How many use it at this moment, as far as they came through its gate. No gateway routes requests in this version, so
    /// these are users in an embedding application.
    pub in_flight: u32,
    /// Requests that wait for it. None in this version, as above.
    pub waiting: Vec<serde_json::Value>,
    /// Seconds since its last request; `null` while nobody counts requests.
    pub idle_for: Option<f64>,
    /// In `starting`: how far its load has come; `null` while its engine tells nothing.
    pub load: Option<LoadProgress>,
    /// How it is held.
    pub containment: ServiceContainmentView,
    /// Memory of its whole tree.
    pub memory: MemoryView,
    /// The memory it may hold; `null` while nobody hands out leases.
    pub lease: Option<serde_json::Value>,
    /// Where the figure of its need comes from; `null` while nobody asks for it.
    pub need: Option<serde_json::Value>,
    /// How its last run ended.
    pub last_exit: Option<ExitReport>,
    /// In `backoff`: when the next start is due.
    pub next_start: Option<Timestamp>,
}

/// Restart counts.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RestartsView {
    /// Failures in a row, as `restart.max` counts them.
    pub consecutive: u32,
    /// Restarts after failures since the runtime started.
    pub total: u64,
}

/// How a service is held.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ServiceContainmentView {
    /// `cgroup`, `shim`, `namespace` or `best_effort`.
    pub kind: String,
    /// Processes in it.
    pub processes: usize,
}

/// Memory of a service's whole tree.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct MemoryView {
    /// Resident host memory in bytes (shared pages counted in each process).
    pub ram: u64,
    /// GPU memory in bytes by the card's UUID; empty while no card is looked at.
    pub vram: BTreeMap<String, u64>,
}

/// `GET /api/services/{name}/why`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct WhyView {
    /// The service as it is.
    pub service: ServiceView,
    /// In sentences: why it is in that state.
    pub because: Vec<String>,
    /// In sentences: what to do, if anything.
    pub remedy: Vec<String>,
    /// The last state changes, oldest first.
    pub recent: Vec<serde_json::Value>,
}

impl ServiceView {
    /// Puts together what is published and what was measured.
    #[must_use]
    pub fn new(
        spec: &ServiceSpec,
        status: ServiceStatus,
        kind: ContainmentKind,
        memory: MemoryView,
        processes: usize,
    ) -> Self {
        Self {
            name: status.name,
            engine: spec.engine.name().to_owned(),
            state: status.state,
            disposition: status.disposition,
            reason: status.reason,
            pid: status.pid,
            run_id: status.run_id,
            since: status.since,
            ready_since: status.ready_since,
            restarts: RestartsView { consecutive: status.restarts_consecutive, total: status.restarts_total },
            endpoint: status.port.map(|port| format!("http://127.0.0.1:{port}")),
            serves: spec.serves.clone(),
            depends_on: spec.depends_on.iter().map(|dependency| dependency.service.clone()).collect(),
            in_flight: 0,
            waiting: Vec::new(),
            idle_for: None,
            load: status.load,
            containment: ServiceContainmentView { kind: kind.name().to_owned(), processes },
            memory,
            lease: None,
            need: None,
            last_exit: status.last_exit,
            next_start: status.next_start,
        }
    }

    /// With the count of those who use it.
    #[must_use]
    pub fn with_users(self, in_flight: u32) -> Self {
        Self { in_flight, ..self }
    }
}

impl MemoryView {
    /// Of these processes together; one that has just ended counts nothing.
    #[must_use]
    pub fn of(processes: &[Pid]) -> Self {
        Self { ram: proc::resident_bytes(processes), vram: BTreeMap::new() }
    }
}
