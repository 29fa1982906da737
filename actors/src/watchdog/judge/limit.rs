//! `limits.ram`: what a whole tree may hold. Pure.

use super::level::{Change, Ladder, Reading};

/// At or below this share of the limit it is clearly below.
const CLEARLY: f64 = 0.98;

/// The memory of one run against its limit.
#[derive(Debug, Default)]
pub struct RamWatch {
    ladder: Ladder,
    /// Whether it has been within its limit while it was ready.
    was_within: bool,
}

impl RamWatch {
    /// Notes what it holds. `ready`: whether it is ready at this moment.
    pub fn step(&mut self, held: u64, limit: u64, ready: bool) -> Change {
        self.was_within |= ready && held <= limit;
        #[allow(clippy::cast_precision_loss)]
        let calm = held as f64 <= limit as f64 * CLEARLY;
        self.ladder.step(Reading { reached: u8::from(held > limit), calm })
    }

    /// Whether it is past its limit.
    #[must_use]
    pub fn is_past(&self) -> bool {
        self.ladder.level() > 0
    }

    /// Whether another run of it would hold less: this one did once it was ready. One that has been past its limit all along
    /// would be so again, and restarting it would never end.
    #[must_use]
    pub fn a_restart_helps(&self) -> bool {
        self.was_within
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_past_its_limit_by_two_samples_and_back_by_three() {
        let mut watch = RamWatch::default();
        let course = [900, 1100, 900, 1100, 1200, 990, 990, 990, 980, 980, 980];
        let changes: Vec<Change> = course.iter().map(|held| watch.step(*held, 1000, true)).collect();
        assert_eq!(changes.iter().position(|c| *c == Change::Up { from: 0, to: 1 }), Some(4));
        assert_eq!(changes.iter().position(|c| *c == Change::Over), Some(10));
    }

    #[test]
    fn a_restart_helps_only_one_that_was_within_its_limit_when_it_was_ready() {
        let mut watch = RamWatch::default();
        for (held, ready) in [(100, false), (1100, true), (1100, true)] {
            let _change = watch.step(held, 1000, ready);
        }
        assert!(watch.is_past() && !watch.a_restart_helps());
        let _change = watch.step(1000, 1000, true);
        assert!(watch.a_restart_helps());
    }
}
