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
    assembly::Roster,
    event::{EventBus, EventId, EventStream},
    history_store::HistorySink,
    ids::{Pid, ServiceName},
    job_queue::JobQueue,
    os::{clock, containment::Containment},
    remote::Remotes,
    resource_orchestrator::{
        ResourceOrchestrator,
        messages::GetPlan,
        view::{MemoryBoard, MemorySnapshot, PlanView},
    },
    services::Supervised,
    shutdown_coordinator::{
        ShutdownCoordinator,
        messages::{BeginShutdown, ForceShutdown},
    },
    spec::{PortSpec, RuntimeSpec},
    state::ServiceStatus,
    time::Timestamp,
    watchdog::{
        board::{AlertView, WatchBoard, WatchView},
        bundle::Bundler,
    },
    witness::Witness,
};
use tokio::sync::watch;

use super::{
    ReloadError,
    board::Board,
    command::CommandError,
    job_kinds::JobKinds,
    metrics::Metrics,
    owner::Progress,
    reload::Bell,
    timer::Timer,
    view::{MemoryView, RuntimeView, ServiceView, StatusView, WhyView},
    why,
};

/// State changes that `why` shows.
const RECENT: usize = 8;

/// A running runtime, for what belongs to it (its server, its guardian's watch, signals): cheap to clone, usable from any
/// thread and executor. It does not keep the runtime running; an application's [`Handle`](crate::embed::Handle) does.
#[derive(Debug, Clone)]
pub struct RuntimeHandle {
    pub(super) inner: Arc<Inner>,
}

/// What a handle reads and tells.
#[derive(Debug)]
pub(super) struct Inner {
    pub spec: Arc<RuntimeSpec>,
    pub roster: Roster,
    pub bus: EventBus,
    pub epoch: u64,
    pub started: Timestamp,
    pub containment: Arc<dyn Containment>,
    pub history: HistorySink,
    pub coordinator: WeakAddr<ShutdownCoordinator>,
    pub guardian: watch::Receiver<Option<Pid>>,
    pub stopping: AtomicBool,
    pub progress: mpsc::Sender<Progress>,
    pub timer: Timer,
    pub board: Board,
    /// Where model traffic comes in.
    pub gateway: Vec<String>,
    pub remotes: Remotes,
    /// What is known of memory.
    pub memory: MemoryBoard,
    /// What was seen last by whoever watches.
    pub watch: WatchBoard,
    /// Makes diagnostic bundles.
    pub bundler: Bundler,
    /// Decides about it.
    pub orchestrator: WeakAddr<ResourceOrchestrator>,
    /// Where failures of services are told.
    #[cfg_attr(not(feature = "gateway"), expect(dead_code, reason = "the gateway alone tells them by the handle"))]
    pub witness: Witness,
    /// Keeps jobs in order.
    pub jobs: WeakAddr<JobQueue>,
    /// What kinds of them there are.
    pub job_kinds: JobKinds,
    /// What is counted of requests and swaps.
    #[cfg_attr(
        not(feature = "gateway"),
        expect(dead_code, reason = "the gateway alone counts and shows by the handle")
    )]
    pub metrics: Arc<Metrics>,
    /// Where reloads are asked for, if there is a configuration to read anew.
    pub reload: Option<Bell>,
}

impl RuntimeHandle {
    pub(super) fn new(inner: Inner) -> Self {
        Self { inner: Arc::new(inner) }
    }

    /// How trees are held.
    pub(super) fn containment(&self) -> Arc<dyn Containment> {
        Arc::clone(&self.inner.containment)
    }

    /// The state dir.
    #[must_use]
    pub fn state_dir(&self) -> &Path {
        &self.inner.spec.state_dir
    }

    /// Names of all services, in the order of the configuration.
    #[must_use]
    pub fn service_names(&self) -> Vec<ServiceName> {
        self.services().iter().map(|s| s.spec.name.clone()).collect()
    }

    /// Everything at a glance. Reads `/proc` for memory: some microseconds a process.
    #[must_use]
    pub fn status(&self) -> StatusView {
        let services = self.services().iter().map(|s| self.view(s)).collect();
        let (alerts, watch) = (self.alerts(), (&*self.sight()).into());
        StatusView { runtime: self.runtime(), services, remotes: self.remote_views(), alerts, watch }
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
            containment_limits: inner.containment.kind().limits().iter().map(|limit| (*limit).to_owned()).collect(),
            history: inner.history.health(),
            gateway: inner.gateway.clone(),
        }
    }

    /// One service.
    ///
    /// # Errors
    /// When there is none of that name.
    pub fn service(&self, name: &str) -> Result<ServiceView, CommandError> {
        self.find(name).map(|s| self.view(&s))
    }

    /// Follows one service's status; never blocks.
    ///
    /// # Errors
    /// When there is none of that name.
    pub fn watch(&self, name: &str) -> Result<watch::Receiver<ServiceStatus>, CommandError> {
        self.find(name).map(|s| s.status)
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
            self.statuses_of_dependencies(&target).iter().map(|d| d.borrow().clone()).collect();
        let service = self.view(&target);
        let log = self.inner.spec.state_dir.join("logs").join(service.name.as_str()).join("current.log");
        let because = why::because(&service, &target.spec, &dependencies, &self.memory());
        let remedy = why::remedy(&service, &dependencies, &log);
        Ok(WhyView { service, because, remedy, recent })
    }

    /// What whoever watches has seen last: what needs attention, what each service holds. Empty where nothing is watched.
    #[must_use]
    pub fn sight(&self) -> Arc<WatchView> {
        self.inner.watch.look()
    }

    /// What needs attention, the worst first, whoever raised it.
    #[must_use]
    pub fn alerts(&self) -> Vec<AlertView> {
        self.inner.bus.standing()
    }

    /// What is known of memory: cards, leases, needs. Waits for nobody.
    #[must_use]
    pub fn memory(&self) -> Arc<MemorySnapshot> {
        self.inner.memory.look().by(clock::now())
    }

    /// What a load of a service would do now; changes nothing.
    ///
    /// # Errors
    /// When there is none of that name, or the runtime is stopping.
    pub async fn plan(&self, name: &str) -> Result<PlanView, CommandError> {
        let service = self.find(name)?.spec.name.clone();
        let orchestrator = self.inner.orchestrator.upgrade().ok_or(CommandError::Stopping)?;
        let plan = orchestrator.send(GetPlan { service }).await.map_err(|_| CommandError::Stopping)?;
        // It has been taken out since.
        plan.map_err(|_| CommandError::Stopping)
    }

    /// Events from now on, or from just after `after`.
    #[must_use]
    pub fn events(&self, after: Option<EventId>) -> EventStream {
        self.inner.bus.subscribe(after)
    }

    /// Where a reload is asked for.
    pub(super) fn bell(&self) -> Result<&Bell, ReloadError> {
        if self.is_stopping() {
            return Err(ReloadError::Stopping);
        }
        self.inner.reload.as_ref().ok_or(ReloadError::NoSource)
    }

    /// Begins the ordered stop. The owner of the runtime learns of its end.
    pub fn begin_shutdown(&self, reason: &str) {
        if !self.inner.stopping.swap(true, Ordering::AcqRel) {
            // An error means that nobody waits for the end, which changes nothing about the stop.
            drop(self.inner.progress.send(Progress::Began));
            self.inner.board.nudge();
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

    /// Where failures of services are told.
    #[cfg(feature = "gateway")]
    pub(crate) fn witness(&self) -> &Witness {
        &self.inner.witness
    }

    /// What is counted of requests and swaps.
    #[cfg(feature = "gateway")]
    pub(crate) fn metrics(&self) -> &Arc<Metrics> {
        &self.inner.metrics
    }

    /// Whether anybody may see the figures.
    #[cfg(feature = "gateway")]
    pub(crate) fn shows_metrics(&self) -> bool {
        self.inner.spec.metrics
    }

    /// How many bytes a body may have.
    #[cfg(feature = "gateway")]
    pub(crate) fn max_body(&self) -> u64 {
        self.inner.spec.gateway.max_body.0
    }

    /// Writes the requests that have ended into the history, and is done when they are there.
    #[cfg(feature = "gateway")]
    pub(crate) async fn write_requests(&self) {
        self.inner.metrics.ledger.write(&self.inner.history).await;
    }

    /// Keeps time for futures of other executors.
    pub(crate) fn timer(&self) -> Timer {
        self.inner.timer.clone()
    }

    /// Ports that were fixed or are in use now: what must be free after the end.
    pub(super) fn ports(&self) -> Vec<u16> {
        let fixed = |s: &Supervised| match s.spec.port {
            Some(PortSpec::Fixed(port)) => Some(port),
            Some(PortSpec::Assigned) | None => s.status.borrow().port,
        };
        self.services().iter().filter_map(fixed).collect()
    }

    pub(super) fn is_stopping(&self) -> bool {
        self.inner.stopping.load(Ordering::Acquire)
    }

    pub(crate) fn services(&self) -> Arc<Vec<Supervised>> {
        self.inner.roster.services().all()
    }

    pub(crate) fn find(&self, name: &str) -> Result<Supervised, CommandError> {
        self.inner.roster.services().find(name).ok_or_else(|| CommandError::UnknownService {
            name: name.to_owned(),
            known: self.services().iter().map(|s| s.spec.name.to_string()).collect(),
        })
    }

    /// Whether a service that depends on this one is live.
    pub(crate) fn has_live_dependents(&self, name: &str) -> bool {
        let depends = |s: &Supervised| s.spec.depends_on.iter().any(|d| d.service.as_str() == name);
        self.services().iter().any(|s| depends(s) && s.status.borrow().state.is_live())
    }

    pub(super) fn statuses_of_dependencies(&self, target: &Supervised) -> Vec<watch::Receiver<ServiceStatus>> {
        self.inner.roster.services().statuses_of_dependencies(target)
    }

    pub(super) fn view(&self, service: &Supervised) -> ServiceView {
        let status = service.status.borrow().clone();
        let containment = &self.inner.containment;
        let members = match status.run_id {
            Some(run) if status.state.is_live() => containment.members(&status.name, run).unwrap_or_default(),
            _ => Vec::new(),
        };
        ServiceView::new(&service.spec, status, containment.kind(), MemoryView::of(&members), members.len())
            .with_users(service.gate.in_flight(), service.gate.waiting().count, clock::wall())
            .with_memory(&self.memory())
    }
}
