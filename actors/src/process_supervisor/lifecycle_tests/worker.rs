//! One that does jobs, each in a run of its own.

use std::time::Duration;

use proptest::prelude::*;

use super::{
    given::{LOAD, asking, loaded, offload, on_demand, refusal},
    world::{SECOND, World, exit, some_memory, stop},
};
use crate::{
    job::JobProgress,
    lease::{Fate, LeaseVerdict},
    process_supervisor::lifecycle::*,
    spec::FailureClass,
    state::{Disposition, ServiceState},
};

fn worker() -> LifeSpec {
    LifeSpec { worker: true, drain: Duration::ZERO, ..on_demand() }
}

#[test]
fn after_any_end_it_rests_as_stopped_and_the_next_job_may_ask_for_it() {
    for (n, code) in [0, 1, 127, 0].into_iter().enumerate() {
        let mut w = loaded(worker());
        w.news(exit(code));
        assert_eq!((w.state(), w.begun), (ServiceState::Reclaiming, 1), "end {n}");
        w.reclaimed();
        let view = w.life.view();
        assert_eq!((view.state, view.disposition, view.failures), (ServiceState::Stopped, Disposition::OnDemand, 0));
        let exit = view.last_exit.expect("an end");
        assert_eq!((exit.code, exit.class), (Some(code), (code != 0).then_some(FailureClass::Exit)));
        assert!(w.alerts.is_empty());
        w.tell(LOAD);
        assert_eq!((w.state(), w.begun), (ServiceState::Spawning, 2));
    }
}

#[test]
fn a_stop_ends_one_job_and_waits_for_nobody_who_is_in() {
    let mut w = loaded(worker());
    w.users = 1;
    w.tell(stop());
    assert_eq!((w.state(), w.kill_at), (ServiceState::Stopping, Some(w.now + 5 * SECOND)));
    w.news(exit(143));
    w.reclaimed();
    let view = w.life.view();
    assert_eq!((view.state, view.disposition), (ServiceState::Stopped, Disposition::OnDemand));
    assert_eq!(view.last_exit.and_then(|exit| exit.class), None);
    w.tell(Event::Load { wish: crate::lease::Wish::Wanted, lifts: false });
    assert_eq!(w.begun, 2);
}

#[test]
fn what_ends_while_others_wait_for_it_to_leave_has_ended_by_itself() {
    for code in [0, 3] {
        let mut w = loaded(worker());
        w.users = 1;
        w.tell(offload());
        assert_eq!((w.state(), w.kill_at), (ServiceState::Draining, None));
        let effects = w.news(exit(code));
        assert!(effects.iter().any(|effect| matches!(effect, Effect::NoteEnded { wanted: false, .. })), "{effects:?}");
        let class = w.life.view().last_exit.expect("an end").class;
        assert_eq!(class, (code != 0).then_some(FailureClass::Exit));
        w.reclaimed();
        assert_eq!((w.state(), w.life.view().disposition), (ServiceState::Stopped, Disposition::OnDemand));
        let failed = class.is_some();
        assert_eq!(w.told().last(), Some(&Fate::Ended { failed }));
    }
}

#[test]
fn its_progress_belongs_to_one_run() {
    let mut w = loaded(worker());
    let step = JobProgress::of(1, 4, None);
    w.news(RunNews::Step(step));
    assert_eq!(w.life.view().step, Some(step));
    w.news(exit(0));
    assert_eq!(w.life.view().step, None);
    w.tell(LOAD);
    assert_eq!(w.life.view().step, None);
}

#[test]
fn one_that_finds_no_room_rests_as_it_was_and_is_asked_for_again() {
    let mut w = asking(worker());
    for _ in 0..2 {
        w.tell(LOAD);
        w.answer(LeaseVerdict::Pending("waits for chat to leave".to_owned()));
        assert_eq!((w.state(), w.reason().as_str()), (ServiceState::Reserved, "waits for chat to leave"));
        w.answer(LeaseVerdict::Refused(refusal()));
        assert_eq!((w.state(), w.life.view().refusal), (ServiceState::Stopped, Some(refusal())));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_run_begins_without_having_been_asked_for(events in prop::collection::vec(any::<u8>(), 0..60)) {
        let mut w = World { grants: Some(some_memory()), ..asking(worker()) };
        let mut loads = 0;
        for dice in events {
            match (dice % 10, w.live) {
                (0, _) => {
                    loads += 1;
                    w.tell(LOAD);
                }
                (1, _) => drop(w.tell(offload())),
                (2, _) => drop(w.tell(stop())),
                (3, Some(_)) => w.up(),
                (4 | 5, Some(_)) => drop(w.news(exit(i32::from(dice > 127)))),
                (6, _) if w.asks.is_some() => w.reclaimed(),
                (7, _) => w.users = u32::from(dice > 127),
                (8, Some(_)) => w.leave(),
                (9, _) if w.timer.is_some() => w.ring(),
                _ => {}
            }
            prop_assert!(w.begun <= loads);
            use ServiceState::{Backoff, Completed, Failed, Offloaded};
            prop_assert!(!matches!(w.state(), Backoff | Completed | Failed | Offloaded), "{:?}", w.state());
        }
    }
}
