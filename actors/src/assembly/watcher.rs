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
    time::Timestamp,
    watchdog::{
        actor::{WatchParts, Watchdog},
        board::WatchBoard,
        bundle::{Bundler, ConfigText, Running, Shown, Source},
        heartbeat::Permanent,
        look::Scene,
        notify::{Means, Post},
    },
};

/// The unit of whoever watches. It needs the queue of jobs, and with it everything that is watched.
const WATCH_UNIT: &str = "watchdog";
/// How long a program that is told of an alert may take to be gone once it was killed.
const WATCH_BOUND: Duration = Duration::from_secs(3);

/// What diagnostic bundles say of the runtime itself.
#[derive(Debug, Clone)]
pub struct About {
    /// The version of Greenroom.
    pub version: String,
    /// When the runtime was started.
    pub started: Timestamp,
    /// The configuration in force, without its secrets.
    pub config: ConfigText,
}

/// Who makes diagnostic bundles, with or without somebody who watches.
pub(super) fn bundler(
    spec: &RuntimeSpec,
    about: About,
    roster: &Roster,
    memory: &MemoryBoard,
    board: &WatchBoard,
) -> Bundler {
    let Roster { services, workers, containment, bus, .. } = roster;
    let board = board.clone();
    let running = Running {
        started: about.started,
        bus: bus.clone(),
        services: services.clone(),
        workers: workers.clone(),
        containment: Arc::clone(containment),
        memory: memory.clone(),
        watch: Shown::new(move || serde_json::to_value(board.look().as_ref()).unwrap_or_default()),
    };
    let source = Source {
        version: about.version,
        state_dir: spec.state_dir.clone(),
        history: spec.history.path.clone(),
        config: about.config,
        running: Some(running),
    };
    Bundler::start(source, spec.watchdog.bundles.clone())
}

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
    pub bundler: &'a Bundler,
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
        bundler: watched.bundler.clone(),
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
