//! The control thread: it puts the actors together, serves, and leaves when the ordered stop has ended.

use std::{
    path::PathBuf,
    sync::{Arc, mpsc},
    thread::JoinHandle,
};

use greenroom_actors::{
    assembly::{Foundation, adopt_kept, assemble, start_eager},
    event::EventKind,
    os::{
        containment::{Containment, KeepingContainment, Place, Selection},
        guardian::Charge,
    },
    remote::Remotes,
    spec::{OnRuntimeExit, ServiceSpec},
    time::Timestamp,
};

use super::{
    Reloader, RuntimeHandle, StartError, announce, board,
    door::{Listeners, admit_traffic, bind},
    guardian_watch::Posted,
    handle::Inner,
    launch::warn,
    metrics::Metrics,
    owner::Progress,
    reload::{Desk, inbox},
    timer::Timer,
};

/// What the control thread takes with it.
pub(super) struct Control {
    pub foundation: Foundation,
    /// What `foundation` has for its containment, until it is settled.
    pub selection: Selection,
    pub place: Place,
    pub started: Timestamp,
    pub epoch: u64,
    pub charge: Charge,
    /// Processes of an earlier runtime that were ended.
    pub swept: u64,
    pub socket: PathBuf,
    /// Where model traffic comes in; nobody serves it yet.
    pub listeners: Listeners,
    pub progress: mpsc::Sender<Progress>,
    pub reloader: Option<Reloader>,
}

/// Tells the owner that the thread is on its way out, also when a panic takes it there: handles keep senders of their
/// own, so that the channel alone would not say so.
struct Leaving(mpsc::Sender<Progress>);

impl Drop for Leaving {
    fn drop(&mut self) {
        // An error means that nobody waits.
        drop(self.0.send(Progress::Left));
    }
}

impl Control {
    /// Starts the thread and waits until its control socket answers or it has failed. Blocks.
    pub(super) fn run(self) -> Result<(RuntimeHandle, JoinHandle<()>), StartError> {
        let (ready, is_ready) = mpsc::sync_channel(1);
        let leaving = Leaving(self.progress.clone());
        let body = move || {
            let _leaving = leaving;
            let failed = ready.clone();
            if let Err(error) = actix::System::new().block_on(self.serve(ready)) {
                // An error means that the starter has gone, and with it everybody who could be told.
                drop(failed.send(Err(error)));
            }
        };
        let thread = std::thread::Builder::new().name("control".to_owned()).spawn(body).map_err(StartError::Thread)?;
        let early = |_| StartError::Thread(std::io::Error::other("the control thread ended before it was ready"));
        let handle = is_ready.recv().map_err(early)??;
        Ok((handle, thread))
    }

    /// The life of the thread.
    async fn serve(self, ready: mpsc::SyncSender<Result<RuntimeHandle, StartError>>) -> Result<(), StartError> {
        let Self {
            mut foundation,
            selection,
            place,
            started,
            epoch,
            charge,
            swept,
            socket,
            listeners,
            progress,
            reloader,
        } = self;
        let spec = Arc::clone(&foundation.spec);
        let bus = foundation.bus.clone();
        let gateway = listeners.urls();
        let guardian = Posted::start(spec.guardian, charge, selection.nursery.clone()).await?;
        let known = selection.tried.len();
        let selection = match selection.settle().await {
            Ok(selection) => selection,
            Err(refusal) => {
                guardian.dismiss().await;
                return Err(refusal.into());
            }
        };
        selection.tried.iter().skip(known).for_each(warn);
        let logs = spec.service_logs;
        let keeping = KeepingContainment::new(selection.containment, place, selection.nursery, logs);
        let keeps = |service: &ServiceSpec| service.stop.on_runtime_exit == OnRuntimeExit::Keep;
        if spec.services.iter().any(keeps)
            && let Err(refused) = keeping.prepare()
        {
            guardian.dismiss().await;
            return Err(StartError::Keep(refused));
        }
        let containment: Arc<dyn Containment> = Arc::new(keeping);
        foundation.containment = Arc::clone(&containment);
        let actors = match assemble(foundation).await {
            Ok(actors) => actors,
            Err(error) => {
                guardian.dismiss().await;
                return Err(error.into());
            }
        };
        let (bell, inbox) = inbox();
        let metrics = Arc::new(Metrics::new(epoch, swept));
        let handle = RuntimeHandle::new(Inner {
            roster: actors.roster.clone(),
            bus: bus.clone(),
            epoch,
            started,
            containment: Arc::clone(&containment),
            history: actors.history.clone(),
            coordinator: actors.coordinator.downgrade(),
            guardian: guardian.pid(),
            stopping: false.into(),
            progress: progress.clone(),
            timer: Timer::of_this_thread(),
            board: board::Board::default(),
            gateway,
            remotes: Remotes::new(&spec.remotes),
            memory: actors.memory.clone(),
            orchestrator: actors.orchestrator.downgrade(),
            metrics: Arc::clone(&metrics),
            reload: reloader.is_some().then(|| bell.clone()),
            spec: Arc::clone(&spec),
        });
        let server = match bind(&socket, handle.clone()) {
            Ok(server) => server,
            Err(error) => {
                guardian.dismiss().await;
                return Err(error.into());
            }
        };
        if let Err(error) = admit_traffic(listeners, &spec, &handle, &actors.coordinator).await {
            server.stop().await;
            guardian.dismiss().await;
            return Err(error.into());
        }
        actix::spawn(announce::log_events(bus.subscribe(None)));
        actix::spawn(Arc::clone(&metrics).listen(bus.clone()));
        let (ledger, history) = (Arc::clone(&metrics.ledger), actors.history.clone());
        let ledger_kept = actix::spawn(async move { ledger.keep(history).await });
        if let Some(reloader) = reloader {
            Desk::new(reloader, spec, handle.clone(), bus.clone(), bell).open(inbox);
        }
        let board_kept = actix::spawn(board::keep_board(handle.clone()));
        let guardian = guardian.watch(handle.clone(), bus.clone());
        let services = actors.roster.services().all();
        adopt_kept(&services);
        start_eager(&services);
        bus.emit(EventKind::RuntimeState { state: "running".to_owned(), reason: None });
        // An error means that the starter has gone, which is for the signals and the guardian to see to.
        drop(ready.send(Ok(handle)));

        let report = actors.stopped.await;
        // The socket stays until here, so that whoever asked for the stop can follow it.
        server.stop().await;
        board_kept.abort();
        ledger_kept.abort();
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
