//! Every order of events where memory is counted.

use proptest::prelude::*;

use super::{
    given::{LOAD, asking, offload, refusal, sleeper, up},
    world::{World, exit, some_memory, stop},
};
use crate::{
    lease::{Fate, LeaseVerdict, Wish},
    process_supervisor::lifecycle::*,
    state::ServiceState,
};

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
