//! A handle on a running runtime: reads what supervisors publish, tells them what is wanted.
//!
//! Nothing here decides. Reading takes the last published status and never waits for an actor.

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
};

use actix::WeakAddr;
use greenroom_actors::{
    assembly::{Supervised, with_dependencies},
    cause::chain,
    event::{EventBus, EventId, EventStream},
    history_store::{
        HistoryReader, HistorySink,
        messages::{EventRow, HistoryFilter, RunRow},
    },
    ids::{Pid, ServiceName},
    os::{clock, containment::Containment},
    process_supervisor::messages::{ResetService, RestartService, StartService, StopService},
    shutdown_coordinator::{
        ShutdownCoordinator,
        messages::{BeginShutdown, ForceShutdown},
    },
    spec::{PortSpec, RuntimeSpec},
    state::ServiceStatus,
    time::Timestamp,
};
use tokio::sync::watch;

use super::{
    outcome::{self, Outcome},
    running::Progress,
    view::{MemoryView, RuntimeView, ServiceView, StatusView, WhyView},
    why,
};

/// State changes that `why` shows.
const RECENT: usize = 8;

/// Why a command on a service did not end as wanted.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum CommandError {
    /// There is no such service.
    #[error("there is no service `{name}`; there are: {}", known.join(", "))]
    UnknownService {
        /// What was asked for.
        name: String,
        /// What there is.
        known: Vec<String>,
    },
    /// The runtime is stopping.
    #[error("the runtime is stopping and starts nothing")]
    Stopping,
    /// It ended in another state than wanted; the view says why.
    #[error("`{}` is {}{}", .0.name, .0.state.name(), .0.reason.as_ref().map(|r| format!(": {r}")).unwrap_or_default())]
    NotReached(Box<ServiceView>),
    /// The history cannot be read.
    #[error("the history cannot be read: {0}")]
    History(String),
}

/// What can be told to a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ServiceCommand {
    /// Start it and what it depends on.
    Start,
    /// Stop it and keep it down.
    Stop,
    /// Stop and start it.
    Restart,
    /// Forget failures.
    Reset,
}

/// A running runtime: cheap to clone, usable from any thread and executor.
#[derive(Debug, Clone)]
pub struct RuntimeHandle {
    inner: Arc<Inner>,
}

/// What a handle reads and tells.
#[derive(Debug)]
pub(super) struct Inner {
    pub spec: Arc<RuntimeSpec>,
    pub services: Vec<Supervised>,
    pub bus: EventBus,
    pub epoch: u64,
    pub started: Timestamp,
    pub containment: Arc<dyn Containment>,
    pub history: HistorySink,
    pub coordinator: WeakAddr<ShutdownCoordinator>,
    pub guardian: watch::Receiver<Option<Pid>>,
    pub stopping: AtomicBool,
    pub progress: mpsc::Sender<Progress>,
}

impl RuntimeHandle {
    pub(super) fn new(inner: Inner) -> Self {
        Self { inner: Arc::new(inner) }
    }

    /// The state dir.
    #[must_use]
    pub fn state_dir(&self) -> &Path {
        &self.inner.spec.state_dir
    }

    /// Names of all services, in the order of the configuration.
    #[must_use]
    pub fn service_names(&self) -> Vec<ServiceName> {
        self.inner.services.iter().map(|s| s.spec.name.clone()).collect()
    }

    /// Everything at a glance. Reads `/proc` for memory: some microseconds a process.
    #[must_use]
    pub fn status(&self) -> StatusView {
        let services = self.inner.services.iter().map(|s| self.view(s)).collect();
        StatusView { runtime: self.runtime(), services }
    }

    /// The runtime itself.
    #[must_use]
    pub fn runtime(&self) -> RuntimeView {
        let inner = &self.inner;
        let state = if self.is_stopping() { "stopping" } else { "running" };
        RuntimeView {
            name: inner.spec.name.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            state: state.to_owned(),
            pid: Pid(std::process::id()),
            guardian: *inner.guardian.borrow(),
            state_dir: inner.spec.state_dir.display().to_string(),
            started: inner.started,
            epoch: inner.epoch,
            containment: inner.containment.kind().name().to_owned(),
            containment_root: inner.containment.describe(),
            history: inner.history.health(),
        }
    }

    /// One service.
    ///
    /// # Errors
    /// When there is none of that name.
    pub fn service(&self, name: &str) -> Result<ServiceView, CommandError> {
        self.find(name).map(|s| self.view(s))
    }

    /// Follows one service's status; never blocks.
    ///
    /// # Errors
    /// When there is none of that name.
    pub fn watch(&self, name: &str) -> Result<watch::Receiver<ServiceStatus>, CommandError> {
        self.find(name).map(|s| s.status.clone())
    }

    /// Tells a service something and does not wait for the outcome.
    ///
    /// # Errors
    /// When there is none of that name, or the runtime is stopping.
    pub fn tell(&self, name: &str, command: ServiceCommand) -> Result<(), CommandError> {
        let target = self.find(name)?;
        if self.is_stopping() {
            return Err(CommandError::Stopping);
        }
        self.start_dependencies(target, command);
        let supervisor = target.supervisor.upgrade().ok_or(CommandError::Stopping)?;
        match command {
            ServiceCommand::Start => supervisor.do_send(StartService),
            ServiceCommand::Stop => supervisor.do_send(StopService { reason: by_request() }),
            ServiceCommand::Restart => supervisor.do_send(RestartService { reason: by_request() }),
            ServiceCommand::Reset => supervisor.do_send(ResetService),
        }
        Ok(())
    }

    /// Tells a service something and waits for what comes of it: `ready` or `completed` for a start, `stopped` for a
    /// stop. One that counts as ready as soon as it runs must go on running for a fifth of a second, because many
    /// programs end right after their start. Dropping the future stops the waiting, not the service.
    ///
    /// # Errors
    /// When it ended in another state (`failed`, `stuck`, `backoff` after a failed start).
    pub async fn carry_out(&self, name: &str, command: ServiceCommand) -> Result<ServiceView, CommandError> {
        let target = self.find(name)?.clone();
        if self.is_stopping() {
            return Err(CommandError::Stopping);
        }
        let before = target.status.borrow().run_id;
        self.start_dependencies(&target, command);
        let supervisor = target.supervisor.upgrade().ok_or(CommandError::Stopping)?;
        // Awaited, so that the status read below is one from after the command. An actor that is gone is a runtime that
        // is stopping.
        let taken = match command {
            ServiceCommand::Start => supervisor.send(StartService).await,
            ServiceCommand::Stop => supervisor.send(StopService { reason: by_request() }).await,
            ServiceCommand::Restart => supervisor.send(RestartService { reason: by_request() }).await,
            ServiceCommand::Reset => supervisor.send(ResetService).await,
        };
        taken.map_err(|_| CommandError::Stopping)?;
        drop(supervisor);

        let mut status = target.status.clone();
        let mut awaited = self.statuses_of_dependencies(&target);
        loop {
            let now = status.borrow_and_update().clone();
            let blocked = awaited.iter().any(|d| outcome::is_dead_end(&d.borrow()));
            let look_on = match outcome::of(command, before, &now, blocked) {
                Outcome::Reached => match outcome::unproven_for(command, &target.spec, &now, clock::wall()) {
                    Some(moment) => Some(moment),
                    None => return Ok(self.view(&target)),
                },
                Outcome::Missed => return Err(CommandError::NotReached(Box::new(self.view(&target)))),
                Outcome::Open => None,
            };
            let dependency = outcome::any_changes(&mut awaited);
            let moment = async {
                match look_on {
                    Some(moment) => tokio::time::sleep(moment).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                changed = status.changed() => changed.map_err(|_| CommandError::Stopping)?,
                () = dependency => {}
                () = moment => return Ok(self.view(&target)),
            }
        }
    }

    /// Why a service is in its state and what to do.
    ///
    /// # Errors
    /// When there is none of that name.
    pub fn why(&self, name: &str) -> Result<WhyView, CommandError> {
        let target = self.find(name)?;
        // From the bus and not from the history, which may lie some milliseconds behind, or be out of order.
        let recent = self.inner.bus.last_about(&target.spec.name, RECENT);
        let recent = recent.iter().filter_map(|event| serde_json::to_value(event).ok()).collect();
        let dependencies: Vec<ServiceStatus> =
            self.statuses_of_dependencies(target).iter().map(|d| d.borrow().clone()).collect();
        let service = self.view(target);
        let log = self.inner.spec.state_dir.join("logs").join(service.name.as_str()).join("current.log");
        let because = why::because(&service, &target.spec, &dependencies);
        let remedy = why::remedy(&service, &dependencies, &log);
        Ok(WhyView { service, because, remedy, recent })
    }

    /// Events from now on, or from just after `after`.
    #[must_use]
    pub fn events(&self, after: Option<EventId>) -> EventStream {
        self.inner.bus.subscribe(after)
    }

    /// Past runs, newest first.
    ///
    /// # Errors
    /// When the history cannot be read.
    pub async fn history_runs(&self, filter: HistoryFilter) -> Result<Vec<RunRow>, CommandError> {
        self.read_history(move |reader| reader.runs(&filter).map_err(|e| history_error(&e))).await
    }

    /// Past events, newest first.
    ///
    /// # Errors
    /// When the history cannot be read.
    pub async fn history_events(&self, filter: HistoryFilter) -> Result<Vec<EventRow>, CommandError> {
        self.read_history(move |reader| reader.events(&filter).map_err(|e| history_error(&e))).await
    }

    /// Begins the ordered stop. The owner of the runtime learns of its end.
    pub fn begin_shutdown(&self, reason: &str) {
        if !self.inner.stopping.swap(true, Ordering::AcqRel) {
            // An error means that nobody waits for the end, which changes nothing about the stop.
            drop(self.inner.progress.send(Progress::Began));
        }
        if let Some(coordinator) = self.inner.coordinator.upgrade() {
            coordinator.do_send(BeginShutdown { reason: reason.to_owned() });
        }
    }

    /// Ends everything now, without grace.
    pub fn force_shutdown(&self) {
        self.begin_shutdown("forced");
        if let Some(coordinator) = self.inner.coordinator.upgrade() {
            coordinator.do_send(ForceShutdown);
        }
    }

    /// Ports that were fixed or are in use now: what must be free after the end.
    pub(super) fn ports(&self) -> Vec<u16> {
        let fixed = |s: &Supervised| match s.spec.port {
            Some(PortSpec::Fixed(port)) => Some(port),
            Some(PortSpec::Assigned) | None => s.status.borrow().port,
        };
        self.inner.services.iter().filter_map(fixed).collect()
    }

    fn is_stopping(&self) -> bool {
        self.inner.stopping.load(Ordering::Acquire)
    }

    fn find(&self, name: &str) -> Result<&Supervised, CommandError> {
        let services = &self.inner.services;
        services.iter().find(|s| s.spec.name.as_str() == name).ok_or_else(|| CommandError::UnknownService {
            name: name.to_owned(),
            known: services.iter().map(|s| s.spec.name.to_string()).collect(),
        })
    }

    fn statuses_of_dependencies(&self, target: &Supervised) -> Vec<watch::Receiver<ServiceStatus>> {
        let names = with_dependencies(&self.inner.services, [target.spec.name.clone()]);
        let others = |s: &&Supervised| s.spec.name != target.spec.name && names.contains(&s.spec.name);
        self.inner.services.iter().filter(others).map(|s| s.status.clone()).collect()
    }

    /// A start or restart also starts what the service depends on, where that is down.
    fn start_dependencies(&self, target: &Supervised, command: ServiceCommand) {
        if !matches!(command, ServiceCommand::Start | ServiceCommand::Restart) {
            return;
        }
        let names = with_dependencies(&self.inner.services, [target.spec.name.clone()]);
        for service in self.inner.services.iter().filter(|s| names.contains(&s.spec.name)) {
            let is_down = service.spec.name != target.spec.name && outcome::may_be_started(&service.status.borrow());
            if let Some(supervisor) = service.supervisor.upgrade().filter(|_| is_down) {
                supervisor.do_send(StartService);
            }
        }
    }

    fn view(&self, service: &Supervised) -> ServiceView {
        let status = service.status.borrow().clone();
        let containment = &self.inner.containment;
        let members = match status.run_id {
            Some(run) if status.state.is_live() => containment.members(&status.name, run).unwrap_or_default(),
            _ => Vec::new(),
        };
        ServiceView::new(&service.spec, status, containment.kind(), MemoryView::of(&members), members.len())
    }

    async fn read_history<T: Send + 'static>(
        &self,
        read: impl FnOnce(&HistoryReader) -> Result<T, CommandError> + Send + 'static,
    ) -> Result<T, CommandError> {
        let path = self.inner.spec.history.path.clone();
        // A thread of its own, so that a slow disk holds up neither the caller's executor nor the writer.
        let (answer, answered) = tokio::sync::oneshot::channel();
        let work = move || {
            let result = HistoryReader::open(&path).map_err(|e| history_error(&e)).and_then(|reader| read(&reader));
            // An error means that the caller has gone.
            drop(answer.send(result));
        };
        let started = std::thread::Builder::new().name("history-read".to_owned()).spawn(work);
        started.map_err(|e| CommandError::History(e.to_string()))?;
        answered.await.map_err(|_| CommandError::History("the reading thread ended early".to_owned()))?
    }
}

fn by_request() -> String {
    "by request".to_owned()
}

fn history_error(error: &(dyn std::error::Error + 'static)) -> CommandError {
    CommandError::History(chain(error))
}
