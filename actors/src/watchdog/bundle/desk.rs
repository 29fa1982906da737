//! Whose wish for a bundle is carried out, and when: one at a time, one that waits, and no more often than allowed where
//! nobody has asked for it. Pure.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use crate::ids::RunId;

/// Wishes that wait at once. More than one only where services run away together.
const LINE: usize = 4;
/// Runs whose emergency is remembered.
const RUNS: usize = 64;

/// Where wishes lie.
#[derive(Debug)]
pub struct Desk<W> {
    at_work: bool,
    waiting: VecDeque<W>,
    /// When the last one was begun or laid down that nobody had asked for.
    last: Option<Instant>,
    /// Runs that have had theirs for an emergency, the last ones.
    emergencies: VecDeque<RunId>,
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
        Self { at_work: false, waiting: VecDeque::new(), last: None, emergencies: VecDeque::new(), closed: false }
    }
}

impl<W> Desk<W> {
    /// A wish that nobody has asked for. `emergency` is the run that is about to be ended, if it is for that: it need not wait
    /// until the last one is old enough, and is neither left out for one that waits, once for each run.
    pub fn by_itself(&mut self, wish: W, now: Instant, min_interval: Duration, emergency: Option<RunId>) -> Taken<W> {
        let first = emergency.filter(|run| !self.emergencies.contains(run));
        let is_young = self.last.is_some_and(|last| now.saturating_duration_since(last) < min_interval);
        let room = if first.is_some() { LINE } else { 1 };
        if is_young && first.is_none() {
            return Taken::Refused(wish, "the last one is too young");
        }
        if self.waiting.len() >= room {
            return Taken::Refused(wish, "others wait already");
        }
        let taken = self.take(wish);
        if !matches!(taken, Taken::Refused(..)) {
            self.last = Some(now);
            self.emergencies.truncate(RUNS - 1);
            first.into_iter().for_each(|run| self.emergencies.push_front(run));
        }
        taken
    }

    /// The wish of a person. Where one waits already, `join` puts the new one to it.
    pub fn asked(&mut self, wish: W, join: impl FnOnce(&mut W, W)) -> Taken<W> {
        match self.waiting.back_mut() {
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
            self.waiting.push_back(wish);
            return Taken::Waits;
        }
        self.at_work = true;
        Taken::Begin(wish)
    }

    /// The one that was begun is made, or has failed. Gives the next one, which has begun with that.
    pub fn done(&mut self) -> Option<W> {
        let next = self.waiting.pop_front();
        self.at_work = next.is_some();
        next
    }

    /// Takes nothing more. Gives those that wait.
    pub fn close(&mut self) -> VecDeque<W> {
        self.closed = true;
        std::mem::take(&mut self.waiting)
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
        assert_eq!(desk.by_itself(vec![1], now, MINUTE, None), Taken::Begin(vec![1]));
        assert!(matches!(desk.by_itself(vec![2], now + MINUTE / 2, MINUTE, None), Taken::Refused(..)));
        assert_eq!(desk.by_itself(vec![3], now + MINUTE, MINUTE, None), Taken::Waits);
        assert!(matches!(desk.by_itself(vec![4], now + 2 * MINUTE, MINUTE, None), Taken::Refused(..)));
        assert_eq!(desk.asked(vec![5], |waiting, more| waiting.extend(more)), Taken::Waits);
        assert_eq!(desk.done(), Some(vec![3, 5]));
        assert_eq!(desk.done(), None);
        assert_eq!(desk.asked(vec![6], |_, _| {}), Taken::Begin(vec![6]), "a person need not wait");
    }

    #[test]
    fn an_emergency_need_not_wait_once_for_each_run() {
        let (mut desk, now, run) = (Desk::default(), clock::now(), RunId::fresh());
        assert_eq!(desk.by_itself("critical", now, MINUTE, None), Taken::Begin("critical"));
        assert_eq!(desk.by_itself("emergency", now, MINUTE, Some(run)), Taken::Waits);
        assert!(matches!(desk.by_itself("again", now, MINUTE, Some(run)), Taken::Refused(..)));
        assert_eq!(desk.by_itself("of another", now, MINUTE, Some(RunId::fresh())), Taken::Waits, "they go together");
        assert!(matches!(desk.by_itself("a warning", now + MINUTE, MINUTE, None), Taken::Refused(..)));
        assert_eq!([desk.done(), desk.done(), desk.done()], [Some("emergency"), Some("of another"), None]);
        assert!(matches!(desk.by_itself("a warning", now, MINUTE, None), Taken::Refused(..)), "the last is too young");
        let more: Vec<_> = (0..2 * RUNS).map(|_| desk.by_itself("more", now, MINUTE, Some(RunId::fresh()))).collect();
        assert_eq!(more.iter().filter(|taken| **taken == Taken::Waits).count(), LINE, "bounded");
    }

    #[test]
    fn a_closed_desk_takes_nothing() {
        let (mut desk, now) = (Desk::default(), clock::now());
        assert_eq!(desk.by_itself(1, now, MINUTE, None), Taken::Begin(1));
        assert_eq!(desk.asked(2, |_, _| {}), Taken::Waits);
        assert_eq!(desk.close(), [2]);
        assert_eq!(desk.asked(3, |_, _| {}), Taken::Refused(3, "the runtime is stopping"));
        assert!(matches!(desk.by_itself(4, now + MINUTE, MINUTE, None), Taken::Refused(..)));
        assert_eq!(desk.done(), None);
    }

    proptest! {
        #[test]
        fn those_that_nobody_asked_for_lie_apart_and_only_one_is_made_at_a_time(
            steps in proptest::collection::vec((0u8..4, 0u64..90), 1..200),
        ) {
            let runs: Vec<RunId> = (0..5).map(|_| RunId::fresh()).collect();
            let mut emergencies = 0;
            let (mut desk, mut now, mut at_work) = (Desk::<bool>::default(), clock::now(), false);
            let mut accepted: Vec<Instant> = Vec::new();
            for (step, seconds) in steps {
                now += Duration::from_secs(seconds);
                let taken = match step {
                    0 => desk.by_itself(true, now, MINUTE, None),
                    1 => desk.asked(false, |_, _| {}),
                    2 => {
                        let run = usize::try_from(seconds).expect("small") % runs.len();
                        desk.by_itself(true, now, MINUTE, Some(runs[run]))
                    }
                    _ => {
                        at_work = desk.done().is_some();
                        continue;
                    }
                };
                let is_accepted = !matches!(taken, Taken::Refused(..));
                match step {
                    0 if is_accepted => accepted.push(now),
                    2 if is_accepted && accepted.last().is_none_or(|last| now - *last >= MINUTE) => accepted.push(now),
                    2 if is_accepted => emergencies += 1,
                    _ => {}
                }
                if matches!(taken, Taken::Begin(_)) {
                    prop_assert!(!at_work);
                    at_work = true;
                }
            }
            prop_assert!(emergencies <= runs.len());
            prop_assert!(accepted.windows(2).all(|pair| pair[1] - pair[0] >= MINUTE));
        }
    }
}
