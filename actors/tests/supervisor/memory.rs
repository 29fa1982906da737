//! How a service gets its memory, gives it back, and sleeps.

use std::{cell::RefCell, rc::Rc, sync::Arc, time::Duration};

use greenroom_actors::{
    engines::{Engine, EngineRef, HttpCall, SleepCalls},
    gate::Ticket,
    lease::{AskLease, Fate, LeaseAnswer, LeaseVerdict, Wish},
    memory::{Amounts, GpuId, Placement, Refusal, RefusalKind},
    os::clock,
    process_supervisor::messages::{LoadService, OffloadService, StartService, StopService},
    shutdown_coordinator::messages::StopOutcome,
    spec::{BusySpec, OffloadHow, PortSpec, Probe, ServiceSpec, StartMode},
    state::ServiceState,
    template::{Part, Template},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

use crate::{
    ports::Ports,
    rig::{Rig, Scripted, line_of, runs, script},
};

const LOAD: LoadService = LoadService { wish: Wish::Wanted, lifts: true };

fn stop() -> StopService {
    StopService { reason: "enough".to_owned() }
}

fn offload() -> OffloadService {
    OffloadService { reason: "makes room".to_owned() }
}

fn on_demand(text: &str) -> ServiceSpec {
    ServiceSpec { start: StartMode::OnDemand, ..script(text) }
}

fn answer(ask: &AskLease, verdict: LeaseVerdict) {
    ask.answer.do_send(LeaseAnswer { run: ask.run, verdict });
}

fn placed() -> Placement {
    let gpus = vec![GpuId("GPU-b".to_owned()), GpuId("GPU-a".to_owned())];
    Placement { gpus, gpu_layers: Some(44), lease: Amounts { ram: 1 << 20, ..Amounts::default() } }
}

async fn grant(lessor: &mut Scripted) -> AskLease {
    let ask = lessor.asked().await;
    answer(&ask, LeaseVerdict::Granted(placed()));
    ask
}

#[actix_rt::test]
async fn it_begins_where_it_was_placed_and_waits_until_its_memory_is_back() {
    let mut spec = script("echo $CARDS $LAYERS; sleep 1000");
    spec.env.insert("CARDS".to_owned(), Template(vec![Part::Gpu]));
    spec.env.insert("LAYERS".to_owned(), Template(vec![Part::GpuLayers]));
    let (mut rig, mut lessor) = Rig::scripted(spec);
    rig.supervisor.do_send(StartService { wish: Wish::Eager });
    let ask = lessor.asked().await;
    assert_eq!((ask.service.as_str(), ask.wish), ("svc", Wish::Eager));
    answer(&ask, LeaseVerdict::Pending("waits for chat to leave".to_owned()));
    let reserved = rig.state(ServiceState::Reserved).await;
    assert_eq!((reserved.reason.as_deref(), reserved.pid), (Some("waits for chat to leave"), None));
    answer(&ask, LeaseVerdict::Granted(placed()));
    let ready = rig.state(ServiceState::Ready).await;
    assert_eq!((ready.run_id, ready.placement.as_deref()), (Some(ask.run), Some(&placed())));
    assert_eq!(line_of(rig.path("logs/svc/current.log")).await, "GPU-b,GPU-a 44");
    rig.supervisor.do_send(stop());
    let reclaiming = rig.state(ServiceState::Reclaiming).await;
    assert!(reclaiming.pid.is_none() && reclaiming.placement.is_none());
    for fate in [Fate::Ready, Fate::Leaving, Fate::Ended { failed: false }] {
        assert_eq!(lessor.told().await, fate);
    }
    answer(&ask, LeaseVerdict::Reclaimed(Some("1MiB of RAM is not back".to_owned())));
    let stopped = rig.state(ServiceState::Stopped).await;
    assert_eq!(stopped.reason.as_deref(), Some("enough; 1MiB of RAM is not back"));
    assert_eq!(rig.close(false).await, StopOutcome::Clean);
}

#[actix_rt::test]
async fn a_refusal_is_in_the_status_and_the_end_of_the_runtime_waits_for_no_answer() {
    let (mut rig, mut lessor) = Rig::scripted(on_demand("sleep 1000"));
    rig.supervisor.do_send(LOAD);
    let ask = lessor.asked().await;
    let refusal =
        Refusal { service: ask.service.clone(), kind: RefusalKind::TooLarge, missing: Vec::new(), holders: Vec::new() };
    answer(&ask, LeaseVerdict::Refused(Arc::new(refusal.clone())));
    let refused = rig.until(|status| status.refusal.is_some()).await;
    assert_eq!((refused.state, refused.reason.as_deref()), (ServiceState::Stopped, Some("it never fits here")));
    assert_eq!(refused.refusal.as_deref(), Some(&refusal));
    rig.supervisor.do_send(LOAD);
    let again = lessor.asked().await;
    assert!(again.run != ask.run && rig.status.borrow().refusal.is_none());
    assert_eq!(rig.close(false).await, StopOutcome::Clean);
    assert_eq!(lessor.told().await, Fate::Withdrawn);
}

#[actix_rt::test]
async fn one_that_runs_on_demand_comes_back_after_a_crash_only_for_somebody_who_waits() {
    let mut spec = on_demand("sleep 0.05; exit 3");
    spec.ready.probe = Probe::Delay(Duration::from_secs(1000));
    let mut rig = Rig::new(spec);
    rig.supervisor.do_send(LOAD);
    let offloaded = rig.state(ServiceState::Offloaded).await;
    assert_eq!((offloaded.restarts_consecutive, offloaded.restarts_total), (1, 0));
    assert_eq!(offloaded.last_exit.and_then(|exit| exit.code), Some(3));
    let ticket = Ticket { arrival: clock::now(), priority: 0 };
    let waits = rig.gate.line_up(ticket, 1).expect("nobody is before it");
    rig.supervisor.do_send(LOAD);
    let failed = rig.state(ServiceState::Failed).await;
    assert_eq!((failed.restarts_consecutive, failed.restarts_total), (3, 1));
    drop(waits);
    rig.close(false).await;
}

#[actix_rt::test]
async fn an_offload_never_takes_it_from_those_who_use_it() {
    let mut spec = on_demand("sleep 1000");
    spec.memory.offload.drain = Duration::from_millis(50);
    let (mut rig, mut lessor) = Rig::scripted(spec);
    rig.supervisor.do_send(LOAD);
    let ask = grant(&mut lessor).await;
    let ready = rig.state(ServiceState::Ready).await;
    let permit = rig.gate.enter().expect("open");
    assert_eq!(rig.supervisor.send(offload()).await.expect("it lives"), Ok(()));
    let stays = rig.until(|status| status.state == ServiceState::Ready && status.reason.is_some()).await;
    assert_eq!(stays.reason.as_deref(), Some("not offloaded, since after 50ms one request is still in it"));
    assert_eq!(stays.pid, ready.pid);
    drop(rig.gate.enter().expect("open again"));
    drop(permit);
    assert_eq!(rig.supervisor.send(offload()).await.expect("it lives"), Ok(()));
    let ended = Fate::Ended { failed: false };
    for fate in [Fate::Ready, Fate::Leaving, Fate::Stays, Fate::Leaving, ended] {
        assert_eq!(lessor.told().await, fate);
    }
    answer(&ask, LeaseVerdict::Reclaimed(None));
    assert_eq!(rig.state(ServiceState::Offloaded).await.reason.as_deref(), Some("makes room"));
    rig.close(false).await;
}

/// Answers on the port of a service in its stead.
struct Answers {
    port: u16,
    _ports: Ports,
    asked: Rc<RefCell<Vec<String>>>,
    answer: Rc<RefCell<&'static str>>,
}

impl Answers {
    /// A port that is free: who is to answer there comes [later](Self::listen), when the service has taken it.
    fn new(answer: &'static str) -> Self {
        let ports = Ports::claim();
        Self { port: ports.range.0, _ports: ports, asked: Rc::default(), answer: Rc::new(RefCell::new(answer)) }
    }

    async fn listen(&self) {
        let listener = TcpListener::bind(("127.0.0.1", self.port)).await.expect("the port");
        let (asked, answer) = (Rc::clone(&self.asked), Rc::clone(&self.answer));
        drop(actix_rt::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut request = vec![0; 4096];
                let read = stream.read(&mut request).await.unwrap_or(0);
                let line = String::from_utf8_lossy(&request[..read]).lines().next().unwrap_or_default().to_owned();
                asked.borrow_mut().push(line.trim_end_matches(" HTTP/1.1").to_owned());
                let text = *answer.borrow();
                let (status, body) = text.split_once(' ').unwrap_or((text, ""));
                let text = format!("HTTP/1.1 {status} X\r\nContent-Length: {}\r\n\r\n{body}", body.len());
                // Whoever asked may have gone.
                drop(stream.write_all(text.as_bytes()).await);
            }
        }));
    }

    fn asked(&self, line: &str) -> usize {
        self.asked.borrow().iter().filter(|asked| *asked == line).count()
    }

    async fn until_asked(&self, line: &str, times: usize) {
        let search = async {
            while self.asked(line) < times {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(crate::rig::PATIENCE, search).await.expect("a question");
    }
}

#[actix_rt::test]
async fn one_that_says_that_it_works_is_not_pushed_out_before_it_says_otherwise() {
    let answers = Answers::new(r#"200 {"running": [1]}"#);
    let mut spec = on_demand("sleep 1000");
    spec.port = Some(PortSpec::Fixed(answers.port));
    spec.memory.busy = BusySpec::Http { path: "/queue".to_owned(), nonempty: vec!["running".to_owned()] };
    let mut rig = Rig::new(spec);
    rig.supervisor.do_send(LOAD);
    rig.state(ServiceState::Ready).await;
    answers.listen().await;
    assert_eq!(rig.supervisor.send(offload()).await.expect("it lives"), Ok(()));
    answers.until_asked("GET /queue", 2).await;
    assert_eq!(rig.status.borrow().state, ServiceState::Draining);
    assert!(rig.gate.enter().is_none());
    answers.answer.replace(r#"200 {"running": []}"#);
    rig.state(ServiceState::Offloaded).await;
    rig.close(false).await;
}

#[actix_rt::test]
async fn one_that_cannot_be_asked_whether_it_works_stays_and_a_stop_does_not_ask() {
    let answers = Answers::new("500");
    let mut spec = on_demand("sleep 1000");
    spec.port = Some(PortSpec::Fixed(answers.port));
    spec.memory.busy = BusySpec::Http { path: "/queue".to_owned(), nonempty: vec!["running".to_owned()] };
    // Long enough for it to be asked.
    spec.memory.offload.drain = Duration::from_secs(4);
    let mut rig = Rig::new(spec);
    rig.supervisor.do_send(LOAD);
    rig.state(ServiceState::Ready).await;
    answers.listen().await;
    assert_eq!(rig.supervisor.send(offload()).await.expect("it lives"), Ok(()));
    let stays = rig.until(|status| status.state == ServiceState::Ready && status.reason.is_some()).await;
    assert_eq!(stays.reason.as_deref(), Some("not offloaded, since after 4s it says that it still works"));
    let asked = answers.asked("GET /queue");
    assert!(asked >= 1);
    rig.supervisor.do_send(stop());
    rig.state(ServiceState::Stopped).await;
    assert_eq!(answers.asked("GET /queue"), asked);
    rig.close(false).await;
}

/// Sleeps by `POST /nap`, wakes by `POST /up`.
struct Napper;

impl Engine for Napper {
    fn name(&self) -> &str {
        "napper"
    }

    fn sleep(&self) -> Option<SleepCalls> {
        let wake = HttpCall::new("POST", "/up").with(r#"{"gently": true}"#);
        Some(SleepCalls { sleep: HttpCall::new("POST", "/nap"), wake: Some(wake) })
    }
}

fn napper(answers: &Answers) -> ServiceSpec {
    let mut spec = on_demand("sleep 1000");
    spec.engine = EngineRef::new(Napper);
    spec.port = Some(PortSpec::Fixed(answers.port));
    spec.owner_check = false;
    (spec.ready.probe, spec.alive.probe) = (Probe::Http("/health".to_owned()), Probe::Http("/health".to_owned()));
    // What is said about its end is not about its health.
    spec.alive.failures = 1000;
    spec.memory.offload.how = OffloadHow::Sleep;
    spec
}

#[actix_rt::test]
async fn a_sleeper_keeps_its_process_is_left_alone_and_wakes_when_there_is_memory() {
    let answers = Answers::new("200");
    let (mut rig, mut lessor) = Rig::scripted(napper(&answers));
    rig.supervisor.do_send(LOAD);
    let ask = grant(&mut lessor).await;
    rig.state(ServiceState::Starting).await;
    answers.listen().await;
    let ready = rig.state(ServiceState::Ready).await;
    assert_eq!(rig.supervisor.send(offload()).await.expect("it lives"), Ok(()));
    let reclaiming = rig.state(ServiceState::Reclaiming).await;
    for fate in [Fate::Ready, Fate::Leaving, Fate::Asleep] {
        assert_eq!(lessor.told().await, fate);
    }
    answer(&ask, LeaseVerdict::Reclaimed(None));
    let asleep = rig.state(ServiceState::Sleeping).await;
    assert_eq!((reclaiming.pid, asleep.pid, asleep.run_id), (ready.pid, ready.pid, ready.run_id));
    assert!(runs(&asleep.pid.expect("a pid").to_string()) && rig.gate.enter().is_none());
    // Many times the pause between two probes. One may have been under way when it fell asleep.
    let before = answers.asked("GET /health");
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(answers.asked("GET /health") <= before + 1, "a sleeper is asked whether it lives");
    rig.supervisor.do_send(LOAD);
    let again = grant(&mut lessor).await;
    assert_eq!((again.run, again.wish), (ask.run, Wish::Wanted));
    let awake = rig.state(ServiceState::Ready).await;
    assert_eq!((awake.pid, answers.asked("POST /nap"), answers.asked("POST /up")), (ready.pid, 1, 1));
    assert_eq!(lessor.told().await, Fate::Ready);
    assert!(answers.asked("GET /health") > before, "it was not probed again");
    assert_eq!(rig.close(false).await, StopOutcome::Clean);
}

#[actix_rt::test]
async fn an_engine_that_refuses_to_sleep_is_stopped() {
    let answers = Answers::new("200");
    let mut rig = Rig::new(napper(&answers));
    rig.supervisor.do_send(LOAD);
    rig.state(ServiceState::Starting).await;
    answers.listen().await;
    rig.state(ServiceState::Ready).await;
    answers.answer.replace("404");
    assert_eq!(rig.supervisor.send(offload()).await.expect("it lives"), Ok(()));
    let offloaded = rig.state(ServiceState::Offloaded).await;
    let expected = "makes room; it was stopped, since it could not be put to sleep: POST /nap answers 404";
    assert_eq!((offloaded.reason.as_deref(), offloaded.pid), (Some(expected), None));
    rig.close(false).await;
}
