//! How runs begin, speak, fail and come back.

use std::time::Duration;

use greenroom_actors::{
    event::EventKind,
    lease::Wish,
    process_supervisor::messages::{ResetService, RestartService, StartService, StopService},
    shutdown_coordinator::messages::StopOutcome,
    spec::{FailureClass, PortSpec, Probe, RestartPolicy},
    state::ServiceState,
    template::{Part, Template},
};

use crate::{
    ports::Ports,
    rig::{Rig, script},
};

fn stop() -> StopService {
    StopService { reason: "the test is over".to_owned() }
}

#[actix_rt::test]
async fn a_log_that_cannot_be_written_needs_attention_until_its_run_is_over() {
    let mut spec = script("echo lost; while [ ! -e end ]; do sleep 0.01; done; exit 3");
    spec.restart.policy = RestartPolicy::Never;
    let dir = tempfile::tempdir().expect("a folder");
    spec.working_dir = dir.path().to_owned();
    let mut rig = Rig::new(spec);
    std::fs::write(rig.path("logs"), "in the way").expect("written");
    rig.supervisor.do_send(StartService { wish: Wish::Wanted });
    let of_log = |kind| match kind {
        EventKind::AlertRaised { alert, .. } if alert == "log_unwritable" => Some("raised"),
        EventKind::AlertCleared { alert, .. } if alert == "log_unwritable" => Some("over"),
        _ => None,
    };
    assert_eq!(rig.event(of_log).await, "raised");
    std::fs::write(dir.path().join("end"), "").expect("written");
    // The log can be written no more than before, and nobody writes it.
    assert_eq!(rig.event(of_log).await, "over");
    rig.state(ServiceState::Failed).await;
    rig.close(true).await;
}

#[actix_rt::test]
async fn it_starts_is_ready_and_stops_with_its_output_in_the_log() {
    let mut rig = Rig::new(script("echo out; echo err >&2; echo $GREENROOM_SERVICE; sleep 1000"));
    rig.supervisor.do_send(StartService { wish: Wish::Wanted });
    let ready = rig.state(ServiceState::Ready).await;
    assert!(ready.pid.is_some() && ready.ready_since.is_some());
    for word in ["out", "err", "svc"] {
        while !rig.log().lines().any(|line| line == word) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
    rig.supervisor.do_send(stop());
    let stopped = rig.state(ServiceState::Stopped).await;
    let exit = stopped.last_exit.expect("an exit");
    assert_eq!((exit.signal, exit.class), (Some(15), None));
    assert_eq!((stopped.pid, stopped.reason.as_deref()), (None, Some("the test is over")));
    assert_eq!(rig.close(false).await, StopOutcome::Clean);
}

#[actix_rt::test]
async fn a_crash_loop_ends_in_failed_with_class_and_last_words() {
    let mut spec = script("echo first >&2; echo 'CUDA error: out of memory' >&2; echo last >&2; exit 3");
    spec.ready.probe = Probe::Delay(Duration::from_secs(1000));
    let mut rig = Rig::new(spec);
    rig.supervisor.do_send(StartService { wish: Wish::Wanted });
    let failed = rig.state(ServiceState::Failed).await;
    let exit = failed.last_exit.expect("an exit");
    assert_eq!((exit.code, exit.class), (Some(3), Some(FailureClass::OomGpu)));
    assert_eq!(exit.stderr, ["first", "CUDA error: out of memory", "last"]);
    assert_eq!((failed.restarts_consecutive, failed.restarts_total), (3, 2));
    let reason = failed.reason.expect("a reason");
    assert!(reason.contains("3 failures in a row") && reason.contains("CUDA error: out of memory"), "{reason}");
    let alert = rig
        .event(|kind| match kind {
            EventKind::AlertRaised { alert, .. } => Some(alert),
            _ => None,
        })
        .await;
    assert_eq!(alert, "failed");
    assert_eq!(rig.log().lines().filter(|line| *line == "last").count(), 3);
    rig.supervisor.do_send(ResetService);
    rig.state(ServiceState::Stopped).await;
    rig.close(false).await;
}

#[actix_rt::test]
async fn after_the_first_crash_it_is_back_at_once() {
    let dir = tempfile::tempdir().expect("a folder");
    let mut spec = script("[ -e crashed ] || { touch crashed; exit 1; }; sleep 1000");
    spec.working_dir = dir.path().to_owned();
    // A wait before the first restart would not end within this test.
    (spec.restart.backoff.min, spec.restart.backoff.max) = (Duration::from_secs(1000), Duration::from_secs(1000));
    let mut rig = Rig::new(spec);
    rig.supervisor.do_send(StartService { wish: Wish::Wanted });
    let back = rig.until(|s| s.state == ServiceState::Ready && s.restarts_total == 1).await;
    assert_eq!(back.restarts_consecutive, 1);
    rig.close(false).await;
}

#[actix_rt::test]
async fn a_missing_program_is_named_and_not_tried_again() {
    let mut spec = script("");
    spec.command = vec![Template::text("/nowhere/engine")];
    let mut rig = Rig::new(spec);
    rig.supervisor.do_send(StartService { wish: Wish::Wanted });
    let failed = rig.state(ServiceState::Failed).await;
    assert_eq!(failed.last_exit.and_then(|e| e.class), Some(FailureClass::MissingCommand));
    assert!(failed.reason.is_some_and(|r| r.contains("cannot run `/nowhere/engine`")));
    assert_eq!(failed.restarts_total, 0);
    rig.close(false).await;
}

#[actix_rt::test]
async fn a_clean_end_completes_and_one_that_is_never_to_restart_stays_failed() {
    let mut rig = Rig::new(script("exit 0"));
    rig.supervisor.do_send(StartService { wish: Wish::Wanted });
    rig.state(ServiceState::Completed).await;
    rig.close(false).await;
    let mut spec = script("exit 1");
    spec.restart.policy = RestartPolicy::Never;
    let mut rig = Rig::new(spec);
    rig.supervisor.do_send(StartService { wish: Wish::Wanted });
    assert_eq!(rig.state(ServiceState::Failed).await.restarts_total, 0);
    rig.close(false).await;
}

#[actix_rt::test]
async fn a_line_of_output_can_say_ready() {
    let mut spec = script("printf 'model '; sleep 0.1; echo loaded; sleep 1000");
    spec.ready.probe = Probe::Log("^model loaded$".to_owned());
    let mut rig = Rig::new(spec);
    rig.supervisor.do_send(StartService { wish: Wish::Wanted });
    rig.state(ServiceState::Ready).await;
    rig.close(false).await;
}

#[actix_rt::test]
async fn who_is_not_ready_in_time_fails_by_timeout() {
    let mut spec = script("sleep 1000");
    spec.ready.probe = Probe::Exec(["sh", "-c", "exit 4"].map(Template::text).to_vec());
    // Long enough for one try on a machine that has much to do.
    spec.ready.timeout = Duration::from_secs(2);
    spec.restart.max = 1;
    let mut rig = Rig::new(spec);
    rig.supervisor.do_send(StartService { wish: Wish::Wanted });
    let failed = rig.state(ServiceState::Failed).await;
    assert_eq!(failed.last_exit.and_then(|e| e.class), Some(FailureClass::Timeout));
    let reason = failed.reason.expect("a reason");
    assert!(reason.contains("not ready within 2s") && reason.contains("exit status: 4"), "{reason}");
    rig.close(false).await;
}

#[actix_rt::test]
async fn a_liveness_probe_that_fails_in_a_row_restarts_it() {
    let mut spec = script("sleep 1000");
    spec.alive.probe = Probe::Exec(vec![Template::text("false")]);
    let mut rig = Rig::new(spec);
    rig.supervisor.do_send(StartService { wish: Wish::Wanted });
    let again = rig.until(|s| s.restarts_total >= 1).await;
    assert_eq!(again.last_exit.and_then(|e| e.class), Some(FailureClass::Timeout));
    rig.close(true).await;
}

#[actix_rt::test]
async fn a_stranger_on_its_port_is_named_and_never_taken_for_the_service() {
    let ports = Ports::claim();
    let port = ports.range.0;
    let mut spec = script("sleep 1000");
    spec.command.push(Template(vec![Part::Port]));
    spec.port = Some(PortSpec::Fixed(port));
    spec.ready.probe = Probe::Tcp;
    spec.restart.max = 1;
    let mut rig = Rig::new(spec);
    rig.supervisor.do_send(StartService { wish: Wish::Wanted });
    assert_eq!(rig.state(ServiceState::Starting).await.port, Some(port));
    let _stranger = tokio::net::TcpListener::bind(("127.0.0.1", port)).await.expect("the port");
    let failed = rig.state(ServiceState::Failed).await;
    assert_eq!(failed.last_exit.and_then(|e| e.class), Some(FailureClass::PortInUse));
    let (reason, me) = (failed.reason.expect("a reason"), std::process::id().to_string());
    assert!(reason.contains(&me), "{reason}");
    // And before a start it is seen at once.
    rig.supervisor.do_send(RestartService { reason: "again".to_owned() });
    let refused = rig.until(|s| s.reason.as_deref().is_some_and(|r| r.contains("could not be started"))).await;
    assert!(refused.reason.is_some_and(|r| r.contains("is in use by process")));
    rig.close(false).await;
}
