//! How long readiness is waited for. Pure.
//!
//! A large model on a slow disk may need longer than anybody guessed. So the wait goes on past its timeout for as long as
//! the service still reads, up to ten times the timeout in all.

use std::time::{Duration, Instant};

/// The wait never exceeds the timeout times this.
const AT_MOST: u32 = 10;

/// The wait for one run.
#[derive(Debug, Clone)]
pub struct Patience {
    began: Instant,
    timeout: Duration,
    read: u64,
    read_at: Instant,
}

impl Patience {
    /// Begins to wait.
    #[must_use]
    pub fn new(began: Instant, timeout: Duration) -> Self {
        Self { began, timeout, read: 0, read_at: began }
    }

    /// Notes how many bytes the service has read from disk so far.
    pub fn note(&mut self, now: Instant, read: u64) {
        if read > self.read {
            (self.read, self.read_at) = (read, now);
        }
    }

    /// Whether the wait is over: past the timeout and nothing read for half of it, or past ten times the timeout.
    #[must_use]
    pub fn is_over(&self, now: Instant) -> bool {
        let reads = self.read_at > self.began && now < self.read_at + self.timeout / 2;
        now >= self.began + self.timeout && !reads || now >= self.began + self.timeout * AT_MOST
    }

    /// How often to look at what was read.
    #[must_use]
    pub fn pace(&self) -> Duration {
        (self.timeout / 8).clamp(Duration::from_millis(10), Duration::from_secs(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::os::clock;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn it_ends_at_the_timeout_unless_something_is_still_read() {
        let t = clock::now();
        let mut idle = Patience::new(t, 10 * SECOND);
        idle.note(t, 0);
        assert!(!idle.is_over(t + 9 * SECOND) && idle.is_over(t + 10 * SECOND));

        let mut reading = Patience::new(t, 10 * SECOND);
        for s in 1..=30 {
            reading.note(t + s * SECOND, u64::from(s));
        }
        assert!(!reading.is_over(t + 34 * SECOND) && reading.is_over(t + 35 * SECOND));
    }

    #[test]
    fn it_ends_at_ten_times_the_timeout_whatever_is_read() {
        let t = clock::now();
        let mut patience = Patience::new(t, SECOND);
        for s in 1..=20 {
            patience.note(t + s * SECOND, u64::from(s));
        }
        assert!(patience.is_over(t + 20 * SECOND));
    }
}
