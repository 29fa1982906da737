//! Services that come, change and go while the runtime runs, and the order in which they are stopped in the end.

use std::{sync::Arc, time::Duration};

use actix::Addr;
use greenroom_actors::{
    assembly::{About, ActorSystem, Foundation, RosterError, adopt_kept, assemble, start_eager},
    event::{EventBus, EventKind, Severity},
    ids::ServiceName,
    job::{JobId, JobState},
    job_queue::{
        messages::{FollowJob, JobSpec, RedefineJobs, Submit},
        runner::far::Far,
    },
    lease::Wish,
    os::{
        clock,
        containment::{Containment, Place, best_effort::BestEffortContainment},
        keep::Found,
        ports::PortPool,
        registry::Registry,
    },
    process_supervisor::messages::StartService,
    services::Supervised,
    shutdown_coordinator::{
        ShutdownCoordinator,
        graph::GraphError,
        messages::{BeginShutdown, StopOutcome},
    },
    spec::{
        ContainmentChoice, Dependency, DependencyCondition, GuardianChoice, HistorySpec, JobDefinition, JobWork,
        ProcessJob, ResourcesSpec, RuntimeSpec, ServiceLogSpec, ServiceSpec, ShutdownSpec, StartMode, WatchdogSpec,
        WorkerSpec,
    },
    state::{ServiceState, ServiceStatus},
    units::ByteSize,
};
use tempfile::TempDir;

use crate::{
    jobs::definition,
    ports::Ports,
    rig::{PATIENCE, name_helper, script},
};

fn named(name: &str, needs: &[&str]) -> ServiceSpec {
    let depends_on = needs
        .iter()
        .map(|needed| Dependency { service: needed.parse().expect("a name"), condition: DependencyCondition::Ready });
    let depends_on = depends_on.collect();
    ServiceSpec { name: name.parse().expect("a name"), start: StartMode::Eager, depends_on, ..script("sleep 1000") }
}

fn name(name: &str) -> ServiceName {
    name.parse().expect("a name")
}

pub struct House {
    pub actors: ActorSystem,
    pub containment: Arc<dyn Containment>,
    coordinator: Addr<ShutdownCoordinator>,
    pub dir: TempDir,
    _ports: Ports,
}

impl House {
    async fn with(services: Vec<ServiceSpec>) -> Self {
        Self::of(services, ResourcesSpec::default(), EventBus::new(1)).await
    }

    pub async fn of(services: Vec<ServiceSpec>, resources: ResourcesSpec, bus: EventBus) -> Self {
        Self::with_jobs(services, Vec::new(), resources, bus).await
    }

    pub async fn with_jobs(
        services: Vec<ServiceSpec>,
        jobs: Vec<JobDefinition>,
        resources: ResourcesSpec,
        bus: EventBus,
    ) -> Self {
        Self::build(services, jobs, resources, WatchdogSpec::default(), bus).await
    }

    pub async fn watched(services: Vec<ServiceSpec>, watchdog: WatchdogSpec, bus: EventBus) -> Self {
        Self::build(services, Vec::new(), ResourcesSpec::default(), watchdog, bus).await
    }

    async fn build(
        services: Vec<ServiceSpec>,
        jobs: Vec<JobDefinition>,
        resources: ResourcesSpec,
        watchdog: WatchdogSpec,
        bus: EventBus,
    ) -> Self {
        name_helper();
        let (dir, ports) = (tempfile::tempdir().expect("a state dir"), Ports::claim());
        let place =
            Place { state_dir: dir.path().to_owned(), instance: "test".to_owned(), incarnation: "one".to_owned() };
        let spec = RuntimeSpec {
            name: "test".to_owned(),
            state_dir: dir.path().to_owned(),
            ports: ports.range,
            containment: ContainmentChoice::Auto,
            guardian: GuardianChoice::BestEffort,
            shutdown: ShutdownSpec {
                deadline: PATIENCE,
                drain: Duration::from_secs(2),
                running_jobs: Default::default(),
            },
            history: HistorySpec {
                path: dir.path().join("history.db"),
                retain: Duration::from_secs(3600),
                max_size: ByteSize(1 << 30),
            },
            service_logs: ServiceLogSpec { max_size: ByteSize(1 << 20), keep: 2 },
            resources,
            gateway: Default::default(),
            watchdog,
            metrics: false,
            remotes: Vec::new(),
            services,
            jobs,
        };
        let containment: Arc<dyn Containment> = Arc::new(BestEffortContainment::new(&place));
        let foundation = Foundation {
            containment: Arc::clone(&containment),
            registry: Registry::open(dir.path()).expect("a registry"),
            bus,
            ports: PortPool::new(spec.ports.0, spec.ports.1),
            kept: Found::default(),
            far: Far::default(),
            post: None,
            about: About { version: "0".to_owned(), started: clock::wall(), config: Default::default() },
            spec: Arc::new(spec),
        };
        let actors = assemble(foundation).await.expect("actors");
        let services = actors.roster.services().all();
        adopt_kept(&services);
        start_eager(&services);
        Self { coordinator: actors.coordinator.clone(), actors, containment, dir, _ports: ports }
    }

    pub fn find(&self, name: &str) -> Supervised {
        self.actors.roster.services().find(name).expect("the service")
    }

    fn names(&self) -> Vec<String> {
        self.actors.roster.services().all().iter().map(|s| s.spec.name.to_string()).collect()
    }

    async fn ready(&self, name: &str) -> ServiceStatus {
        until(&self.find(name), |s| s.state == ServiceState::Ready).await
    }

    /// The end, with the order in which services ended.
    pub async fn stop(self) -> Vec<String> {
        let units = self.stop_all().await;
        units.into_iter().filter_map(|unit| unit.strip_prefix("service:").map(str::to_owned)).collect()
    }

    /// The end, with the order in which all units ended.
    async fn stop_all(self) -> Vec<String> {
        self.coordinator.do_send(BeginShutdown { reason: "the test is over".to_owned() });
        let report = tokio::time::timeout(PATIENCE, self.actors.stopped).await.expect("in time").expect("a report");
        assert!(report.units.iter().all(|u| u.outcome == StopOutcome::Clean), "{report:?}");
        self.actors.threads.end();
        report.units.into_iter().map(|unit| unit.name).collect()
    }
}

pub async fn until(service: &Supervised, wanted: impl FnMut(&ServiceStatus) -> bool) -> ServiceStatus {
    let mut status = service.status.clone();
    let waited = tokio::time::timeout(PATIENCE, status.wait_for(wanted)).await;
    waited.expect("in time").expect("the supervisor lives").clone()
}

#[actix_rt::test]
async fn an_added_service_waits_for_its_dependencies_and_is_stopped_before_them() {
    let house = House::with(vec![named("db", &[])]).await;
    let roster = house.actors.roster.clone();
    let missing = roster.add(Arc::new(named("web", &["cache"]))).await.expect_err("there is no cache");
    assert_eq!(missing, RosterError::Dependency { service: name("web"), missing: name("cache") });
    roster.add(Arc::new(named("cache", &["db"]))).await.expect("added");
    let web = roster.add(Arc::new(named("web", &["cache"]))).await.expect("added");
    let twice = roster.add(Arc::new(named("web", &[]))).await.expect_err("it is there");
    assert_eq!(twice, RosterError::Graph(GraphError::Duplicate("service:web".to_owned())));
    assert_eq!(house.names(), ["db", "cache", "web"]);

    web.supervisor.upgrade().expect("it lives").do_send(StartService { wish: Wish::Wanted });
    until(&web, |s| s.reason.as_deref() == Some("waits for cache to be ready")).await;
    start_eager(&roster.services().all());
    house.ready("web").await;
    assert_eq!(house.stop().await, ["web", "cache", "db"]);
}

#[actix_rt::test]
async fn what_needed_attention_about_a_service_is_over_when_it_is_taken_out() {
    let bus = EventBus::new(1);
    let house = House::of(vec![named("db", &[]), named("web", &[])], ResourcesSpec::default(), bus.clone()).await;
    for (alert, service) in [("dirty", "db"), ("dirty", "web"), ("job_stuck", "web")] {
        let (alert, severity, service) = (alert.to_owned(), Severity::Warning, Some(name(service)));
        bus.emit(EventKind::AlertRaised { alert, severity, service, message: String::new() });
    }
    house.actors.roster.remove(&name("web")).await.expect("removed");
    let left: Vec<_> = bus.standing().into_iter().map(|alert| (alert.alert, alert.service)).collect();
    assert_eq!(left, [("dirty".to_owned(), Some(name("db")))]);
    let ends = bus.last_about(&name("web"), 99).into_iter().filter(|event| event.kind.name() == "alert.cleared");
    assert_eq!(ends.count(), 2, "whoever listens is told");
    assert_eq!(house.stop().await, ["db"]);
}

#[actix_rt::test]
async fn a_removed_service_is_drained_and_stopped_and_makes_room_for_another_of_its_name() {
    let house = House::with(vec![named("db", &[]), named("web", &["db"])]).await;
    let roster = house.actors.roster.clone();
    let before = house.ready("web").await;
    let needed = roster.remove(&name("db")).await.expect_err("web needs it");
    assert!(matches!(needed, RosterError::Graph(GraphError::Needed { .. })), "{needed:?}");

    let (web, permit) = (house.find("web"), house.find("web").gate.enter().expect("open"));
    let leaving = actix_rt::spawn(async move {
        until(&web, |s| s.state == ServiceState::Draining).await;
        drop(permit);
    });
    roster.remove(&name("web")).await.expect("removed");
    leaving.await.expect("it drained");
    assert!(!crate::rig::runs(&before.pid.expect("a pid").to_string()));
    assert_eq!(roster.remove(&name("web")).await, Err(RosterError::Unknown(name("web"))));
    assert_eq!(house.names(), ["db"]);

    roster.add(Arc::new(named("web", &[]))).await.expect("added");
    roster.arrange(&[name("web"), name("db")]);
    assert_eq!(house.names(), ["web", "db"]);
    start_eager(&roster.services().all());
    house.ready("web").await;
    let ended = house.stop().await;
    assert_eq!(ended.len(), 2, "{ended:?}");
}

#[actix_rt::test]
async fn a_changed_service_waits_and_is_stopped_by_its_new_dependencies() {
    let house = House::with(vec![named("a", &[]), named("b", &["a"])]).await;
    let roster = house.actors.roster.clone();
    house.ready("b").await;
    let circle = roster.reconfigure(Arc::new(named("a", &["b"])), false).await.expect_err("a circle");
    assert!(matches!(circle, RosterError::Graph(GraphError::Circle { .. })), "{circle:?}");
    let (a, b) = (house.ready("a").await, house.ready("b").await);
    // The other way round: first the one that lets go.
    roster.reconfigure(Arc::new(named("b", &[])), false).await.expect("changed");
    roster.reconfigure(Arc::new(named("a", &["b"])), false).await.expect("changed");
    assert_eq!((house.ready("a").await.pid, house.ready("b").await.pid), (a.pid, b.pid));
    let spec = Arc::new(ServiceSpec { gpu_layers: greenroom_actors::spec::GpuLayers::All, ..named("a", &["b"]) });
    roster.reconfigure(Arc::clone(&spec), true).await.expect("changed");
    let run = a.run_id;
    until(&house.find("a"), |s| s.state == ServiceState::Ready && s.run_id != run).await;
    assert_eq!(house.find("a").spec, spec);
    assert_eq!(house.stop().await, ["a", "b"]);
}

/// A kind of job that is done by a process of its own.
fn job(name: &str, max_parallel: u32) -> JobDefinition {
    let name: ServiceName = name.parse().expect("a name");
    let worker = Some(WorkerSpec { job: name.clone(), progress: None, task: None });
    let service = ServiceSpec { name: name.clone(), worker, start: StartMode::OnDemand, ..script("true") };
    let process = ProcessJob { service, clip_on_cpu: None, vae_on_cpu: None, batch_size: None };
    let keep_output = Duration::from_secs(3600);
    JobDefinition { max_parallel, keep_output, ..definition(name, JobWork::Process(Box::new(process))) }
}

#[actix_rt::test]
async fn jobs_are_stopped_before_every_worker_and_service_also_before_those_that_came_later() {
    let jobs = vec![job("image", 2)];
    let house = House::with_jobs(vec![named("db", &[])], jobs, ResourcesSpec::default(), EventBus::new(1)).await;
    let roster = house.actors.roster.clone();
    let workers = || roster.workers().all().iter().map(|worker| worker.spec.name.to_string()).collect::<Vec<_>>();
    assert_eq!(workers(), ["image", "image.2"]);
    assert_eq!(house.names(), ["db"], "workers are no services");
    roster.add(Arc::new(named("late", &["db"]))).await.expect("added");
    let kinds = [job("image", 1), job("video", 1)];
    roster.add_workers(&kinds).await.expect("added");
    house.actors.jobs.do_send(RedefineJobs(kinds.into_iter().map(Arc::new).collect()));
    assert_eq!(workers(), ["image", "image.2", "video"], "what is there stays");
    roster.remove_worker(&name("image.2")).await.expect("removed");
    roster.reconfigure(Arc::new(named("late", &[])), false).await.expect("changed");
    roster.add(Arc::new(named("gone", &[]))).await.expect("added");
    roster.remove(&name("gone")).await.expect("nothing but the jobs needs it");
    assert_eq!(workers(), ["image", "video"]);
    let id = submit(&house, "video").await;
    until_over(&house, id).await;
    let order = house.stop_all().await;
    let place =
        |unit: &str| order.iter().position(|other| other == unit).unwrap_or_else(|| panic!("{unit}: {order:?}"));
    for unit in ["worker:image", "worker:video", "service:db", "service:late", "memory", "history"] {
        assert!(place("jobs") < place(unit), "{order:?}");
    }
}

async fn submit(house: &House, kind: &str) -> JobId {
    house.actors.jobs.send(Submit(JobSpec::new(kind))).await.expect("it lives").expect("accepted").id
}

async fn until_over(house: &House, id: JobId) {
    let view = house.actors.jobs.send(FollowJob(id)).await.expect("it lives");
    let mut view = view.expect("the job");
    let over = view.wait_for(|view| view.state.is_final());
    let state = tokio::time::timeout(PATIENCE, over).await.expect("in time").expect("before its end").state;
    assert_eq!(state, JobState::Succeeded);
}
