//! A runtime for tests of the control API: what it is told is noted, what it is asked is made up.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};

use greenroom_actors::{
    event::{EventBus, EventId, EventStream},
    history_store::messages::{EventRow, HistoryFilter, HistoryHealth, HistoryState, RequestRow, RunRow, SwapRow},
    ids::Pid,
    memory::{Amounts, NeedSource},
    resource_orchestrator::view::{MemorySnapshot, NeedView, PlanView},
    spec::FailureClass,
    state::{Disposition, ExitReport, ServiceState},
    time::Timestamp,
};
use http_body_util::{BodyExt, Empty};
use hyper::{Method, Request, body::Bytes, client::conn::http1};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::UnixStream;

use super::{
    api::Control,
    metrics::page,
    server::{ControlServer, bind},
};
use crate::{
    config::{ConfigErrors, Problem},
    runtime::{
        CommandError, ReloadError, ReloadReport, ServiceCommand,
        metrics::Metrics,
        view::{MemoryView, RestartsView, RuntimeView, ServiceContainmentView, ServiceView, StatusView, WhyView},
    },
};

/// A runtime with one service, `chat`, which starts or not as its state says.
#[derive(Debug, Clone)]
pub(super) struct Fake {
    dir: PathBuf,
    /// What it tells to those who listen.
    pub bus: EventBus,
    state: ServiceState,
    told: Arc<Mutex<Vec<String>>>,
}

impl Fake {
    /// One whose service is in this state, and its logs below `dir`.
    pub fn new(dir: &Path, state: ServiceState) -> Self {
        Self { dir: dir.to_owned(), bus: EventBus::new(7), state, told: Arc::default() }
    }

    fn note(&self, what: impl Into<String>) {
        self.told.lock().expect("no panic").push(what.into());
    }

    fn view(&self) -> ServiceView {
        let at = Timestamp::from_micros(0);
        let exit = ExitReport {
            code: Some(1),
            signal: None,
            class: Some(FailureClass::OomGpu),
            stderr: vec!["out of memory".to_owned()],
            at,
        };
        ServiceView {
            name: "chat".parse().expect("a name"),
            engine: "generic".to_owned(),
            state: self.state,
            disposition: Disposition::Up,
            reason: None,
            pid: None,
            run_id: None,
            since: at,
            ready_since: None,
            restarts: RestartsView { consecutive: 0, total: 0 },
            endpoint: None,
            serves: vec!["chat".to_owned()],
            depends_on: Vec::new(),
            containment: ServiceContainmentView { kind: "cgroup".to_owned(), processes: 0 },
            loaded_in: None,
            in_flight: 0,
            max_concurrency: None,
            in_line: 0,
            waiting: Vec::new(),
            idle_for: None,
            load: None,
            lease: None,
            need: None,
            refusal: None,
            memory: MemoryView::default(),
            last_exit: Some(exit),
            next_start: None,
        }
    }
}

impl Control for Fake {
    fn state_dir(&self) -> &Path {
        &self.dir
    }
    fn status(&self) -> StatusView {
        StatusView { runtime: self.runtime(), services: vec![self.view()], remotes: Vec::new() }
    }
    fn runtime(&self) -> RuntimeView {
        RuntimeView {
            name: "fake".to_owned(),
            version: "0".to_owned(),
            state: "running".to_owned(),
            pid: Pid(1),
            guardian: None,
            state_dir: self.dir.display().to_string(),
            started: Timestamp::from_micros(0),
            epoch: 7,
            containment: "cgroup".to_owned(),
            containment_root: "/".to_owned(),
            containment_limits: Vec::new(),
            gateway: Vec::new(),
            history: HistoryHealth { state: HistoryState::Ok, buffered: 0, dropped: 0 },
        }
    }
    fn service(&self, name: &str) -> Result<ServiceView, CommandError> {
        let unknown = || CommandError::UnknownService { name: name.to_owned(), known: vec!["chat".to_owned()] };
        if name == "chat" { Ok(self.view()) } else { Err(unknown()) }
    }
    fn tell(&self, name: &str, command: ServiceCommand) -> Result<(), CommandError> {
        self.service(name)?;
        self.note(format!("tell {command:?}"));
        Ok(())
    }
    async fn carry_out(&self, name: &str, command: ServiceCommand) -> Result<ServiceView, CommandError> {
        let view = self.service(name)?;
        self.note(format!("carry out {command:?}"));
        match self.state {
            ServiceState::Ready => Ok(view),
            ServiceState::Starting => std::future::pending().await,
            _ => Err(CommandError::NotReached(Box::new(view))),
        }
    }
    async fn why(&self, name: &str) -> Result<WhyView, CommandError> {
        Ok(WhyView { service: self.service(name)?, because: Vec::new(), remedy: Vec::new(), recent: Vec::new() })
    }
    fn memory(&self) -> Arc<MemorySnapshot> {
        Arc::new(MemorySnapshot { backend: "declared".to_owned(), reclaim_timeouts: 2, ..MemorySnapshot::default() })
    }
    async fn plan(&self, name: &str) -> Result<PlanView, CommandError> {
        let service = self.service(name)?.name;
        let (source, ram_source) = (NeedSource::User, NeedSource::Nothing);
        Ok(PlanView {
            service,
            resident: false,
            need: NeedView { source, vram: Some(7), ram: 0, ram_source, layers: None },
            gpus: Vec::new(),
            gpu_layers: None,
            lease: Amounts::default(),
            offload: Vec::new(),
            refusal: None,
            because: vec!["nobody has to leave".to_owned()],
        })
    }
    fn events(&self, after: Option<EventId>) -> EventStream {
        self.bus.subscribe(after)
    }
    async fn history_runs(&self, filter: HistoryFilter) -> Result<Vec<RunRow>, CommandError> {
        self.note(format!("runs of {:?}, failed {}, {}", filter.service, filter.failed, filter.limit));
        Ok(Vec::new())
    }
    async fn history_events(&self, _: HistoryFilter) -> Result<Vec<EventRow>, CommandError> {
        Err(CommandError::History("the disk is gone".to_owned()))
    }
    async fn history_swaps(&self, filter: HistoryFilter) -> Result<Vec<SwapRow>, CommandError> {
        self.note(format!("swaps of {:?}, {}", filter.service, filter.limit));
        Ok(Vec::new())
    }
    async fn history_requests(&self, filter: HistoryFilter) -> Result<Vec<RequestRow>, CommandError> {
        self.note(format!("requests of {:?}, {}", filter.service, filter.limit));
        Ok(Vec::new())
    }
    fn metrics(&self) -> Option<String> {
        let metrics = Metrics::new(7, 3);
        (self.state == ServiceState::Ready).then(|| page(&self.status(), &self.memory(), &metrics))
    }
    async fn reload(&self, wait: bool) -> Result<ReloadReport, ReloadError> {
        self.note(format!("reload, wait {wait}"));
        match self.state {
            ServiceState::Ready => Ok(ReloadReport::default()),
            ServiceState::Failed => Err(ReloadError::NoSource),
            _ => {
                let problem = Problem::whole("greenroom.toml", "it is empty");
                Err(ReloadError::Config(ConfigErrors(vec![problem])))
            }
        }
    }
    fn begin_shutdown(&self, _: &str) {
        self.note("shutdown");
    }
    fn force_shutdown(&self) {
        self.note("force");
    }
}

/// A served fake.
pub(super) struct Served {
    pub dir: tempfile::TempDir,
    pub fake: Fake,
    pub server: ControlServer,
}

impl Served {
    /// With its service in this state.
    pub fn new(state: ServiceState) -> Self {
        let dir = tempfile::tempdir().expect("a folder");
        let fake = Fake::new(dir.path(), state);
        let server = bind(&dir.path().join("s.sock"), fake.clone()).expect("bound");
        Self { dir, fake, server }
    }

    /// The answer to a request, as it comes.
    pub async fn answer(&self, method: Method, path: &str) -> hyper::Response<hyper::body::Incoming> {
        let stream = UnixStream::connect(self.dir.path().join("s.sock")).await.expect("connected");
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.expect("http");
        actix_rt::spawn(connection);
        let request = Request::builder().method(method).uri(path).header("Host", "x").body(Empty::<Bytes>::new());
        sender.send_request(request.expect("a request")).await.expect("an answer")
    }

    /// Its status and its body: JSON, or else text.
    pub async fn ask(&self, method: Method, path: &str) -> (u16, Value) {
        let answer = self.answer(method, path).await;
        let status = answer.status().as_u16();
        let body = answer.into_body().collect().await.expect("a body").to_bytes();
        let text = || Value::String(String::from_utf8_lossy(&body).into_owned());
        (status, serde_json::from_slice(&body).unwrap_or_else(|_| text()))
    }

    /// What the runtime was told, in order.
    pub fn told(&self) -> Vec<String> {
        self.fake.told.lock().expect("no panic").clone()
    }
}
