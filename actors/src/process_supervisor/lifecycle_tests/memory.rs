//! Memory is asked for, refused, granted and given back.

use super::{
    given::{LOAD, asking, loaded, offload, on_demand, refusal, up},
    world::{SECOND, World, exit, some_memory, spec, stop},
};
use crate::{
    ids::{Pid, RunId},
    lease::{Fate, LeaseVerdict, Wish},
    memory::Placement,
    process_supervisor::lifecycle::*,
    spec::FailureClass,
    state::{ExitReport, ServiceState},
};

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
fn a_run_that_is_recycled_pushes_nobody_out_for_the_next_one_unless_somebody_waits_for_it() {
    for (waiting, comes_meanwhile, wish) in
        [(0, false, Wish::Restart), (1, false, Wish::Wanted), (0, true, Wish::Wanted)]
    {
        let mut w = loaded(on_demand());
        w.waiting = waiting;
        w.tell(Event::Recycle { reason: "past its limit".to_owned() });
        w.waiting = 0;
        if comes_meanwhile {
            w.tell(LOAD);
        }
        w.grants = None;
        w.news(exit(143));
        assert_eq!(w.asks.map(|(_, wish)| wish), Some(wish), "{waiting} wait, {comes_meanwhile}");
        assert_eq!(w.reason(), "past its limit");
    }
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

#[test]
fn a_load_that_ran_out_of_gpu_memory_is_told_as_that() {
    let ends = |class| {
        let RunNews::Ended { exit, .. } = exit(1) else { unreachable!("an end") };
        RunNews::Ended { exit: ExitReport { class: Some(class), ..exit }, cause: None, killed: false }
    };
    for (class, was_ready, told) in [
        (FailureClass::OomGpu, false, &[Fate::RanOut, Fate::Ended { failed: true }][..]),
        (FailureClass::OomHost, false, &[Fate::Ended { failed: true }][..]),
        (FailureClass::OomGpu, true, &[Fate::Ready, Fate::Ended { failed: true }][..]),
    ] {
        let mut w = World::with_memory(spec());
        w.tell(Event::Start(Wish::Wanted));
        w.news(RunNews::Spawned { pid: Pid(7), port: Some(4000) });
        if was_ready {
            w.news(RunNews::Ready);
        }
        let first = w.live.expect("a run");
        w.news(ends(class));
        assert_eq!(w.leases[&first].told, told, "{class:?}");
        assert_eq!(w.asks.map(|(_, wish)| wish), Some(Wish::Restart), "and is followed at once by the next");
    }
}
