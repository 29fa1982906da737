//! How many processes a service has, and how many are too many. Pure.
//!
//! What is normal is what it had when it was seen ready for the first time in this run. A count that has doubled within
//! `watchdog.runaway.double_within` and lies above the critical level runs away: nobody needs to wait for its end.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use super::level::{Change, Ladder, Reading};
use crate::spec::ProcessLimits;

/// So many more than when it was ready are a warning, under `limits.processes = "auto"`.
pub const WARNING_ABOVE: u32 = 5;
/// So many more are critical.
pub const CRITICAL_ABOVE: u32 = 10;
/// Level of a warning on the ladder.
pub const WARNING: u8 = 1;
/// Level of what is critical.
pub const CRITICAL: u8 = 2;
/// Level of an emergency.
pub const EMERGENCY: u8 = 3;
/// The window of the doubling is told in so many parts: the memory of one service is bounded by it.
const PARTS: u64 = 60;

/// From how many on it is a warning, and critical.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Levels {
    /// At or above this.
    pub warning: u32,
    /// The same; at least `warning`.
    pub critical: u32,
}

impl Levels {
    /// By the configuration and the count when it was ready. What is left to be told by that count does not exist before.
    #[must_use]
    pub fn of(limits: ProcessLimits, at_ready: Option<u32>) -> Self {
        let (warning, critical) = match limits {
            ProcessLimits::Auto => (None, None),
            ProcessLimits::Set { warning, critical } => (warning, critical),
        };
        let auto = |above: u32| at_ready.map_or(u32::MAX, |count| count.saturating_add(above));
        // Somebody who says that fewer than 50 are no reason for a warning does not want 11 of them to be critical.
        let beyond = warning.map_or(0, |warning| warning.saturating_add(CRITICAL_ABOVE - WARNING_ABOVE));
        let critical = critical.unwrap_or_else(|| auto(CRITICAL_ABOVE).max(beyond));
        Self { warning: warning.unwrap_or_else(|| auto(WARNING_ABOVE)).min(critical), critical }
    }

    /// At or below this a count is clearly normal: two below a warning, or one where that would be nobody.
    fn calm(self) -> u32 {
        self.warning.saturating_sub(if self.warning > 3 { 2 } else { 1 })
    }
}

/// The processes of one run.
#[derive(Debug, Default)]
pub struct ProcessWatch {
    ladder: Ladder,
    ready: Option<AtReady>,
}

#[derive(Debug)]
struct AtReady {
    count: u32,
    lowest: Lowest,
}

impl ProcessWatch {
    /// Notes a count. `ready`: whether it is ready at this moment.
    pub fn step(
        &mut self,
        at: Instant,
        count: u32,
        ready: bool,
        limits: ProcessLimits,
        double_within: Duration,
    ) -> Change {
        if ready && self.ready.is_none() {
            self.ready = Some(AtReady { count, lowest: Lowest::new(at) });
        }
        let levels = self.levels(limits);
        let lowest = self.ready.as_mut().map(|ready| ready.lowest.note(at, count, double_within));
        let doubled = lowest.is_some_and(|lowest| count >= lowest.saturating_mul(2));
        let reached = match count {
            count if count > levels.critical && doubled => EMERGENCY,
            count if count >= levels.critical => CRITICAL,
            count if count >= levels.warning => WARNING,
            _ => 0,
        };
        self.ladder.step(Reading { reached, calm: count <= levels.calm() })
    }

    /// From how many on it is too many now.
    #[must_use]
    pub fn levels(&self, limits: ProcessLimits) -> Levels {
        Levels::of(limits, self.at_ready())
    }

    /// How many there were when it was ready.
    #[must_use]
    pub fn at_ready(&self) -> Option<u32> {
        self.ready.as_ref().map(|ready| ready.count)
    }

    /// The fewest within the window, once it was ready.
    #[must_use]
    pub fn lowest(&self) -> Option<u32> {
        self.ready.as_ref().and_then(|ready| ready.lowest.get())
    }

    /// Where it stands.
    #[must_use]
    pub fn level(&self) -> u8 {
        self.ladder.level()
    }
}

/// The lowest count within a window that moves on. Only those that nothing later undercuts are kept, at most one for each
/// part of the window.
#[derive(Debug)]
struct Lowest {
    since: Instant,
    /// Parts and their lowest, both going up.
    minima: VecDeque<(u64, u32)>,
}

impl Lowest {
    fn new(since: Instant) -> Self {
        Self { since, minima: VecDeque::new() }
    }

    /// Notes a count, and tells the lowest with it.
    fn note(&mut self, at: Instant, count: u32, window: Duration) -> u32 {
        let part = (window.as_millis() / u128::from(PARTS)).max(1);
        let now = at.saturating_duration_since(self.since).as_millis() / part;
        let now = u64::try_from(now).unwrap_or(u64::MAX);
        while self.minima.back().is_some_and(|(_, lowest)| *lowest >= count) {
            self.minima.pop_back();
        }
        if self.minima.back().is_none_or(|(part, _)| *part < now) {
            self.minima.push_back((now, count));
        }
        while self.minima.front().is_some_and(|(part, _)| part + PARTS < now) {
            self.minima.pop_front();
        }
        self.get().unwrap_or(count)
    }

    fn get(&self) -> Option<u32> {
        self.minima.front().map(|(_, lowest)| *lowest)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::os::clock;

    const WITHIN: Duration = Duration::from_secs(300);

    /// What changes when these are counted every two seconds, ready from the first on.
    fn course(counts: &[u32], limits: ProcessLimits) -> Vec<Change> {
        let (start, mut watch) = (clock::now(), ProcessWatch::default());
        let at = |i: usize| start + Duration::from_secs(2 * i as u64);
        let changes = counts.iter().enumerate().map(|(i, count)| watch.step(at(i), *count, true, limits, WITHIN));
        changes.filter(|change| *change != Change::Same).collect()
    }

    #[test]
    fn levels_are_counted_from_what_was_there_when_it_was_ready() {
        assert_eq!(course(&[4, 8, 8, 8], ProcessLimits::Auto), []);
        assert_eq!(course(&[4, 9, 9], ProcessLimits::Auto), [Change::Up { from: 0, to: 1 }]);
        assert_eq!(course(&[4, 14, 14], ProcessLimits::Auto), [Change::Up { from: 0, to: 2 }]);
        assert_eq!(course(&[1, 21, 21], ProcessLimits::Auto), [Change::Up { from: 0, to: 3 }]);
        assert_eq!(course(&[100, 115, 115], ProcessLimits::Auto), [Change::Up { from: 0, to: 2 }]);
    }

    #[test]
    fn what_is_not_named_counts_as_under_auto() {
        let set = |warning, critical| Levels::of(ProcessLimits::Set { warning, critical }, Some(2));
        assert_eq!(set(None, None), Levels { warning: 7, critical: 12 });
        assert_eq!(set(Some(4), None), Levels { warning: 4, critical: 12 });
        assert_eq!(set(Some(50), None), Levels { warning: 50, critical: 55 });
        assert_eq!(set(None, Some(5)), Levels { warning: 5, critical: 5 });
        let before = Levels::of(ProcessLimits::Set { warning: Some(3), critical: None }, None);
        assert_eq!(before, Levels { warning: 3, critical: u32::MAX });
    }

    #[test]
    fn what_doubles_slowly_is_no_emergency() {
        // From 10 to 25 in half an hour, and at no time twice of what it was five minutes before.
        let counts: Vec<u32> = (0..900).map(|i| 10 + i / 60).collect();
        let changes = course(&counts, ProcessLimits::Auto);
        assert_eq!(changes, [Change::Up { from: 0, to: 1 }, Change::Up { from: 1, to: 2 }]);
    }

    #[test]
    fn nothing_is_judged_by_auto_before_it_was_ready() {
        let (at, mut watch) = (clock::now(), ProcessWatch::default());
        for _ in 0..5 {
            assert_eq!(watch.step(at, 80, false, ProcessLimits::Auto, WITHIN), Change::Same);
        }
        assert_eq!(watch.at_ready(), None);
    }

    proptest! {
        /// The window's lowest is what a list of everything would say, give or take one part of the window.
        #[test]
        fn the_lowest_of_the_window_is_kept_in_bounded_room(counts in prop::collection::vec(0u32..50, 1..600)) {
            let (start, mut lowest) = (clock::now(), Lowest::new(clock::now()));
            for i in 0..counts.len() {
                let told = lowest.note(start + Duration::from_secs(2 * i as u64), counts[i], WITHIN);
                let within = counts[i.saturating_sub(150)..=i].iter().min().copied();
                let and_a_part = counts[i.saturating_sub(155)..=i].iter().min().copied();
                prop_assert!(Some(told) <= within && Some(told) >= and_a_part);
                prop_assert!(lowest.minima.len() <= PARTS as usize + 1);
            }
        }
    }
}
