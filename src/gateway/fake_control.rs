//! A runtime for tests of the control API: what it is told is noted, what it is asked is made up.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    time::Duration,
};

use greenroom_actors::{
    event::{EventBus, EventId, EventStream, Severity},
    history_store::messages::{EventRow, HistoryFilter, HistoryHealth, HistoryState, RequestRow, RunRow, SwapRow},
    ids::Pid,
    job::{JobId, JobState, JobView},
    job_queue::messages::{Contents, JobSpec, ListJobs, SubmitError, Upload},
    memory::{Amounts, NeedSource},
    resource_orchestrator::view::{MemorySnapshot, NeedView, PlanView},
    spec::FailureClass,
    state::{Disposition, ExitReport, ServiceState},
    time::Timestamp,
    watchdog::{board::AlertView, bundle::BundleError},
};
use http_body_util::{BodyExt, Full};
use hyper::{Method, Request, body::Bytes, client::conn::http1};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::{net::UnixStream, sync::watch};

use super::{
    api::Control,
    metrics::page,
    server::{ControlServer, bind},
};
use crate::{
    config::{ConfigErrors, Problem},
    runtime::{
        CommandError, JobCount, JobRefusal, Meant, ReloadError, ReloadReport, ServiceCommand,
        metrics::Metrics,
        view::{
            MemoryView, RestartsView, RuntimeView, ServiceContainmentView, ServiceView, SightView, StatusView, WhyView,
        },
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
    /// Its one job, as it is followed.
    pub followed: watch::Sender<Arc<JobView>>,
}

impl Fake {
    /// One whose service is in this state, and its logs below `dir`.
    pub fn new(dir: &Path, state: ServiceState) -> Self {
        let (followed, _) = watch::channel(Arc::new(made_up(JobState::Running)));
        Self { dir: dir.to_owned(), bus: EventBus::new(7), state, told: Arc::default(), followed }
    }

    /// The job of a runtime whose service is ready has ended.
    fn job_state(&self) -> JobState {
        if self.state == ServiceState::Ready { JobState::Succeeded } else { JobState::Running }
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
        let (alerts, watch) = (self.alerts(), SightView::default());
        StatusView { runtime: self.runtime(), services: vec![self.view()], remotes: Vec::new(), alerts, watch }
    }
    fn alerts(&self) -> Vec<AlertView> {
        let since = Timestamp::from_micros(0);
        let (alert, message, service) = ("runaway".to_owned(), "21 processes".to_owned(), "chat".parse().ok());
        vec![AlertView { alert, severity: Severity::Critical, service, message, since }]
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
    async fn submit_job(&self, spec: JobSpec) -> Result<JobView, JobRefusal> {
        let files: Vec<String> = spec.files.iter().map(noted).collect();
        let params = Value::from(spec.params.clone());
        self.note(format!("submit {} {params} {files:?} {}", spec.job, spec.priority));
        match spec.job.as_str() {
            "image" => Ok(made_up(JobState::Queued)),
            "full" => Err(SubmitError::Full { queued: 9, retry_after: Duration::from_secs(7) }.into()),
            "disk" => Err(SubmitError::NotWritten("the disk is full".to_owned()).into()),
            "picky" => {
                Err(SubmitError::Params(vec!["`a` is missing".to_owned(), "`b` is no number".to_owned()]).into())
            }
            other => Err(SubmitError::UnknownJob { job: other.to_owned(), known: Vec::new() }.into()),
        }
    }
    async fn job(&self, id: JobId) -> Result<Arc<JobView>, JobRefusal> {
        let job = made_up(self.job_state());
        if id == job.id { Ok(Arc::new(job)) } else { Err(JobRefusal::Unknown(id)) }
    }
    async fn jobs(&self, filter: ListJobs) -> Result<Vec<Arc<JobView>>, JobRefusal> {
        self.note(format!("jobs of {:?} in {:?}, {}", filter.job, filter.states, filter.limit));
        Ok(vec![Arc::new(made_up(self.job_state()))])
    }
    async fn find_jobs(&self, meant: Meant) -> Result<Vec<Arc<JobView>>, JobRefusal> {
        Ok(meant.of(std::iter::once(Arc::new(made_up(self.job_state())))))
    }
    async fn job_counts(&self) -> Vec<JobCount> {
        let job = made_up(JobState::Running);
        JobCount::of(std::iter::once((&job.job, job.state)))
    }
    async fn cancel_job(&self, id: JobId) -> Result<JobView, JobRefusal> {
        let job = self.job(id).await?;
        if job.state.is_final() { Err(JobRefusal::Over { id, state: job.state }) } else { Ok(job.as_ref().clone()) }
    }
    async fn retry_job(&self, id: JobId) -> Result<JobView, JobRefusal> {
        let job = self.job(id).await?;
        if job.state.is_final() { Ok(job.as_ref().clone()) } else { Err(JobRefusal::Open { id, state: job.state }) }
    }
    async fn follow_job(&self, id: JobId) -> Result<watch::Receiver<Arc<JobView>>, JobRefusal> {
        self.job(id).await?;
        Ok(self.followed.subscribe())
    }
    async fn history_jobs(&self, filter: HistoryFilter) -> Result<Vec<JobView>, CommandError> {
        self.note(format!("past jobs of {:?}, failed {}, {}", filter.service, filter.failed, filter.limit));
        Ok(vec![made_up(self.job_state())])
    }
    fn max_body(&self) -> u64 {
        4096
    }
    async fn metrics(&self) -> Option<String> {
        let metrics = Metrics::new(7, 3);
        let jobs = self.job_counts().await;
        (self.state == ServiceState::Ready).then(|| page(&self.status(), &jobs, &self.memory(), &metrics))
    }
    async fn bundle(&self) -> Result<PathBuf, BundleError> {
        let path = self.dir.join("greenroom-20251121-090000-asked.tar");
        let written = std::fs::write(&path, "an archive");
        let failed = |source| BundleError::NotWritten { path: path.clone(), source: Arc::new(source) };
        match self.state {
            ServiceState::Ready => written.map_err(failed).map(|()| path.clone()),
            ServiceState::Failed => Err(failed(std::io::ErrorKind::StorageFull.into())),
            _ => Err(BundleError::Stopping),
        }
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

/// The id of the one job there is.
pub(super) const JOB: &str = "01M7YVGCFCM54YTD4HWH511JAP";

/// The one job there is, in this state. One that has ended has made two files.
pub(super) fn made_up(state: JobState) -> JobView {
    let is_over = state.is_final();
    let view = json!({
        "id": JOB, "job": "image", "state": state, "outcome": is_over.then_some(state), "reason": null,
        "params": { "prompt": "a heron" }, "priority": 0, "attempt": 1, "progress": null,
        "submitted": "2026-11-21T09:00:00Z", "started": "2026-11-21T09:00:00Z", "finished": null, "error": null,
        "result": is_over.then(|| json!({ "files": ["out.png", "side/other.txt"], "json": null })),
    });
    serde_json::from_value(view).expect("a job")
}

/// What came with a submission: a file's parameter, its name and its contents.
fn noted(upload: &Upload) -> String {
    let contents = match &upload.contents {
        Contents::Bytes(bytes) => bytes.to_vec(),
        Contents::Moved(path) => std::fs::read(path).expect("it is on the disk"),
    };
    format!("{}={}:{}", upload.param, upload.name, String::from_utf8_lossy(&contents))
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
        self.send(method, path, "", Bytes::new()).await
    }

    /// The answer to the question for a part of what is at `path`.
    pub async fn part(&self, path: &str, headers: &[(&str, &str)]) -> hyper::Response<hyper::body::Incoming> {
        let request = Request::builder().uri(path).header("Host", "x");
        let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        self.ask_for(request, Bytes::new()).await
    }

    /// The answer to a request with a body of this kind.
    pub async fn send(
        &self,
        method: Method,
        path: &str,
        kind: &str,
        body: impl Into<Bytes>,
    ) -> hyper::Response<hyper::body::Incoming> {
        let request = Request::builder().method(method).uri(path).header("Host", "x").header("Content-Type", kind);
        self.ask_for(request, body.into()).await
    }

    async fn ask_for(
        &self,
        request: hyper::http::request::Builder,
        body: Bytes,
    ) -> hyper::Response<hyper::body::Incoming> {
        let stream = UnixStream::connect(self.dir.path().join("s.sock")).await.expect("connected");
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.expect("http");
        actix_rt::spawn(connection);
        let request = request.body(Full::<Bytes>::new(body)).expect("a request");
        sender.send_request(request).await.expect("an answer")
    }

    /// Its status and its body: JSON, or else text.
    pub async fn ask(&self, method: Method, path: &str) -> (u16, Value) {
        Self::read(self.answer(method, path).await).await
    }

    /// The same of a request with a body of this kind.
    pub async fn submit(&self, kind: &str, body: impl Into<Bytes>) -> (u16, Value) {
        Self::read(self.send(Method::POST, "/api/jobs", kind, body).await).await
    }

    async fn read(answer: hyper::Response<hyper::body::Incoming>) -> (u16, Value) {
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
