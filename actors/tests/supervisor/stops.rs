//! How runs end.

use std::time::Duration;

use greenroom_actors::{
    lease::Wish,
    os::clock,
    process_supervisor::messages::{RestartService, StartService, StopService},
    shutdown_coordinator::messages::StopOutcome,
    state::ServiceState,
    template::Template,
};

use crate::rig::{Rig, line_of, runs, script};

#[actix_rt::test]
async fn a_tree_that_ignores_the_signal_is_killed_at_the_end_of_its_grace() {
    let mut spec = script("trap '' TERM; sh -c 'trap \"\" TERM; echo $$; sleep 1000; sleep 1000' & wait; sleep 1000");
    spec.stop.grace = Duration::from_millis(400);
    let mut rig = Rig::new(spec);
    rig.supervisor.do_send(StartService { wish: Wish::Wanted });
    rig.state(ServiceState::Ready).await;
    let worker = line_of(rig.path("logs/svc/current.log")).await;
    assert!(runs(&worker));
    let begun = clock::now();
    rig.supervisor.do_send(StopService { reason: "enough".to_owned() });
    let stopped = rig.state(ServiceState::Stopped).await;
    let took = clock::now() - begun;
    assert!(!runs(&worker), "the worker outlived `stopped`");
    assert_eq!(stopped.last_exit.and_then(|e| e.signal), Some(9));
    assert!(took >= Duration::from_millis(400) && took < Duration::from_secs(5), "{took:?}");
    rig.close(false).await;
}

#[actix_rt::test]
async fn closing_says_whether_it_took_a_kill_and_force_waits_for_nothing() {
    let mut spec = script("trap '' TERM; echo up; while :; do sleep 1000; done");
    spec.stop.grace = Duration::from_secs(1000);
    let mut rig = Rig::new(spec);
    rig.supervisor.do_send(StartService { wish: Wish::Wanted });
    rig.state(ServiceState::Ready).await;
    line_of(rig.path("logs/svc/current.log")).await;
    let begun = clock::now();
    assert_eq!(rig.close(true).await, StopOutcome::Killed);
    assert!(clock::now() - begun < Duration::from_secs(10));
}

#[actix_rt::test]
async fn what_a_main_process_leaves_is_gone_before_the_next_copy_starts() {
    let mut rig = Rig::new(script("sh -c 'echo $$; sleep 1000; sleep 1000' & sleep 1000"));
    rig.supervisor.do_send(StartService { wish: Wish::Wanted });
    let first = rig.state(ServiceState::Ready).await;
    let worker = line_of(rig.path("logs/svc/current.log")).await;
    let main = first.pid.expect("a pid").to_string();
    let killed = std::process::Command::new("kill").args(["-9", &main]).status().expect("kill runs");
    assert!(killed.success());
    let run = first.run_id;
    rig.until(|s| s.run_id != run).await;
    assert!(!runs(&worker) && !runs(&main), "two copies at once");
    rig.state(ServiceState::Ready).await;
    rig.close(false).await;
}

#[actix_rt::test]
async fn ten_manual_restarts_do_not_count() {
    let mut rig = Rig::new(script("sleep 1000"));
    rig.supervisor.do_send(StartService { wish: Wish::Wanted });
    let mut run = rig.state(ServiceState::Ready).await.run_id;
    for _ in 0..10 {
        rig.supervisor.do_send(RestartService { reason: "again".to_owned() });
        let last = run;
        run = rig.until(|s| s.state == ServiceState::Ready && s.run_id != last).await.run_id;
    }
    let status = rig.status.borrow().clone();
    assert_eq!((status.restarts_consecutive, status.restarts_total), (0, 0));
    rig.close(false).await;
}

#[actix_rt::test]
async fn its_own_request_to_stop_is_made_first() {
    let mut spec =
        script("trap 'echo term; exit 0' TERM; echo up; while [ ! -e asked ]; do sleep 0.02; done; echo bye");
    let dir = tempfile::tempdir().expect("a folder");
    spec.working_dir = dir.path().to_owned();
    spec.stop.exec = ["touch", "asked"].map(Template::text).to_vec();
    spec.stop.grace = Duration::from_secs(20);
    let mut rig = Rig::new(spec);
    rig.supervisor.do_send(StartService { wish: Wish::Wanted });
    rig.state(ServiceState::Ready).await;
    line_of(rig.path("logs/svc/current.log")).await;
    rig.supervisor.do_send(StopService { reason: "enough".to_owned() });
    let stopped = rig.state(ServiceState::Stopped).await;
    assert_eq!(stopped.last_exit.and_then(|e| e.code), Some(0));
    assert_eq!(rig.log(), "up\nbye\n");
    rig.close(false).await;
}

#[actix_rt::test]
async fn a_flood_is_taken_in_whole_and_any_bytes_are_kept() {
    let mut rig = Rig::new(script("head -c 20000000 /dev/zero; printf '\\377\\n'; seq 1000000"));
    rig.supervisor.do_send(StartService { wish: Wish::Wanted });
    let done = rig.state(ServiceState::Completed).await;
    assert_eq!(done.last_exit.expect("an exit").stderr.last().map(String::as_str), Some("1000000"));
    let log = std::fs::metadata(rig.path("logs/svc/current.log")).expect("a log");
    assert_eq!(log.len(), 20_000_002 + 6_888_896);
    rig.close(false).await;
}
