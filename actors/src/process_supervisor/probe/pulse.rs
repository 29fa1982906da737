//! What a row of liveness tries amounts to. Pure.
//!
//! A service that nobody uses has no reason not to answer. One that works may be too busy to: it is given up only when it has
//! not got on for long enough, as seen by an answer to a try, by its output, or by what comes out of it.

use std::time::{Duration, Instant};

/// What shows that a service gets on, each counted from some beginning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Signs {
    /// Bytes of output.
    pub said: u64,
    /// Pieces of answers, and requests that ended.
    pub moves: u64,
}

/// One try.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Try {
    /// When it was over.
    pub at: Instant,
    /// Whether it was answered as it should be.
    pub answered: bool,
    /// Whether somebody uses the service.
    pub busy: bool,
    /// What was seen of it besides.
    pub signs: Signs,
}

/// What one more try means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pulse {
    /// Nothing new.
    Same,
    /// It failed for the first time in a row.
    Lost,
    /// It answers again.
    Back,
    /// It failed too often in a row, without anybody who uses it.
    Dead,
    /// It fails, somebody uses it, and it has not got on for too long.
    Still,
}

/// The tries so far.
#[derive(Debug, Clone)]
pub struct Pulses {
    allowed: u32,
    patience: Duration,
    is_lost: bool,
    /// In a row, without anybody who uses it.
    failures: u32,
    signs: Signs,
    /// When it was last seen to get on.
    moved: Instant,
}

impl Pulses {
    /// Dead at `allowed` failures in a row (0 counts as 1) while nobody uses it, and after so much `patience` with one that is
    /// used. `was_lost`: as after a failure that has been told, so that the next answer counts as [`Pulse::Back`].
    #[must_use]
    pub fn new(allowed: u32, patience: Duration, was_lost: bool, now: Instant) -> Self {
        let failures = u32::from(was_lost);
        Self { allowed: allowed.max(1), patience, is_lost: was_lost, failures, signs: Signs::default(), moved: now }
    }

    /// Notes a try.
    pub fn note(&mut self, Try { at, answered, busy, signs }: Try) -> Pulse {
        if answered || signs != self.signs {
            (self.moved, self.signs) = (at, signs);
        }
        if answered {
            self.failures = 0;
            return if std::mem::take(&mut self.is_lost) { Pulse::Back } else { Pulse::Same };
        }
        // What it did not answer while it worked does not count once it works no more.
        self.failures = if busy { 0 } else { self.failures + 1 };
        let was_lost = std::mem::replace(&mut self.is_lost, true);
        match busy {
            true if at.saturating_duration_since(self.moved) >= self.patience => Pulse::Still,
            false if self.failures >= self.allowed => Pulse::Dead,
            true | false if was_lost => Pulse::Same,
            true | false => Pulse::Lost,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::os::clock;

    const SECOND: Duration = Duration::from_secs(1);

    struct Life {
        pulses: Pulses,
        now: Instant,
        signs: Signs,
    }

    impl Life {
        fn new(allowed: u32, patience: u32) -> Self {
            let now = clock::now();
            Self { pulses: Pulses::new(allowed, patience * SECOND, false, now), now, signs: Signs::default() }
        }

        /// A try after one more second.
        fn tries(&mut self, answered: bool, busy: bool) -> Pulse {
            self.now += SECOND;
            self.pulses.note(Try { at: self.now, answered, busy, signs: self.signs })
        }
    }

    #[test]
    fn only_failures_in_a_row_are_deadly() {
        let mut life = Life::new(3, 600);
        let tries = [true, false, true, false, false, false].map(|answered| life.tries(answered, false));
        assert_eq!(tries, [Pulse::Same, Pulse::Lost, Pulse::Back, Pulse::Lost, Pulse::Same, Pulse::Dead]);
        assert_eq!(Life::new(0, 600).tries(false, false), Pulse::Dead);
    }

    #[test]
    fn one_that_works_is_given_up_only_when_it_has_not_got_on_for_long_enough() {
        let mut life = Life::new(2, 10);
        life.tries(true, true);
        assert_eq!(life.tries(false, true), Pulse::Lost);
        for _ in 0..8 {
            assert_eq!(life.tries(false, true), Pulse::Same);
        }
        life.signs.said += 1;
        assert_eq!(life.tries(false, true), Pulse::Same, "it has said something");
        for _ in 0..9 {
            assert_eq!(life.tries(false, true), Pulse::Same);
        }
        assert_eq!(life.tries(false, true), Pulse::Still);
    }

    #[test]
    fn what_it_did_not_answer_while_it_worked_is_forgiven() {
        let mut life = Life::new(2, 600);
        for _ in 0..20 {
            life.tries(false, true);
        }
        assert_eq!([life.tries(false, false), life.tries(false, false)], [Pulse::Same, Pulse::Dead]);
    }

    #[test]
    fn after_a_failure_that_was_told_an_answer_is_news() {
        let now = clock::now();
        let mut pulses = Pulses::new(3, SECOND, true, now);
        let signs = Signs::default();
        assert_eq!(pulses.note(Try { at: now, answered: true, busy: false, signs }), Pulse::Back);
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn whoever_gets_on_within_its_patience_is_never_given_up_while_it_works(
            tries in prop::collection::vec((any::<bool>(), any::<bool>()), 1..200), patience in 2u32..20,
        ) {
            let mut life = Life::new(1, patience);
            let mut still = 0;
            for (answered, says) in tries {
                life.signs.moves += u64::from(says);
                still = if answered || says { 0 } else { still + 1 };
                let pulse = life.tries(answered, true);
                prop_assert_ne!(pulse, Pulse::Dead);
                prop_assert_eq!(pulse == Pulse::Still, still >= patience);
            }
        }
    }
}
