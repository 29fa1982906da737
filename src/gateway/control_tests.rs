//! The routes against a fake runtime, over a real socket.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::PathBuf,
    sync::{Arc, Mutex},
    time::Duration,
};

use greenroom_actors::{
    event::{EventBus, EventId, EventKind, EventStream},
    history_store::messages::{EventRow, HistoryFilter, HistoryHealth, HistoryState, RequestRow, RunRow, SwapRow},
    ids::Pid,
    memory::{Amounts, NeedSource},
    resource_orchestrator::view::{MemorySnapshot, NeedView, PlanView},
    spec::FailureClass,
    state::{Disposition, ExitReport, ServiceState},
    time::Timestamp,
};
use http_body_util::{BodyExt, Empty};
use hyper::{Method, Request, StatusCode, body::Bytes, client::conn::http1};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::UnixStream;

use super::{
    api::Control,
    metrics::page,
    server::{ControlError, ControlServer, bind},
};
use crate::{
    config::{ConfigErrors, Problem},
    runtime::{
        CommandError, ReloadError, ReloadReport, ServiceCommand,
        metrics::Metrics,
        view::{MemoryView, RestartsView, RuntimeView, ServiceContainmentView, ServiceView, StatusView, WhyView},
    },
};

const SOON: Duration = Duration::from_secs(20);

/// A runtime with one service, `chat`, which starts or not as its state says.
#[derive(Debug, Clone)]
struct Fake {
    dir: PathBuf,
    bus: EventBus,
    state: ServiceState,
    told: Arc<Mutex<Vec<String>>>,
}

impl Fake {
    fn new(dir: &std::path::Path, state: ServiceState) -> Self {
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
    fn state_dir(&self) -> &std::path::Path {
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
struct Served {
    dir: tempfile::TempDir,
    fake: Fake,
    server: ControlServer,
}

impl Served {
    fn new(state: ServiceState) -> Self {
        let dir = tempfile::tempdir().expect("a folder");
        let fake = Fake::new(dir.path(), state);
        let server = bind(&dir.path().join("s.sock"), fake.clone()).expect("bound");
        Self { dir, fake, server }
    }

    async fn answer(&self, method: Method, path: &str) -> hyper::Response<hyper::body::Incoming> {
        let stream = UnixStream::connect(self.dir.path().join("s.sock")).await.expect("connected");
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.expect("http");
        actix_rt::spawn(connection);
        let request = Request::builder().method(method).uri(path).header("Host", "x").body(Empty::<Bytes>::new());
        sender.send_request(request.expect("a request")).await.expect("an answer")
    }

    async fn ask(&self, method: Method, path: &str) -> (u16, Value) {
        let answer = self.answer(method, path).await;
        let status = answer.status().as_u16();
        let body = answer.into_body().collect().await.expect("a body").to_bytes();
        let text = || Value::String(String::from_utf8_lossy(&body).into_owned());
        (status, serde_json::from_slice(&body).unwrap_or_else(|_| text()))
    }

    fn told(&self) -> Vec<String> {
        self.fake.told.lock().expect("no panic").clone()
    }
}

#[actix_rt::test]
async fn reading_routes_answer_with_their_shapes() {
    let served = Served::new(ServiceState::Ready);
    assert_eq!(served.ask(Method::GET, "/health").await, (200, Value::from("OK")));
    assert_eq!(served.ask(Method::GET, "/ready").await.0, 200);
    let (status, body) = served.ask(Method::GET, "/api/status").await;
    assert_eq!((status, &body["runtime"]["epoch"]), (200, &Value::from(7)));
    assert_eq!(served.ask(Method::GET, "/api/services").await.1[0]["name"], "chat");
    let (_, chat) = served.ask(Method::GET, "/api/services/chat").await;
    assert_eq!((&chat["state"], &chat["restarts"]["total"]), (&"ready".into(), &0.into()));
    assert_eq!(served.ask(Method::GET, "/api/services/chat/why").await.1["service"]["name"], "chat");
    assert_eq!(served.ask(Method::GET, "/api/history/runs?service=chat&failed=1&limit=3").await.0, 200);
    assert_eq!(served.told(), ["runs of Some(ServiceName(\"chat\")), failed true, 3"]);
    served.server.stop().await;
}

#[actix_rt::test]
async fn memory_plans_and_swaps_answer_with_their_shapes() {
    let served = Served::new(ServiceState::Ready);
    let (status, memory) = served.ask(Method::GET, "/api/gpus").await;
    assert_eq!((status, &memory["backend"], &memory["reclaim_timeouts"]), (200, &"declared".into(), &2.into()));
    assert!(memory["cards"].is_array() && memory["leases"].is_object() && memory["ram"]["free"] == 0, "{memory}");
    let (status, plan) = served.ask(Method::GET, "/api/plan/chat").await;
    assert_eq!((status, &plan["need"]["vram"], &plan["because"][0]), (200, &7.into(), &"nobody has to leave".into()));
    assert_eq!(served.ask(Method::GET, "/api/history/swaps?service=chat&limit=3").await.0, 200);
    assert_eq!(served.told(), ["swaps of Some(ServiceName(\"chat\")), 3"]);
    served.server.stop().await;
}

#[actix_rt::test]
async fn figures_requests_and_the_document_are_told() {
    let served = Served::new(ServiceState::Ready);
    assert_eq!(served.ask(Method::GET, "/api/history/requests?service=chat&limit=3").await.0, 200);
    assert_eq!(served.told(), ["requests of Some(ServiceName(\"chat\")), 3"]);
    let (status, page) = served.ask(Method::GET, "/metrics").await;
    let page = page.as_str().expect("a text").to_owned();
    assert_eq!(status, 200);
    assert!(page.contains("\ngreenroom_service_state{service=\"chat\",state=\"ready\"} 1\n"), "{page}");
    assert!(page.contains("\ngreenroom_orphans_swept_total 3\n"), "{page}");
    let names = page.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next());
    assert_eq!(names.collect::<Vec<_>>(), super::metrics::NAMES, "all of them, in their order");
    assert_eq!(served.ask(Method::GET, "/api/openapi.json").await.1["openapi"], "3.1.0");
    served.server.stop().await;
}

#[actix_rt::test]
async fn refusals_have_one_shape_and_the_right_status() {
    let served = Served::new(ServiceState::Failed);
    for (method, path, status, code) in [
        (Method::GET, "/api/services/wbe", 404, "service_not_found"),
        (Method::POST, "/api/services/wbe/start", 404, "service_not_found"),
        (Method::GET, "/api/services/..%2f..%2fetc/logs", 404, "service_not_found"),
        (Method::GET, "/api/plan/wbe", 404, "service_not_found"),
        (Method::POST, "/api/plan/chat", 405, "method_not_allowed"),
        (Method::GET, "/api/history/swaps?limit=many", 400, "invalid_request"),
        (Method::GET, "/api/nothing", 404, "not_found"),
        (Method::POST, "/api/services/chat/explode", 404, "not_found"),
        (Method::GET, "/api/services/chat/start", 405, "method_not_allowed"),
        (Method::POST, "/api/status", 405, "method_not_allowed"),
        (Method::POST, "/api/services/chat/start?wait=perhaps", 400, "invalid_request"),
        (Method::GET, "/api/services/chat/logs?tail=many", 400, "invalid_request"),
        (Method::GET, "/api/history/runs?since=soon", 400, "invalid_request"),
        (Method::GET, "/api/events?since=x", 400, "invalid_request"),
        (Method::GET, "/api/history/events", 500, "history_unavailable"),
        (Method::GET, "/ready", 503, "not_ready"),
        (Method::GET, "/metrics", 404, "metrics_disabled"),
        (Method::POST, "/metrics", 405, "method_not_allowed"),
        (Method::GET, "/api/history/requests?failed=perhaps", 400, "invalid_request"),
        (Method::POST, "/api/services/chat/start", 502, "start_failed"),
        (Method::POST, "/api/reload", 409, "not_reloadable"),
        (Method::GET, "/api/reload", 405, "method_not_allowed"),
    ] {
        let (got, body) = served.ask(method.clone(), path).await;
        assert_eq!((got, &body["error"]["code"]), (status, &code.into()), "{method} {path}: {body}");
        assert_eq!(body["src"], "greenroom");
        let kind = if status < 500 { "invalid_request_error" } else { "server_error" };
        assert_eq!(body["error"]["type"], kind, "{path}");
    }
    let (_, body) = served.ask(Method::POST, "/api/services/chat/start").await;
    assert_eq!(body["error"]["class"], "oom_gpu");
    assert_eq!(body["error"]["stderr"][0], "out of memory");
    served.server.stop().await;
}

#[actix_rt::test]
async fn commands_wait_or_do_not() {
    let served = Served::new(ServiceState::Ready);
    assert_eq!(served.ask(Method::POST, "/api/services/chat/restart").await.0, 200);
    assert_eq!(served.ask(Method::POST, "/api/services/chat/stop?wait=false").await.0, 202);
    assert_eq!(served.ask(Method::POST, "/api/shutdown").await.0, 202);
    assert_eq!(served.ask(Method::POST, "/api/shutdown?force=1").await.0, 202);
    assert_eq!(served.told(), ["carry out Restart", "tell Stop", "shutdown", "force"]);
    served.server.stop().await;
}

#[actix_rt::test]
async fn a_reload_answers_with_its_report_or_with_every_problem() {
    let served = Served::new(ServiceState::Ready);
    let (status, body) = served.ask(Method::POST, "/api/reload").await;
    assert_eq!((status, &body["unchanged"]), (200, &Value::from(0)), "{body}");
    assert_eq!(served.ask(Method::POST, "/api/reload?wait=false").await.0, 202);
    assert_eq!(served.told(), ["reload, wait true", "reload, wait false"]);
    served.server.stop().await;
    let served = Served::new(ServiceState::Stopped);
    let (status, body) = served.ask(Method::POST, "/api/reload").await;
    assert_eq!((status, &body["error"]["code"]), (400, &Value::from("bad_config")), "{body}");
    assert_eq!(body["error"]["problems"][0]["message"], "it is empty");
    assert!(body["error"]["message"].as_str().is_some_and(|text| text.ends_with("greenroom.toml: it is empty")));
    served.server.stop().await;
}

#[actix_rt::test]
async fn logs_are_streamed_and_followed_until_the_server_closes() {
    let served = Served::new(ServiceState::Ready);
    let log = served.dir.path().join("logs/chat");
    fs::create_dir_all(&log).expect("made");
    fs::write(log.join("current.log"), "one\ntwo\n").expect("written");
    assert_eq!(served.ask(Method::GET, "/api/services/chat/logs?tail=1").await.1, Value::from("two\n"));
    let mut answer = served.answer(Method::GET, "/api/services/chat/logs?tail=1&follow=1").await.into_body();
    let first = answer.frame().await.expect("a frame").expect("whole").into_data().expect("data");
    assert_eq!(&first[..], b"two\n");
    fs::write(log.join("current.log"), "one\ntwo\nthree\n").expect("written");
    let more = tokio::time::timeout(SOON, answer.frame()).await.expect("soon").expect("a frame").expect("whole");
    assert_eq!(&more.into_data().expect("data")[..], b"three\n");
    tokio::time::timeout(SOON, served.server.stop()).await.expect("stopped");
    let end = tokio::time::timeout(SOON, answer.frame()).await.expect("soon");
    assert!(end.is_none_or(|frame| frame.is_err()));
}

#[actix_rt::test]
async fn events_resume_where_a_client_was() {
    let served = Served::new(ServiceState::Ready);
    for n in 1..=3 {
        served.fake.bus.emit(EventKind::RuntimeState { state: n.to_string(), reason: None });
    }
    let (status, body) = served.ask(Method::GET, "/api/events?since=7-1&follow=0").await;
    let text = body.as_str().unwrap_or_default();
    assert_eq!(status, 200);
    assert!(!text.contains("id: 7-1\n") && text.contains("id: 7-2\n") && text.contains("id: 7-3\n"), "{text}");
    served.server.stop().await;
}

#[actix_rt::test]
async fn closing_is_quick_private_and_leaves_no_file() {
    let served = Served::new(ServiceState::Starting);
    let socket = served.dir.path().join("s.sock");
    let mode = fs::metadata(&socket).expect("there").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let stream = served.answer(Method::GET, "/api/events").await;
    let began = greenroom_actors::os::clock::now();
    let (waiting, ()) = tokio::join!(served.answer(Method::POST, "/api/services/chat/start"), async {
        while served.told().is_empty() {
            tokio::task::yield_now().await;
        }
        served.server.closing_for_test();
    });
    assert_eq!(waiting.status(), StatusCode::SERVICE_UNAVAILABLE);
    drop(stream);
    served.server.stop().await;
    assert!(began.elapsed() < SOON && !socket.exists());
}

#[actix_rt::test]
async fn a_stale_file_is_replaced_and_a_long_path_refused() {
    let dir = tempfile::tempdir().expect("a folder");
    let socket = dir.path().join("s.sock");
    drop(std::os::unix::net::UnixListener::bind(&socket).expect("bound"));
    let fake = Fake::new(dir.path(), ServiceState::Ready);
    bind(&socket, fake.clone()).expect("a stale socket is replaced").stop().await;
    fs::write(&socket, "rubbish").expect("written");
    bind(&socket, fake.clone()).expect("rubbish is replaced").stop().await;
    let long = dir.path().join("x".repeat(120));
    assert!(matches!(bind(&long, fake), Err(ControlError::PathTooLong(_))));
}
