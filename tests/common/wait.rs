//! Waiting for what shall become true, with a bound; never for a fixed time.

use std::{
    hash::{BuildHasher, Hasher, RandomState},
    io::Write,
    thread,
    time::{Duration, Instant},
};

use greenroom::actors::os::clock;

/// Bound of a wait for what takes milliseconds on an idle machine; a loaded one may take much longer.
pub const BOUND: Duration = Duration::from_secs(30);

/// Between two looks.
const PAUSE: Duration = Duration::from_millis(10);

/// Waits until `condition` holds and fails the test with `what` after `bound`. Returns how long it took.
#[track_caller]
pub fn wait_for(what: &str, bound: Duration, mut condition: impl FnMut() -> bool) -> Duration {
    wait_until(what, bound, || condition().then_some(())).1
}

/// Waits until `look` sees something and fails the test with `what` after `bound`.
#[track_caller]
pub fn wait_until<T>(what: &str, bound: Duration, mut look: impl FnMut() -> Option<T>) -> (T, Duration) {
    let began = stopwatch();
    loop {
        // Looked at once more after the bound, so that a test which was not scheduled for long is not failed for it.
        let late = began.elapsed() > bound;
        if let Some(seen) = look() {
            return (seen, began.elapsed());
        }
        assert!(!late, "not within {bound:?}: {what}");
        pause(PAUSE);
    }
}

/// How long `work` takes, and what it gives.
pub fn timed<T>(work: impl FnOnce() -> T) -> (T, Duration) {
    let began = stopwatch();
    let result = work();
    (result, began.elapsed())
}

/// Starts measuring.
pub fn stopwatch() -> Instant {
    clock::now()
}

/// Lets time pass where time itself is what the test is about (how long something has lived, when it is killed).
#[allow(clippy::disallowed_methods, reason = "tests look at real processes, for which there is no paused clock")]
pub fn pause(time: Duration) {
    thread::sleep(time);
}

/// A random number, from the standard library's only source of them.
pub fn random() -> u64 {
    RandomState::new().build_hasher().finish()
}

/// Says something that is seen also when the test passes: a measured figure, or that something cannot run here.
pub fn note(text: &str) {
    let name = thread::current().name().unwrap_or("test").to_owned();
    // Not `eprintln!`, which the harness takes in.
    writeln!(std::io::stderr(), "{name}: {text}").ok();
}
