//! Every order of events that a run's owner and a person can make.

use std::time::Duration;

use proptest::prelude::*;

use super::world::{MAX, SECOND, World, changed, exit, restart, stop};
use crate::{
    ids::{Pid, RunId},
    lease::Wish,
    process_supervisor::lifecycle::*,
    shutdown_coordinator::messages::StopOutcome,
    spec::FailureClass,
    state::ServiceState,
};

/// What may happen next, by number, so that proptest can shrink it.
fn happen(w: &mut World, dice: u8, wait: u16) {
    w.now += Duration::from_millis(u64::from(wait));
    let live = w.live;
    match (dice % 25, live) {
        (0, _) => drop(w.tell(Event::Start(Wish::Wanted))),
        (1, _) => drop(w.tell(stop())),
        (2, _) => drop(w.tell(restart())),
        (3, _) => drop(w.tell(Event::Reset)),
        (4, _) => drop(w.tell(Event::Dependencies((dice > 127).then(|| "waits".to_owned())))),
        (5, _) if w.timer.is_some_and(|(_, at)| at <= w.now + 10 * SECOND) => w.ring(),
        (6, Some(_)) => w.spawned(),
        (7, Some(_)) => drop(w.news(RunNews::Ready)),
        (8, Some(_)) => drop(w.news(RunNews::Unready { reason: String::new() })),
        (9, Some(_)) => {
            drop(w.news(RunNews::Failing { class: FailureClass::Timeout, reason: String::new() }));
        }
        (10, Some(_)) => drop(w.news(RunNews::Killing { reason: String::new() })),
        (11, Some(_)) => drop(w.news(RunNews::Stuck { reason: String::new() })),
        (12, Some(_)) => drop(w.news(exit(i32::from(dice > 100)))),
        (13, _) => drop(w.tell(Event::Run(RunId::fresh(), exit(1)))),
        (14, _) => drop(w.tell(Event::Load { wish: Wish::Wanted, lifts: true })),
        (15, _) => drop(w.tell(Event::Offload { reason: "no room".to_owned() })),
        (16, _) => drop(w.tell(changed(dice > 150, dice > 200))),
        (17, None) => drop(w.tell(Event::Adopt { run: RunId::fresh(), pid: Pid(8), port: None })),
        (18, _) => w.users = u32::from(dice > 60),
        (19, _) => w.leave(),
        (20, Some(run)) => drop(w.tell(Event::Drained(run))),
        (21, Some(_)) => drop(w.news(RunNews::Released)),
        (22, _) => drop(w.tell(condemn(live.filter(|_| dice > 40), dice))),
        (23, Some(_)) => drop(w.tell(condemn(live, dice))),
        (24, _) => {
            let (before, begun) = (w.life.view(), w.begun);
            w.tell(Event::Load { wish: Wish::Wanted, lifts: false });
            let is_banned = before.state == ServiceState::Quarantined;
            assert!(!is_banned || (w.state() == before.state && w.begun == begun), "a request lifts a quarantine");
        }
        _ => {}
    }
    let view = w.life.view();
    assert!(view.failures <= MAX, "more failures in a row than allowed");
    assert_eq!(view.state.is_live(), w.live.is_some(), "{:?} with live run {:?}", view.state, w.live);
    assert_eq!(w.alerts.contains(&Alert::Failed), view.state == ServiceState::Failed);
    assert_eq!(w.alerts.contains(&Alert::Quarantined), view.state == ServiceState::Quarantined);
    assert_eq!(w.alerts.contains(&Alert::Stuck), view.state == ServiceState::Stuck);
}

/// Of the live run, or of one that is over.
fn condemn(live: Option<RunId>, dice: u8) -> Event {
    let sentence = [Sentence::Restart, Sentence::Stop, Sentence::Quarantine][usize::from(dice / 64 % 3)];
    let run = live.unwrap_or_else(RunId::fresh);
    Event::Condemn { run, class: FailureClass::Nan, reason: String::new(), at_once: dice.is_multiple_of(2), sentence }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn two_runs_are_never_live_and_a_stop_ends_every_life(
        events in prop::collection::vec((any::<u8>(), any::<u16>()), 0..60), end in 0u8..4,
    ) {
        let mut w = World::new();
        for (dice, wait) in events {
            happen(&mut w, dice, wait);
        }
        let (until, before) = (w.now + SECOND, w.state());
        w.tell(match end {
            0 => stop(),
            1 => Event::Retire { reason: "gone from the config".to_owned() },
            n => Event::Close { until, force: n == 3 },
        });
        let begun = w.begun;
        if w.state() == ServiceState::Draining {
            w.ring();
        }
        prop_assert_ne!(w.state(), ServiceState::Draining, "a drain has an end");
        if w.released.is_some() {
            prop_assert_eq!(w.state(), before, "what is let go of stays as it was shown");
            w.news(RunNews::Released);
            prop_assert_eq!(&w.answers[..], &[StopOutcome::Kept { pid: w.life.view().pid.expect("a pid") }][..]);
        } else if w.live.is_some() {
            w.news(exit(143));
        }
        use ServiceState::{Completed, Failed, Offloaded, Quarantined, Stopped};
        let at_rest = matches!(w.state(), Stopped | Offloaded | Failed | Quarantined | Completed);
        prop_assert!(at_rest || w.released.is_some(), "{:?}", w.state());
        prop_assert!(end != 1 || w.alerts.is_empty(), "{:?} about what is no more", w.alerts);
        if let Some((timer, at)) = w.timer {
            w.now = at;
            w.tell(Event::Due(timer));
        }
        w.tell(Event::Dependencies(None));
        w.leave();
        // Whatever is asked of a closed one, and a second, harder close, changes nothing.
        if end > 0 {
            for event in [Event::Start(Wish::Wanted), Event::Load { wish: Wish::Wanted, lifts: true }, restart(), changed(true, false)] {
                prop_assert_eq!(w.tell(event), []);
            }
            w.tell(Event::Close { until, force: true });
            prop_assert!(!w.answers.is_empty());
        }
        prop_assert_eq!(w.begun, begun, "something began after the stop");
    }

    #[test]
    fn a_crash_loop_without_health_ends(lives in prop::collection::vec((any::<bool>(), 0u16..5_000), 10..20)) {
        let mut w = World::new();
        w.tell(Event::Start(Wish::Wanted));
        for (ready, lasts) in lives {
            if w.state() == ServiceState::Failed {
                break;
            }
            w.spawned();
            if ready {
                w.news(RunNews::Ready);
            }
            w.now += Duration::from_millis(u64::from(lasts));
            w.news(exit(1));
            if w.state() == ServiceState::Backoff {
                w.ring();
            }
        }
        prop_assert_eq!((w.state(), w.begun), (ServiceState::Failed, MAX));
    }
}
