//! Runs that are condemned, and what is in quarantine.

use super::{
    given::{LOAD, asleep, loaded, offload, on_demand, sleeper},
    world::{SECOND, World, exit, restart, spec, stop},
};
use crate::{
    ids::RunId,
    lease::Wish,
    process_supervisor::lifecycle::*,
    spec::FailureClass,
    state::{Disposition, ServiceState},
};

const BY_REQUEST: Event = Event::Load { wish: Wish::Wanted, lifts: false };

fn charge(run: RunId, at_once: bool, sentence: Sentence) -> Event {
    let reason = "30 processes".to_owned();
    Event::Condemn { run, class: FailureClass::Nan, reason, at_once, sentence }
}

fn condemn(w: &mut World, at_once: bool, sentence: Sentence) -> Vec<Effect> {
    let run = w.live.expect("a live run");
    w.tell(charge(run, at_once, sentence))
}

fn quarantined(spec: LifeSpec) -> World {
    let mut w = World::running(spec);
    condemn(&mut w, false, Sentence::Quarantine);
    w.news(exit(143));
    assert_eq!((w.state(), &w.alerts[..]), (ServiceState::Quarantined, &[Alert::Quarantined][..]));
    w
}

#[test]
fn a_run_that_is_over_is_not_condemned_any_more() {
    let mut w = World::running(spec());
    let first = w.live.expect("a run");
    w.tell(restart());
    w.news(exit(143));
    w.up();
    for sentence in [Sentence::Restart, Sentence::Stop, Sentence::Quarantine] {
        assert_eq!(w.tell(charge(first, true, sentence)), []);
    }
    assert_eq!((w.state(), w.life.view().disposition), (ServiceState::Ready, Disposition::Up));
}

#[test]
fn at_once_nobody_is_waited_for_and_it_says_so() {
    let mut w = World::running(spec());
    w.users = 2;
    let run = w.live.expect("a run");
    assert_eq!(condemn(&mut w, true, Sentence::Restart), [Effect::KillRun(run)]);
    assert_eq!(
        (w.state(), w.reason()),
        (ServiceState::Killing, "30 processes; its whole tree was killed at once".into())
    );
    w.news(RunNews::Killing { reason: "its grace is over".to_owned() });
    assert!(w.reason().starts_with("30 processes"), "{}", w.reason());
    w.news(exit(137));
    let view = w.life.view();
    assert_eq!((view.state, view.failures, view.restarts, w.begun), (ServiceState::Spawning, 1, 1, 2));
    assert_eq!(view.last_exit.and_then(|exit| exit.class), Some(FailureClass::Nan));
}

#[test]
fn otherwise_those_who_use_it_may_finish_and_a_kill_at_once_ends_that_too() {
    let mut w = World::running(spec());
    w.users = 1;
    condemn(&mut w, false, Sentence::Restart);
    assert_eq!(w.state(), ServiceState::Draining);
    let run = w.live.expect("a run");
    assert_eq!(condemn(&mut w, true, Sentence::Restart), [Effect::KillRun(run)]);
    w.news(exit(137));
    assert_eq!((w.life.view().failures, w.begun), (1, 2), "it has failed once");
}

#[test]
fn each_of_them_counts_as_a_failure_so_that_there_is_no_loop() {
    let mut w = World::running(spec());
    for _ in 0..2 {
        condemn(&mut w, true, Sentence::Restart);
        w.news(exit(137));
        if w.state() == ServiceState::Backoff {
            w.ring();
        }
        w.up();
    }
    condemn(&mut w, true, Sentence::Restart);
    w.news(exit(137));
    assert_eq!((w.state(), w.begun), (ServiceState::Failed, 3));
    assert!(w.reason().starts_with("gave up after 3 failures in a row, at last: 30 processes"), "{}", w.reason());
}

#[test]
fn what_is_stopped_for_it_stays_down_like_what_a_person_stops() {
    let mut w = World::running(on_demand());
    condemn(&mut w, false, Sentence::Stop);
    w.news(exit(143));
    let view = w.life.view();
    assert_eq!((view.state, view.disposition, view.failures), (ServiceState::Stopped, Disposition::Down, 0));
    assert_eq!(
        (w.reason().as_str(), view.last_exit.and_then(|exit| exit.class)),
        ("30 processes", Some(FailureClass::Nan))
    );
    w.tell(BY_REQUEST);
    assert_eq!(w.begun, 1);
    w.tell(Event::Start(Wish::Wanted));
    assert_eq!(w.begun, 2);
}

#[test]
fn what_is_in_quarantine_starts_for_a_person_alone() {
    let mut w = quarantined(on_demand());
    for wish in [Wish::Reload, Wish::Eager, Wish::Restart, Wish::Wanted] {
        assert_eq!(w.tell(Event::Load { wish, lifts: false }), [], "{wish:?}");
    }
    w.tell(Event::Dependencies(None));
    w.tell(offload());
    assert_eq!(w.state(), ServiceState::Quarantined);
    for word in [Event::Start(Wish::Wanted), restart(), LOAD] {
        let mut w = quarantined(on_demand());
        w.tell(word.clone());
        assert_eq!((w.state(), w.begun, w.alerts.len()), (ServiceState::Spawning, 2, 0), "{word:?}");
    }
    w.tell(Event::Reset);
    assert_eq!((w.state(), w.alerts.len()), (ServiceState::Stopped, 0));
    w.tell(BY_REQUEST);
    assert_eq!(w.begun, 2);
}

#[test]
fn a_request_that_comes_while_it_ends_does_not_bring_it_back() {
    for event in [BY_REQUEST, offload()] {
        let mut w = World::running(on_demand());
        condemn(&mut w, false, Sentence::Quarantine);
        w.tell(event.clone());
        w.news(exit(143));
        assert_eq!((w.state(), w.begun), (ServiceState::Quarantined, 1), "{event:?}");
    }
    let mut w = World::running(on_demand());
    condemn(&mut w, false, Sentence::Quarantine);
    w.tell(LOAD);
    w.news(exit(143));
    assert_eq!((w.state(), w.begun), (ServiceState::Spawning, 2), "a person's word goes before it");
}

#[test]
fn a_changed_configuration_lifts_it_and_starts_what_is_wanted() {
    let changed = |spec: LifeSpec| Event::Reconfigure { spec, restart: true, blocked: None };
    for (spec, expected) in
        [(on_demand(), ServiceState::Stopped), (LifeSpec { wanted: Disposition::Up, ..spec() }, ServiceState::Spawning)]
    {
        for comes_first in [false, true] {
            let mut w = World { life: Lifecycle::new(spec, spec.wanted), ..World::new() };
            w.tell(LOAD);
            w.up();
            condemn(&mut w, false, Sentence::Quarantine);
            if comes_first {
                w.tell(changed(spec));
                w.news(exit(143));
            } else {
                w.news(exit(143));
                w.tell(changed(spec));
            }
            assert_eq!((w.state(), w.alerts.len()), (expected, 0), "the change comes first: {comes_first}");
        }
    }
}

#[test]
fn one_that_sleeps_or_is_being_ended_goes_the_way_that_was_decided() {
    let mut w = asleep();
    condemn(&mut w, false, Sentence::Restart);
    assert_eq!(w.state(), ServiceState::Stopping);
    w.news(exit(143));
    w.reclaimed();
    assert_eq!(w.state(), ServiceState::Offloaded);

    let mut w = loaded(sleeper());
    w.users = 1;
    w.tell(offload());
    condemn(&mut w, true, Sentence::Restart);
    w.news(exit(137));
    w.reclaimed();
    assert_eq!(w.state(), ServiceState::Offloaded);

    let mut w = World::running(spec());
    w.tell(stop());
    condemn(&mut w, true, Sentence::Restart);
    assert_eq!(w.state(), ServiceState::Killing);
    w.news(exit(137));
    assert_eq!((w.state(), w.life.view().failures, w.begun), (ServiceState::Stopped, 0, 1));
}

#[test]
fn a_drain_for_it_has_its_bound() {
    let mut w = World::running(spec());
    w.users = 1;
    let effects = condemn(&mut w, false, Sentence::Quarantine);
    let [Effect::Arm { at, .. }, Effect::AwaitDrain { ask: false, .. }] = effects[..] else { panic!("{effects:?}") };
    assert_eq!(at, w.now + 10 * SECOND);
    w.ring();
    assert_eq!(w.state(), ServiceState::Stopping);
}

#[test]
fn of_a_worker_only_the_run_is_ended() {
    for sentence in [Sentence::Restart, Sentence::Stop, Sentence::Quarantine] {
        let mut w = World::running(LifeSpec { worker: true, wanted: Disposition::OnDemand, ..spec() });
        condemn(&mut w, true, sentence);
        w.news(exit(137));
        let view = w.life.view();
        assert_eq!((view.state, view.disposition), (ServiceState::Stopped, Disposition::Up), "{sentence:?}");
        assert_eq!(view.last_exit.and_then(|exit| exit.class), Some(FailureClass::Nan));
        w.tell(Event::Start(Wish::Wanted));
        assert_eq!(w.begun, 2);
    }
}
