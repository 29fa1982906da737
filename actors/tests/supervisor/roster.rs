//! Services that come, change and go while the runtime runs, and the order in which they are stopped in the end.

use std::{sync::Arc, time::Duration};

use actix::Addr;
use greenroom_actors::{
    assembly::{ActorSystem, Foundation, RosterError, Supervised, adopt_kept, assemble, start_eager},
    event::EventBus,
    ids::ServiceName,
    lease::Wish,
    os::{
        containment::{Place, best_effort::BestEffortContainment},
        keep::Found,
        ports::PortPool,
        registry::Registry,
    },
    process_supervisor::messages::StartService,
    shutdown_coordinator::{
        ShutdownCoordinator,
        graph::GraphError,
        messages::{BeginShutdown, StopOutcome},
    },
    spec::{
        ContainmentChoice, Dependency, DependencyCondition, GuardianChoice, HistorySpec, ResourcesSpec, RuntimeSpec,
        ServiceLogSpec, ServiceSpec, ShutdownSpec, StartMode,
    },
    state::{ServiceState, ServiceStatus},
    units::ByteSize,
};
use tempfile::TempDir;

use crate::rig::{PATIENCE, name_helper, script};

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
    coordinator: Addr<ShutdownCoordinator>,
    _dir: TempDir,
}

impl House {
    async fn with(services: Vec<ServiceSpec>) -> Self {
        Self::of(services, ResourcesSpec::default(), EventBus::new(1)).await
    }

    pub async fn of(services: Vec<ServiceSpec>, resources: ResourcesSpec, bus: EventBus) -> Self {
        name_helper();
        let dir = tempfile::tempdir().expect("a state dir");
        let place =
            Place { state_dir: dir.path().to_owned(), instance: "test".to_owned(), incarnation: "one".to_owned() };
        let spec = RuntimeSpec {
            name: "test".to_owned(),
            state_dir: dir.path().to_owned(),
            ports: (42_400, 42_499),
            containment: ContainmentChoice::Auto,
            guardian: GuardianChoice::BestEffort,
            shutdown: ShutdownSpec { deadline: PATIENCE, drain: Duration::from_secs(2) },
            history: HistorySpec {
                path: dir.path().join("history.db"),
                retain: Duration::from_secs(3600),
                max_size: ByteSize(1 << 30),
            },
            service_logs: ServiceLogSpec { max_size: ByteSize(1 << 20), keep: 2 },
            resources,
            gateway: Default::default(),
            metrics: false,
            remotes: Vec::new(),
            services,
        };
        let foundation = Foundation {
            containment: Arc::new(BestEffortContainment::new(&place)),
            registry: Registry::open(dir.path()).expect("a registry"),
            bus,
            ports: PortPool::new(spec.ports.0, spec.ports.1),
            kept: Found::default(),
            spec: Arc::new(spec),
        };
        let actors = assemble(foundation).await.expect("actors");
        let services = actors.roster.services().all();
        adopt_kept(&services);
        start_eager(&services);
        Self { coordinator: actors.coordinator.clone(), actors, _dir: dir }
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
        self.coordinator.do_send(BeginShutdown { reason: "the test is over".to_owned() });
        let report = tokio::time::timeout(PATIENCE, self.actors.stopped).await.expect("in time").expect("a report");
        assert!(report.units.iter().all(|u| u.outcome == StopOutcome::Clean), "{report:?}");
        self.actors.threads.end();
        report.units.into_iter().filter_map(|u| u.name.strip_prefix("service:").map(str::to_owned)).collect()
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
