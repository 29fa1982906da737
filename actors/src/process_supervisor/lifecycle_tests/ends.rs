//! How it ends: drained, closed with the runtime, or kept beyond it.

use std::time::Duration;

use super::world::{SECOND, World, exit, restart, spec, stop};
use crate::{
    ids::Pid,
    lease::Wish,
    os::clock,
    process_supervisor::lifecycle::*,
    shutdown_coordinator::messages::StopOutcome,
    spec::FailureClass,
    state::{Disposition, ServiceState},
};

/// Told to outlive the runtime.
fn kept() -> LifeSpec {
    LifeSpec { keep: true, ..spec() }
}

#[test]
fn closing_answers_when_all_is_gone_and_starts_nothing_any_more() {
    let until = |w: &World| w.now + 2 * SECOND;
    let mut w = World::running(spec());
    let close = Event::Close { until: until(&w), force: false };
    w.tell(close);
    assert!(w.kill_at.expect("a stop") < until(&w), "the grace is clipped");
    assert!(w.answers.is_empty());
    w.tell(Event::Start(Wish::Wanted));
    let force = Event::Close { until: until(&w), force: true };
    assert!(w.tell(force).iter().any(|e| matches!(e, Effect::KillRun(_))));
    let RunNews::Ended { exit, cause, .. } = exit(137) else { unreachable!() };
    w.news(RunNews::Ended { exit, cause, killed: true });
    assert_eq!((w.state(), &w.answers[..], w.begun), (ServiceState::Stopped, &[StopOutcome::CutShort][..], 1));
    let again = Event::Close { until: until(&w), force: false };
    w.tell(again);
    w.tell(Event::Start(Wish::Wanted));
    assert_eq!((w.answers.last(), w.begun), (Some(&StopOutcome::Clean), 1));
}

#[test]
fn a_close_that_leaves_the_whole_grace_ends_in_a_kill_or_without_one() {
    for (killed, outcome) in [(true, StopOutcome::Killed), (false, StopOutcome::Clean)] {
        let mut w = World::running(spec());
        w.tell(Event::Close { until: w.now + 60 * SECOND, force: false });
        let RunNews::Ended { exit, cause, .. } = exit(137) else { unreachable!() };
        w.news(RunNews::Ended { exit, cause, killed });
        assert_eq!(w.answers, [outcome]);
    }
}

#[test]
fn those_who_use_it_may_finish_before_it_is_stopped() {
    let mut w = World::running(spec());
    w.users = 2;
    let effects = w.tell(stop());
    let [Effect::Arm { at, .. }, Effect::AwaitDrain { ask: false, .. }] = effects[..] else { panic!("{effects:?}") };
    assert_eq!((w.state(), at), (ServiceState::Draining, w.now + 10 * SECOND));
    w.now += SECOND;
    w.leave();
    assert_eq!((w.state(), w.kill_at), (ServiceState::Stopping, Some(w.now + 5 * SECOND)));
    w.ring();
    assert_eq!(w.state(), ServiceState::Stopping, "the timer of the drain is stale");
    w.news(exit(143));
    assert_eq!((w.state(), w.reason().as_str()), (ServiceState::Stopped, "somebody asked"));
}

#[test]
fn nobody_is_waited_for_past_the_bound_or_where_it_is_of_no_use() {
    let mut w = World::running(spec());
    w.users = 1;
    w.tell(restart());
    w.ring();
    assert_eq!(w.state(), ServiceState::Stopping);
    w.news(exit(143));
    w.up();
    w.tell(restart());
    w.news(RunNews::Failing { class: FailureClass::Timeout, reason: "no pulse".to_owned() });
    assert_eq!(w.state(), ServiceState::Stopping);
    w.news(exit(143));
    assert_eq!((w.state(), w.life.view().failures), (ServiceState::Spawning, 0));
}

#[test]
fn a_close_drains_at_nobodys_expense() {
    for (left, drained_by) in [(60, Some(10 * SECOND)), (8, Some(Duration::from_millis(2750))), (5, None)] {
        let mut w = World::running(spec());
        w.users = 1;
        w.tell(Event::Close { until: w.now + left * SECOND, force: false });
        assert_eq!(w.timer.map(|(_, at)| at - w.now), drained_by);
        assert_eq!(w.state() == ServiceState::Draining, drained_by.is_some());
        let now = w.now;
        if drained_by.is_some() {
            w.ring();
        }
        let kill_at = w.kill_at.expect("a stop");
        assert!(kill_at <= now + left * SECOND && (left == 5 || kill_at == w.now + 5 * SECOND));
        w.tell(Event::Close { until: w.now, force: true });
        assert_eq!(w.state(), ServiceState::Killing);
    }
}

#[test]
fn what_is_to_be_kept_is_let_go_of_as_it_is_and_adopted_by_the_next_life() {
    let mut w = World::running(kept());
    w.users = 3;
    let run = w.live.expect("a run");
    let close = |force| Event::Close { until: clock::now(), force };
    assert_eq!(w.tell(close(false)), [Effect::ReleaseRun(run)]);
    assert_eq!(w.tell(close(true)), [], "its owner is about to answer");
    w.news(RunNews::Released);
    assert_eq!((w.state(), &w.answers[..]), (ServiceState::Ready, &[StopOutcome::Kept { pid: Pid(7) }][..]));
    w.tell(close(true));
    assert_eq!(w.answers.len(), 2);
    assert_eq!(w.news(exit(1)), [], "what becomes of it is the next runtime's to say");

    let mut next = World::new();
    let effects = next.tell(Event::Adopt { run, pid: Pid(7), port: Some(80) });
    let noted = effects.contains(&Effect::NoteStarted { run, pid: Pid(7) });
    assert!(noted, "who began it may have been killed before it was written down");
    let view = next.life.view();
    assert_eq!(
        (view.state, view.run, view.pid, view.port),
        (ServiceState::Starting, Some(run), Some(Pid(7)), Some(80))
    );
    assert_eq!(next.reason(), "kept by an earlier runtime");
    assert_eq!(next.news(RunNews::Spawned { pid: Pid(7), port: Some(80) }), [], "it is remembered already");
    next.news(RunNews::Ready);
    assert_eq!((next.state(), next.life.view().disposition), (ServiceState::Ready, Disposition::Up));
    next.tell(Event::Start(Wish::Wanted));
    assert_eq!(next.begun, 1);
}

#[test]
fn a_kept_service_that_is_being_stopped_or_has_ended_is_ended() {
    let mut w = World::running(kept());
    w.tell(stop());
    let close = Event::Close { until: w.now + 60 * SECOND, force: false };
    w.tell(close.clone());
    w.news(exit(143));
    assert_eq!((w.state(), &w.answers[..]), (ServiceState::Stopped, &[StopOutcome::Clean][..]));

    let mut w = World::running(kept());
    w.tell(close);
    w.news(exit(0));
    assert_eq!((w.state(), &w.answers[..]), (ServiceState::Stopped, &[StopOutcome::Clean][..]));
}
