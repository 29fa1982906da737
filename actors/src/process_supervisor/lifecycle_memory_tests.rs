//! A service's life with memory: asked for, refused, given back, and slept through.

use std::sync::Arc;

use proptest::prelude::*;

use super::{
    lifecycle::*,
    lifecycle_tests::{SECOND, World, exit, some_memory, spec, stop},
};
use crate::{
    ids::{Pid, RunId},
    lease::{Fate, LeaseVerdict, Wish},
    memory::{Placement, Refusal, RefusalKind},
    spec::FailureClass,
    state::{Disposition, ServiceState},
};

fn on_demand() -> LifeSpec {
    LifeSpec { wanted: Disposition::OnDemand, ..spec() }
}

fn sleeper() -> LifeSpec {
    LifeSpec { sleeps: true, ..on_demand() }
}

fn refusal() -> Arc<Refusal> {
    let (missing, holders) = (Vec::new(), Vec::new());
    let service = "svc".parse().expect("a name");
    Arc::new(Refusal { service, kind: RefusalKind::InTheWay, missing, holders })
}

fn offload() -> Event {
    Event::Offload { reason: "makes room".to_owned() }
}

const LOAD: Event = Event::Load { wish: Wish::Wanted, lifts: true };

/// A service whose questions are answered by the test.
fn asking(spec: LifeSpec) -> World {
    World { grants: None, ..World::with_memory(spec) }
}

fn loaded(spec: LifeSpec) -> World {
    let mut w = World::with_memory(spec);
    w.tell(LOAD);
    up(&mut w);
    w
}

/// Runs on a port, since what has none is neither asked nor put to sleep.
fn up(w: &mut World) {
    w.news(RunNews::Spawned { pid: Pid(7), port: Some(4000) });
    w.news(RunNews::Ready);
}

fn asleep() -> World {
    let mut w = loaded(sleeper());
    w.tell(offload());
    w.news(RunNews::Asleep);
    w.reclaimed();
    w.grants = None;
    w
}

#[test]
fn nothing_begins_before_it_is_granted_and_what_is_waited_for_is_shown() {
    let mut w = asking(spec());
    w.tell(Event::Start(Wish::Eager));
    assert_eq!((w.state(), w.begun, w.asks.map(|(_, wish)| wish)), (ServiceState::Stopped, 0, Some(Wish::Eager)));
    w.answer(LeaseVerdict::Pending("waits for chat to leave".to_owned()));
    assert_eq!((w.state(), w.reason().as_str()), (ServiceState::Reserved, "waits for chat to leave"));
    w.answer(LeaseVerdict::Granted(some_memory()));
    assert_eq!((w.state(), w.begun, w.reason().as_str()), (ServiceState::Spawning, 1, ""));
    assert_eq!(w.life.view().placement.as_deref(), Some(&some_memory()));
    w.up();
    w.tell(stop());
    w.news(exit(143));
    assert_eq!(w.told(), [Fate::Ready, Fate::Leaving, Fate::Ended { failed: false }]);
    assert_eq!((w.state(), w.life.view().placement), (ServiceState::Reclaiming, None));
    w.answer(LeaseVerdict::Reclaimed(Some("1GiB of RAM is not back".to_owned())));
    assert_eq!((w.state(), w.reason().as_str()), (ServiceState::Stopped, "somebody asked; 1GiB of RAM is not back"));
}

#[test]
fn what_is_refused_rests_as_it_was_and_says_why_until_it_is_asked_for_again() {
    let mut w = asking(on_demand());
    w.tell(LOAD);
    w.answer(LeaseVerdict::Refused(refusal()));
    let view = w.life.view();
    assert_eq!((view.state, view.refusal.as_deref()), (ServiceState::Stopped, Some(&*refusal())));
    assert_eq!((view.reason.as_deref(), view.failures), (Some("there is no memory for it"), 0));
    assert_eq!(w.told(), []);
    w.tell(LOAD);
    assert_eq!(w.life.view().refusal, None);
    w.answer(LeaseVerdict::Granted(some_memory()));
    w.up();
    w.tell(offload());
    w.news(exit(143));
    w.reclaimed();
    assert_eq!((w.state(), w.reason().as_str()), (ServiceState::Offloaded, "makes room"));
    w.tell(LOAD);
    w.answer(LeaseVerdict::Refused(refusal()));
    assert_eq!(w.state(), ServiceState::Offloaded);
}

#[test]
fn a_crash_whose_restart_is_refused_keeps_both_reasons() {
    let mut w = World::with_memory(spec());
    w.tell(Event::Start(Wish::Wanted));
    w.up();
    w.grants = None;
    w.news(exit(1));
    assert_eq!((w.state(), w.asks.map(|(_, wish)| wish)), (ServiceState::Reserved, Some(Wish::Restart)));
    w.answer(LeaseVerdict::Refused(refusal()));
    let expected = "ended with exit code 1: `boo`; not started again: there is no memory for it";
    assert_eq!((w.state(), w.reason().as_str()), (ServiceState::Stopped, expected));
    assert_eq!(w.life.view().failures, 1);
}

#[test]
fn who_wants_it_more_asks_again_and_who_wants_it_no_more_takes_it_back() {
    let mut w = asking(spec());
    w.tell(Event::Start(Wish::Eager));
    let (first, _) = w.asks.expect("a question");
    w.answer(LeaseVerdict::Pending("waits".to_owned()));
    w.tell(Event::Load { wish: Wish::Reload, lifts: false });
    assert_eq!(w.asks, Some((first, Wish::Eager)));
    w.tell(LOAD);
    let (second, wish) = w.asks.expect("a question");
    assert_eq!(
        (wish, w.state(), &w.leases[&first].told[..]),
        (Wish::Wanted, ServiceState::Reserved, &[Fate::Withdrawn][..])
    );
    w.tell(Event::Lease(first, LeaseVerdict::Granted(some_memory())));
    w.tell(Event::Lease(first, LeaseVerdict::Refused(refusal())));
    assert_eq!((w.state(), w.begun), (ServiceState::Reserved, 0), "an answer to what was taken back");
    w.tell(Event::Dependencies(Some("waits for db".to_owned())));
    assert_eq!((w.state(), w.reason().as_str()), (ServiceState::Stopped, "waits for db"));
    assert_eq!(w.leases[&second].told, [Fate::Withdrawn]);
    w.tell(Event::Dependencies(None));
    assert_eq!(w.asks.map(|(_, wish)| wish), Some(Wish::Wanted), "the wish is not forgotten");
    w.tell(stop());
    assert_eq!((w.state(), w.told()), (ServiceState::Stopped, &[Fate::Withdrawn][..]));
}

#[test]
fn memory_that_comes_back_slowly_keeps_nobody_from_asking_and_the_end_of_the_runtime_waits_for_none() {
    let mut w = loaded(on_demand());
    w.tell(offload());
    w.news(exit(143));
    let (first, _) = w.asks.expect("a question");
    assert_eq!(w.state(), ServiceState::Reclaiming);
    w.tell(LOAD);
    assert_eq!((w.state(), w.begun), (ServiceState::Spawning, 2));
    assert_eq!(w.tell(Event::Lease(first, LeaseVerdict::Reclaimed(None))), []);
    w.up();
    w.tell(offload());
    w.news(exit(143));
    w.tell(stop());
    assert_eq!(w.state(), ServiceState::Reclaiming);
    w.tell(Event::Close { until: w.now + SECOND, force: false });
    assert_eq!((w.state(), w.answers.len()), (ServiceState::Stopped, 1));
}

#[test]
fn of_a_run_without_memory_nothing_but_its_end_is_told() {
    let mut w = World { grants: Some(Placement::default()), ..World::with_memory(on_demand()) };
    w.tell(LOAD);
    w.up();
    w.tell(offload());
    w.news(exit(143));
    assert_eq!((w.state(), w.told()), (ServiceState::Offloaded, &[Fate::Ended { failed: false }][..]));
}

#[test]
fn what_runs_on_demand_comes_back_after_a_failure_only_for_somebody() {
    let mut w = loaded(on_demand());
    w.news(exit(1));
    w.reclaimed();
    let view = w.life.view();
    assert_eq!((view.state, view.failures, view.restarts), (ServiceState::Offloaded, 1, 0));
    assert_eq!(view.reason.as_deref(), Some("ended with exit code 1: `boo`"));
    w.tell(LOAD);
    up(&mut w);
    w.waiting = 1;
    w.news(exit(1));
    assert_eq!((w.state(), w.life.view().restarts), (ServiceState::Backoff, 1));
    w.ring();
    assert_eq!(w.asks.map(|(_, wish)| wish), Some(Wish::Wanted), "somebody waits");
    w.news(exit(1));
    w.reclaimed();
    assert_eq!((w.state(), w.begun), (ServiceState::Failed, 3), "requests do not keep a crash loop going");
    let mut pinned = loaded(LifeSpec { pinned: true, ..on_demand() });
    pinned.news(exit(1));
    assert_eq!(pinned.asks.map(|(_, wish)| wish), Some(Wish::Restart));
}

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

#[test]
fn a_reload_lifts_nothing_that_is_down_or_given_up() {
    let mut w = asking(on_demand());
    w.tell(stop());
    assert_eq!(w.tell(Event::Load { wish: Wish::Reload, lifts: false }), []);
    let mut w = World::with_memory(spec());
    w.tell(Event::Start(Wish::Wanted));
    w.news(exit(125));
    w.reclaimed();
    assert_eq!(
        (w.state(), w.tell(Event::Load { wish: Wish::Reload, lifts: false })),
        (ServiceState::Failed, Vec::new())
    );
}

#[test]
fn what_an_adopted_run_holds_is_asked_for_and_what_it_went_through_is_told_after_the_answer() {
    let mut w = asking(on_demand());
    let run = RunId::fresh();
    w.tell(Event::Adopt { run, pid: Pid(7), port: Some(80) });
    assert_eq!(w.asks, Some((run, Wish::Adopted)));
    w.news(RunNews::Ready);
    assert_eq!((w.state(), w.told()), (ServiceState::Ready, &[][..]));
    w.answer(LeaseVerdict::Granted(some_memory()));
    assert_eq!(w.told(), [Fate::Ready]);
    w.tell(offload());
    w.news(exit(143));
    assert_eq!(w.state(), ServiceState::Reclaiming);
}

/// What may happen next to a service with memory, by number.
fn happen(w: &mut World, dice: u8) {
    let (live, open) = (w.live, w.asks.is_some() && !w.is_answered);
    match (dice % 24, live) {
        (0, _) => drop(w.tell(Event::Start([Wish::Eager, Wish::Wanted][usize::from(dice > 127)]))),
        (1 | 2, _) => drop(w.tell(LOAD)),
        (3, _) => drop(w.tell(Event::Load { wish: Wish::Reload, lifts: false })),
        (4 | 5, _) => drop(w.tell(offload())),
        (6, _) => drop(w.tell(stop())),
        (7, _) => drop(w.tell(Event::Restart { reason: "again".to_owned() })),
        (8, _) => {
            let new = LifeSpec { is_asked: dice > 60, ..sleeper() };
            drop(w.tell(Event::Reconfigure { spec: new, restart: dice > 127, blocked: None }));
        }
        (9, _) => drop(w.tell(Event::Dependencies((dice > 127).then(|| "waits".to_owned())))),
        (10, _) if open => drop(w.answer(LeaseVerdict::Pending("waits".to_owned()))),
        (11 | 12, _) if open => drop(w.answer(LeaseVerdict::Granted(some_memory()))),
        (13, _) if open => drop(w.answer(LeaseVerdict::Refused(refusal()))),
        (14, _) if w.asks.is_some() => w.reclaimed(),
        (15, _) if w.timer.is_some() => w.ring(),
        (16, Some(_)) => up(w),
        (17, Some(_)) => drop(w.news(RunNews::Asleep)),
        (18, Some(_)) => drop(w.news(RunNews::NotAsleep { reason: String::new() })),
        (19, Some(_)) => drop(w.news(exit(i32::from(dice > 127)))),
        (20, Some(_)) => drop(w.news(RunNews::Killing { reason: String::new() })),
        (21, _) => w.users = u32::from(dice > 127),
        (22, Some(_)) => w.leave(),
        (23, _) => w.waiting = u32::from(dice > 127),
        _ => {}
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3000, failure_persistence: None, ..ProptestConfig::default() })]

    /// [`World`] itself checks that nothing begins without a grant, that nothing is told of a run that was never asked for,
    /// or after its end.
    #[test]
    fn whatever_happens_a_stop_ends_it_and_the_end_of_every_run_is_told_once(
        events in prop::collection::vec(any::<u8>(), 0..80), close in any::<bool>(),
    ) {
        let mut w = asking(sleeper());
        for dice in events {
            happen(&mut w, dice);
            let view = w.life.view();
            let has_process = w.live.is_some();
            // What it gave back may still be waited for when it sleeps.
            let is_live = view.state.is_live() || (view.state == ServiceState::Reclaiming && has_process);
            prop_assert_eq!(is_live, has_process, "{:?}", view.state);
            prop_assert!(view.state != ServiceState::Ready || view.refusal.is_none());
        }
        let begun = w.begun;
        w.tell(if close { Event::Close { until: w.now, force: false } } else { stop() });
        if w.state() == ServiceState::Draining {
            w.ring();
        }
        if w.live.is_some() {
            w.news(exit(143));
        }
        if w.state() == ServiceState::Reclaiming {
            prop_assert!(!close, "the end of the runtime waits for memory");
            w.reclaimed();
        }
        use ServiceState::{Completed, Failed, Offloaded, Stopped};
        prop_assert!(matches!(w.state(), Stopped | Offloaded | Completed | Failed), "{:?}", w.state());
        prop_assert_eq!(w.begun, begun);
        for lease in w.leases.values().filter(|lease| lease.granted) {
            let ends = lease.told.iter().filter(|fate| matches!(fate, Fate::Ended { .. } | Fate::Withdrawn)).count();
            prop_assert_eq!(ends, 1, "{:?}", &lease.told);
        }
    }
}
