//! The clock. Everything asks here, so that a paused tokio clock moves everything.

use std::time::{Duration, Instant};

use crate::time::Timestamp;

/// Now, for measuring. Follows tokio's clock where one is paused.
#[must_use]
pub fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

/// Now, for people and the history.
#[must_use]
#[allow(clippy::disallowed_methods, reason = "this is the clock")]
pub fn wall() -> Timestamp {
    let since_epoch = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_micros(i64::try_from(since_epoch.as_micros()).unwrap_or(i64::MAX))
}

/// Blocks this thread for `duration`. Only for code that runs outside of every executor: the guardian, and steps of
/// the start and the end of a runtime that happen before the actors live or after they are gone.
#[allow(clippy::disallowed_methods, reason = "this is the clock")]
pub(crate) fn pause(duration: Duration) {
    std::thread::sleep(duration);
}

/// Asks `done` again and again, with pauses that grow from 1 ms to 50 ms, until it says yes or `within` has passed.
/// Says whether it said yes. Blocks this thread, so not for actors.
pub fn wait_until(within: Duration, mut done: impl FnMut() -> bool) -> bool {
    let end = now() + within;
    let mut step = Duration::from_millis(1);
    loop {
        if done() {
            return true;
        }
        let left = end.saturating_duration_since(now());
        if left.is_zero() {
            return false;
        }
        pause(step.min(left));
        step = (step * 2).min(Duration::from_millis(50));
    }
}
