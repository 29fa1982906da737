//! The control thread: it puts the actors together, serves, and leaves when the ordered stop has ended.

use std::{
    sync::{Arc, mpsc},
    thread,
};

use greenroom_actors::{
    assembly::{Foundation, adopt_kept, assemble, start_eager},
    event::{EventBus, EventKind},
    history_store::HistorySink,
    os::{
        containment::{Place, Selection},
        guardian::Charge,
    },
    time::Timestamp,
};
use tokio::task::JoinHandle;

use super::{
    Reloader, RuntimeHandle, StartError, announce, board,
    door::Doors,
    ground::{Ground, close},
    handle::Inner,
    job_kinds::JobKinds,
    metrics::Metrics,
    owner::Progress,
    reload::{Desk, inbox},
    systemd,
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
    /// Where it is to be reached; nobody serves there yet.
    pub doors: Doors,
    pub progress: mpsc::Sender<Progress>,
    pub reloader: Option<Reloader>,
    /// Whether the process is the runtime's alone, so that it may speak to the service manager.
    pub whole_process: bool,
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
    pub(super) fn run(self) -> Result<(RuntimeHandle, thread::JoinHandle<()>), StartError> {
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
        let thread = thread::Builder::new().name("control".to_owned()).spawn(body).map_err(StartError::Thread)?;
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
            doors,
            progress,
            reloader,
            whole_process,
        } = self;
        let spec = Arc::clone(&foundation.spec);
        let bus = foundation.bus.clone();
        let remotes = foundation.far.remotes.clone();
        let gateway = doors.listeners.urls();
        let ground = Ground::prepare(selection, place, charge, &spec).await?;
        foundation.containment = Arc::clone(&ground.containment);
        let actors = match assemble(foundation).await {
            Ok(actors) => actors,
            Err(error) => {
                ground.leave().await;
                return Err(error.into());
            }
        };
        let Ground { containment, guardian } = ground;
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
            remotes,
            memory: actors.memory.clone(),
            watch: actors.watch.clone(),
            bundler: actors.bundler.clone(),
            orchestrator: actors.orchestrator.downgrade(),
            witness: actors.witness.clone(),
            jobs: actors.jobs.downgrade(),
            job_kinds: JobKinds::new(&spec.jobs),
            metrics: Arc::clone(&metrics),
            reload: reloader.is_some().then(|| bell.clone()),
            spec: Arc::clone(&spec),
        });
        let guardian = guardian.watch(handle.clone(), bus.clone());
        let manager = whole_process.then(|| systemd::tell(&bus, &actors.watch, &spec.watchdog)).flatten();
        let opened = doors.open(&spec, &handle, &actors.coordinator).await;
        let mut tasks = Vec::new();
        if opened.is_ok() {
            tasks = keep_up(&metrics, &bus, &actors.history, &handle);
            tasks.extend(manager);
            if let Some(reloader) = reloader {
                Desk::new(reloader, spec, handle.clone(), bus.clone(), bell).open(inbox);
            }
            let services = actors.roster.services().all();
            adopt_kept(&services);
            start_eager(&services);
            bus.emit(EventKind::RuntimeState { state: "running".to_owned(), reason: None });
            // An error means that the starter has gone, which is for the signals and the guardian to see to.
            drop(ready.send(Ok(handle)));
        } else {
            // Nobody could speak to it. What has been set up is taken down in the order of any other end.
            handle.begin_shutdown("it could not be reached");
            drop(handle);
        }

        let report = actors.stopped.await;
        // The socket stays until here, so that whoever asked for the stop can follow it.
        let outcome = match opened {
            Ok(server) => {
                server.stop().await;
                Ok(())
            }
            Err(error) => Err(error),
        };
        tasks.iter().for_each(JoinHandle::abort);
        close(containment.as_ref());
        guardian.dismiss().await;
        actors.threads.end();
        if let Ok(report) = report {
            // An error means that nobody waits for the end.
            drop(progress.send(Progress::Done(report)));
        }
        outcome
    }
}

/// What is done beside the actors for as long as the runtime runs. Listeners of events end with the bus, the rest is to
/// be aborted.
fn keep_up(
    metrics: &Arc<Metrics>,
    bus: &EventBus,
    history: &HistorySink,
    handle: &RuntimeHandle,
) -> Vec<JoinHandle<()>> {
    actix::spawn(announce::log_events(bus.subscribe(None)));
    actix::spawn(Arc::clone(metrics).listen(bus.clone()));
    let (ledger, history) = (Arc::clone(&metrics.ledger), history.clone());
    let ledger = actix::spawn(async move { ledger.keep(history).await });
    vec![ledger, actix::spawn(board::keep_board(handle.clone()))]
}
