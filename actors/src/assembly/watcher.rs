//! Whoever watches all the others: last to come, first to go.

use std::{sync::Arc, time::Duration};

use actix::{Actor, Addr};
use actix_rt::{Arbiter, ArbiterHandle};

use super::{
    AssemblyError,
    roster::{JOBS_UNIT, Roster},
};
use crate::{
    history_store::HistoryStore,
    job_queue::JobQueue,
    os::host::ProcHost,
    resource_orchestrator::{ResourceOrchestrator, view::MemoryBoard},
    shutdown_coordinator::{ShutdownCoordinator, messages::Register},
    spec::RuntimeSpec,
    watchdog::{
        actor::{WatchParts, Watchdog},
        board::WatchBoard,
        heartbeat::Permanent,
        look::Scene,
        notify::{Means, Post},
    },
};

/// The unit of whoever watches. It needs the queue of jobs, and with it everything that is watched.
const WATCH_UNIT: &str = "watchdog";
/// How long a program that is told of an alert may take to be gone once it was killed.
const WATCH_BOUND: Duration = Duration::from_secs(3);

/// Everybody that is watched.
pub(super) struct Watched<'a> {
    pub coordinator: &'a Addr<ShutdownCoordinator>,
    pub orchestrator: &'a Addr<ResourceOrchestrator>,
    pub jobs: &'a Addr<JobQueue>,
    pub history: &'a Addr<HistoryStore>,
    pub jobs_thread: ArbiterHandle,
    pub roster: &'a Roster,
    pub memory: &'a MemoryBoard,
    pub board: &'a WatchBoard,
    pub post: Option<Arc<dyn Post>>,
}

/// Begins to watch on a thread of its own, which is to be ended; does nothing where nothing is to be watched.
pub(super) async fn begin(spec: &RuntimeSpec, watched: Watched<'_>) -> Result<Option<Arbiter>, AssemblyError> {
    if !spec.watchdog.enabled {
        return Ok(None);
    }
    let thread = Arbiter::try_new().map_err(AssemblyError::Thread)?;
    let Roster { services, workers, containment, bus, witness, children, .. } = watched.roster;
    let permanent = vec![
        Permanent::actor("coordinator", watched.coordinator),
        Permanent::actor("orchestrator", watched.orchestrator),
        Permanent::actor("jobs", watched.jobs),
        Permanent::actor("history", watched.history),
        Permanent::thread("thread of the children's output", children.clone()),
        Permanent::thread("thread of the work of jobs", watched.jobs_thread),
    ];
    let parts = WatchParts {
        spec: spec.watchdog.clone(),
        scene: Scene {
            services: services.clone(),
            workers: workers.clone(),
            containment: Arc::clone(containment),
            memory: watched.memory.clone(),
            witness: witness.clone(),
            host: Box::new(ProcHost::new()),
        },
        permanent,
        bus: bus.clone(),
        board: watched.board.clone(),
        means: Means {
            runtime: spec.name.clone(),
            bus: bus.clone(),
            post: watched.post,
            containment: Arc::clone(containment),
            state_dir: spec.state_dir.clone(),
        },
        state_dir: spec.state_dir.clone(),
    };
    let watchdog = Watchdog::start_in_arbiter(&thread.handle(), move |_| Watchdog::new(parts));
    let (name, depends_on) = (WATCH_UNIT.to_owned(), vec![JOBS_UNIT.to_owned()]);
    let stop = watchdog.clone().recipient();
    watched.coordinator.send(Register { name, depends_on, bound: WATCH_BOUND, stop }).await??;
    witness.appoint(watchdog.recipient());
    Ok(Some(thread))
}
