//! Work that does not get on. Pure.
//!
//! Looked at where an engine tells its steps alone: of all else its `timeout` is the only bound. A request is counted from its
//! beginning, since a service has loaded what it needs by then. A process loads first, and writes its result last, and tells no
//! steps of either: it is counted from the first step that was seen to the last of them.

use std::time::{Duration, Instant};

/// How long it is since work got on.
#[derive(Debug, Clone)]
pub(super) struct Stillness {
    /// The longest it may stand still.
    bound: Duration,
    /// The key that says so.
    key: String,
    /// Whether it counts between its first step and its last one alone.
    between_steps: bool,
    /// When it got on last, its beginning at first; nothing while it does not count.
    since: Option<Instant>,
    /// Where it is.
    step: Option<(u64, u64)>,
}

impl Stillness {
    /// Of a request that begins now; `None` for a bound of zero, which is none. `key` names the bound in the configuration.
    pub fn of_request(bound: Duration, key: String, now: Instant) -> Option<Self> {
        (!bound.is_zero()).then_some(Self { bound, key, between_steps: false, since: Some(now), step: None })
    }

    /// The same of a process, of which no step was seen yet.
    pub fn of_process(bound: Duration, key: String) -> Option<Self> {
        (!bound.is_zero()).then_some(Self { bound, key, between_steps: true, since: None, step: None })
    }

    /// It is at this step of so many.
    pub fn is_at(&mut self, done: u64, total: u64, now: Instant) {
        if self.step.replace((done, total)) != Some((done, total)) {
            let is_last = done >= total;
            self.since = Some(now).filter(|_| !(self.between_steps && is_last));
        }
    }

    /// It got on in a way that has no number, or has not begun.
    pub fn moves(&mut self, now: Instant) {
        self.since = self.since.map(|_| now);
    }

    /// When it will have stood still for too long, as far as is known; `None` where that does not count now, or is further off
    /// than any clock goes.
    pub fn due(&self) -> Option<Instant> {
        self.since?.checked_add(self.bound)
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
        format!("it stood still for {:?} {place} ({}); it is wedged, or needs longer for a step", self.bound, self.key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::os::clock;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn only_another_step_counts_and_it_says_where_it_stood_still() {
        let start = clock::now();
        let of = |bound| Stillness::of_request(bound, "service.webui.limits.progress".to_owned(), start);
        assert!(of(Duration::ZERO).is_none());
        let mut work = of(10 * SECOND).expect("a bound");
        assert!(!work.is_stuck(start + 9 * SECOND) && work.is_stuck(start + 10 * SECOND));
        assert!(work.told().contains("10s before its first step (service.webui.limits.progress); "), "{}", work.told());
        work.is_at(8, 20, start + 9 * SECOND);
        work.is_at(8, 20, start + 15 * SECOND);
        assert_eq!(work.due(), Some(start + 19 * SECOND));
        work.is_at(9, 20, start + 18 * SECOND);
        assert!(!work.is_stuck(start + 27 * SECOND) && work.is_stuck(start + 28 * SECOND));
        assert!(work.told().contains("at step 9 of 20"), "{}", work.told());
        work.moves(start + 28 * SECOND);
        assert!(!work.is_stuck(start + 37 * SECOND));
        work.is_at(20, 20, start + 30 * SECOND);
        assert!(work.is_stuck(start + 40 * SECOND), "what follows the last step is bounded, too");
    }

    #[test]
    fn a_process_is_counted_from_its_first_step_to_its_last() {
        let (start, hour) = (clock::now(), Duration::from_secs(3600));
        let of = |bound| Stillness::of_process(bound, "job.image.limits.progress".to_owned());
        assert!(of(Duration::ZERO).is_none());
        let mut work = of(10 * SECOND).expect("a bound");
        assert_eq!((work.due(), work.is_stuck(start + hour)), (None, false), "it loads");
        work.moves(start);
        assert_eq!(work.due(), None, "that is no step");
        let begun = start + hour;
        work.is_at(1, 20, begun);
        assert!(!work.is_stuck(begun + 9 * SECOND) && work.is_stuck(begun + 10 * SECOND));
        assert!(work.told().contains("10s at step 1 of 20 (job.image.limits.progress); "), "{}", work.told());
        work.is_at(20, 20, begun + 9 * SECOND);
        assert_eq!((work.due(), work.is_stuck(begun + hour)), (None, false), "it writes what it has made");
        work.is_at(1, 20, begun + hour);
        assert!(work.is_stuck(begun + hour + 10 * SECOND), "the second of several pictures");
    }
}
