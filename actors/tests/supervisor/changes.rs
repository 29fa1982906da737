//! What changes under a run: who uses it, who holds it, and its configuration.

use std::{io, process::Stdio, sync::Arc, time::Duration};

use greenroom_actors::{
    gate::Held,
    ids::{Pid, RunId, ServiceName},
    lease::Wish,
    memory::Placement,
    os::{clock, containment::Hold, pidfd, proc, running::Running, spawn::Spawned},
    process_supervisor::{
        AdoptedRun,
        messages::{AdoptService, LoadService, OffloadService, Reconfigure, RestartService, StartService, StopService},
        run::{TakeOver, TakeOverError, TakenOver},
    },
    shutdown_coordinator::messages::StopOutcome,
    spec::{FailureClass, FailureRule, OnRuntimeExit, Probe, ServiceSpec, StartMode, StopSignal},
    state::{Disposition, ServiceState},
    template::Template,
};

use crate::rig::{DRAIN, Rig, line_of, runs, script};

fn changed(spec: ServiceSpec, restart: bool) -> Reconfigure {
    Reconfigure { spec: Arc::new(spec), dependencies: Vec::new(), restart }
}

fn stop() -> StopService {
    StopService { reason: "enough".to_owned() }
}

fn offload() -> OffloadService {
    OffloadService { reason: "no room".to_owned() }
}

#[actix_rt::test]
async fn the_gate_is_open_exactly_while_it_is_ready() {
    let mut rig = Rig::new(script("sleep 1000"));
    assert!(rig.gate.enter().is_none());
    rig.supervisor.do_send(StartService { wish: Wish::Wanted });
    rig.state(ServiceState::Ready).await;
    drop(rig.gate.enter().expect("ready, so open"));
    rig.supervisor.do_send(stop());
    rig.state(ServiceState::Stopped).await;
    assert!(rig.gate.enter().is_none());
    rig.close(false).await;
}

#[actix_rt::test]
async fn a_stop_waits_for_those_who_use_it_and_lets_nobody_else_in() {
    let mut rig = Rig::new(script("sleep 1000"));
    rig.supervisor.do_send(StartService { wish: Wish::Wanted });
    let ready = rig.state(ServiceState::Ready).await;
    let permit = rig.gate.enter().expect("open");
    rig.supervisor.do_send(stop());
    let draining = rig.state(ServiceState::Draining).await;
    assert_eq!(draining.pid, ready.pid);
    assert!(rig.gate.enter().is_none() && runs(&ready.pid.expect("a pid").to_string()));
    drop(permit);
    let stopped = rig.state(ServiceState::Stopped).await;
    assert_eq!((stopped.reason.as_deref(), rig.gate.in_flight()), (Some("enough"), 0));
    rig.close(false).await;
}

#[actix_rt::test]
async fn a_user_who_never_leaves_is_waited_for_within_the_bound_and_force_waits_for_nobody() {
    let mut rig = Rig::new(script("sleep 1000"));
    rig.supervisor.do_send(StartService { wish: Wish::Wanted });
    let first = rig.state(ServiceState::Ready).await;
    let permit = rig.gate.enter().expect("open");
    let begun = clock::now();
    rig.supervisor.do_send(RestartService { reason: "again".to_owned() });
    let run = first.run_id;
    rig.until(|s| s.state == ServiceState::Ready && s.run_id != run).await;
    assert!(clock::now() - begun >= DRAIN, "it was not waited for");
    assert_eq!(rig.gate.in_flight(), 1);
    assert_eq!(rig.close(true).await, StopOutcome::Killed);
    drop(permit);
}

#[actix_rt::test]
async fn closing_drains_first() {
    let mut rig = Rig::new(script("sleep 1000"));
    rig.supervisor.do_send(StartService { wish: Wish::Wanted });
    rig.state(ServiceState::Ready).await;
    let permit = rig.gate.enter().expect("open");
    let mut status = rig.status.clone();
    let leaving = actix_rt::spawn(async move {
        status.wait_for(|s| s.state == ServiceState::Draining).await.expect("it drains");
        drop(permit);
    });
    assert_eq!(rig.close(false).await, StopOutcome::Clean);
    leaving.await.expect("it drained");
}

#[actix_rt::test]
async fn what_is_held_is_not_offloaded_and_what_is_offloaded_stays_wanted_as_it_was() {
    let mut spec = script("sleep 1000");
    spec.start = StartMode::OnDemand;
    let mut rig = Rig::new(spec);
    rig.supervisor.do_send(LoadService { wish: Wish::Wanted, lifts: true });
    let loaded = rig.state(ServiceState::Ready).await;
    assert_eq!(loaded.disposition, Disposition::OnDemand);
    let hold = rig.gate.hold();
    assert_eq!(rig.supervisor.send(offload()).await.expect("it lives"), Err(Held { holds: 1 }));
    assert_eq!(rig.status.borrow().state, ServiceState::Ready);
    drop(rig.gate.enter().expect("the refusal left it open"));
    drop(hold);
    assert_eq!(rig.supervisor.send(offload()).await.expect("it lives"), Ok(()));
    let offloaded = rig.state(ServiceState::Offloaded).await;
    assert_eq!((offloaded.disposition, offloaded.reason.as_deref()), (Disposition::OnDemand, Some("no room")));
    rig.close(false).await;
}

#[actix_rt::test]
async fn live_keys_reach_the_run_under_its_pid() {
    let text = "trap 'echo usr1; exit 0' USR1; echo up; while :; do sleep 0.02; done";
    let mut rig = Rig::new(script(text));
    rig.supervisor.do_send(StartService { wish: Wish::Wanted });
    let before = rig.state(ServiceState::Ready).await;
    line_of(rig.path("logs/svc/current.log")).await;
    let mut spec = script(text);
    spec.stop.signal = StopSignal::SigUsr1;
    let sick = rig.path("sick");
    spec.alive.probe = Probe::Exec(["sh", "-c", &format!("test ! -e {}", sick.display())].map(Template::text).to_vec());
    spec.alive.failures = 1000;
    rig.supervisor.send(changed(spec.clone(), false)).await.expect("it lives");
    std::fs::write(&sick, "").expect("a file");
    let unready = rig.state(ServiceState::Unready).await;
    assert_eq!((unready.pid, unready.run_id), (before.pid, before.run_id));
    // A probe that nobody asks any more does not keep it unready.
    spec.alive.probe = Probe::None;
    rig.supervisor.send(changed(spec, false)).await.expect("it lives");
    assert_eq!(rig.state(ServiceState::Ready).await.pid, before.pid);
    rig.supervisor.do_send(stop());
    let stopped = rig.state(ServiceState::Stopped).await;
    assert_eq!(stopped.last_exit.and_then(|e| e.code), Some(0));
    assert!(rig.log().ends_with("usr1\n"), "the new signal: {}", rig.log());
    rig.close(false).await;
}

#[actix_rt::test]
async fn a_readiness_probe_that_is_corrected_makes_a_starting_service_ready() {
    let mut spec = script("sleep 1000");
    spec.ready.probe = Probe::Exec(vec![Template::text("false")]);
    let mut rig = Rig::new(spec.clone());
    rig.supervisor.do_send(StartService { wish: Wish::Wanted });
    let starting = rig.state(ServiceState::Starting).await;
    spec.ready.probe = Probe::Exec(vec![Template::text("true")]);
    rig.supervisor.send(changed(spec, false)).await.expect("it lives");
    assert_eq!(rig.state(ServiceState::Ready).await.pid, starting.pid);
    rig.close(false).await;
}

#[actix_rt::test]
async fn a_new_failure_rule_names_what_comes_from_now_on() {
    let text = "while [ ! -e go ]; do sleep 0.02; done; echo 'the flux is out of tune' >&2; exit 3";
    let mut spec = script(text);
    let dir = tempfile::tempdir().expect("a folder");
    spec.working_dir = dir.path().to_owned();
    spec.restart.max = 1;
    let mut rig = Rig::new(spec.clone());
    rig.supervisor.do_send(StartService { wish: Wish::Wanted });
    rig.state(ServiceState::Ready).await;
    spec.failure = vec![FailureRule {
        pattern: "flux is out".to_owned(),
        class: FailureClass::Driver,
        action: greenroom_actors::spec::FailureAction::None,
    }];
    // A rule reaches the run by a way of its own. The probe reaches it by the same one, and shows that it has come.
    spec.alive.probe = Probe::Exec(["touch", "go"].map(Template::text).to_vec());
    rig.supervisor.send(changed(spec, false)).await.expect("it lives");
    let failed = rig.state(ServiceState::Failed).await;
    assert_eq!(failed.last_exit.and_then(|e| e.class), Some(FailureClass::Driver));
    rig.close(false).await;
}

#[actix_rt::test]
async fn another_command_restarts_it_by_its_old_rules_and_without_a_failure() {
    let mut spec = script("trap 'echo old; exit 0' USR1; echo up; while :; do sleep 0.02; done");
    spec.stop.signal = StopSignal::SigUsr1;
    let mut rig = Rig::new(spec);
    rig.supervisor.do_send(StartService { wish: Wish::Wanted });
    let before = rig.state(ServiceState::Ready).await;
    line_of(rig.path("logs/svc/current.log")).await;
    rig.supervisor.send(changed(script("echo new; sleep 1000"), true)).await.expect("it lives");
    let run = before.run_id;
    let after = rig.until(|s| s.state == ServiceState::Ready && s.run_id != run).await;
    assert_eq!((after.restarts_consecutive, after.restarts_total), (0, 0));
    assert_eq!(after.last_exit.and_then(|e| e.code), Some(0), "it had its own signal");
    while !rig.log().ends_with("new\n") {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert!(rig.log().ends_with("old\nnew\n"), "the old signal, then the new command: {}", rig.log());
    rig.close(false).await;
}

/// Stands in for what an earlier runtime left: begun outside of the supervisor, with its output in our hands.
fn left(name: ServiceName) -> AdoptedRun {
    let run = RunId::fresh();
    let mut command = tokio::process::Command::new("sh");
    let child =
        command.args(["-c", "echo here; exec sleep 1000"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let child = child.expect("a process");
    let pid = Pid(child.id().expect("a pid"));
    let take: TakeOver = Box::new(move |ctx| {
        let hold: Arc<dyn Hold> = Arc::from(ctx.containment.open(&name, run).expect("a hold"));
        hold.set_main(pid);
        let pidfd = pidfd::open(pid).expect("a pidfd");
        Ok(TakenOver { hold, spawned: Spawned { running: Running::child(child), pidfd, pid }, lease: None })
    });
    AdoptedRun { run, pid, port: None, placement: Placement::default(), take }
}

#[actix_rt::test]
async fn a_service_that_is_to_be_kept_is_let_go_of_as_it_is() {
    let mut spec = script("exit 1");
    spec.stop.on_runtime_exit = OnRuntimeExit::Keep;
    let adopted = left(spec.name.clone());
    let (run, pid) = (adopted.run, adopted.pid);
    let mut rig = Rig::adopting(spec, Some(adopted));
    rig.supervisor.do_send(AdoptService);
    rig.state(ServiceState::Ready).await;
    // Past its one line: it has no shim that would read on, and would end by the closed pipe.
    let past = async {
        while proc::command(pid) != "sleep 1000" {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), past).await.expect("it says its line");
    let permit = rig.gate.enter().expect("open");
    assert_eq!(rig.let_go().await, StopOutcome::Kept { pid });
    let alive = runs(&pid.to_string());
    let killed = std::process::Command::new("kill").args(["-9", &pid.to_string()]).status().expect("kill runs");
    assert!(alive && killed.success());
    let shown = rig.status.borrow().clone();
    assert_eq!((shown.state, shown.run_id, shown.pid), (ServiceState::Ready, Some(run), Some(pid)));
    drop(permit);
}

#[actix_rt::test]
async fn a_run_that_was_left_goes_on_under_its_pid_and_is_stopped_like_any_other() {
    let spec = script("exit 1");
    let adopted = left(spec.name.clone());
    let (run, pid) = (adopted.run, adopted.pid);
    let mut rig = Rig::adopting(spec, Some(adopted));
    rig.supervisor.do_send(AdoptService);
    rig.supervisor.do_send(StartService { wish: Wish::Wanted });
    let ready = rig.state(ServiceState::Ready).await;
    assert_eq!((ready.run_id, ready.pid, ready.restarts_total), (Some(run), Some(pid), 0));
    assert_eq!(line_of(rig.path("logs/svc/current.log")).await, "here");
    rig.supervisor.do_send(stop());
    let stopped = rig.state(ServiceState::Stopped).await;
    assert_eq!((stopped.run_id, stopped.last_exit.and_then(|e| e.signal)), (Some(run), Some(15)));
    rig.close(false).await;
}

#[actix_rt::test]
async fn a_run_that_cannot_be_taken_over_is_begun_anew_by_the_restart_policy() {
    let run = RunId::fresh();
    let take: TakeOver = Box::new(|_| Err(TakeOverError(io::Error::other("nobody answers"))));
    let adopted = AdoptedRun { run, pid: Pid(1), port: None, placement: Placement::default(), take };
    let mut rig = Rig::adopting(script("sleep 1000"), Some(adopted));
    rig.supervisor.do_send(AdoptService);
    let ready = rig.state(ServiceState::Ready).await;
    assert!(ready.run_id != Some(run) && ready.pid != Some(Pid(1)));
    assert!(ready.last_exit.is_some_and(|e| e.class == Some(FailureClass::Unknown)));
    rig.close(false).await;
}
