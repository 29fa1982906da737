//! Runs that are condemned, and those that are replaced when nobody uses them.

use std::{cell::Cell, rc::Rc, time::Duration};

use greenroom_actors::{
    event::EventKind,
    failure::FailureClass,
    lease::Wish,
    os::clock,
    process_supervisor::messages::{CondemnService, LoadService, RecycleService, Sentence, StartService},
    spec::{BusySpec, PortSpec},
    state::{ServiceState, ServiceStatus},
};
use serde_json::json;

use crate::{
    rig::{PATIENCE, Rig, line_of, runs, script},
    web::{Asked, Reply, Web},
};

/// A tree that no signal but the last one ends.
const DEAF: &str = "trap '' TERM; sh -c 'trap \"\" TERM; echo $$; sleep 1000; sleep 1000' & wait; sleep 1000";

fn condemn(status: &ServiceStatus, at_once: bool, sentence: Sentence) -> CondemnService {
    let (run, reason) = (status.run_id.expect("a run"), "30 processes".to_owned());
    CondemnService { run, class: FailureClass::Unknown, reason, at_once, sentence }
}

#[actix_rt::test]
async fn a_tree_is_killed_at_once_also_where_it_is_used_and_comes_back_within_its_policy() {
    let mut spec = script(DEAF);
    spec.stop.grace = Duration::from_secs(1000);
    let mut rig = Rig::new(spec);
    rig.supervisor.do_send(StartService { wish: Wish::Wanted });
    let first = rig.state(ServiceState::Ready).await;
    let worker = line_of(rig.path("logs/svc/current.log")).await;
    let guest = rig.gate.enter().expect("it is open");
    let begun = clock::now();
    rig.supervisor.do_send(condemn(&first, true, Sentence::Restart));
    let next = rig.until(|now| now.run_id != first.run_id && now.state == ServiceState::Ready).await;
    assert!(clock::now() - begun < PATIENCE / 2 && !runs(&worker));
    drop(guest);
    assert_eq!((next.restarts_total, next.restarts_consecutive), (1, 1));
    let exit = next.last_exit.clone().expect("an end");
    assert_eq!((exit.signal, exit.class), (Some(9), Some(FailureClass::Unknown)));
    rig.supervisor.do_send(condemn(&first, true, Sentence::Stop));
    rig.supervisor.do_send(condemn(&next, true, Sentence::Restart));
    let last = rig.until(|now| now.run_id != next.run_id && now.state == ServiceState::Ready).await;
    assert_eq!(last.restarts_total, 2, "a run that is over is left alone");
    rig.close(true).await;
}

#[actix_rt::test]
async fn what_is_in_quarantine_says_why_and_starts_for_a_person_alone() {
    let mut rig = Rig::new(script("echo up; exec sleep 1000"));
    rig.supervisor.do_send(StartService { wish: Wish::Wanted });
    let first = rig.state(ServiceState::Ready).await;
    rig.supervisor.do_send(condemn(&first, false, Sentence::Quarantine));
    let resting = rig.state(ServiceState::Quarantined).await;
    assert_eq!(resting.reason.as_deref(), Some("30 processes"));
    let raised = |kind| match kind {
        EventKind::AlertRaised { alert, message, .. } => Some((alert, message)),
        _ => None,
    };
    assert_eq!(rig.event(raised).await, ("quarantined".to_owned(), "30 processes".to_owned()));
    rig.supervisor.send(LoadService { wish: Wish::Wanted, lifts: false }).await.expect("it lives");
    assert_eq!(rig.status.borrow().state, ServiceState::Quarantined);
    rig.supervisor.do_send(StartService { wish: Wish::Wanted });
    rig.state(ServiceState::Ready).await;
    let cleared = |kind| matches!(kind, EventKind::AlertCleared { alert, .. } if alert == "quarantined").then_some(());
    rig.event(cleared).await;
    rig.close(false).await;
}

#[actix_rt::test]
async fn nobody_who_is_in_is_ended_by_a_recycling_that_waits_for_idleness() {
    let mut rig = Rig::new(script("exec sleep 1000"));
    rig.supervisor.do_send(StartService { wish: Wish::Wanted });
    let first = rig.state(ServiceState::Ready).await;
    let recycle = || RecycleService { reason: "it has grown".to_owned(), when_idle: true };
    let guest = rig.gate.enter().expect("it is open");
    for _ in 0..20 {
        rig.supervisor.send(recycle()).await.expect("it lives");
        assert!(rig.gate.is_open() && rig.status.borrow().run_id == first.run_id);
    }
    drop(guest);
    rig.supervisor.do_send(recycle());
    rig.until(|now| now.run_id != first.run_id && now.state == ServiceState::Ready).await;

    // Guests come and go on another thread, so that some come at the very moment of the look.
    let (gate, status) = (rig.gate.clone(), rig.status.clone());
    let guests = std::thread::spawn(move || {
        let mut visits = 0;
        // It is begun anew between them, which takes long on a machine that has other work: as many as there is time for.
        let until = clock::now() + PATIENCE;
        while visits < 500 && clock::now() < until {
            if let Some(guest) = gate.enter() {
                let run = || Some(status.borrow()).filter(|now| now.state == ServiceState::Ready).map(|now| now.run_id);
                let came = run();
                std::thread::yield_now();
                // The gate opens a moment before that is told.
                assert!(came.is_none() || run() == came, "its run went while it was in");
                drop(guest);
                visits += 1;
            }
            std::thread::yield_now();
        }
        visits
    });
    while !guests.is_finished() {
        rig.supervisor.send(recycle()).await.expect("it lives");
    }
    assert!(guests.join().expect("nobody was ended") > 0);
    assert_eq!(rig.state(ServiceState::Ready).await.restarts_total, 0);
    rig.close(true).await;
}

#[actix_rt::test]
async fn one_that_says_that_it_works_is_not_idle() {
    let mut spec = script("exec sleep 1000");
    spec.port = Some(PortSpec::Assigned);
    spec.memory.busy = BusySpec::Http { path: "/queue".to_owned(), nonempty: vec!["running".to_owned()] };
    let mut rig = Rig::new(spec);
    rig.supervisor.do_send(StartService { wish: Wish::Wanted });
    let first = rig.state(ServiceState::Ready).await;
    let working = Rc::new(Cell::new(true));
    let works = Rc::clone(&working);
    let web = Web::new(first.port.expect("a port"), None, move |_: Asked| {
        let running = u32::from(works.get());
        async move { Reply::json(&json!({ "running": running })) }
    })
    .await;
    let recycle = || RecycleService { reason: "it has grown".to_owned(), when_idle: true };
    rig.supervisor.do_send(recycle());
    while !web.has_heard("GET /queue") {
        tokio::task::yield_now().await;
    }
    rig.supervisor.send(recycle()).await.expect("it lives");
    assert_eq!((rig.status.borrow().run_id, rig.gate.is_open()), (first.run_id, true));
    working.set(false);
    rig.supervisor.do_send(recycle());
    rig.until(|now| now.run_id != first.run_id && now.state == ServiceState::Ready).await;
    drop(web);
    rig.close(true).await;
}
