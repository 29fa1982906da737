//! Adds, changes and takes out services, at the start and while the runtime runs.

use std::{path::PathBuf, sync::Arc, time::Duration};

use actix::{Actor, MailboxError, Message, Recipient, WeakAddr};
use actix_rt::ArbiterHandle;
use tokio::sync::watch;

use crate::{
    event::EventBus,
    gate::Gate,
    history_store::HistorySink,
    ids::ServiceName,
    os::{clock, containment::Containment, ports::PortPool, registry::Registry},
    process_supervisor::{
        Inherited, ProcessSupervisor, SupervisorParts,
        messages::{Awaited, Reconfigure, RetireService},
    },
    resource_orchestrator::{
        ResourceOrchestrator, lessor,
        messages::{Enlist, Enlisted, Strike},
    },
    services::{ServiceSet, Supervised},
    shutdown_coordinator::{
        ShutdownCoordinator,
        graph::GraphError,
        messages::{ChangeNeeds, Register, StopUnit, UnitName, Unregister},
    },
    spec::{ServiceLogSpec, ServiceSpec},
    state::{Disposition, ServiceState, ServiceStatus},
    witness::Witness,
};

/// The unit of the history, which every service needs, and whoever else has something to be remembered at the end.
pub const HISTORY_UNIT: &str = "history";
/// The unit of the ledger, which every service needs.
pub(super) const MEMORY_UNIT: &str = "memory";
/// The unit of the queue of jobs, which needs every service and every worker.
pub(super) const JOBS_UNIT: &str = "jobs";
/// On top of a service's drain and grace: the wait for its tree to be gone after the kill (2 s) and the answer.
pub(super) const KILL_BOUND: Duration = Duration::from_secs(3);

/// Why a service could not be added, changed or taken out.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum RosterError {
    /// There is no service of that name.
    #[error("there is no service `{0}`")]
    Unknown(ServiceName),
    /// It depends on a service that is not there.
    #[error("service `{service}` depends on `{missing}`, which is not there")]
    Dependency {
        /// The service.
        service: ServiceName,
        /// What it depends on.
        missing: ServiceName,
    },
    /// The shutdown coordinator refuses: the runtime is stopping, the name is taken, or the dependencies are not to be
    /// had in that way.
    #[error("the order of the shutdown does not allow it")]
    Graph(#[from] GraphError),
    /// Something of it outlived SIGKILL; it stays where it is.
    #[error("service `{service}` cannot be taken out: {reason}")]
    Stuck {
        /// The service.
        service: ServiceName,
        /// What outlived it.
        reason: String,
    },
    /// The runtime has ended.
    #[error("the runtime has ended")]
    Ended,
}

impl From<MailboxError> for RosterError {
    fn from(_: MailboxError) -> Self {
        Self::Ended
    }
}

/// What every supervisor is built from. Clones are the same roster; it may be used from any thread and executor. One
/// change at a time is for the caller to see to.
#[derive(Debug, Clone)]
pub struct Roster {
    pub(super) services: ServiceSet,
    pub(super) workers: ServiceSet,
    /// The thread of all supervisors.
    pub(super) control: ArbiterHandle,
    /// The thread of all runs.
    pub(super) children: ArbiterHandle,
    /// Weak, as whoever holds a roster must not keep the actors after the end.
    pub(super) coordinator: WeakAddr<ShutdownCoordinator>,
    pub(super) containment: Arc<dyn Containment>,
    pub(super) ports: PortPool,
    pub(super) registry: Registry,
    pub(super) bus: EventBus,
    pub(super) history: HistorySink,
    pub(super) witness: Witness,
    pub(super) logs: ServiceLogSpec,
    pub(super) state_dir: PathBuf,
    /// How long the work of jobs and of services may go on when the runtime stops.
    pub(super) drain: Duration,
    /// Weak, for the same reason as the coordinator.
    pub(super) orchestrator: WeakAddr<ResourceOrchestrator>,
}

impl Roster {
    /// The services, as they are now.
    #[must_use]
    pub fn services(&self) -> &ServiceSet {
        &self.services
    }

    /// Adds a service, last in the order, and starts nothing. What it depends on must be there.
    ///
    /// # Errors
    /// See [`RosterError`]; nothing has changed then.
    pub async fn add(&self, spec: Arc<ServiceSpec>) -> Result<Supervised, RosterError> {
        let supervised = self.bring_up(spec, None).await?;
        self.enlist([supervised.clone()]).await?;
        self.services.put(&supervised);
        self.jobs_need_all_but(None).await?;
        Ok(supervised)
    }

    /// Adds several at once, each after what it depends on; with each the run of an earlier runtime that it takes over.
    ///
    /// # Errors
    /// See [`RosterError`]; those before the one that failed are there then.
    pub(super) async fn add_all(
        &self,
        services: impl IntoIterator<Item = (Arc<ServiceSpec>, Option<Inherited>)>,
    ) -> Result<(), RosterError> {
        let mut added = Vec::new();
        for (spec, adopt) in services {
            let supervised = self.bring_up(spec, adopt).await?;
            self.services.put(&supervised);
            added.push(supervised);
        }
        self.enlist(added).await
    }

    /// Starts the supervisor of a service and gives it its place in the order of the stop. `adopt` is its run of an earlier
    /// runtime.
    pub(super) async fn bring_up(
        &self,
        spec: Arc<ServiceSpec>,
        adopt: Option<Inherited>,
    ) -> Result<Supervised, RosterError> {
        let name = spec.name.clone();
        let unit = unit_name(&spec);
        let dependencies = self.awaited(&spec)?;
        let orchestrator = self.orchestrator.upgrade().ok_or(RosterError::Ended)?;
        let gate = Gate::new();
        let (publish, status) =
            watch::channel(ServiceStatus::initial(name.clone(), Disposition::of(spec.start), clock::wall()));
        let parts = SupervisorParts {
            spec: Arc::clone(&spec),
            containment: Arc::clone(&self.containment),
            ports: self.ports.clone(),
            registry: self.registry.clone(),
            bus: self.bus.clone(),
            history: self.history.clone(),
            logs: self.logs,
            state_dir: self.state_dir.clone(),
            children: self.children.clone(),
            status: publish,
            dependencies,
            gate: gate.clone(),
            drain: self.drain,
            witness: self.witness.clone(),
            lessor: lessor(&orchestrator),
            adopt,
        };
        let supervisor = ProcessSupervisor::start_in_arbiter(&self.control, move |_| ProcessSupervisor::new(parts));
        let stop: Recipient<StopUnit> = supervisor.clone().recipient();
        let (depends_on, bound) = (needs(&spec), self.bound(&spec));
        self.ask(Register { name: unit, depends_on, bound, stop }).await??;
        Ok(Supervised { spec, supervisor: supervisor.downgrade(), status, gate })
    }

    /// Changes a service. With `restart`, a live run is drained, stopped as it was configured, and begun anew; otherwise it
    /// goes on under its pid. Does not wait for what comes of it.
    ///
    /// # Errors
    /// See [`RosterError`]; nothing has changed then.
    pub async fn reconfigure(&self, spec: Arc<ServiceSpec>, restart: bool) -> Result<(), RosterError> {
        let name = spec.name.clone();
        let before = self.find(&name)?;
        let dependencies = self.awaited(&spec)?;
        let (depends_on, bound) = (needs(&spec), self.bound(&spec));
        self.ask(ChangeNeeds { name: unit_name(&spec), depends_on, bound }).await??;
        let supervisor = before.supervisor.upgrade().ok_or(RosterError::Ended)?;
        supervisor.send(Reconfigure { spec: Arc::clone(&spec), dependencies, restart }).await?;
        let after = Supervised { spec, ..before };
        self.enlist([after.clone()]).await?;
        self.services.put(&after);
        self.jobs_need_all_but(None).await
    }

    /// Stops a service and takes it out. Waits for its end, for as long as its drain, its grace and a kill may take. Nothing
    /// may depend on it.
    ///
    /// # Errors
    /// See [`RosterError`]. One that is stuck stays in the set, so that it is seen, and takes no start.
    pub async fn remove(&self, name: &ServiceName) -> Result<(), RosterError> {
        let service = self.find(name)?;
        let all = self.services.all();
        if let Some(other) = all.iter().find(|s| s.spec.depends_on.iter().any(|d| d.service == *name)) {
            let (unit, by) = (unit_name(&service.spec), unit_name(&other.spec));
            return Err(GraphError::Needed { unit, by }.into());
        }
        self.retire(&service).await?;
        self.services.remove(name);
        // Last, so that whoever has found it still there has told by now what there was to tell.
        self.bus.forget(name);
        Ok(())
    }

    /// Stops a service for good, waits for its end, and takes it out of the order of the stop.
    pub(super) async fn retire(&self, service: &Supervised) -> Result<(), RosterError> {
        let supervisor = service.supervisor.upgrade().ok_or(RosterError::Ended)?;
        supervisor.send(RetireService { reason: "it was taken out of the configuration".to_owned() }).await?;
        drop(supervisor);
        let mut status = service.status.clone();
        // Bounded without a clock here: drain, grace and kill have their bounds, and past them it is stuck.
        let ended = status.wait_for(|now| !now.state.is_live() || now.state == ServiceState::Stuck).await;
        let ended = ended.map_err(|_| RosterError::Ended)?.clone();
        if ended.state == ServiceState::Stuck {
            let reason = ended.reason.unwrap_or_default();
            return Err(RosterError::Stuck { service: service.spec.name.clone(), reason });
        }
        self.jobs_need_all_but(Some(&service.spec.name)).await?;
        self.ask(Unregister { name: unit_name(&service.spec) }).await??;
        if let Some(orchestrator) = self.orchestrator.upgrade() {
            orchestrator.do_send(Strike { service: service.spec.name.clone() });
        }
        Ok(())
    }

    /// Puts the services into the order of the configuration.
    pub fn arrange(&self, names: &[ServiceName]) {
        self.services.arrange(names);
    }

    /// Makes services known to whoever gives out memory.
    pub(super) async fn enlist(&self, services: impl IntoIterator<Item = Supervised>) -> Result<(), RosterError> {
        let orchestrator = self.orchestrator.upgrade().ok_or(RosterError::Ended)?;
        let enlisted = |Supervised { spec, supervisor, status, gate }| Enlisted { spec, supervisor, status, gate };
        Ok(orchestrator.send(Enlist { services: services.into_iter().map(enlisted).collect() }).await?)
    }

    fn find(&self, name: &ServiceName) -> Result<Supervised, RosterError> {
        self.services.find(name.as_str()).ok_or_else(|| RosterError::Unknown(name.clone()))
    }

    fn awaited(&self, spec: &ServiceSpec) -> Result<Vec<Awaited>, RosterError> {
        let awaited = spec.depends_on.iter().map(|dependency| {
            let missing =
                || RosterError::Dependency { service: spec.name.clone(), missing: dependency.service.clone() };
            let service = self.services.find(dependency.service.as_str()).ok_or_else(missing)?;
            let Supervised { status, gate, .. } = service;
            Ok(Awaited { service: dependency.service.clone(), condition: dependency.condition, status, gate })
        });
        awaited.collect()
    }

    fn bound(&self, spec: &ServiceSpec) -> Duration {
        self.drain.saturating_add(spec.stop.grace).saturating_add(KILL_BOUND)
    }

    pub(super) async fn ask<M>(&self, message: M) -> Result<M::Result, RosterError>
    where
        M: Message + Send + 'static,
        M::Result: Send,
        ShutdownCoordinator: actix::Handler<M>,
    {
        let coordinator = self.coordinator.upgrade().ok_or(RosterError::Ended)?;
        Ok(coordinator.send(message).await?)
    }
}

fn needs(spec: &ServiceSpec) -> Vec<UnitName> {
    [HISTORY_UNIT, MEMORY_UNIT]
        .map(str::to_owned)
        .into_iter()
        .chain(spec.depends_on.iter().map(|d| service_unit(&d.service)))
        .collect()
}

pub(super) fn unit_name(spec: &ServiceSpec) -> UnitName {
    match &spec.worker {
        None => service_unit(&spec.name),
        Some(_) => format!("worker:{}", spec.name),
    }
}

fn service_unit(service: &ServiceName) -> UnitName {
    format!("service:{service}")
}
