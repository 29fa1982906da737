//! What the API and the command line show: the JSON shapes.

use std::collections::BTreeMap;

use greenroom_actors::{
    history_store::messages::HistoryHealth,
    ids::{Pid, RunId, ServiceName},
    memory::{Amounts, Refusal},
    os::{containment::ContainmentKind, proc},
    resource_orchestrator::view::{CardView, LeaseView, MemorySnapshot, NeedView},
    spec::ServiceSpec,
    state::{Disposition, ExitReport, LoadProgress, ServiceState, ServiceStatus},
    time::Timestamp,
    watchdog::board::{AlertView, HostFigures, OwnFigures, ServiceFigures, WatchView},
};
use serde::Serialize;

use super::RemoteView;

/// `GET /api/status`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct StatusView {
    /// The runtime.
    pub runtime: RuntimeView,
    /// Its services, in the order of the configuration.
    pub services: Vec<ServiceView>,
    /// What answers elsewhere, in the order of the configuration.
    pub remotes: Vec<RemoteView>,
    /// What needs attention, the worst first: `GET /api/alerts`.
    pub alerts: Vec<AlertView>,
    /// What the watchdog saw last.
    pub watch: SightView,
}

/// What the watchdog saw last.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct SightView {
    /// When; `null` until the first look, and where nothing is watched.
    pub sampled_at: Option<Timestamp>,
    /// The machine; `null` where it could not be read.
    pub host: Option<HostFigures>,
    /// This process.
    pub own: OwnFigures,
    /// Every service and worker of which something runs.
    pub services: BTreeMap<ServiceName, ServiceFigures>,
    /// Every actor, and for how many seconds its answer took or has been waited for.
    pub actors: BTreeMap<String, f64>,
}

impl From<&WatchView> for SightView {
    fn from(view: &WatchView) -> Self {
        let WatchView { sampled_at, host, own, services, actors, .. } = view.clone();
        Self { sampled_at, host, own, services, actors }
    }
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
    /// Where model traffic comes in: `http://127.0.0.1:8484`; empty without a gateway.
    pub gateway: Vec<String>,
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
    /// Seconds that its last start took, from the process to ready; `null` until one has come so far.
    pub loaded_in: Option<f64>,
    /// Restart counts.
    pub restarts: RestartsView,
    /// Where it listens.
    pub endpoint: Option<String>,
    /// Names that clients use for it.
    pub serves: Vec<String>,
    /// What it directly depends on.
    pub depends_on: Vec<ServiceName>,
    /// How many use it at this moment: requests, and users in an embedding application.
    pub in_flight: u32,
    /// How many may use it at a time; `null`: as many as come.
    pub max_concurrency: Option<u32>,
    /// How many stand in line for it.
    pub in_line: u32,
    /// The first of them, at most [`MOST_WAITING`].
    pub waiting: Vec<WaiterView>,
    /// Seconds since it worked last; `null` while it is not ready, or needs no memory that is counted.
    pub idle_for: Option<f64>,
    /// In `starting`: how far its load has come; `null` while its engine tells nothing.
    pub load: Option<LoadProgress>,
    /// How it is held.
    pub containment: ServiceContainmentView,
    /// Memory of its whole tree.
    pub memory: MemoryView,
    /// The memory it may hold; `null` while it may hold none.
    pub lease: Option<ServiceLease>,
    /// What it needs and where the figure comes from; `null` until somebody has asked.
    pub need: Option<NeedView>,
    /// Why it got no memory when somebody wanted it last.
    pub refusal: Option<Box<Refusal>>,
    /// How its last run ended.
    pub last_exit: Option<ExitReport>,
    /// In `backoff`: when the next start is due.
    pub next_start: Option<Timestamp>,
}

/// Waiters that are listed, so that a long line makes no long answer: as many as may wait unless the configuration says
/// otherwise.
pub const MOST_WAITING: u32 = 512;

/// One who waits for a service to be ready, or for room in it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct WaiterView {
    /// Its place, from 1.
    pub position: u32,
    /// For what.
    pub reason: String,
    /// Seconds until it is likely to be ready, where that can be known.
    pub eta: Option<f64>,
}

/// The memory that a service may hold.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ServiceLease {
    /// `reserved`, `loading`, `resident`, `draining`, `asleep`, `reclaiming`.
    pub state: String,
    /// How much of what.
    #[serde(flatten)]
    pub amounts: Amounts,
    /// Layers on the card, where they were chosen for it.
    pub gpu_layers: Option<u32>,
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
    /// GPU memory in bytes by the card's UUID: measured, or, where nobody measures it, as much as it may hold.
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
            loaded_in: status.loaded_in.map(|time| time.as_secs_f64()),
            restarts: RestartsView { consecutive: status.restarts_consecutive, total: status.restarts_total },
            endpoint: status.port.map(|port| format!("http://127.0.0.1:{port}")),
            serves: spec.serves.clone(),
            depends_on: spec.depends_on.iter().map(|dependency| dependency.service.clone()).collect(),
            in_flight: 0,
            max_concurrency: spec.door.max_concurrency,
            in_line: 0,
            waiting: Vec::new(),
            idle_for: None,
            load: status.load,
            containment: ServiceContainmentView { kind: kind.name().to_owned(), processes },
            memory,
            lease: None,
            need: None,
            refusal: status.refusal.map(|refusal| Box::new(refusal.as_ref().clone())),
            last_exit: status.last_exit,
            next_start: status.next_start,
        }
    }

    /// With the counts of those who use it and of those in line, at this moment.
    #[must_use]
    pub fn with_users(self, in_flight: u32, in_line: u32, now: Timestamp) -> Self {
        let is_full = self.state == ServiceState::Ready;
        let reason = match self.max_concurrency.filter(|_| is_full) {
            Some(most) => format!("as many use it as may at a time ({most})"),
            None => self.reason.clone().unwrap_or_else(|| format!("it is {}", self.state.name())),
        };
        let eta = self.ready_in(now);
        let waiter = |position| WaiterView { position, reason: reason.clone(), eta };
        Self { in_flight, in_line, waiting: (1..=in_line.min(MOST_WAITING)).map(waiter).collect(), ..self }
    }

    /// Seconds until it is ready, of one that is on its way: as its own output tells, or else as long as it took last.
    fn ready_in(&self, now: Timestamp) -> Option<f64> {
        use ServiceState::{Offloaded, Reserved, Spawning, Starting, Stopped};
        let told = self.load.as_ref().and_then(|load| load.eta);
        let as_before = || {
            let whole = self.loaded_in?;
            match self.state {
                Stopped | Offloaded | Reserved | Spawning => Some(whole),
                Starting => Some((whole - now.since(self.since).as_secs_f64()).max(0.0)),
                _ => None,
            }
        };
        told.or_else(as_before)
    }

    /// With what is known of its memory.
    #[must_use]
    pub fn with_memory(mut self, known: &MemorySnapshot) -> Self {
        let lease = known.leases.get(&self.name);
        let on = |card: &CardView| card.services.get(&self.name).map(|bytes| (card.id.0.clone(), *bytes));
        self.memory.vram = known.cards.iter().filter_map(on).collect();
        self.idle_for = lease.and_then(|lease| lease.idle_for);
        self.lease = lease.map(ServiceLease::of);
        self.need = known.needs.get(&self.name).copied();
        if let Some(asks) = known.waiting.iter().find(|waiting| waiting.service == self.name) {
            for waiter in &mut self.waiting {
                waiter.reason.clone_from(&asks.reason);
                // Nobody knows how long those in its way have work.
                waiter.eta = None;
            }
        }
        self
    }
}

impl ServiceLease {
    fn of(lease: &LeaseView) -> Self {
        Self { state: lease.state.clone(), amounts: lease.amounts.clone(), gpu_layers: lease.gpu_layers }
    }
}

impl MemoryView {
    /// Of these processes together; one that has just ended counts nothing.
    #[must_use]
    pub fn of(processes: &[Pid]) -> Self {
        Self { ram: proc::resident_bytes(processes), vram: BTreeMap::new() }
    }
}

#[cfg(test)]
#[path = "view_tests.rs"]
mod tests;
