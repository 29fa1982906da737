//! Levels with hysteresis: one sample decides nothing. Pure.

/// Samples in a row that must be at or above a level before it is reached.
pub const CONFIRM: usize = 2;
/// Samples in a row that must be clearly below the lowest level before all is over.
pub const CALM: u32 = 3;

/// A step of [`Ladder::step`]: where one sample stands on levels that are counted from 1; 0 is below all of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reading {
    /// The highest level that it is at or above.
    pub reached: u8,
    /// Whether it is clearly below the lowest one, so that a sample near the limit does not count as calm.
    pub calm: bool,
}

impl Reading {
    /// Of a value and its levels, the lowest first; `calm` from which it is clearly below the lowest.
    pub fn of<T: PartialOrd>(value: &T, levels: &[T], calm: &T) -> Self {
        let reached = levels.iter().take_while(|level| value >= *level).count();
        Self { reached: u8::try_from(reached).unwrap_or(u8::MAX), calm: reached == 0 && value <= calm }
    }

    /// Of a condition that holds or does not.
    #[must_use]
    pub fn holds(holds: bool) -> Self {
        Self { reached: u8::from(holds), calm: !holds }
    }
}

/// What one more sample changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// Nothing.
    Same,
    /// It went up: from the level above `from` to `to`, both counted from 1.
    Up {
        /// Where it stood.
        from: u8,
        /// Where it stands.
        to: u8,
    },
    /// It is over.
    Over,
}

/// Where a value stands. It goes up by [`CONFIRM`] samples in a row, keeps the highest level that it had, and is over after
/// [`CALM`] samples in a row that are clearly below the lowest: what goes up and down near a limit is told once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Ladder {
    level: u8,
    /// What the sample before was at or above.
    before: u8,
    calm: u32,
}

impl Ladder {
    /// The level that stands; 0 for none.
    #[must_use]
    pub fn level(self) -> u8 {
        self.level
    }

    /// Notes a sample.
    pub fn step(&mut self, reading: Reading) -> Change {
        const { assert!(CONFIRM == 2, "one sample before is remembered") };
        let confirmed = reading.reached.min(self.before);
        self.before = reading.reached;
        self.calm = if reading.calm { self.calm + 1 } else { 0 };
        if confirmed > self.level {
            let from = std::mem::replace(&mut self.level, confirmed);
            return Change::Up { from, to: confirmed };
        }
        if self.level > 0 && self.calm >= CALM {
            *self = Self::default();
            return Change::Over;
        }
        // Counted no further than needed, so that a year of calm does not overflow.
        self.calm = self.calm.min(CALM);
        Change::Same
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Levels 10, 20, 30; calm from 8 down.
    fn reading(value: u32) -> Reading {
        Reading::of(&value, &[10, 20, 30], &8)
    }

    fn course(values: &[u32]) -> Vec<Change> {
        let mut ladder = Ladder::default();
        values.iter().map(|v| ladder.step(reading(*v))).filter(|c| *c != Change::Same).collect()
    }

    #[test]
    fn one_sample_decides_nothing_and_two_do() {
        assert_eq!(course(&[5, 99, 5, 99, 5]), []);
        assert_eq!(course(&[5, 10, 10]), [Change::Up { from: 0, to: 1 }]);
        assert_eq!(course(&[5, 99, 99]), [Change::Up { from: 0, to: 3 }]);
        assert_eq!(course(&[5, 15, 99, 99]), [Change::Up { from: 0, to: 1 }, Change::Up { from: 1, to: 3 }]);
    }

    #[test]
    fn it_is_over_after_three_that_are_clearly_below() {
        assert_eq!(course(&[10, 10, 8, 8, 9, 8, 8]), [Change::Up { from: 0, to: 1 }]);
        assert_eq!(course(&[10, 10, 8, 8, 8]), [Change::Up { from: 0, to: 1 }, Change::Over]);
        assert_eq!(course(&[25, 25, 12, 25, 12, 25, 25]), [Change::Up { from: 0, to: 2 }]);
    }

    proptest! {
        /// Whatever is near the limit, and never clearly below it, is told at most once.
        #[test]
        fn nothing_flaps_at_the_limit(values in prop::collection::vec(9u32..12, 1..200)) {
            prop_assert!(course(&values).len() <= 1);
        }

        /// Two in a row at or above a level are never missed, and what is told goes up until it is over.
        #[test]
        fn what_two_samples_reach_stands(values in prop::collection::vec(0u32..40, 2..200)) {
            let mut ladder = Ladder::default();
            let mut level = 0;
            ladder.step(reading(values[0]));
            for pair in values.windows(2) {
                match ladder.step(reading(pair[1])) {
                    Change::Up { from, to } => {
                        prop_assert_eq!(from, level);
                        prop_assert!(to > from);
                        level = to;
                    }
                    Change::Over => {
                        prop_assert!(pair[1] <= 8 && level > 0);
                        level = 0;
                    }
                    Change::Same => {}
                }
                let both = reading(pair[0]).reached.min(reading(pair[1]).reached);
                prop_assert!(ladder.level() >= both);
            }
        }
    }
}
