//! Builds the actor system. Read top to bottom this says who exists, who hears whom and, backwards, how it all stops.
//!
//! Registration order: the history first, because everybody tells it something until the end; then one supervisor per
//! service, in the order of their dependencies. Stopping goes the other way.

use std::{collections::HashMap, io, sync::Arc, time::Duration};

use actix::{Actor, Addr, MailboxError, WeakAddr};
use actix_rt::Arbiter;
use tokio::sync::{oneshot, watch};

use crate::{
    event::EventBus,
    history_store::{History, HistorySink},
    ids::ServiceName,
    os::{clock, containment::Containment, ports::PortPool, registry::Registry},
    process_supervisor::{ProcessSupervisor, SupervisorParts, messages::StartService},
    shutdown_coordinator::{
        ShutdownCoordinator,
        graph::{Cycle, GraphError, order},
        messages::{Register, StopReport, UnitName},
    },
    spec::{RuntimeSpec, ServiceSpec, StartMode},
    state::{Disposition, ServiceStatus},
};

/// How long the database's thread may take to end once it has nothing to do.
const THREAD_BOUND: Duration = Duration::from_secs(2);
/// How long the history may take to write what it holds and close.
const HISTORY_BOUND: Duration = Duration::from_secs(5);
/// On top of a service's grace: the wait for its tree to be gone after the kill (2 s) and the answer.
const KILL_BOUND: Duration = Duration::from_secs(3);

/// What the rim (the state dir, the guardian, the containment) has made ready before any actor exists.
#[derive(Debug)]
pub struct Foundation {
    /// What to run.
    pub spec: Arc<RuntimeSpec>,
    /// Where process trees are held.
    pub containment: Arc<dyn Containment>,
    /// Where runs are written down for a sweep.
    pub registry: Registry,
    /// Where events are told.
    pub bus: EventBus,
}

/// Why the actors could not be put together.
#[derive(Debug, thiserror::Error)]
pub enum AssemblyError {
    /// Services depend on each other in a circle.
    #[error("services depend on each other in a circle: {0}")]
    Cycle(#[from] Cycle),
    /// The coordinator refused a registration.
    #[error("the shutdown order cannot be made")]
    Graph(#[from] GraphError),
    /// A thread could not be made.
    #[error("cannot start a thread")]
    Thread(#[source] io::Error),
    /// The coordinator does not answer.
    #[error("the shutdown coordinator does not answer")]
    Coordinator(#[from] MailboxError),
}

/// One supervised service, as seen from above.
#[derive(Debug, Clone)]
pub struct Supervised {
    /// What it is.
    pub spec: Arc<ServiceSpec>,
    /// Its supervisor. Weak: whoever keeps this to look at it must not keep the actor, and with it its thread's
    /// executor, after the end. The coordinator keeps the actor.
    pub supervisor: WeakAddr<ProcessSupervisor>,
    /// What it is doing.
    pub status: watch::Receiver<ServiceStatus>,
}

/// The running actors.
#[derive(Debug)]
pub struct ActorSystem {
    /// Stops everything.
    pub coordinator: Addr<ShutdownCoordinator>,
    /// Takes records.
    pub history: HistorySink,
    /// Every service, in the order of the configuration.
    pub services: Vec<Supervised>,
    /// Told once, when the ordered stop has ended.
    pub stopped: oneshot::Receiver<StopReport>,
    /// The threads beside the control thread.
    pub threads: Threads,
}

/// One thread for the children's output, one for the database. To be ended when every unit has stopped.
#[derive(Debug)]
pub struct Threads {
    children: Arbiter,
    history: History,
}

impl Threads {
    /// Ends both. A disk that hangs may keep the database's: it is then left to the end of the process, and the audit
    /// says so.
    pub fn end(self) {
        self.children.stop();
        if self.children.join().is_err() {
            tracing::error!("the thread of the children's output ended by a panic");
        }
        if !self.history.end(THREAD_BOUND) {
            tracing::error!("the thread of the history does not end");
        }
    }
}

/// Starts every actor and registers it. Runs on the control thread; starts no service yet.
///
/// # Errors
/// When the dependencies have no order.
pub async fn assemble(foundation: Foundation) -> Result<ActorSystem, AssemblyError> {
    let Foundation { spec, containment, registry, bus } = foundation;
    let start_order = order(&dependencies(&spec.services))?;

    let (done, stopped) = oneshot::channel();
    let coordinator = ShutdownCoordinator::new(spec.shutdown.deadline, bus.clone(), done).start();

    let history = History::start(&spec.history, &bus).map_err(AssemblyError::Thread)?;
    let history_unit =
        Register { name: HISTORY_UNIT.to_owned(), depends_on: Vec::new(), bound: HISTORY_BOUND, stop: history.stop() };
    coordinator.send(history_unit).await??;

    let children = Arbiter::try_new().map_err(AssemblyError::Thread)?;
    let ports = PortPool::new(spec.ports.0, spec.ports.1);
    let mut supervised: HashMap<ServiceName, Supervised> = HashMap::new();
    for name in start_order {
        let Some(service) = spec.services.iter().find(|s| s.name.as_str() == name) else { continue };
        let service = Arc::new(service.clone());
        let name = service.name.clone();
        let initial = ServiceStatus::initial(name.clone(), disposition(service.start), clock::wall());
        let (publish, status) = watch::channel(initial);
        let awaited = |d: &crate::spec::Dependency| {
            supervised.get(&d.service).map(|s| (d.service.clone(), d.condition, s.status.clone()))
        };
        let supervisor = ProcessSupervisor::new(SupervisorParts {
            spec: Arc::clone(&service),
            containment: Arc::clone(&containment),
            ports: ports.clone(),
            registry: registry.clone(),
            bus: bus.clone(),
            history: history.sink(),
            logs: spec.service_logs,
            state_dir: spec.state_dir.clone(),
            children: children.handle(),
            status: publish,
            dependencies: service.depends_on.iter().filter_map(awaited).collect(),
        })
        .start();
        let needs = service.depends_on.iter().map(|d| unit_name(&d.service));
        let unit = Register {
            name: unit_name(&name),
            depends_on: std::iter::once(HISTORY_UNIT.to_owned()).chain(needs).collect(),
            bound: service.stop.grace + KILL_BOUND,
            stop: supervisor.clone().recipient(),
        };
        coordinator.send(unit).await??;
        supervised.insert(name, Supervised { spec: service, supervisor: supervisor.downgrade(), status });
    }

    Ok(ActorSystem {
        coordinator,
        services: spec.services.iter().filter_map(|s| supervised.remove(&s.name)).collect(),
        stopped,
        history: history.sink(),
        threads: Threads { children, history },
    })
}

/// Starts the eager services and what they depend on. Each waits for its own dependencies, so all are told at once.
pub fn start_eager(services: &[Supervised]) {
    let eager = services.iter().filter(|s| s.spec.start == StartMode::Eager).map(|s| s.spec.name.clone());
    let wanted = with_dependencies(services, eager);
    for service in services.iter().filter(|s| wanted.contains(&s.spec.name)) {
        if let Some(supervisor) = service.supervisor.upgrade() {
            supervisor.do_send(StartService);
        }
    }
}

/// `names` and everything they depend on, without repeats.
#[must_use]
pub fn with_dependencies(services: &[Supervised], names: impl IntoIterator<Item = ServiceName>) -> Vec<ServiceName> {
    let mut wanted: Vec<ServiceName> = Vec::new();
    let mut open: Vec<ServiceName> = names.into_iter().collect();
    while let Some(name) = open.pop() {
        if wanted.contains(&name) {
            continue;
        }
        let found = services.iter().find(|s| s.spec.name == name);
        open.extend(found.iter().flat_map(|s| s.spec.depends_on.iter().map(|d| d.service.clone())));
        wanted.push(name);
    }
    wanted
}

const HISTORY_UNIT: &str = "history";

fn unit_name(service: &ServiceName) -> UnitName {
    format!("service:{service}")
}

fn dependencies(services: &[ServiceSpec]) -> Vec<(String, Vec<String>)> {
    let names = |s: &ServiceSpec| s.depends_on.iter().map(|d| d.service.to_string()).collect();
    services.iter().map(|s| (s.name.to_string(), names(s))).collect()
}

fn disposition(start: StartMode) -> Disposition {
    match start {
        StartMode::Eager => Disposition::Up,
        StartMode::OnDemand => Disposition::OnDemand,
        StartMode::Manual => Disposition::Down,
    }
}
