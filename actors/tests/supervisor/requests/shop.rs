//! A service that can be used, with a job that asks it.

use std::{sync::Arc, time::Duration};

use greenroom_actors::{
    engines::Engines,
    event::{EventBus, EventKind, EventStream},
    job_queue::{
        attempt::{Order, StopWhy},
        runner::{Rim, request},
    },
    lease::Wish,
    process_supervisor::messages::LoadService,
    services::Supervised,
    spec::{
        CleanupAction, CleanupSpec, JobDefinition, JobWork, PortSpec, RequestBody, RequestJob, ServiceSpec, StartMode,
    },
    state::{ServiceState, ServiceStatus},
};
use serde_json::Value;
use tempfile::TempDir;
use tokio::sync::watch;

use crate::{
    jobs::{Begun, Which, definition, rim},
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
        let rim = rim(&house, bus.clone(), dir.path(), stops);
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
        self.begin_as(Which::FIRST, params)
    }

    pub fn begin_number(&self, number: u32, params: Value) -> Begun {
        self.begin_as(Which { number, ..Which::FIRST }, params)
    }

    /// Another attempt at a job that has had its run restarted.
    pub fn begin_again(&self, params: Value) -> Begun {
        self.begin_as(Which { number: 2, has_poisoned: true, ..Which::FIRST }, params)
    }

    fn begin_as(&self, which: Which, params: Value) -> Begun {
        let work = JobWork::Request(self.job.clone());
        let definition = definition("image".parse().expect("a name"), work);
        let definition = Arc::new(JobDefinition { cleanup: self.cleanup.clone(), ..definition });
        let (job, rim) = (self.job.clone(), self.rim.clone());
        let run = |mut attempt, teller| async move { request::run(&mut attempt, &job, &rim, &teller).await };
        Begun::new(self.dir.path(), definition, which, params, run)
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
