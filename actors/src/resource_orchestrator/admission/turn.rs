//! Whose turn it is, and how long somebody who is used may stay. Pure functions of moments.
//!
//! Requests for what is in memory overtake those for what is not: a model that is in serves all that come, and nothing is
//! loaded for the sake of a single request. So that nobody starves, whoever waits has a moment at which its turn comes, its
//! *due*: the arrival of the first request that waits for it, and `gateway.queue.fairness`.
//!
//! - **Who stays.** A resident that is in use (somebody is in, or was within its `linger`, a tenth of the time that it takes
//!   to load) stays until the asker is due. One that is not in use leaves at once.
//! - **Earliest due first.** A resident whose own line has somebody in it who came before the asker stays for him: he is due
//!   before it. That has an end too: what a drain of the resident may take, from the asker's due on.
//! - **Nobody is loaded for nothing.** A resident that has just been loaded and that nobody has entered yet stays until the
//!   first of its line is in, for [`GREETING`] at the most.
//! - **Order.** Those for whom room is being made go first, then those who are due, by their due, then the others, by
//!   priority and arrival.
//!
//! So nobody waits longer than `fairness`, the drains and loads of those who were due before, and those that had begun when
//! it was due. With a fairness of zero everybody is due on arrival: first come, first served.

use std::{
    cmp::Reverse,
    time::{Duration, Instant},
};

/// What a resident may take from ready until the first of those who wait for it is in: a wake-up and a step of a task.
pub const GREETING: Duration = Duration::from_secs(1);

/// Between two looks at somebody who is in use: a quarter of its linger, which is seldom enough to cost little and often
/// enough to add little, and within these bounds.
const LOOK: (Duration, Duration) = (Duration::from_millis(5), Duration::from_millis(50));

/// Somebody who waits to be loaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Turn {
    /// When the first of those who wait for it came.
    pub arrival: Instant,
    /// The highest priority among them.
    pub priority: i32,
    /// Whether room is being made for it. It is not overtaken any more.
    pub begun: bool,
}

/// The order of turns: less goes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rank {
    /// Room is being made for it.
    Begun,
    /// Its turn has come, at this moment.
    Due(Instant),
    /// Higher priorities first, then who came first.
    Waits(Reverse<i32>, Instant),
}

/// How somebody who is in memory is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stay {
    /// Who is in.
    pub in_flight: u32,
    /// When it was seen to be used last.
    pub used: Instant,
    /// A pause between two uses that is no longer than this is none.
    pub linger: Duration,
    /// When the first of those came who stand in its own line.
    pub line: Option<Instant>,
    /// Since when it has been ready, if nobody has entered it since and somebody stands in its line.
    pub unserved: Option<Instant>,
    /// The longest that its drain may take.
    pub drain: Duration,
}

/// Whether a resident is asked to leave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Leave {
    /// Yes.
    Now,
    /// Not yet; to be looked at again then, which is after now.
    Look(Instant),
}

impl Turn {
    /// When its turn comes at the latest.
    #[must_use]
    pub fn due(&self, fairness: Duration) -> Instant {
        after(self.arrival, fairness)
    }

    /// Its place in the order.
    #[must_use]
    pub fn rank(&self, fairness: Duration, now: Instant) -> Rank {
        let due = self.due(fairness);
        match () {
            () if self.begun => Rank::Begun,
            () if due <= now => Rank::Due(due),
            () => Rank::Waits(Reverse(self.priority), self.arrival),
        }
    }

    /// Whether a resident is asked to leave for it now.
    #[must_use]
    pub fn asks(&self, stay: &Stay, fairness: Duration, now: Instant) -> Leave {
        let due = self.due(fairness);
        let look = after(now, (stay.linger / 4).clamp(LOOK.0, LOOK.1));
        let until = |end: Instant| if end > now { Leave::Look(look.min(end)) } else { Leave::Now };
        let idle = after(stay.used, stay.linger);
        // Each of these lets it stay until a moment of its own; past that the next one counts.
        let greeted = stay.unserved.map_or(now, |ready| after(ready, GREETING));
        if greeted > now {
            return until(greeted);
        }
        let served = stay.line.filter(|came| *came < self.arrival).map_or(now, |_| after(due, stay.drain));
        if served > now {
            return until(served);
        }
        match () {
            () if due <= now => Leave::Now,
            () if stay.in_flight > 0 => until(due),
            // Nobody has to look before that: if it is used meanwhile, that is seen then.
            () if idle > now => Leave::Look(idle.min(due)),
            () => Leave::Now,
        }
    }
}

/// A moment of which nobody sees the end is as good as any other.
pub(super) fn after(moment: Instant, time: Duration) -> Instant {
    moment.checked_add(time).unwrap_or(moment + Duration::from_secs(u64::from(u32::MAX)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    const FAIRNESS: Duration = Duration::from_secs(10);

    fn turn(arrival: Instant) -> Turn {
        Turn { arrival, priority: 0, begun: false }
    }

    /// A resident that loads in a second and is not in use since a second ago.
    fn idle(now: Instant) -> Stay {
        Stay { in_flight: 0, used: now - ms(1000), linger: ms(100), line: None, unserved: None, drain: ms(2000) }
    }

    #[test]
    fn who_is_not_in_use_leaves_at_once_and_who_is_in_use_when_the_asker_is_due() {
        let now = crate::os::clock::now();
        let fresh = turn(now);
        assert_eq!(fresh.asks(&idle(now), FAIRNESS, now), Leave::Now);
        let busy = Stay { in_flight: 1, used: now, ..idle(now) };
        assert_eq!(fresh.asks(&busy, FAIRNESS, now), Leave::Look(now + ms(25)));
        assert_eq!(fresh.asks(&busy, FAIRNESS, now + ms(9_990)), Leave::Look(now + ms(10_000)));
        assert_eq!(fresh.asks(&busy, FAIRNESS, now + ms(10_000)), Leave::Now);
        assert_eq!(fresh.asks(&busy, Duration::ZERO, now), Leave::Now);
    }

    #[test]
    fn a_short_pause_is_no_idleness() {
        let now = crate::os::clock::now();
        let pausing = Stay { used: now - ms(40), ..idle(now) };
        assert_eq!(turn(now).asks(&pausing, FAIRNESS, now), Leave::Look(now + ms(60)));
        assert_eq!(turn(now).asks(&pausing, FAIRNESS, now + ms(60)), Leave::Now);
        let slow = Stay { used: now, linger: ms(60_000), ..idle(now) };
        assert_eq!(turn(now).asks(&slow, FAIRNESS, now), Leave::Look(now + FAIRNESS));
    }

    #[test]
    fn whoever_stands_in_its_line_and_came_before_is_served_first_within_a_drain() {
        let came = crate::os::clock::now();
        let now = came + ms(30_000);
        let asker = turn(came + ms(1));
        let earlier = Stay { in_flight: 1, line: Some(came), ..idle(now) };
        assert_eq!(asker.asks(&earlier, Duration::ZERO, came + ms(1)), Leave::Look(came + ms(26)));
        assert_eq!(asker.asks(&earlier, FAIRNESS, came + ms(12_000)), Leave::Look(came + ms(12_001)));
        assert_eq!(asker.asks(&earlier, FAIRNESS, came + ms(12_001)), Leave::Now);
        let later = Stay { line: Some(came + ms(2)), ..earlier };
        assert_eq!(asker.asks(&later, Duration::ZERO, came + ms(2)), Leave::Now);
    }

    #[test]
    fn nobody_is_loaded_for_nothing() {
        let now = crate::os::clock::now();
        let overdue = turn(now - ms(20_000));
        let loaded = Stay { used: now, line: Some(now - ms(10)), unserved: Some(now), ..idle(now) };
        assert_eq!(overdue.asks(&loaded, FAIRNESS, now), Leave::Look(now + ms(25)));
        assert_eq!(overdue.asks(&loaded, FAIRNESS, now + GREETING), Leave::Now);
        assert_eq!(overdue.asks(&Stay { unserved: None, ..loaded }, FAIRNESS, now), Leave::Now);
    }

    #[test]
    fn those_who_are_due_go_by_their_due_and_the_others_by_priority_and_arrival() {
        let start = crate::os::clock::now();
        let now = start + ms(12_000);
        let of = |arrival: u64, priority: i32, begun: bool| Turn { arrival: start + ms(arrival), priority, begun };
        let turns = [of(0, 0, false), of(1000, 9, false), of(4000, 0, false), of(3000, 0, false), of(11_000, 5, false)];
        let mut sorted = turns.to_vec();
        sorted.push(of(11_500, 0, true));
        sorted.sort_by_key(|turn| turn.rank(FAIRNESS, now));
        let arrivals: Vec<u64> =
            sorted.iter().map(|turn| turn.arrival.duration_since(start).as_millis().try_into().expect("few")).collect();
        assert_eq!(arrivals, [11_500, 0, 1000, 11_000, 3000, 4000]);
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        /// Whatever is seen of it, it is asked at some moment, which is bounded; and no look is one at the past.
        #[test]
        fn every_stay_has_an_end(
            in_flight in 0u32..3, used in 0u64..20_000, linger in 0u64..30_000, drain in 0u64..10_000,
            line in proptest::option::of(0u64..20_000), ready in proptest::option::of(0u64..20_000),
            arrival in 0u64..20_000, fairness in 0u64..15_000,
        ) {
            let start = crate::os::clock::now();
            let at = |time: u64| start + ms(time);
            let stay = Stay {
                in_flight, used: at(used), linger: ms(linger), line: line.map(at), unserved: ready.map(at), drain: ms(drain),
            };
            let asker = turn(at(arrival));
            let (mut now, mut looks) = (at(arrival), 0);
            while let Leave::Look(next) = asker.asks(&stay, ms(fairness), now) {
                prop_assert!(next > now);
                (now, looks) = (next, looks + 1);
            }
            let bound = (at(arrival) + ms(fairness) + ms(drain)).max(ready.map_or(start, |ready| at(ready) + GREETING));
            prop_assert!(now <= bound, "{:?} after {looks} looks", now - start);
            if in_flight == 0 && line.is_none_or(|line| line >= arrival) && ready.is_none() {
                prop_assert!(now <= at(arrival).max(at(used) + ms(linger)));
            }
        }
    }
}
