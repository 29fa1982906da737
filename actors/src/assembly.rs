//! Builds the actor system. Read top to bottom this says who exists, who hears whom and, backwards, how it all stops.
//!
//! Registration order: the history first, because everybody tells it something until the end; then the thread that measures
//! the cards and whoever gives out memory; then one supervisor per service, in the order of their dependencies, and one per
//! worker of a job; then the queue of jobs, and last whoever watches all of them. Stopping goes the other way. A service that is added later takes its place
//! among the services by what it depends on ([`Roster`]).

mod heritage;
mod roster;
mod starts;
mod watcher;
mod workers;

pub use roster::{HISTORY_UNIT, Roster, RosterError};
pub use starts::{adopt_kept, start_eager};
pub use watcher::About;
pub use workers::workers_of;

use std::{io, sync::Arc, time::Duration};

use actix::{Actor, Addr, MailboxError};
use actix_rt::Arbiter;
use tokio::sync::{oneshot, watch};

use crate::{
    event::EventBus,
    history_store::{History, HistorySink},
    job_queue::{
        JobQueue, QueueParts, remembered,
        runner::{Rim, doer, far::Far, tidy::Tidy},
    },
    os::{
        containment::Containment,
        gpu::{GpuError, GpuSampler},
        host::ProcHost,
        keep::Found,
        ports::PortPool,
        registry::Registry,
    },
    process_supervisor::Inherited,
    resource_orchestrator::{OrchestratorParts, ResourceOrchestrator, need::Book, view::MemoryBoard},
    services::ServiceSet,
    shutdown_coordinator::{
        ShutdownCoordinator,
        graph::{Cycle, GraphError, order},
        messages::{Register, StopReport},
    },
    spec::{RuntimeSpec, ServiceSpec},
    watchdog::{board::WatchBoard, bundle::Bundler, notify::Post},
    witness::Witness,
};

/// How long a thread may take to end once it has nothing to do.
const THREAD_BOUND: Duration = Duration::from_secs(2);
/// How long it may take to see whether all memory was given back.
const MEMORY_BOUND: Duration = Duration::from_secs(2);
/// How long the history may take to write what it holds and close.
const HISTORY_BOUND: Duration = Duration::from_secs(5);

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
    /// Where ports come from.
    pub ports: PortPool,
    /// What an earlier runtime has kept.
    pub kept: Found,
    /// The remotes, and how they are spoken to.
    pub far: Far,
    /// Sends alerts to a webhook; `None` in a build that cannot.
    pub post: Option<Arc<dyn Post>>,
    /// What diagnostic bundles say of the runtime.
    pub about: About,
}

/// Why the actors could not be put together.
#[derive(Debug, thiserror::Error)]
pub enum AssemblyError {
    /// Services depend on each other in a circle.
    #[error("services depend on each other")]
    Cycle(#[from] Cycle),
    /// The coordinator refused a registration.
    #[error("the shutdown order cannot be made")]
    Graph(#[from] GraphError),
    /// A service could not be added.
    #[error("a service cannot be set up")]
    Roster(#[from] RosterError),
    /// A thread could not be made.
    #[error("cannot start a thread")]
    Thread(#[source] io::Error),
    /// The backend that was asked for does not work.
    #[error("the cards cannot be measured")]
    Cards(#[from] GpuError),
    /// The coordinator does not answer.
    #[error("the shutdown coordinator does not answer")]
    Coordinator(#[from] MailboxError),
}

/// The running actors.
#[derive(Debug)]
pub struct ActorSystem {
    /// Stops everything.
    pub coordinator: Addr<ShutdownCoordinator>,
    /// Decides who may hold memory.
    pub orchestrator: Addr<ResourceOrchestrator>,
    /// Where it shows what it knows.
    pub memory: MemoryBoard,
    /// Takes records.
    pub history: HistorySink,
    /// Where failures are told.
    pub witness: Witness,
    /// Keeps jobs in order.
    pub jobs: Addr<JobQueue>,
    /// Where whoever watches shows what was seen; empty where nobody does.
    pub watch: WatchBoard,
    /// Makes diagnostic bundles.
    pub bundler: Bundler,
    /// Every service, in the order of the configuration, and the means to change them.
    pub roster: Roster,
    /// Told once, when the ordered stop has ended.
    pub stopped: oneshot::Receiver<StopReport>,
    /// The threads beside the control thread.
    pub threads: Threads,
}

/// One thread for the children's output, one for the work of jobs, one for the driver of the cards, one for the database, and,
/// where anything is watched, one for that; one that makes bundles comes and goes. To be ended when every unit has stopped.
#[derive(Debug)]
pub struct Threads {
    watch: Option<Arbiter>,
    bundler: Bundler,
    children: Arbiter,
    jobs: Arbiter,
    cards: Arc<GpuSampler>,
    history: History,
}

impl Threads {
    /// Ends them. A driver that hangs may keep the cards', and a disk that hangs the database's: these are then left to the
    /// end of the process, and the audit says so.
    pub fn end(self) {
        let watch = self.watch.map(|thread| (thread, "whoever watches"));
        let others = [(self.jobs, "the work of jobs"), (self.children, "the children's output")];
        for (thread, whose) in watch.into_iter().chain(others) {
            thread.stop();
            if thread.join().is_err() {
                tracing::error!("the thread of {whose} ended by a panic");
            }
        }
        if !self.bundler.end(THREAD_BOUND) {
            tracing::error!("the thread that makes bundles does not end");
        }
        match Arc::into_inner(self.cards).map(|cards| cards.end(THREAD_BOUND)) {
            Some(Ok(())) => {}
            Some(Err(error)) => tracing::error!(%error, "the thread that measures the cards does not end"),
            None => tracing::error!("the cards are still being looked at, so their thread goes on"),
        }
        if !self.history.end(THREAD_BOUND) {
            tracing::error!("the thread of the history does not end");
        }
    }
}

/// Starts every actor and registers it. Runs on the control thread; starts no service yet.
///
/// # Errors
/// See [`AssemblyError`]. What was started by then ends by itself.
pub async fn assemble(foundation: Foundation) -> Result<ActorSystem, AssemblyError> {
    let Foundation { spec, containment, registry, bus, ports, mut kept, far, post, about } = foundation;
    let start_order = order(&dependencies(&spec.services))?;

    let (done, stopped) = oneshot::channel();
    let coordinator = ShutdownCoordinator::new(spec.shutdown.deadline, bus.clone(), done).start();

    // Before anything is written: what is found is what the last runtime has left.
    let before = remembered(&spec.history.path, &bus);
    let history = History::start(&spec.history, &bus).map_err(AssemblyError::Thread)?;
    let (name, depends_on) = (HISTORY_UNIT.to_owned(), Vec::new());
    coordinator.send(Register { name, depends_on, bound: HISTORY_BOUND, stop: history.stop() }).await??;

    let cards = Arc::new(GpuSampler::start(&spec.resources)?);
    let memory = MemoryBoard::default();
    let orchestrator = ResourceOrchestrator::new(OrchestratorParts {
        spec: Arc::clone(&spec),
        containment: Arc::clone(&containment),
        bus: bus.clone(),
        needs: Box::new(Book::open(&spec.resources, &spec.history.path, history.sink(), bus.clone())),
        cards: Box::new(Arc::clone(&cards)),
        host: Box::new(ProcHost::new()),
        board: memory.clone(),
    })
    .start();
    let (name, depends_on) = (roster::MEMORY_UNIT.to_owned(), vec![HISTORY_UNIT.to_owned()]);
    let stop = orchestrator.clone().recipient();
    coordinator.send(Register { name, depends_on, bound: MEMORY_BOUND, stop }).await??;

    let witness = Witness::default();
    let children = Arbiter::try_new().map_err(AssemblyError::Thread)?;
    let roster = Roster {
        services: ServiceSet::default(),
        workers: ServiceSet::default(),
        control: Arbiter::current(),
        children: children.handle(),
        coordinator: coordinator.downgrade(),
        containment,
        ports,
        registry,
        bus,
        history: history.sink(),
        witness: witness.clone(),
        logs: spec.service_logs,
        state_dir: spec.state_dir.clone(),
        drain: spec.shutdown.drain,
        orchestrator: orchestrator.downgrade(),
    };
    heritage::remember_starts(&kept, &roster.history);
    let told = heritage::told(&kept);
    let mut services = Vec::new();
    for name in start_order {
        let Some(service) = spec.services.iter().find(|s| s.name.as_str() == name) else { continue };
        let inherited = Inherited::of(service, &mut kept, &roster.ports, &roster.state_dir);
        services.push((Arc::new(service.clone()), inherited));
    }
    roster.add_all(services).await?;
    told.into_iter().for_each(|run| heritage::forget(run, &roster.registry, &roster.state_dir));
    heritage::remember(kept, &roster.history, &roster.registry, &roster.state_dir);
    roster.arrange(&spec.services.iter().map(|s| s.name.clone()).collect::<Vec<_>>());
    roster.add_workers(&spec.jobs).await?;

    let (stop_work, stopping) = watch::channel(false);
    let jobs_thread = Arbiter::try_new().map_err(AssemblyError::Thread)?;
    let rim = Rim {
        services: roster.services.clone(),
        workers: roster.workers.clone(),
        memory: memory.clone(),
        orchestrator: orchestrator.downgrade(),
        bus: roster.bus.clone(),
        state_dir: spec.state_dir.clone(),
        max_waiting: spec.gateway.max_waiting,
        stopping,
        containment: Arc::clone(&roster.containment),
        far,
        tidy: Tidy::default(),
        witness: witness.clone(),
    };
    let jobs = JobQueue::new(QueueParts {
        definitions: spec.jobs.iter().cloned().map(Arc::new).collect(),
        before,
        history: history.sink(),
        history_path: spec.history.path.clone(),
        bus: roster.bus.clone(),
        state_dir: spec.state_dir.clone(),
        doer: doer(rim, jobs_thread.handle()),
        thread: jobs_thread.handle(),
        shutdown: spec.shutdown,
        stopping: stop_work,
    })
    .start();
    let (name, depends_on) = (roster::JOBS_UNIT.to_owned(), roster.needs_of_jobs(None));
    let (bound, stop) = (roster.jobs_bound(), jobs.clone().recipient());
    coordinator.send(Register { name, depends_on, bound, stop }).await??;

    let watch = WatchBoard::default();
    let bundler = watcher::bundler(&spec, about, &roster, &memory, &watch);
    let watched = watcher::Watched {
        coordinator: &coordinator,
        orchestrator: &orchestrator,
        jobs: &jobs,
        history: &history.store(),
        jobs_thread: jobs_thread.handle(),
        roster: &roster,
        memory: &memory,
        board: &watch,
        bundler: &bundler,
        post,
    };
    let watch_thread = watcher::begin(&spec, watched).await?;

    let threads =
        Threads { watch: watch_thread, bundler: bundler.clone(), children, jobs: jobs_thread, cards, history };
    let history = threads.history.sink();
    Ok(ActorSystem {
        coordinator,
        orchestrator,
        memory,
        history,
        witness,
        jobs,
        watch,
        bundler,
        roster,
        stopped,
        threads,
    })
}

fn dependencies(services: &[ServiceSpec]) -> Vec<(String, Vec<String>)> {
    let names = |s: &ServiceSpec| s.depends_on.iter().map(|d| d.service.to_string()).collect();
    services.iter().map(|s| (s.name.to_string(), names(s))).collect()
}
