//! Work that does not get on. Pure.
//!
//! Looked at where an engine tells its steps alone: of all else its `timeout` is the only bound.

use std::time::{Duration, Instant};

/// How long it is since work got on.
#[derive(Debug, Clone)]
pub(super) struct Stillness {
    /// The longest it may stand still.
    bound: Duration,
    /// When it got on last; its beginning at first.
    last: Instant,
    /// Where it is.
    step: Option<(u64, u64)>,
}

impl Stillness {
    /// Of work that begins now; `None` for a bound of zero, which is none.
    pub fn new(bound: Duration, now: Instant) -> Option<Self> {
        (!bound.is_zero()).then_some(Self { bound, last: now, step: None })
    }

    /// It is at this step of so many.
    pub fn is_at(&mut self, done: u64, total: u64, now: Instant) {
        if self.step.replace((done, total)) != Some((done, total)) {
            self.last = now;
        }
    }

    /// It got on in a way that has no number, or has not begun.
    pub fn moves(&mut self, now: Instant) {
        self.last = now;
    }

    /// When it will have stood still for too long, as far as is known; `None` where that is further off than any clock goes.
    pub fn due(&self) -> Option<Instant> {
        self.last.checked_add(self.bound)
    }

    /// Whether it has stood still for too long.
    pub fn is_stuck(&self, now: Instant) -> bool {
        self.due().is_some_and(|due| due <= now)
    }

    /// What is wrong, in a sentence.
    pub fn told(&self) -> String {
        let place = match self.step {
            Some((done, total)) => format!("at step {done} of {total}"),
            None => "before its first step".to_owned(),
        };
        format!(
            "it stood still for {:?} {place} (limits.progress); it is wedged, or needs longer for a step",
            self.bound
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::os::clock;

    #[test]
    fn only_another_step_counts_and_it_says_where_it_stood_still() {
        let (start, second) = (clock::now(), Duration::from_secs(1));
        assert!(Stillness::new(Duration::ZERO, start).is_none());
        let mut work = Stillness::new(10 * second, start).expect("a bound");
        assert!(!work.is_stuck(start + 9 * second) && work.is_stuck(start + 10 * second));
        assert!(work.told().contains("10s before its first step"), "{}", work.told());
        work.is_at(8, 20, start + 9 * second);
        work.is_at(8, 20, start + 15 * second);
        assert_eq!(work.due(), Some(start + 19 * second));
        work.is_at(9, 20, start + 18 * second);
        assert!(!work.is_stuck(start + 27 * second) && work.is_stuck(start + 28 * second));
        assert!(work.told().contains("at step 9 of 20"), "{}", work.told());
        work.moves(start + 28 * second);
        assert!(!work.is_stuck(start + 37 * second));
    }
}
