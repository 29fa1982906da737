//! Whether a URL gets requests, judged by what looks at it have shown.

use std::time::Duration;

/// Failures in a row that take a URL out.
const FAILURES: u32 = 2;
/// Good answers in a row that take it back in.
const SUCCESSES: u32 = 2;
/// The longest pause between two looks at one that is out, unless the usual one is longer.
const LONGEST: Duration = Duration::from_secs(60);
/// The pauses of one that is out begin with the usual one divided by this, and double.
const FIRST: u32 = 8;
/// They double this often at most.
const DOUBLINGS: u32 = 6;
/// The part of the usual pause after which a first good answer is confirmed.
const CONFIRM: u32 = 10;

/// What a look has shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Look {
    /// It is well.
    Good,
    /// It answers with something else than it should, late, or not at all: why.
    Bad(String),
    /// Nobody is there, so that no request could be sent: why. This counts at once.
    Refused(String),
}

/// What a look has changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// It gets no requests from here on.
    Out,
    /// It gets requests again.
    In,
}

/// How a URL fares. One that nobody has looked at is taken to be well.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Health {
    is_out: bool,
    /// Failures in a row while it is in; good answers in a row while it is out.
    streak: u32,
    /// Failures in a row since it went out.
    failures: u32,
    last_error: Option<String>,
}

impl Health {
    /// One that is out, for this reason.
    #[must_use]
    pub fn out(why: &str) -> Self {
        Self { is_out: true, last_error: Some(why.to_owned()), ..Self::default() }
    }

    /// Whether it gets requests.
    #[must_use]
    pub fn is_in(&self) -> bool {
        !self.is_out
    }

    /// What was wrong when something was wrong last.
    #[must_use]
    pub fn last_error(&self) -> Option<&str> {
        self.last_error.as_deref()
    }

    /// Takes in what a look, or a request, has shown.
    pub fn see(&mut self, look: Look) -> Option<Turn> {
        let (is_good, at_once) = match look {
            Look::Good => (true, false),
            Look::Bad(why) => {
                self.last_error = Some(why);
                (false, false)
            }
            Look::Refused(why) => {
                self.last_error = Some(why);
                (false, true)
            }
        };
        match (self.is_out, is_good) {
            (false, true) => self.streak = 0,
            (false, false) => {
                self.streak += 1;
                if at_once || self.streak >= FAILURES {
                    (self.is_out, self.streak, self.failures) = (true, 0, 0);
                    return Some(Turn::Out);
                }
            }
            (true, true) => {
                self.streak += 1;
                if self.streak >= SUCCESSES {
                    (self.is_out, self.streak, self.failures) = (false, 0, 0);
                    return Some(Turn::In);
                }
            }
            (true, false) => {
                self.streak = 0;
                self.failures = self.failures.saturating_add(1);
            }
        }
        None
    }

    /// How long to wait for the next look, where `usual` is the pause between two looks at one that is well. While it is
    /// out, an eighth of it at first, since most are soon back, and twice as long after each failure, up to eight times
    /// or a minute, whichever is less; and after a first good answer a tenth.
    #[must_use]
    pub fn pause(&self, usual: Duration) -> Duration {
        if !self.is_out {
            return usual;
        }
        if self.streak > 0 {
            return usual / CONFIRM;
        }
        let doubled = (usual / FIRST).saturating_mul(1 << self.failures.min(DOUBLINGS));
        doubled.min(LONGEST.max(usual))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const USUAL: Duration = Duration::from_secs(4);

    fn bad() -> Look {
        Look::Bad("status 500".to_owned())
    }

    #[test]
    fn two_failures_in_a_row_take_it_out_and_two_good_answers_back_in() {
        let mut health = Health::default();
        assert!(health.is_in() && health.last_error().is_none());
        for look in [bad(), Look::Good, bad()] {
            assert_eq!(health.see(look), None);
        }
        assert!(health.is_in());
        assert_eq!(health.see(bad()), Some(Turn::Out));
        assert_eq!((health.is_in(), health.last_error()), (false, Some("status 500")));
        for look in [Look::Good, bad(), Look::Good] {
            assert_eq!(health.see(look), None);
        }
        assert_eq!(health.see(Look::Good), Some(Turn::In));
        assert!(health.is_in());
        assert_eq!(health.see(bad()), None, "what was before it went out does not count");
    }

    #[test]
    fn where_nobody_is_there_one_is_enough() {
        let mut health = Health::default();
        assert_eq!(health.see(Look::Refused("refused".to_owned())), Some(Turn::Out));
        assert_eq!(health.see(Look::Refused("refused".to_owned())), None, "it is out already");
    }

    #[test]
    fn one_that_stays_away_is_looked_at_less_and_less_often() {
        let mut health = Health::default();
        let mut pauses = Vec::new();
        for _ in 0..10 {
            health.see(bad());
            pauses.push(health.pause(USUAL).as_secs_f64());
        }
        assert_eq!(pauses, [4.0, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 32.0, 32.0]);
        assert_eq!(health.pause(Duration::from_secs(10)), LONGEST);
        assert_eq!(health.pause(Duration::from_secs(100)), Duration::from_secs(100));
        health.see(Look::Good);
        assert_eq!(health.pause(USUAL), Duration::from_millis(400), "it is confirmed soon");
        health.see(Look::Good);
        assert_eq!(health.pause(USUAL), USUAL);
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        /// Whatever has happened: two of one kind in a row decide, and turns alternate.
        #[test]
        fn two_of_a_kind_decide(looks in prop::collection::vec(any::<bool>(), 0..40)) {
            let mut health = Health::default();
            let mut was_in = true;
            for pair in looks.windows(2) {
                let look = |good: bool| if good { Look::Good } else { bad() };
                let turn = health.see(look(pair[0]));
                prop_assert_eq!(turn.is_some(), was_in != health.is_in());
                was_in = health.is_in();
                let mut next = health.clone();
                next.see(look(pair[1]));
                if pair[0] == pair[1] {
                    prop_assert_eq!(next.is_in(), pair[0]);
                }
                prop_assert!(health.pause(USUAL) <= LONGEST && !health.pause(USUAL).is_zero());
            }
        }
    }
}
