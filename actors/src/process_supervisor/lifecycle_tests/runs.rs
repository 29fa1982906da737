//! One run after the other: begun, failed, begun again, and given up.

use super::world::{SECOND, World, exit, restart, spec, stop};
use crate::{
    ids::Pid,
    lease::{Fate, Wish},
    process_supervisor::lifecycle::*,
    spec::FailureClass,
    state::{Disposition, ExitReport, ServiceState},
    time::Timestamp,
};

#[test]
fn progress_is_seen_while_it_starts_and_belongs_to_one_run() {
    let mut world = World::new();
    world.tell(Event::Start(Wish::Wanted));
    world.spawned();
    assert_eq!(world.loading(1), Some(1));
    world.news(RunNews::Ready);
    assert_eq!(world.loading(2), None);
    world.tell(Event::Restart { reason: "anew".to_owned() });
    world.news(exit(0));
    world.spawned();
    assert_eq!(world.life.view().load, None);
}

#[test]
fn a_plain_life() {
    let mut w = World::new();
    w.tell(Event::Start(Wish::Wanted));
    assert_eq!((w.state(), w.life.view().disposition), (ServiceState::Spawning, Disposition::Up));
    w.spawned();
    assert_eq!((w.state(), w.life.view().pid), (ServiceState::Starting, Some(Pid(7))));
    w.news(RunNews::Ready);
    assert_eq!(w.state(), ServiceState::Ready);
    w.tell(stop());
    assert_eq!((w.state(), w.kill_at), (ServiceState::Stopping, Some(w.now + 5 * SECOND)));
    let effects = w.news(exit(143));
    assert_eq!((w.state(), w.life.view().disposition), (ServiceState::Stopped, Disposition::Down));
    let [Effect::NoteEnded { wanted: true, exit, .. }, Effect::TellLease { fate, .. }] = &effects[..] else {
        panic!("{effects:?}")
    };
    assert_eq!((exit.class, fate), (None, &Fate::Ended { failed: false }));
}

#[test]
fn crashes_are_answered_at_once_then_after_doubling_waits_then_not_any_more() {
    let mut w = World::running(spec());
    w.news(exit(1));
    assert_eq!((w.state(), w.begun), (ServiceState::Spawning, 2));
    w.up();
    w.news(exit(1));
    assert_eq!(w.state(), ServiceState::Backoff);
    assert_eq!(w.life.view().next_start, Some(w.now + SECOND));
    let stale = w.timer;
    w.ring();
    assert_eq!((w.state(), w.begun), (ServiceState::Spawning, 3));
    w.tell(Event::Due(stale.expect("the timer").0));
    w.up();
    w.news(exit(1));
    assert_eq!((w.state(), w.begun, w.life.view().restarts), (ServiceState::Failed, 3, 2));
    assert_eq!(w.alerts, [Alert::Failed]);
    assert!(w.reason().starts_with("gave up after 3 failures in a row, at last: ended with exit code 1: `boo`"));
    w.tell(Event::Start(Wish::Wanted));
    assert_eq!((w.state(), w.alerts.len(), w.life.view().failures), (ServiceState::Spawning, 0, 0));
}

#[test]
fn enough_health_in_one_piece_forgives() {
    let mut w = World::running(spec());
    w.news(exit(1));
    w.up();
    assert_eq!(w.life.view().failures, 1);
    let (early, _) = w.timer.expect("a timer");
    w.news(RunNews::Unready { reason: "503".to_owned() });
    assert_eq!((w.state(), w.reason()), (ServiceState::Unready, "503".to_owned()));
    w.news(RunNews::Ready);
    w.tell(Event::Due(early));
    assert_eq!(w.life.view().failures, 1, "the health was interrupted");
    w.ring();
    assert_eq!(w.life.view().failures, 0);
}

#[test]
fn what_cannot_help_is_not_tried_again() {
    for news in [
        RunNews::Ended {
            exit: ExitReport {
                code: None,
                signal: None,
                class: Some(FailureClass::MissingCommand),
                stderr: Vec::new(),
                at: Timestamp::from_micros(0),
            },
            cause: Some("cannot run `x`".to_owned()),
            killed: false,
        },
        exit(125),
    ] {
        let mut w = World::new();
        w.tell(Event::Start(Wish::Wanted));
        w.news(news);
        assert_eq!((w.state(), w.begun), (ServiceState::Failed, 1));
        assert!(w.reason().starts_with("not tried again, since that cannot help"), "{}", w.reason());
        w.tell(Event::Reset);
        assert_eq!((w.state(), w.alerts.len()), (ServiceState::Stopped, 0));
    }
}

#[test]
fn a_clean_end_completes() {
    let mut w = World::running(spec());
    w.news(exit(0));
    assert_eq!((w.state(), w.life.view().last_exit.and_then(|e| e.class)), (ServiceState::Completed, None));
}

#[test]
fn a_restart_waits_until_the_containment_is_empty_and_does_not_count() {
    let mut w = World::running(spec());
    for _ in 0..10 {
        w.tell(restart());
        w.news(RunNews::Killing { reason: "grace over".to_owned() });
        assert_eq!(w.state(), ServiceState::Killing);
        w.news(exit(1));
        w.up();
    }
    assert_eq!((w.state(), w.begun, w.life.view().failures, w.life.view().restarts), (ServiceState::Ready, 11, 0, 0));
}

#[test]
fn a_failing_run_is_stopped_and_its_failure_counted_by_its_own_class() {
    let mut w = World::new();
    w.tell(Event::Start(Wish::Wanted));
    w.spawned();
    w.news(RunNews::Failing { class: FailureClass::Timeout, reason: "not ready within 1s".to_owned() });
    assert_eq!(w.state(), ServiceState::Stopping);
    w.news(exit(0));
    let view = w.life.view();
    assert_eq!((view.state, view.failures), (ServiceState::Spawning, 1));
    assert_eq!(view.last_exit.and_then(|e| e.class), Some(FailureClass::Timeout));
    assert_eq!(view.reason.as_deref(), Some("not ready within 1s"));
}

#[test]
fn a_dependency_is_waited_for_and_named() {
    let mut w = World::new();
    w.tell(Event::Dependencies(Some("waits for db to be ready".to_owned())));
    w.tell(Event::Start(Wish::Wanted));
    assert_eq!((w.state(), w.reason().as_str(), w.begun), (ServiceState::Stopped, "waits for db to be ready", 0));
    w.tell(Event::Dependencies(None));
    assert_eq!(w.state(), ServiceState::Spawning);
}

#[test]
fn a_stuck_run_lets_nothing_begin_until_it_is_gone_and_then_what_is_wanted() {
    let mut w = World::running(spec());
    w.tell(stop());
    w.news(RunNews::Stuck { reason: "pid 7 outlived SIGKILL".to_owned() });
    assert_eq!((w.state(), &w.alerts[..]), (ServiceState::Stuck, &[Alert::Stuck][..]));
    w.tell(Event::Start(Wish::Wanted));
    w.tell(restart());
    assert_eq!((w.state(), w.begun), (ServiceState::Stuck, 1));
    w.news(exit(137));
    assert_eq!((w.state(), w.begun, w.alerts.len()), (ServiceState::Spawning, 2, 0));
}

#[test]
fn news_of_an_earlier_run_changes_nothing() {
    let mut w = World::new();
    w.tell(Event::Start(Wish::Wanted));
    let first = w.live.expect("a run");
    w.up();
    w.news(exit(1));
    for news in [RunNews::Ready, exit(1), RunNews::Stuck { reason: String::new() }] {
        assert_eq!(w.tell(Event::Run(first, news)), []);
    }
    assert_eq!(w.state(), ServiceState::Spawning);
}

#[test]
fn loading_and_offloading_change_nothing_about_what_is_wanted() {
    let mut w = World::new();
    w.life = Lifecycle::new(LifeSpec { wanted: Disposition::OnDemand, ..spec() }, Disposition::OnDemand);
    w.tell(Event::Load { wish: Wish::Wanted, lifts: true });
    w.up();
    w.tell(Event::Offload { reason: "no room".to_owned() });
    w.news(exit(143));
    let view = w.life.view();
    assert_eq!((view.state, view.disposition), (ServiceState::Offloaded, Disposition::OnDemand));
    w.tell(stop());
    assert_eq!(w.state(), ServiceState::Stopped);
    w.tell(Event::Load { wish: Wish::Wanted, lifts: true });
    assert_eq!(w.life.view().disposition, Disposition::OnDemand, "a load lifts `down`");
}

#[test]
fn a_load_that_lifts_nothing_leaves_what_is_stopped_as_it_is_also_while_it_ends() {
    let request = Event::Load { wish: Wish::Wanted, lifts: false };
    let mut w = World::new();
    w.life = Lifecycle::new(LifeSpec { wanted: Disposition::OnDemand, ..spec() }, Disposition::OnDemand);
    w.tell(request.clone());
    w.up();
    w.tell(stop());
    assert_eq!((w.state(), w.tell(request.clone())), (ServiceState::Stopping, Vec::new()));
    w.news(exit(143));
    assert_eq!((w.state(), w.tell(request)), (ServiceState::Stopped, Vec::new()));
    assert_eq!((w.life.view().disposition, w.begun), (Disposition::Down, 1));
}

#[test]
fn one_that_runs_on_demand_comes_back_after_a_failure_only_where_somebody_needs_it() {
    for (needed, state) in [(0, ServiceState::Offloaded), (1, ServiceState::Spawning)] {
        let mut w = World::new();
        w.life = Lifecycle::new(LifeSpec { wanted: Disposition::OnDemand, ..spec() }, Disposition::OnDemand);
        w.tell(Event::Load { wish: Wish::Wanted, lifts: false });
        w.up();
        w.needed = needed;
        w.news(exit(1));
        assert_eq!((w.state(), w.life.view().disposition), (state, Disposition::OnDemand), "{needed}");
        assert_eq!(w.life.needs_others(), needed > 0);
    }
}

#[test]
fn a_load_whose_port_was_taken_in_between_is_tried_once_on_another() {
    let taken = || {
        let RunNews::Ended { exit, cause, killed } = exit(1) else { panic!("an end") };
        RunNews::Ended { exit: ExitReport { class: Some(FailureClass::PortInUse), ..exit }, cause, killed }
    };
    for (assigned_port, states) in [
        (true, [ServiceState::Spawning, ServiceState::Offloaded]),
        (false, [ServiceState::Offloaded, ServiceState::Offloaded]),
    ] {
        let mut w = World::new();
        let spec = LifeSpec { wanted: Disposition::OnDemand, assigned_port, ..spec() };
        w.life = Lifecycle::new(spec, Disposition::OnDemand);
        w.tell(Event::Load { wish: Wish::Wanted, lifts: false });
        let seen = states.map(|_| {
            if w.state() == ServiceState::Spawning {
                w.news(taken());
            }
            w.state()
        });
        assert_eq!(seen, states);
    }
}
