//! When a run that is not ready yet is tried again. Pure.
//!
//! A run that becomes ready right after a try is found by the next one, so each load seems to last up to one pause longer
//! than it does. Pauses that doubled would cost up to as much again as the load itself; these cost an eighth of it at
//! most, beyond the shortest pause, and a slow load is tried no more often than the longest pause allows.

use std::time::Duration;

use crate::units::DurationRange;

/// The part of the time waited so far that a pause is.
const PART: u32 = 8;

/// How long to rest before the next try, for one that has been `waited` for so long.
#[must_use]
pub fn pause(waited: Duration, interval: DurationRange) -> Duration {
    (waited / PART).min(interval.max).max(interval.min)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    const INTERVAL: DurationRange = DurationRange { min: ms(2), max: ms(20) };

    /// When the tries are made, each taking no time.
    fn tries(until: Duration) -> Vec<Duration> {
        let next = |at: &Duration| Some(*at + pause(*at, INTERVAL));
        std::iter::successors(Some(Duration::ZERO), next).take_while(|at| *at < until).collect()
    }

    #[test]
    fn it_grows_from_the_shortest_to_the_longest() {
        assert_eq!(tries(ms(12)), [ms(0), ms(2), ms(4), ms(6), ms(8), ms(10)]);
        assert_eq!(
            (pause(ms(80), INTERVAL), pause(ms(160), INTERVAL), pause(ms(60_000), INTERVAL)),
            (ms(10), ms(20), ms(20))
        );
        assert!(tries(ms(200)).len() < 40, "{}", tries(ms(200)).len());
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn a_load_is_noticed_within_an_eighth_of_it_and_the_shortest_pause(load in 0u64..10_000_000) {
            let load = Duration::from_micros(load);
            let mut at = Duration::ZERO;
            while at < load {
                let rest = pause(at, INTERVAL);
                prop_assert!(rest >= INTERVAL.min && rest <= INTERVAL.max);
                at += rest;
            }
            prop_assert!(at <= load + (load / PART).max(INTERVAL.min), "{at:?}");
        }
    }
}
