//! A service that can be used, with a job that asks it.

use std::{sync::Arc, time::Duration};

use actix::Actor;
use greenroom_actors::{
    engines::Engines,
    event::{EventBus, EventKind, EventStream},
    gate::Ticket,
    job::JobId,
    job_queue::{
        attempt::{Attempt, JobFolder, Order, StopWhy, Teller},
        runner::{Rim, far::Far, request, tidy::Tidy},
    },
    lease::Wish,
    os::clock,
    process_supervisor::messages::LoadService,
    services::Supervised,
    spec::{
        CleanupAction, CleanupSpec, JobDefinition, JobWork, PortSpec, RequestBody, RequestJob, ServiceSpec, StartMode,
    },
    state::{ServiceState, ServiceStatus},
};
use serde_json::Value;
use tempfile::TempDir;
use tokio::sync::{mpsc, watch};

use crate::{
    jobs::{Begun, Hears},
    rig::{PATIENCE, script},
    roster::{House, until},
};

/// A PNG, as far as anybody here looks.
pub const PNG: &str = "iVBORw0KGgoAAAANSUhEUg==";

pub fn service(engine: &str, text: &str) -> ServiceSpec {
    let mut spec = ServiceSpec { name: "webui".parse().expect("a name"), ..script(text) };
    spec.engine = Engines::built_in().named(engine).expect("an engine");
    spec.port = Some(PortSpec::Assigned);
    spec.start = StartMode::OnDemand;
    spec.memory.offload.drain = PATIENCE;
    spec
}

/// A service that can be used, with a job that asks it.
pub struct Shop {
    pub house: House,
    pub rim: Rim,
    pub stopping: watch::Sender<bool>,
    pub events: EventStream,
    pub job: RequestJob,
    pub cleanup: CleanupSpec,
    pub dir: TempDir,
}

impl Shop {
    pub async fn new(spec: ServiceSpec, path: &str) -> Self {
        Self::at(spec, path, EventBus::new(1)).await
    }

    pub async fn at(spec: ServiceSpec, path: &str, bus: EventBus) -> Self {
        let dir = tempfile::tempdir().expect("a folder");
        let job = RequestJob {
            service: spec.name.clone(),
            method: "POST".to_owned(),
            path: path.to_owned(),
            body: RequestBody::Params,
        };
        let house = House::of(vec![spec], Default::default(), bus.clone()).await;
        let (stopping, stops) = watch::channel(false);
        let rim = Rim {
            services: house.actors.roster.services().clone(),
            workers: Default::default(),
            memory: house.actors.memory.clone(),
            orchestrator: house.actors.orchestrator.downgrade(),
            bus: bus.clone(),
            state_dir: dir.path().to_owned(),
            max_waiting: 8,
            stopping: stops,
            containment: Arc::clone(&house.containment),
            far: Far::default(),
            tidy: Tidy::default(),
            witness: Default::default(),
        };
        let events = bus.subscribe(None);
        Self { house, rim, stopping, events, job, cleanup: CleanupSpec::default(), dir }
    }

    pub fn service(&self) -> Supervised {
        self.house.find("webui")
    }

    /// Loads it, and gives its port.
    pub async fn load(&self) -> (u16, ServiceStatus) {
        let service = self.service();
        let supervisor = service.supervisor.upgrade().expect("a supervisor");
        supervisor.do_send(LoadService { wish: Wish::Wanted, lifts: true });
        let status = until(&service, |status| status.state == ServiceState::Ready).await;
        (status.port.expect("a port"), status)
    }

    pub fn begin(&self, params: Value) -> Begun {
        self.begin_number(1, params)
    }

    pub fn begin_number(&self, number: u32, params: Value) -> Begun {
        self.begin_as(number, false, params)
    }

    /// Another attempt at a job that has had its run restarted.
    pub fn begin_again(&self, params: Value) -> Begun {
        self.begin_as(2, true, params)
    }

    fn begin_as(&self, number: u32, has_poisoned: bool, params: Value) -> Begun {
        let Value::Object(params) = params else { panic!("an object") };
        let id = JobId::fresh();
        let folder = JobFolder::of(self.dir.path(), id);
        let (order, ordered) = watch::channel(Order::Go);
        let definition = JobDefinition {
            name: "image".parse().expect("a name"),
            serves: Vec::new(),
            params: Vec::new(),
            work: JobWork::Request(self.job.clone()),
            timeout: Duration::ZERO,
            retries: 0,
            max_parallel: 1,
            keep_output: Duration::ZERO,
            cleanup: self.cleanup.clone(),
        };
        let mut attempt = Attempt {
            id,
            number,
            definition: Arc::new(definition),
            params,
            folder: folder.clone(),
            ticket: Ticket { arrival: clock::now(), priority: 0 },
            slot: 1,
            has_poisoned,
            order: ordered,
        };
        let (told, news) = mpsc::unbounded_channel();
        let (job, rim) = (self.job.clone(), self.rim.clone());
        let teller = Teller::new(id, number, Hears(told).start().recipient());
        let task = actix_rt::spawn(async move { request::run(&mut attempt, &job, &rim, &teller).await });
        Begun { news, order, folder, task }
    }

    /// The next alert, raised or cleared, as it is told.
    pub async fn alert(&mut self) -> String {
        let search = async {
            loop {
                match self.events.next().await.expect("the bus lives").kind {
                    EventKind::AlertRaised { alert, message, .. } => return format!("{alert}: {message}"),
                    EventKind::AlertCleared { alert, .. } => return format!("{alert} cleared"),
                    _ => {}
                }
            }
        };
        tokio::time::timeout(PATIENCE, search).await.expect("an alert")
    }

    pub async fn stop(self) {
        self.stopping.send_replace(true);
        self.house.stop().await;
    }
}

pub fn stop(begun: &Begun) {
    begun.order.send_replace(Order::Stop(StopWhy::Cancelled));
}

/// Waits until a condition of this test is so, which has nobody who tells.
pub async fn soon(what: &str, is: impl Fn() -> bool) {
    let wait = async {
        while !is() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    assert!(tokio::time::timeout(PATIENCE, wait).await.is_ok(), "it never was so: {what}");
}

pub fn http(path: &str) -> CleanupAction {
    CleanupAction::Http { method: "POST".to_owned(), path: path.to_owned() }
}
