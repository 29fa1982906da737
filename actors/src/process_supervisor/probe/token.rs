//! When an engine is asked for a token, and what it means that none comes. Pure.
//!
//! A token costs little, and with one slot it stands in line behind whoever is in. So one that nobody uses may be asked at any
//! time. One that works is asked only when nothing has come out of it since the last look, and then it must either have room
//! for one more, so that a token comes at once if it is well, or have been still for as long as a busy service may be.

use std::time::{Duration, Instant};

/// What the status of its answer says of an engine that was asked for a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reply {
    /// It generates, or has too much to do at the moment.
    Works,
    /// It does not take the question, and may or may not work.
    Refuses,
    /// It should have given a token, and has not.
    Fails,
}

impl Reply {
    /// Of this status. An engine that is asked for a key, or for a model that it does not have, answers before it has looked
    /// for anybody to do the work, and one that holds a model for something else (501) has nobody who could.
    #[must_use]
    pub fn of(status: u16) -> Self {
        match status {
            200..=299 | 408 | 429 => Self::Works,
            501 | ..=499 => Self::Refuses,
            500.. => Self::Fails,
        }
    }
}

/// What can be seen of a service from outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bustle {
    /// Whether it can be used: it is ready, and neither leaves nor sleeps.
    pub open: bool,
    /// How many use it.
    pub in_flight: u32,
    /// How many came in, ever.
    pub entries: u64,
    /// Pieces of answers, and requests that ended, ever.
    pub moves: u64,
    /// Bytes of output.
    pub said: u64,
}

/// The rules for one service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tact {
    /// How many it works for at a time, where that is known.
    pub slots: Option<u32>,
    /// How long one that works may be still.
    pub patience: Duration,
}

/// How a service has been looked at so far.
#[derive(Debug, Clone)]
pub struct Stillness {
    last: Bustle,
    since: Instant,
}

impl Stillness {
    /// From the first look on.
    #[must_use]
    pub fn new(now: Instant, seen: Bustle) -> Self {
        Self { last: seen, since: now }
    }

    /// For how long nothing has changed; zero if it has since the last look.
    pub fn note(&mut self, now: Instant, seen: Bustle) -> Duration {
        if seen != self.last {
            *self = Self::new(now, seen);
        }
        now.saturating_duration_since(self.since)
    }
}

impl Tact {
    /// Whether it is asked now, having been `still` for so long.
    #[must_use]
    pub fn asks(&self, now: &Bustle, still: Duration) -> bool {
        now.open && (now.in_flight == 0 || (!still.is_zero() && self.would_come(now, still)))
    }

    /// Whether it says anything that no token has come between these two looks. `still` is for how long nothing has changed
    /// by the second of them.
    #[must_use]
    pub fn tells(&self, before: &Bustle, after: &Bustle, still: Duration) -> bool {
        let was_alone = before.in_flight == 0 && after.in_flight == 0 && before.entries == after.entries;
        let got_on = before.moves != after.moves || before.said != after.said;
        after.open && (was_alone || (!got_on && self.would_come(after, still)))
    }

    /// Whether one more token would come at once, were it well.
    fn would_come(&self, now: &Bustle, still: Duration) -> bool {
        self.slots.is_some_and(|slots| now.in_flight < slots) || still >= self.patience
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::os::clock;

    const SECOND: Duration = Duration::from_secs(1);
    const TACT: Tact = Tact { slots: Some(2), patience: Duration::from_secs(600) };
    const IDLE: Bustle = Bustle { open: true, in_flight: 0, entries: 7, moves: 40, said: 900 };
    const BUSY: Bustle = Bustle { in_flight: 1, entries: 8, ..IDLE };

    #[test]
    fn one_that_nobody_uses_is_asked_and_its_silence_tells() {
        assert!(TACT.asks(&IDLE, Duration::ZERO) && TACT.tells(&IDLE, &IDLE, Duration::ZERO));
        let closed = Bustle { open: false, ..IDLE };
        assert!(!TACT.asks(&closed, 9_000 * SECOND) && !TACT.tells(&IDLE, &closed, Duration::ZERO));
        let prints = Bustle { said: 990, ..IDLE };
        assert!(TACT.tells(&IDLE, &prints, Duration::ZERO), "it may print that it was asked");
    }

    #[test]
    fn one_that_works_is_asked_only_while_nothing_comes_out_of_it() {
        assert!(!TACT.asks(&BUSY, Duration::ZERO) && TACT.asks(&BUSY, SECOND));
        for gets_on in [Bustle { moves: 41, ..BUSY }, Bustle { said: 901, ..BUSY }] {
            assert!(!TACT.tells(&BUSY, &gets_on, Duration::ZERO), "{gets_on:?}");
        }
        assert!(TACT.tells(&BUSY, &BUSY, SECOND));
    }

    #[test]
    fn behind_others_a_token_may_take_as_long_as_a_busy_service_may() {
        let full = Bustle { in_flight: 2, entries: 9, ..BUSY };
        let unknown = Tact { slots: None, ..TACT };
        for (tact, seen) in [(TACT, full), (unknown, BUSY)] {
            assert!(!tact.asks(&seen, 599 * SECOND) && tact.asks(&seen, 600 * SECOND));
            assert!(!tact.tells(&seen, &seen, 599 * SECOND) && tact.tells(&seen, &seen, 600 * SECOND));
        }
        assert!(!unknown.tells(&IDLE, &BUSY, Duration::ZERO), "somebody came in before the token");
    }

    #[test]
    fn a_question_that_is_not_taken_says_nothing() {
        use Reply::{Fails, Refuses, Works};
        let replies = [200, 204, 429, 302, 400, 401, 403, 404, 501, 500, 503].map(Reply::of);
        let refused = [Refuses; 6];
        assert_eq!((&replies[..3], &replies[3..9], &replies[9..]), (&[Works; 3][..], &refused[..], &[Fails; 2][..]));
    }

    #[test]
    fn it_is_still_from_the_last_change_on() {
        let now = clock::now();
        let mut stillness = Stillness::new(now, BUSY);
        assert_eq!(stillness.note(now + 5 * SECOND, BUSY), 5 * SECOND);
        assert_eq!(stillness.note(now + 6 * SECOND, IDLE), Duration::ZERO);
        assert_eq!(stillness.note(now + 9 * SECOND, IDLE), 3 * SECOND);
    }
}
