//! Whose wish for a bundle is carried out, and when: one at a time, one that waits, and no more often than allowed where
//! nobody has asked for it. Pure.

use std::time::{Duration, Instant};

/// Where wishes lie.
#[derive(Debug)]
pub struct Desk<W> {
    at_work: bool,
    waiting: Option<W>,
    /// When the last one was begun or laid down that nobody had asked for.
    last: Option<Instant>,
    closed: bool,
}

/// What becomes of a wish.
#[derive(Debug, PartialEq, Eq)]
pub enum Taken<W> {
    /// It is to be carried out now; [`Desk::done`] says when that is over.
    Begin(W),
    /// It is carried out after the one that is being made.
    Waits,
    /// It is not carried out: the word says why.
    Refused(W, &'static str),
}

impl<W> Default for Desk<W> {
    fn default() -> Self {
        Self { at_work: false, waiting: None, last: None, closed: false }
    }
}

impl<W> Desk<W> {
    /// A wish that nobody has asked for.
    pub fn by_itself(&mut self, wish: W, now: Instant, min_interval: Duration) -> Taken<W> {
        if self.last.is_some_and(|last| now.saturating_duration_since(last) < min_interval) {
            return Taken::Refused(wish, "the last one is too young");
        }
        if self.waiting.is_some() {
            return Taken::Refused(wish, "another one waits already");
        }
        let taken = self.take(wish);
        if !matches!(taken, Taken::Refused(..)) {
            self.last = Some(now);
        }
        taken
    }

    /// The wish of a person. Where one waits already, `join` puts the new one to it.
    pub fn asked(&mut self, wish: W, join: impl FnOnce(&mut W, W)) -> Taken<W> {
        match &mut self.waiting {
            Some(waiting) if !self.closed => {
                join(waiting, wish);
                Taken::Waits
            }
            Some(_) | None => self.take(wish),
        }
    }

    fn take(&mut self, wish: W) -> Taken<W> {
        if self.closed {
            return Taken::Refused(wish, "the runtime is stopping");
        }
        if self.at_work {
            self.waiting = Some(wish);
            return Taken::Waits;
        }
        self.at_work = true;
        Taken::Begin(wish)
    }

    /// The one that was begun is made, or has failed. Gives the next one, which has begun with that.
    pub fn done(&mut self) -> Option<W> {
        let next = self.waiting.take();
        self.at_work = next.is_some();
        next
    }

    /// Takes nothing more. Gives the one that waits.
    pub fn close(&mut self) -> Option<W> {
        self.closed = true;
        self.waiting.take()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::os::clock;

    const MINUTE: Duration = Duration::from_secs(60);

    #[test]
    fn one_is_made_one_waits_and_more_join_or_are_left_out() {
        let (mut desk, now) = (Desk::default(), clock::now());
        assert_eq!(desk.by_itself(vec![1], now, MINUTE), Taken::Begin(vec![1]));
        assert!(matches!(desk.by_itself(vec![2], now + MINUTE / 2, MINUTE), Taken::Refused(..)));
        assert_eq!(desk.by_itself(vec![3], now + MINUTE, MINUTE), Taken::Waits);
        assert!(matches!(desk.by_itself(vec![4], now + 2 * MINUTE, MINUTE), Taken::Refused(..)));
        assert_eq!(desk.asked(vec![5], |waiting, more| waiting.extend(more)), Taken::Waits);
        assert_eq!(desk.done(), Some(vec![3, 5]));
        assert_eq!(desk.done(), None);
        assert_eq!(desk.asked(vec![6], |_, _| {}), Taken::Begin(vec![6]), "a person need not wait");
    }

    #[test]
    fn a_closed_desk_takes_nothing() {
        let (mut desk, now) = (Desk::default(), clock::now());
        assert_eq!(desk.by_itself(1, now, MINUTE), Taken::Begin(1));
        assert_eq!(desk.asked(2, |_, _| {}), Taken::Waits);
        assert_eq!(desk.close(), Some(2));
        assert_eq!(desk.asked(3, |_, _| {}), Taken::Refused(3, "the runtime is stopping"));
        assert!(matches!(desk.by_itself(4, now + MINUTE, MINUTE), Taken::Refused(..)));
        assert_eq!(desk.done(), None);
    }

    proptest! {
        #[test]
        fn those_that_nobody_asked_for_lie_apart_and_only_one_is_made_at_a_time(
            steps in proptest::collection::vec((0u8..3, 0u64..90), 1..200),
        ) {
            let (mut desk, mut now, mut at_work) = (Desk::<bool>::default(), clock::now(), false);
            let mut accepted: Vec<Instant> = Vec::new();
            for (step, seconds) in steps {
                now += Duration::from_secs(seconds);
                let taken = match step {
                    0 => desk.by_itself(true, now, MINUTE),
                    1 => desk.asked(false, |_, _| {}),
                    _ => {
                        at_work = desk.done().is_some();
                        continue;
                    }
                };
                if step == 0 && !matches!(taken, Taken::Refused(..)) {
                    accepted.push(now);
                }
                if matches!(taken, Taken::Begin(_)) {
                    prop_assert!(!at_work);
                    at_work = true;
                }
            }
            prop_assert!(accepted.windows(2).all(|pair| pair[1] - pair[0] >= MINUTE));
        }
    }
}
