//! Jobs by requests to a service, with real supervisors and processes, and the service's HTTP in the test.

use std::{cell::Cell, fs, rc::Rc, sync::Arc, time::Duration};

use actix::Actor;
use futures_util::FutureExt;
use greenroom_actors::{
    engines::Engines,
    event::{EventBus, EventKind, EventStream},
    failure::FailureClass,
    gate::Ticket,
    job::JobId,
    job_queue::{
        attempt::{Attempt, AttemptEnd, AttemptNews, JobFolder, Order, StopWhy, Teller},
        runner::{
            Rim,
            far::{Far, FarWires},
            request,
            tidy::Tidy,
            wire::{Letter, Local, Sending, Wire},
        },
    },
    lease::Wish,
    os::clock,
    process_supervisor::messages::{LoadService, StopService},
    remote::{Remote, Remotes, Site},
    services::Supervised,
    spec::{
        Balance, CleanupAction, CleanupSpec, JobDefinition, JobWork, OnCleanupFailure, PortSpec, RemoteSpec,
        RequestBody, RequestJob, ServiceSpec, StartMode,
    },
    state::{Disposition, ServiceState, ServiceStatus},
    template::Template,
};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::sync::{mpsc, watch};

use crate::{
    jobs::{Begun, Hears},
    rig::{PATIENCE, script},
    roster::{House, until},
    web::{Asked, Reply, Web},
};

/// A PNG, as far as anybody here looks.
const PNG: &str = "iVBORw0KGgoAAAANSUhEUg==";

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
    stopping: watch::Sender<bool>,
    pub events: EventStream,
    pub job: RequestJob,
    cleanup: CleanupSpec,
    dir: TempDir,
}

impl Shop {
    pub async fn new(spec: ServiceSpec, path: &str) -> Self {
        Self::at(spec, path, EventBus::new(1)).await
    }

    async fn at(spec: ServiceSpec, path: &str, bus: EventBus) -> Self {
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

    fn begin_number(&self, number: u32, params: Value) -> Begun {
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

fn stop(begun: &Begun) {
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

fn http(path: &str) -> CleanupAction {
    CleanupAction::Http { method: "POST".to_owned(), path: path.to_owned() }
}

#[actix_rt::test]
async fn the_parameters_are_sent_and_the_images_kept() {
    let shop = Shop::new(service("generic", "sleep 1000"), "/v1/images").await;
    let (port, _) = shop.load().await;
    let _web = Web::new(port, None, |asked: Asked| async move {
        assert_eq!((asked.what.as_str(), &asked.body), ("POST /v1/images", &json!({ "prompt": "a heron", "n": 1 })));
        Reply::json(&json!({ "data": [{ "b64_json": PNG }] }))
    })
    .await;
    let begun = shop.begin(json!({ "prompt": "a heron", "n": 1 }));
    let output = begun.folder.output();
    let result = begun.done().await;
    assert_eq!(result.files, ["image-1.png"]);
    assert_eq!(result.json, Some(json!({ "data": [{ "b64_json": "image-1.png" }] })));
    assert!(fs::read(output.join("image-1.png")).expect("a file").starts_with(b"\x89PNG"));
    assert_eq!(shop.service().gate.in_flight(), 0);
    shop.stop().await;
}

#[actix_rt::test]
async fn an_error_is_told_in_the_words_of_the_service_and_classified() {
    let shop = Shop::new(service("a1111", "sleep 1000"), "/sdapi/v1/txt2img").await;
    let (port, _) = shop.load().await;
    let _web = Web::new(port, None, |_| async {
        Reply::refused(500, r#"{"error":"NansException","errors":"A tensor with all NaNs was produced in Unet."}"#)
    })
    .await;
    let error = shop.begin(json!({})).failed().await;
    assert_eq!((error.class, error.status), (Some(FailureClass::Nan), Some(500)));
    assert!(error.message.contains("NansException: A tensor with all NaNs"), "{}", error.message);
    shop.stop().await;
}

#[actix_rt::test]
async fn the_last_words_of_a_service_that_ends_are_the_error() {
    let dir = tempfile::tempdir().expect("a folder");
    let flag = dir.path().join("end");
    let text = format!("while [ ! -e {} ]; do sleep 0.02; done; echo CUDA out of memory >&2; exit 3", flag.display());
    let shop = Shop::new(service("generic", &text), "/x").await;
    let (port, _) = shop.load().await;
    let web = Web::new(port, None, |_| std::future::pending()).await;
    let begun = shop.begin(json!({}));
    soon("it is asked", || web.has_heard("POST /x")).await;
    fs::write(flag, "").expect("the flag");
    let error = begun.failed().await;
    assert_eq!((error.class, error.code), (Some(FailureClass::OomGpu), Some(3)));
    assert_eq!(error.stderr, ["CUDA out of memory"]);
    shop.stop().await;
}

#[actix_rt::test]
async fn a_connection_that_breaks_is_told_where_the_service_lives() {
    let shop = Shop::new(service("generic", "sleep 1000"), "/x").await;
    let (port, _) = shop.load().await;
    let _web = Web::new(port, None, |_| async { panic!("the connection is dropped") }).await;
    let error = shop.begin(json!({})).failed().await;
    assert_eq!(error.class, Some(FailureClass::Unknown));
    assert!(error.message.contains("closed the connection"), "{}", error.message);
    shop.stop().await;
}

#[actix_rt::test]
async fn a1111_tells_how_far_it_is_and_is_interrupted() {
    let shop = Shop::new(service("a1111", "sleep 1000"), "/sdapi/v1/txt2img").await;
    let (port, before) = shop.load().await;
    let (interrupt, interrupted) = watch::channel(false);
    let interrupt = Arc::new(interrupt);
    let web = Web::new(port, None, move |asked: Asked| {
        let (interrupt, mut interrupted) = (Arc::clone(&interrupt), interrupted.clone());
        async move {
            match asked.what.as_str() {
                "POST /sdapi/v1/txt2img" => {
                    interrupted.wait_for(|is| *is).await.expect("the server lives");
                    Reply::json(&json!({ "images": [PNG] }))
                }
                "POST /sdapi/v1/interrupt" => {
                    interrupt.send_replace(true);
                    Reply::json(&json!({}))
                }
                _ => Reply::json(&json!({ "progress": 0.4, "state": { "sampling_step": 8, "sampling_steps": 20 } })),
            }
        }
    })
    .await;
    let mut begun = shop.begin(json!({}));
    let progress =
        begun.until(|news| if let AttemptNews::Progress(progress) = news { Some(*progress) } else { None }).await;
    assert_eq!((progress.done, progress.total), (8, 20));
    stop(&begun);
    assert_eq!(begun.end().await, AttemptEnd::Stopped);
    assert!(web.has_heard("POST /sdapi/v1/interrupt"));
    assert_eq!(shop.service().status.borrow().run_id, before.run_id, "it was not restarted");
    shop.stop().await;
}

#[actix_rt::test]
async fn what_cannot_be_told_to_stop_is_restarted_and_stays_on_demand() {
    let shop = Shop::new(service("sd-server", "sleep 1000"), "/sdapi/v1/txt2img").await;
    // Its probe asks for this; here the service answers only later.
    let service = shop.service();
    let supervisor = service.supervisor.upgrade().expect("a supervisor");
    supervisor.do_send(LoadService { wish: Wish::Wanted, lifts: true });
    let before = until(&service, |status| status.state == ServiceState::Ready).await;
    let web = Web::new(before.port.expect("a port"), None, |_| std::future::pending()).await;
    let begun = shop.begin(json!({}));
    soon("it is asked", || web.has_heard("POST /sdapi/v1/txt2img")).await;
    stop(&begun);
    assert_eq!(begun.end().await, AttemptEnd::Stopped);
    drop(web);
    let after = until(&service, |status| status.state == ServiceState::Ready && status.run_id != before.run_id).await;
    assert_eq!(after.disposition, Disposition::OnDemand);
    shop.stop().await;
}

#[actix_rt::test]
async fn one_that_waits_is_withdrawn_and_one_for_a_service_that_is_kept_down_waits() {
    let shop = Shop::new(service("generic", "sleep 1000"), "/x").await;
    let service = shop.service();
    let supervisor = service.supervisor.upgrade().expect("a supervisor");
    supervisor.send(StopService { reason: "a person says so".to_owned() }).await.expect("it lives");
    let mut begun = shop.begin(json!({}));
    let why = begun.until(|news| if let AttemptNews::Waiting(why) = news { Some(why.clone()) } else { None }).await;
    assert!(why.contains("webui"), "{why}");
    stop(&begun);
    assert_eq!(begun.end().await, AttemptEnd::Stopped);
    assert_eq!((service.gate.waiting().count, service.gate.in_flight()), (0, 0));
    shop.stop().await;
}

#[actix_rt::test]
async fn the_answer_waits_for_no_clean_up_and_nobody_comes_in_before_it_is_done() {
    let mut spec = service("generic", "sleep 1000");
    let work = tempfile::tempdir().expect("a folder");
    fs::create_dir(work.path().join("tmp")).expect("a folder");
    fs::write(work.path().join("tmp/left"), "x").expect("a file");
    spec.working_dir = work.path().to_owned();
    spec.cleanup = CleanupSpec {
        actions: vec![
            http("/free"),
            CleanupAction::Purge(Template::text(work.path().join("tmp").display().to_string())),
            CleanupAction::Exec(
                ["sh", "-c", "test -e tmp && echo $GREENROOM_SERVICE > cleaned; sleep 1000 & exit 0"]
                    .map(Template::text)
                    .to_vec(),
            ),
        ],
        ..CleanupSpec::default()
    };
    let shop = Shop::new(spec, "/x").await;
    let (port, _) = shop.load().await;
    let (go, gone) = watch::channel(false);
    let is_asked = Rc::new(Cell::new(false));
    let web = Web::new(port, None, move |asked: Asked| {
        let mut gone = gone.clone();
        is_asked.set(is_asked.get() || asked.what == "POST /x");
        // It was there before the job, and is cleaned up before it as well.
        let waits = is_asked.get() && asked.what == "POST /free";
        async move {
            if waits {
                gone.wait_for(|go| *go).await.expect("the test goes on");
            }
            Reply::json(&json!({ "ok": true }))
        }
    })
    .await;
    let mut begun = shop.begin(json!({}));
    let end = loop {
        if let AttemptNews::Ended(end) = begun.next().await {
            break end;
        }
    };
    assert!(matches!(end, AttemptEnd::Done(_)), "{end:?}");
    soon("it is cleaned", || web.heard().last().is_some_and(|last| last == "POST /free")).await;
    let gate = shop.service().gate;
    assert!(gate.is_open() && gate.enter().is_none() && gate.in_flight() == 1);
    assert!(begun.news.recv().now_or_never().is_none());
    // Taking it back changes nothing any more.
    stop(&begun);
    go.send_replace(true);
    assert_eq!(begun.next().await, AttemptNews::Over);
    assert!(gate.enter().is_some());
    assert_eq!(fs::read_dir(work.path().join("tmp")).expect("the folder").count(), 0);
    assert_eq!(fs::read_to_string(work.path().join("cleaned")).expect("a file"), "webui\n");
    shop.stop().await;
}

#[actix_rt::test]
async fn a_clean_up_that_fails_is_named_and_its_alert_goes_with_the_next_that_does_not() {
    let (work, other) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
    fs::write(other.path().join("precious"), "x").expect("a file");
    let outside = other.path().display().to_string();
    let mut spec = service("generic", "sleep 1000");
    spec.working_dir = work.path().to_owned();
    spec.cleanup.actions = vec![http("/free"), CleanupAction::Purge(Template::text(&outside)), http("/last")];
    let mut shop = Shop::new(spec, "/x").await;
    let (port, _) = shop.load().await;
    let web = Web::new(port, None, |asked: Asked| async move {
        match asked.what.as_str() {
            "POST /free" => Reply::refused(500, r#"{"error":"busy"}"#),
            _ => Reply::json(&json!({})),
        }
    })
    .await;
    shop.begin(json!({})).done().await;
    let alert = shop.alert().await;
    for part in
        ["cleanup_failed", "`webui`", "POST /free", "status 500: busy", &format!("purge: {outside} is not emptied")]
    {
        assert!(alert.contains(part), "{part}: {alert}");
    }
    assert_eq!(shop.alert().await, alert, "it was cleaned up before the job as well, since it was there before");
    assert!(web.has_heard("POST /last"), "the rest is tried");
    assert!(other.path().join("precious").exists());
    let service = shop.service();
    let better = ServiceSpec {
        cleanup: CleanupSpec { actions: vec![http("/last")], ..CleanupSpec::default() },
        ..(*service.spec).clone()
    };
    let changed = shop.house.actors.roster.reconfigure(Arc::new(better), false).await;
    assert!(changed.is_ok(), "{changed:?}");
    shop.begin(json!({})).done().await;
    assert_eq!(shop.alert().await, "cleanup_failed cleared");
    shop.stop().await;
}

#[actix_rt::test]
async fn it_is_restarted_after_a_job_or_after_a_clean_up_that_fails() {
    for after_job in [true, false] {
        let mut spec = service("generic", "sleep 1000");
        spec.restart_after_job = after_job;
        if !after_job {
            spec.cleanup = CleanupSpec {
                actions: vec![http("/free")],
                on_failure: OnCleanupFailure::Restart,
                ..CleanupSpec::default()
            };
        }
        let shop = Shop::new(spec, "/x").await;
        let (port, before) = shop.load().await;
        let is_asked = Cell::new(false);
        let web = Web::new(port, None, move |asked: Asked| {
            is_asked.set(is_asked.get() || asked.what == "POST /x");
            let fails = is_asked.get() && asked.what == "POST /free";
            async move { if fails { Reply::refused(404, "") } else { Reply::json(&json!({})) } }
        })
        .await;
        shop.begin(json!({})).done().await;
        drop(web);
        let service = shop.service();
        assert_ne!(service.status.borrow().run_id.filter(|_| service.gate.is_open()), before.run_id);
        let after =
            until(&service, |status| status.state == ServiceState::Ready && status.run_id != before.run_id).await;
        assert_eq!(after.disposition, Disposition::OnDemand);
        assert!(service.gate.enter().is_some());
        shop.stop().await;
    }
}

#[actix_rt::test]
async fn what_others_have_left_is_cleaned_up_before_the_job() {
    let mut spec = service("generic", "sleep 1000");
    spec.cleanup.actions = vec![http("/free")];
    let shop = Shop::new(spec, "/x").await;
    let (port, _) = shop.load().await;
    let web = Web::new(port, None, |_| async { Reply::json(&json!({})) }).await;
    shop.begin(json!({})).done().await;
    // It was there before the first job, so nobody knows what had been done with it.
    assert_eq!(web.heard(), ["POST /free", "POST /x", "POST /free"]);
    shop.begin(json!({})).done().await;
    assert_eq!(web.heard()[3..], ["POST /x", "POST /free"]);
    drop(shop.service().gate.enter().expect("somebody else"));
    shop.begin(json!({})).done().await;
    assert_eq!(web.heard()[5..], ["POST /free", "POST /x", "POST /free"]);
    shop.stop().await;
}

#[actix_rt::test]
async fn a_later_attempt_on_a_run_of_an_earlier_runtime_ends_what_goes_on_there() {
    // Every run is older than this runtime.
    let shop = Shop::at(service("a1111", "sleep 1000"), "/sdapi/v1/txt2img", EventBus::new(u64::MAX)).await;
    let (port, _) = shop.load().await;
    let web = Web::new(port, None, |asked: Asked| async move {
        match asked.what.starts_with("GET ") {
            true => Reply::json(&json!({ "progress": 0.0 })),
            false => Reply::json(&json!({ "images": [] })),
        }
    })
    .await;
    shop.begin_number(2, json!({})).done().await;
    let heard = web.heard();
    assert_eq!(heard.first().map(String::as_str), Some("POST /sdapi/v1/interrupt"), "{heard:?}");
    assert!(heard.iter().any(|what| what == "POST /sdapi/v1/txt2img"), "{heard:?}");
    shop.stop().await;
}

/// ComfyUI, as far as a job meets it: its queue, its history, and what it has made.
fn comfy(asked: &Asked, is_done: bool) -> Reply {
    let entry = json!([1, "p1", {}, { "client_id": "somebody" }, []]);
    let outputs = json!({ "9": { "images": [{ "filename": "a b.png", "subfolder": "s", "type": "output" }] } });
    match asked.what.as_str() {
        "POST /prompt" => {
            assert!(asked.body["client_id"].is_string() && asked.body["prompt"].is_object(), "{:?}", asked.body);
            Reply::json(&json!({ "prompt_id": "p1", "number": 1, "node_errors": {} }))
        }
        "GET /history/p1" if is_done => Reply::json(
            &json!({ "p1": { "outputs": outputs, "status": { "status_str": "success", "completed": true } } }),
        ),
        "GET /history/p1" => Reply::json(&json!({})),
        "GET /queue" => Reply::json(
            &json!({ "queue_running": if is_done { json!([]) } else { json!([entry]) }, "queue_pending": [] }),
        ),
        "GET /view?filename=a%20b.png&subfolder=s&type=output" => {
            Reply { status: 200, kind: "image/png", body: b"\x89PNG".to_vec() }
        }
        _ => Reply::json(&json!({})),
    }
}

#[actix_rt::test]
async fn a_prompt_is_followed_over_the_websocket_and_its_images_fetched() {
    let shop = Shop::new(service("comfyui", "sleep 1000"), "/prompt").await;
    let (port, _) = shop.load().await;
    let (tell, news) = mpsc::unbounded_channel();
    let web = Web::new(port, Some(news), |asked: Asked| async move { comfy(&asked, true) }).await;
    let mut begun = shop.begin(json!({ "6": { "class_type": "CLIPTextEncode" } }));
    soon("it is submitted", || web.has_heard("POST /prompt")).await;
    assert_eq!(web.heard(), ["GET /ws", "POST /prompt"], "it listens before it submits");
    tell.send(json!({ "type": "progress", "data": { "value": 3, "max": 20, "prompt_id": "p1", "node": "3" } }))
        .expect("sent");
    let progress =
        begun.until(|news| if let AttemptNews::Progress(progress) = news { Some(*progress) } else { None }).await;
    assert_eq!((progress.done, progress.total), (3, 20));
    tell.send(json!({ "type": "executing", "data": { "node": null, "prompt_id": "p1" } })).expect("sent");
    let output = begun.folder.output();
    let result = begun.done().await;
    assert_eq!(result.files, ["a_b.png"]);
    assert_eq!(fs::read(output.join("a_b.png")).expect("a file"), b"\x89PNG");
    shop.stop().await;
}

#[actix_rt::test]
async fn without_a_websocket_the_history_is_asked_and_a_refusal_names_its_nodes() {
    let shop = Shop::new(service("comfyui", "sleep 1000"), "/prompt").await;
    let (port, _) = shop.load().await;
    let refuses = Rc::new(Cell::new(false));
    let is_refused = Rc::clone(&refuses);
    let _web = Web::new(port, None, move |asked: Asked| {
        let refused = is_refused.get().then(|| {
            let nodes = json!({ "6": { "class_type": "K", "errors": [{ "message": "no clip", "details": "" }] } });
            Reply::refused(400, &json!({ "error": { "message": "invalid prompt" }, "node_errors": nodes }).to_string())
        });
        async move { refused.unwrap_or_else(|| comfy(&asked, true)) }
    })
    .await;
    assert_eq!(shop.begin(json!({})).done().await.files, ["a_b.png"]);
    refuses.set(true);
    let error = shop.begin(json!({})).failed().await;
    assert!(error.message.contains("invalid prompt; node 6 (K): no clip"), "{}", error.message);
    assert_eq!(error.status, Some(400));
    shop.stop().await;
}

#[actix_rt::test]
async fn a_prompt_that_is_worked_on_is_interrupted_and_gone_before_its_end_is_told() {
    let shop = Shop::new(service("comfyui", "sleep 1000"), "/prompt").await;
    let (port, before) = shop.load().await;
    let (interrupt, interrupted) = watch::channel(false);
    let interrupt = Arc::new(interrupt);
    let (_tell, news) = mpsc::unbounded_channel();
    let web = Web::new(port, Some(news), move |asked: Asked| {
        if asked.what == "POST /interrupt" {
            interrupt.send_replace(true);
        }
        let is_done = *interrupted.borrow();
        async move { comfy(&asked, is_done) }
    })
    .await;
    let begun = shop.begin(json!({}));
    soon("it is submitted", || web.has_heard("POST /prompt")).await;
    stop(&begun);
    assert_eq!(begun.end().await, AttemptEnd::Stopped);
    assert!(web.has_heard("POST /interrupt"));
    assert_eq!(shop.service().status.borrow().run_id, before.run_id);
    shop.stop().await;
}

#[derive(Debug)]
pub struct Near;

impl FarWires for Near {
    fn wire(&self, _: &Arc<Remote>, site: &Arc<Site>) -> Arc<dyn Wire> {
        let port = site.url().rsplit(':').next().and_then(|port| port.parse().ok());
        Arc::new(Local(port.expect("a port")))
    }

    fn ask(&self, _: &Arc<Remote>, method: &str, url: &str) -> Sending {
        let (place, path) = url.trim_start_matches("http://").split_once('/').expect("a path");
        let port = place.rsplit(':').next().and_then(|port| port.parse().ok()).expect("a port");
        let letter = Letter { method: method.to_owned(), path: format!("/{path}"), body: Default::default() };
        Local(port).send(&letter)
    }
}

#[actix_rt::test]
async fn a_remote_is_asked_at_a_url_that_is_well_and_cleaned_up_there() {
    let mut shop = Shop::new(service("generic", "sleep 1000"), "/x").await;
    let web = Web::new(0, None, |_| async { Reply::json(&json!({ "text": "done" })) }).await;
    let gone = Web::new(0, None, |_| async { Reply::json(&json!({})) }).await.port;
    let spec = RemoteSpec {
        name: "pod".parse().expect("a name"),
        urls: vec![format!("http://127.0.0.1:{gone}"), format!("http://127.0.0.1:{}", web.port)],
        engine: Engines::built_in().named("generic").expect("an engine"),
        serves: Vec::new(),
        balance: Balance::RoundRobin,
        api_key: None,
        alive_interval: Duration::from_secs(60),
        cleanup: CleanupSpec { actions: vec![http("/free")], ..CleanupSpec::default() },
        reset: Default::default(),
    };
    shop.rim.far = Far { remotes: Remotes::new(&[spec]), wires: Some(Arc::new(Near)) };
    shop.job.service = "pod".parse().expect("a name");
    let result = shop.begin(json!({})).done().await;
    assert_eq!(result.json, Some(json!({ "text": "done" })));
    assert_eq!(web.heard(), ["POST /x", "POST /free"]);
    let remote = shop.rim.far.remotes.find("pod").expect("the remote");
    assert!(!remote.sites()[0].is_in() && remote.sites()[0].in_flight() + remote.sites()[1].in_flight() == 0);
    shop.stop().await;
}
