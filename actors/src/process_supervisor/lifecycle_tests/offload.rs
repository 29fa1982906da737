//! To make room it leaves by a stop, or sleeps where its engine can do that; nothing busy is pushed out.

use super::{
    given::{LOAD, asleep, loaded, offload, on_demand, refusal, sleeper},
    world::{SECOND, exit, some_memory, stop},
};
use crate::{
    lease::{Fate, LeaseVerdict, Wish},
    process_supervisor::lifecycle::*,
    spec::FailureClass,
    state::{Disposition, ServiceState},
};

#[test]
fn nothing_busy_is_pushed_out_and_a_stop_waits_for_nobody_so_long() {
    let mut w = loaded(on_demand());
    w.users = 2;
    w.tell(offload());
    assert_eq!((w.state(), w.timer.map(|(_, at)| at - w.now)), (ServiceState::Draining, Some(20 * SECOND)));
    w.news(RunNews::Unready { reason: "503".to_owned() });
    w.news(RunNews::Ready);
    w.ring();
    assert_eq!((w.state(), w.kill_at), (ServiceState::Ready, None));
    assert_eq!(w.reason(), "not offloaded, since after 20s 2 requests are still in it");
    assert_eq!(w.told(), [Fate::Ready, Fate::Leaving, Fate::Stays]);
    w.tell(offload());
    w.tell(stop());
    assert_eq!((w.state(), w.timer.map(|(_, at)| at - w.now)), (ServiceState::Draining, Some(10 * SECOND)));
    w.ring();
    w.news(exit(143));
    w.reclaimed();
    assert_eq!((w.state(), w.life.view().disposition), (ServiceState::Stopped, Disposition::Down));
    let mut told = w.told().iter();
    assert_eq!(told.by_ref().filter(|fate| **fate == Fate::Leaving).count(), 2, "once for each time");
}

#[test]
fn one_that_can_say_whether_it_works_is_asked_before_it_is_pushed_out_and_not_before_it_is_stopped() {
    let spec = LifeSpec { is_asked: true, ..on_demand() };
    let mut w = loaded(spec);
    let effects = w.tell(offload());
    assert!(effects.iter().any(|effect| matches!(effect, Effect::AwaitDrain { ask: true, .. })), "{effects:?}");
    w.ring();
    assert_eq!(w.reason(), "not offloaded, since after 20s it says that it still works");
    w.tell(offload());
    w.leave();
    assert_eq!(w.state(), ServiceState::Stopping);
    let mut w = loaded(spec);
    w.tell(stop());
    assert_eq!(w.state(), ServiceState::Stopping);
}

#[test]
fn a_sleeper_keeps_its_process_and_wakes_with_memory_of_the_same_run() {
    let mut w = asleep();
    let run = w.live.expect("it lives");
    assert_eq!((w.state(), w.reason().as_str()), (ServiceState::Sleeping, "makes room"));
    w.tell(LOAD);
    assert_eq!((w.asks, w.state()), (Some((run, Wish::Wanted)), ServiceState::Sleeping));
    w.answer(LeaseVerdict::Refused(refusal()));
    assert_eq!((w.state(), w.life.view().refusal.is_some()), (ServiceState::Sleeping, true));
    w.tell(LOAD);
    let effects = w.answer(LeaseVerdict::Granted(some_memory()));
    assert_eq!((&effects[..], w.state()), (&[Effect::WakeRun(run)][..], ServiceState::Starting));
    w.news(RunNews::Ready);
    assert_eq!((w.state(), w.begun, w.life.view().refusal), (ServiceState::Ready, 1, None));
    assert_eq!(w.told(), [Fate::Ready, Fate::Leaving, Fate::Asleep, Fate::Ready]);
    w.tell(stop());
    w.news(exit(143));
    assert_eq!(w.told().last(), Some(&Fate::Ended { failed: false }));
}

#[test]
fn what_cannot_be_put_to_sleep_is_stopped_and_says_so() {
    let mut w = loaded(sleeper());
    w.tell(offload());
    assert_eq!(w.state(), ServiceState::Draining);
    w.news(RunNews::NotAsleep { reason: "POST /sleep answers 404".to_owned() });
    assert_eq!(w.state(), ServiceState::Stopping);
    w.news(exit(143));
    w.reclaimed();
    let expected = "makes room; it was stopped, since it could not be put to sleep: POST /sleep answers 404";
    assert_eq!((w.state(), w.reason().as_str()), (ServiceState::Offloaded, expected));
}

#[test]
fn a_sleeper_that_ends_is_missed_by_nobody_unless_somebody_wants_it() {
    let mut w = asleep();
    w.news(exit(1));
    w.reclaimed();
    let view = w.life.view();
    assert_eq!((view.state, view.failures), (ServiceState::Offloaded, 0));
    assert_eq!(view.reason.as_deref(), Some("it ended while it slept: ended with exit code 1: `boo`"));
    for killing in [false, true] {
        let mut w = asleep();
        w.tell(LOAD);
        if killing {
            w.news(RunNews::Killing { reason: "it left something".to_owned() });
        }
        w.grants = Some(some_memory());
        w.news(exit(1));
        assert_eq!((w.state(), w.begun), (ServiceState::Spawning, 2));
    }
}

#[test]
fn a_sleeper_in_the_way_is_stopped_and_one_that_cannot_be_woken_has_failed() {
    let mut w = asleep();
    w.tell(offload());
    assert_eq!(w.told(), [Fate::Ready, Fate::Leaving, Fate::Asleep, Fate::Leaving]);
    w.news(exit(143));
    w.reclaimed();
    assert_eq!(w.state(), ServiceState::Offloaded);
    let mut w = asleep();
    w.tell(LOAD);
    w.waiting = 1;
    w.answer(LeaseVerdict::Granted(some_memory()));
    w.news(RunNews::Failing { class: FailureClass::Unknown, reason: "it could not be woken".to_owned() });
    assert_eq!(w.state(), ServiceState::Stopping);
    w.grants = Some(some_memory());
    w.news(exit(143));
    assert_eq!((w.state(), w.life.view().failures, w.begun), (ServiceState::Spawning, 1, 2));
}

#[test]
fn one_that_is_wanted_while_it_falls_asleep_wakes_again() {
    let mut w = loaded(sleeper());
    w.tell(offload());
    w.tell(LOAD);
    w.news(RunNews::Asleep);
    assert_eq!(w.state(), ServiceState::Starting);
    w.news(RunNews::Ready);
    assert_eq!(w.told(), [Fate::Ready, Fate::Leaving, Fate::Asleep, Fate::Ready]);
}
