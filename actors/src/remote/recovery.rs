//! A URL whose remote was reset: it gets no job before it is seen to be well again.

use std::time::{Duration, Instant};

use super::health::{Health, Look};

/// After this long a job finds out: nobody may be there who looks, or looks may ask for something else than jobs do. A machine
/// that is made anew and loads its model takes minutes.
const LONGEST: Duration = Duration::from_secs(600);

/// The time from a reset until it is well. What was seen of it before says nothing of it now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recovery {
    health: Health,
    until: Instant,
}

impl Recovery {
    /// Of one that is reset now.
    #[must_use]
    pub fn new(now: Instant) -> Self {
        Self { health: Health::out("its remote was reset"), until: now.checked_add(LONGEST).unwrap_or(now) }
    }

    /// Takes in what a look, or a request, has shown.
    pub fn see(&mut self, look: Look) {
        self.health.see(look);
    }

    /// Whether it gets jobs again.
    #[must_use]
    pub fn is_over(&self, now: Instant) -> bool {
        self.health.is_in() || self.until <= now
    }

    /// How long to wait for the next look, where `usual` is the pause between two looks at one that is well.
    #[must_use]
    pub fn pause(&self, usual: Duration) -> Duration {
        self.health.pause(usual)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::os::clock;

    #[test]
    fn it_is_over_when_it_is_seen_well_twice_in_a_row_and_after_its_bound() {
        let now = clock::now();
        let mut recovery = Recovery::new(now);
        for look in [Look::Good, Look::Bad("status 502".to_owned()), Look::Good] {
            recovery.see(look);
            assert!(!recovery.is_over(now), "a look may have begun before it went down");
        }
        assert!(!recovery.is_over(now + LONGEST - Duration::from_secs(1)) && recovery.is_over(now + LONGEST));
        assert!(recovery.pause(Duration::from_secs(10)) < Duration::from_secs(10));
        recovery.see(Look::Good);
        assert!(recovery.is_over(now));
    }
}
