//! Starting a runtime: claim the state dir, sweep, find a containment, start the guardian, then the actors.
//!
//! The order matters. Nothing is spawned before what an earlier run left is gone, and no service before the guardian
//! stands ready to end it.

use std::{
    path::PathBuf,
    sync::{Arc, atomic::AtomicBool, mpsc},
    thread::JoinHandle,
};

use greenroom_actors::{
    assembly::{AssemblyError, Foundation, assemble, start_eager},
    event::{EventBus, EventKind},
    os::{
        audit::AuditBaseline,
        clock,
        containment::{Refusal, select},
        guardian::{Charge, GuardianError},
        registry::Registry,
        state_dir::{StateDir, StateDirError},
        sweep::{SweepError, SweepReport, sweep},
    },
    spec::RuntimeSpec,
    time::Timestamp,
};

use super::{RunningRuntime, RuntimeHandle, announce, guardian_watch::Posted, handle::Inner, running::Progress};
use crate::gateway::server::{ControlError, bind};

/// Why a runtime did not start. Nothing of it is left running then.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The state dir cannot be used, or another runtime holds it.
    #[error(transparent)]
    StateDir(#[from] StateDirError),
    /// What an earlier run left could not be looked for.
    #[error(transparent)]
    Sweep(#[from] SweepError),
    /// What an earlier run left does not end.
    #[error("what an earlier run left does not end on SIGKILL, and a second copy must not be started beside it:\n{0}")]
    Leftovers(SweepReport),
    /// No containment that the config accepts.
    #[error(transparent)]
    Containment(#[from] Refusal),
    /// The guardian did not start.
    #[error("the guardian did not start")]
    Guardian(#[from] GuardianError),
    /// `/proc` cannot be read, so nobody could say at the end what is left.
    #[error("cannot look at this process in /proc")]
    Baseline(#[source] std::io::Error),
    /// The registry cannot be written.
    #[error("cannot open the registry in {}", .0.display())]
    Registry(PathBuf, #[source] std::io::Error),
    /// The actors could not be put together.
    #[error(transparent)]
    Assembly(#[from] AssemblyError),
    /// The control socket could not be made.
    #[error("cannot open the control socket")]
    Control(#[from] ControlError),
    /// The control thread could not be started or ended early.
    #[error("the control thread did not start")]
    Thread(#[source] std::io::Error),
}

impl StartError {
    /// 4: another runtime holds the state dir; 1 otherwise.
    #[must_use]
    pub fn exit_code(&self) -> i32 {
        match self {
            Self::StateDir(StateDirError::AlreadyRunning { .. }) | Self::Sweep(SweepError::Running(_)) => 4,
            _ => 1,
        }
    }
}

/// A configured runtime that has not been started.
#[derive(Debug)]
pub struct Runtime {
    spec: Arc<RuntimeSpec>,
}

impl Runtime {
    /// A runtime that will do what `spec` says.
    #[must_use]
    pub fn new(spec: RuntimeSpec) -> Self {
        Self { spec: Arc::new(spec) }
    }

    /// Starts it on threads of its own and returns as soon as its control socket answers; eager services come up
    /// meanwhile. May wait for an earlier runtime's guardian to finish (15 s at most).
    ///
    /// # Errors
    /// See [`StartError`].
    pub fn start_blocking(self) -> Result<RunningRuntime, StartError> {
        let spec = self.spec;
        let claim = StateDir::claim(&spec.state_dir)?;
        let place = claim.place();
        let swept = sweep(claim.path(), &place.instance, false)?;
        if swept.stuck().next().is_some() {
            return Err(StartError::Leftovers(swept));
        }
        let found = (!swept.is_empty()).then(|| swept.to_string());
        // Its signal pipe is made with the first executor of a process and stays: it is not something to be left behind.
        drop(tokio::runtime::Builder::new_current_thread().enable_all().build());
        let baseline = AuditBaseline::take().map_err(StartError::Baseline)?;
        let started = clock::wall();
        let epoch = u64::try_from(started.as_micros() / 1000).unwrap_or(0);
        let selection = select(spec.containment, spec.guardian, &place)?;
        for worse in &selection.tried {
            tracing::warn!("containment {} is not to be had: {}", worse.layer.name(), worse.problem);
        }
        let containment = selection.containment;
        let registry = Registry::open(claim.path()).map_err(|e| StartError::Registry(claim.path().to_owned(), e))?;

        let bus = EventBus::new(epoch);
        bus.emit(EventKind::RuntimeState { state: "starting".to_owned(), reason: found });
        let foundation =
            Foundation { spec: Arc::clone(&spec), containment: Arc::clone(&containment), registry, bus: bus.clone() };
        let (progress, ends) = mpsc::channel();
        let charge = Charge::new(&place, containment.cgroup_root());
        let control = Control { foundation, started, epoch, charge, socket: claim.socket(), progress };
        let (handle, thread) = control.run()?;
        Ok(RunningRuntime { handle, thread, progress: ends, baseline, claim, containment, spec })
    }
}

/// What the control thread takes with it.
struct Control {
    foundation: Foundation,
    started: Timestamp,
    epoch: u64,
    charge: Charge,
    socket: PathBuf,
    progress: mpsc::Sender<Progress>,
}

impl Control {
    /// Starts the thread and waits until its control socket answers or it has failed.
    fn run(self) -> Result<(RuntimeHandle, JoinHandle<()>), StartError> {
        let (ready, is_ready) = mpsc::sync_channel(1);
        let body = move || {
            let failed = ready.clone();
            if let Err(error) = actix::System::new().block_on(self.serve(ready)) {
                // An error means that the starter has gone, and with it everybody who could be told.
                drop(failed.send(Err(error)));
            }
        };
        let thread = std::thread::Builder::new().name("control".to_owned()).spawn(body).map_err(StartError::Thread)?;
        let early = |_| StartError::Thread(std::io::Error::other("it ended before it was ready"));
        let handle = is_ready.recv().map_err(early)??;
        Ok((handle, thread))
    }

    /// The life of the control thread: put the actors together, serve, and leave when the ordered stop has ended.
    async fn serve(self, ready: mpsc::SyncSender<Result<RuntimeHandle, StartError>>) -> Result<(), StartError> {
        let Self { foundation, started, epoch, charge, socket, progress } = self;
        let spec = Arc::clone(&foundation.spec);
        let bus = foundation.bus.clone();
        let containment = Arc::clone(&foundation.containment);
        let guardian = Posted::start(spec.guardian, charge).await?;
        let actors = match assemble(foundation).await {
            Ok(actors) => actors,
            Err(error) => {
                guardian.dismiss().await;
                return Err(error.into());
            }
        };
        let handle = RuntimeHandle::new(Inner {
            services: actors.services.clone(),
            bus: bus.clone(),
            epoch,
            started,
            containment: Arc::clone(&containment),
            history: actors.history.clone(),
            coordinator: actors.coordinator.downgrade(),
            guardian: guardian.pid(),
            stopping: AtomicBool::new(false),
            progress: progress.clone(),
            spec,
        });
        let server = match bind(&socket, handle.clone()) {
            Ok(server) => server,
            Err(error) => {
                guardian.dismiss().await;
                return Err(error.into());
            }
        };
        actix::spawn(announce::log_events(bus.subscribe(None)));
        let guardian = guardian.watch(handle.clone(), bus.clone());
        start_eager(&actors.services);
        bus.emit(EventKind::RuntimeState { state: "running".to_owned(), reason: None });
        // An error means that the starter has gone, which is for the signals and the guardian to see to.
        drop(ready.send(Ok(handle)));

        let report = actors.stopped.await;
        // The socket stays until here, so that whoever asked for the stop can follow it.
        server.stop().await;
        if let Err(error) = containment.close() {
            tracing::error!(
                "the containment could not be removed ({error}); the audit and the next start look at it again"
            );
        }
        guardian.dismiss().await;
        actors.threads.end();
        if let Ok(report) = report {
            // An error means that nobody waits for the end.
            drop(progress.send(Progress::Done(report)));
        }
        Ok(())
    }
}
