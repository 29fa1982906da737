//! What the admission is told, what it sees around it, and what it wants done.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use crate::{
    event::EventKind,
    gate::Waiting,
    ids::{Pid, RunId, ServiceName},
    lease::{Fate, LeaseVerdict, Wish},
    memory::{Amounts, Layered, Need, Placement},
    os::{gpu::Reading, host::HostMemory},
    resource_orchestrator::ledger::Figures,
    spec::ServiceSpec,
};

/// What happened.
#[derive(Debug, Clone)]
pub enum Event {
    /// A service is there, or is configured otherwise.
    Enlisted {
        /// What it is.
        spec: Arc<ServiceSpec>,
        /// What it needs.
        need: Need,
    },
    /// A service is no more.
    Struck(ServiceName),
    /// A run wants memory.
    Asked(Question),
    /// How a run fares.
    Fared {
        /// Who.
        service: ServiceName,
        /// Which run.
        run: RunId,
        /// What happened to it.
        fate: Fate,
    },
    /// A run that has never been ready is about to be told of as ended: it ran out of GPU memory.
    RanOut {
        /// Who.
        service: ServiceName,
        /// Which run.
        run: RunId,
        /// What its layers take, where the planner could choose how many go to the card but the configuration says it.
        model: Option<Layered>,
    },
    /// A service that was asked to leave does not: somebody holds it.
    Held {
        /// Who.
        service: ServiceName,
        /// Which run.
        run: RunId,
    },
    /// A run that is drained has finished its work.
    Drained(RunId),
    /// The cards were measured.
    Read(Arc<Reading>),
    /// The runs were measured.
    Measured(BTreeMap<RunId, Figures>),
    /// A moment that was waited for has come.
    Due,
    /// The runtime ends: nothing is brought back any more.
    Closing,
}

/// A run that wants memory.
#[derive(Debug, Clone)]
pub struct Question {
    /// Who.
    pub service: ServiceName,
    /// Which run.
    pub run: RunId,
    /// What it would be run as.
    pub spec: Arc<ServiceSpec>,
    /// What it needs.
    pub need: Need,
    /// On whose wish.
    pub wish: Wish,
    /// Of a run that is adopted: its processes.
    pub pids: Vec<Pid>,
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// Answer whoever asked for this run.
    Answer(RunId, LeaseVerdict),
    /// Ask a service to leave.
    Offload {
        /// Who.
        service: ServiceName,
        /// Its run at this moment, where it has a lease.
        run: Option<RunId>,
        /// Why, in a sentence.
        reason: String,
    },
    /// Bring a service back.
    Reload(ServiceName),
    /// Tell everybody.
    Tell(Box<EventKind>),
    /// Measure the cards now: memory is to be back that somebody may wait for.
    ReadCards,
    /// Remember what a run has taken.
    Learn {
        /// What it runs as.
        spec: Arc<ServiceSpec>,
        /// Where.
        placement: Placement,
        /// The most that was measured.
        peak: Amounts,
        /// Whether the run is over.
        end: bool,
    },
}

/// How a service is used at this moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Usage {
    /// Whether its gate is open.
    pub open: bool,
    /// Who is in.
    pub in_flight: u32,
    /// Who holds it.
    pub holds: u32,
    /// How often somebody has entered, ever.
    pub entries: u64,
    /// Who waits for its gate to open.
    pub waiting: Waiting,
}

/// What a service is doing, as its supervisor tells it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Outlook {
    /// Whether it shall not run until a person says so, or has given up.
    pub down: bool,
    /// Why its last run failed.
    pub cause: Option<String>,
    /// Whether it is up, or on its way in or out: what it depends on it needs now.
    pub live: bool,
}

/// What can be seen at the moment of a step.
pub trait Around {
    /// Now.
    fn now(&self) -> Instant;
    /// The host's memory; `None` if it cannot be read.
    fn host(&self) -> Option<HostMemory>;
    /// Who uses a service.
    fn usage(&self, service: &ServiceName) -> Usage;
    /// What a service is doing.
    fn outlook(&self, service: &ServiceName) -> Outlook;
}

/// From the kill of a run until nothing of it is there, at the most; what lasts longer is stuck.
pub(super) const KILL_BOUND: Duration = Duration::from_secs(3);

/// The longest that a service may take to be gone once it was asked to leave, its memory included.
pub(super) fn leaving_bound(spec: &ServiceSpec, reclaim: Duration) -> Duration {
    let parts = [spec.memory.offload.drain, spec.stop.grace, KILL_BOUND, reclaim];
    parts.into_iter().fold(Duration::ZERO, Duration::saturating_add)
}

/// As [`leaving_bound`], for one that has to be loaded first.
pub(super) fn passing_bound(spec: &ServiceSpec, reclaim: Duration) -> Duration {
    leaving_bound(spec, reclaim).saturating_add(spec.ready.timeout)
}
