//! Whoever watches, with real processes and real actors.

use std::{fs, path::Path, time::Duration};

use greenroom_actors::{
    event::{EventBus, EventKind, EventStream, Severity},
    failure::{FailureAction, FailureClass},
    ids::RunId,
    os::clock,
    spec::{NotifySpec, RestartPolicy, RestartSpec, ServiceSpec, StartMode, WatchdogSpec},
    state::ServiceState,
    watchdog::{board::WatchView, heartbeat::Ping},
    witness::{FailureSeen, SeenIn},
};

use crate::{
    rig::{PATIENCE, script},
    roster::{House, until},
};

fn often() -> WatchdogSpec {
    WatchdogSpec { interval: Duration::from_millis(50), ..WatchdogSpec::default() }
}

fn service(text: &str) -> ServiceSpec {
    ServiceSpec { start: StartMode::Eager, ..script(text) }
}

/// Waits for a view like this.
async fn seen(house: &House, wanted: impl Fn(&WatchView) -> bool) -> WatchView {
    let end = clock::now() + PATIENCE;
    loop {
        let view = house.actors.watch.look();
        if wanted(&view) {
            return view.as_ref().clone();
        }
        assert!(clock::now() < end, "{view:?}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// The next alert that is raised.
async fn raised(events: &mut EventStream) -> (String, Severity, String) {
    let alert = async {
        loop {
            if let EventKind::AlertRaised { alert, severity, message, .. } =
                events.next().await.expect("the bus lives").kind
            {
                return (alert, severity, message);
            }
        }
    };
    tokio::time::timeout(PATIENCE, alert).await.expect("in time")
}

/// A failure of this run that its output has shown.
fn failure(run: RunId, action: FailureAction) -> FailureSeen {
    let service = "svc".parse().expect("a name");
    let (class, line) = (FailureClass::Nan, "A tensor with NaNs was produced".to_owned());
    FailureSeen { service, run, class, action, line, seen: SeenIn::Output }
}

#[actix_rt::test]
async fn what_a_service_holds_is_on_the_board_while_it_lives() {
    let house = House::watched(vec![service("sleep 1000 & sleep 1000 & wait")], often(), EventBus::new(1)).await;
    let view = seen(&house, |view| view.services.values().any(|svc| svc.processes == 3 && svc.ram.is_some())).await;
    let figures = view.services.values().next().expect("the service");
    assert!(figures.ram > Some(0) && figures.descriptors >= 9, "{figures:?}");
    assert!(view.host.is_some_and(|host| host.total >= host.available && host.available > 0), "{view:?}");
    assert!(view.own.ram > 0 && view.own.descriptors > 3, "{view:?}");
    let view = seen(&house, |view| view.actors.len() == 7).await;
    let actors: Vec<_> = view.actors.keys().map(String::as_str).collect();
    let threads = ["thread of the children's output", "thread of the work of jobs"];
    assert_eq!(
        actors,
        ["coordinator", "history", "jobs", "orchestrator", "service svc", threads[0], threads[1]],
        "{view:?}"
    );
    assert_eq!(view.alerts, []);
    house.stop().await;
}

#[actix_rt::test]
async fn a_thread_that_hangs_is_told_of_with_all_actors_on_it_and_cleared_when_it_goes_on() {
    let spec = WatchdogSpec { actor_heartbeat: Duration::from_secs(4), ..often() };
    let bus = EventBus::new(1);
    let (mut events, house) = (bus.subscribe(None), House::watched(vec![service("sleep 1000")], spec, bus).await);
    seen(&house, |view| view.actors.len() == 7).await;
    // This is the thread of all supervisors: while this waits, none of them answers.
    let watch = house.actors.watch.clone();
    let told = || watch.look().alerts.iter().any(|alert| alert.alert == "actor_silent");
    assert!(clock::wait_until(PATIENCE, told), "{:?}", watch.look());
    let (alert, severity, message) = raised(&mut events).await;
    assert_eq!((alert.as_str(), severity), ("actor_silent", Severity::Critical));
    assert!(message.contains("orchestrator") && !message.contains("thread of"), "{message}");
    seen(&house, |view| view.alerts.is_empty()).await;
    house.stop().await;
}

#[actix_rt::test]
async fn a_failure_that_was_seen_is_told_and_its_run_is_replaced_once() {
    let restart = RestartSpec { policy: RestartPolicy::Always, ..script("").restart };
    let service = ServiceSpec { restart, ..service("sleep 1000") };
    let bus = EventBus::new(1);
    let (mut events, house) = (bus.subscribe(None), House::watched(vec![service], often(), bus).await);
    let svc = house.find("svc");
    let first = until(&svc, |status| status.state == ServiceState::Ready).await.run_id.expect("a run");
    let witness = house.actors.witness.clone();
    witness.report(failure(first, FailureAction::RestartOnce)).await;
    assert_eq!(raised(&mut events).await.0, "nan");
    let second = until(&svc, |status| status.state == ServiceState::Ready && status.run_id != Some(first)).await;
    let second = second.run_id.expect("a run");
    // The same once more: told, and nothing else is done.
    witness.report(failure(second, FailureAction::RestartOnce)).await;
    let (alert, _, message) = raised(&mut events).await;
    assert!(alert == "nan" && message.contains("not restarted"), "{message}");
    // Whatever the supervisor was told before this has been taken in by the time that this is answered.
    let supervisor = svc.supervisor.upgrade().expect("it lives");
    supervisor.send(Ping { asked: clock::now() }).await.expect("an answer");
    let status = svc.status.borrow().clone();
    assert_eq!((status.state, status.run_id), (ServiceState::Ready, Some(second)));
    house.stop().await;
}

/// Raises an alert of nobody's.
fn raise(bus: &EventBus, message: &str) {
    let (alert, severity, service) = ("disk".to_owned(), Severity::Warning, None);
    bus.emit(EventKind::AlertRaised { alert, severity, service, message: message.to_owned() });
}

fn notified(folder: &Path, script: &str) -> WatchdogSpec {
    let exec = ["sh", "-c", script, "sh"].map(str::to_owned).into_iter().chain([folder.display().to_string()]);
    WatchdogSpec { notify: NotifySpec { webhook: None, exec: Some(exec.collect()) }, ..often() }
}

#[actix_rt::test]
async fn a_program_is_told_of_alerts_in_its_last_argument_whatever_stands_in_them() {
    let folder = tempfile::tempdir().expect("a folder");
    let (spec, bus) = (notified(folder.path(), "printf %s \"$2\" > $1/new && mv $1/new $1/told"), EventBus::new(1));
    let house = House::watched(Vec::new(), spec, bus.clone()).await;
    seen(&house, |view| view.sampled_at.is_some()).await;
    raise(&bus, "$(touch x) `y` \"z\"\n\u{1b}[2J --option");
    let told = || fs::read_to_string(folder.path().join("told")).ok();
    let end = clock::now() + PATIENCE;
    while told().is_none() && clock::now() < end {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(told().as_deref(), Some("test: warning: disk: $(touch x) `y` \"z\"  [2J --option"));
    house.stop().await;
}

#[actix_rt::test]
async fn a_program_that_hangs_is_killed_with_its_tree_at_the_end() {
    let folder = tempfile::tempdir().expect("a folder");
    let script = "sleep 1000 & echo $! > $1/new; mv $1/new $1/pid; wait";
    let bus = EventBus::new(1);
    let house = House::watched(Vec::new(), notified(folder.path(), script), bus.clone()).await;
    seen(&house, |view| view.sampled_at.is_some()).await;
    raise(&bus, "something");
    let pid = || fs::read_to_string(folder.path().join("pid")).ok();
    let end = clock::now() + PATIENCE;
    while pid().is_none() && clock::now() < end {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let began = clock::now();
    let pid = pid().expect("it was started");
    house.stop().await;
    assert!(clock::now().saturating_duration_since(began) < Duration::from_secs(9), "nobody waited for its bound");
    let lives = || fs::read_to_string(format!("/proc/{}/cmdline", pid.trim())).is_ok_and(|line| line.contains("1000"));
    assert!(clock::wait_until(PATIENCE, || !lives()));
}

#[actix_rt::test]
async fn while_memory_is_short_it_is_written_down_who_holds_it() {
    // Any machine has more than nothing in use.
    let spec = WatchdogSpec { memory_warning: 0.0, memory_critical: 2.0, ..often() };
    let house = House::watched(vec![service("exec sleep 1000")], spec, EventBus::new(1)).await;
    let view = seen(&house, |view| view.alerts.iter().any(|alert| alert.alert == "memory")).await;
    let alert = view.alerts.iter().find(|alert| alert.alert == "memory").expect("it stands");
    assert_eq!(alert.severity, Severity::Warning);
    let log = house.dir.path().join("logs/memory.jsonl");
    let lines = || fs::read_to_string(&log).unwrap_or_default();
    let end = clock::now() + PATIENCE;
    // A shell may still be on its way to become the program.
    while !lines().contains("\"svc\":{\"processes\":1,") && clock::now() < end {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let line: serde_json::Value = serde_json::from_str(lines().lines().last().expect("a line")).expect("JSON");
    assert!(line["services"]["svc"]["processes"] == 1 && line["host"]["available"].is_u64(), "{line}");
    house.stop().await;
}
