//! How a load is seen to get on.

use greenroom_actors::{
    engines::{Engine, EngineRef, LoadStep},
    event::EventKind,
    lease::Wish,
    os::clock,
    process_supervisor::messages::{StartService, StopService},
    shutdown_coordinator::messages::StopOutcome,
    spec::Probe,
    state::{LoadProgress, ServiceState},
};

use crate::rig::{Rig, script};

/// Says `part N` of 9.
struct Parts;

impl Engine for Parts {
    fn name(&self) -> &str {
        "parts"
    }

    fn progress_lines(&self) -> &[&'static str] {
        &["^part "]
    }

    fn progress(&self, line: &[u8]) -> Option<LoadStep> {
        let digit = line.strip_prefix(b"part ")?.first().filter(|byte| byte.is_ascii_digit())?;
        Some(LoadStep::new("parts", u64::from(digit - b'0'), 9))
    }
}

#[actix_rt::test]
async fn an_applications_engine_tells_how_a_load_gets_on_until_it_is_ready() {
    // Each part is printed when the test says so; the last one is not ended.
    let mut spec = script(
        "go() { while [ ! -e $1 ]; do sleep 0.01; done; }; echo part 1; go two; echo part 2 >&2; go three; \
         printf 'part 3'; go up; echo; echo part 4; echo up; echo part 5; sleep 1000",
    );
    let dir = tempfile::tempdir().expect("a folder");
    spec.working_dir = dir.path().to_owned();
    spec.engine = EngineRef::new(Parts);
    spec.ready.probe = Probe::Log("^up$".to_owned());
    let mut rig = Rig::new(spec);
    let go = |name: &str| std::fs::write(dir.path().join(name), "").expect("the folder is there");
    rig.supervisor.do_send(StartService { wish: Wish::Wanted });
    let first = LoadProgress { phase: "parts".to_owned(), done: 1, total: 9, eta: None };
    let status = rig.until(|status| status.load.is_some()).await;
    assert_eq!((status.state, status.load.as_ref()), (ServiceState::Starting, Some(&first)));
    for (name, done) in [("two", 2), ("three", 3)] {
        go(name);
        let status = rig.until(|status| status.load.as_ref().is_some_and(|load| load.done == done)).await;
        assert!(status.load.and_then(|load| load.eta).is_some_and(|eta| eta > 0.0), "no pace at part {done}");
    }
    go("up");
    let ready = rig.state(ServiceState::Ready).await;
    assert_eq!(ready.load, None);
    let told = rig
        .event(|kind| match kind {
            EventKind::ServiceLoad { load, run_id, .. } => Some((load, run_id)),
            _ => None,
        })
        .await;
    assert_eq!(told, (first, ready.run_id));
    rig.supervisor.do_send(StopService { reason: "the test is over".to_owned() });
    let stopped = rig.state(ServiceState::Stopped).await;
    assert_eq!(stopped.load, None);
    assert_eq!(rig.close(false).await, StopOutcome::Clean);
}

#[actix_rt::test]
async fn a_bar_that_is_drawn_a_thousand_times_is_told_a_few_times_and_at_last_as_it_stands() {
    let mut spec =
        script("i=0; while [ $i -lt 3000 ]; do echo part 1; echo part 2; i=$((i+1)); done; echo part 7; sleep 1000");
    spec.engine = EngineRef::new(Parts);
    spec.ready.probe = Probe::Log("never".to_owned());
    let mut rig = Rig::new(spec);
    let began = clock::now();
    rig.supervisor.do_send(StartService { wish: Wish::Wanted });
    rig.until(|status| status.load.as_ref().is_some_and(|load| load.done == 7)).await;
    let most = clock::now().duration_since(began).as_millis() / 100 + 2;
    let mut told = 0;
    loop {
        let load =
            rig.event(|kind| if let EventKind::ServiceLoad { load, .. } = kind { Some(load) } else { None }).await;
        told += 1;
        if load.done == 7 {
            break;
        }
    }
    assert!(told <= most, "{told} pieces of news, and no more than {most} are wanted");
    assert_eq!(rig.close(true).await, StopOutcome::Killed);
}
