//! Looks that may hang, each on a thread of its own and waited for no longer than it may take.
//!
//! A disk that is gone, and the memory of a process that the driver holds, block whoever looks at them for good, and nothing
//! can call such a thread back. It is left to itself then, and there are never more than some of these.

use std::{
    sync::{
        atomic::{AtomicUsize, Ordering},
        mpsc,
    },
    thread,
    time::Duration,
};

/// Threads at once: a bundle needs one, so the others have been left to themselves.
const MOST: usize = 6;

static AT_WORK: AtomicUsize = AtomicUsize::new(0);

/// Counts a thread for as long as it lives.
struct Counted;

impl Counted {
    fn begin() -> Option<Self> {
        let counted =
            AT_WORK.fetch_update(Ordering::AcqRel, Ordering::Acquire, |count| (count < MOST).then_some(count + 1));
        counted.is_ok().then_some(Self)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        AT_WORK.fetch_sub(1, Ordering::AcqRel);
    }
}

/// Does `work` and waits for it, at most `bound`.
///
/// # Errors
/// Why there is no answer, in a few words.
pub fn within<T: Send + 'static>(bound: Duration, work: impl FnOnce() -> T + Send + 'static) -> Result<T, String> {
    let Some(counted) = Counted::begin() else {
        return Err("too many earlier looks still hang".to_owned());
    };
    let (answer, answered) = mpsc::sync_channel(1);
    let body = move || {
        let _counted = counted;
        // An error means that nobody waits any more.
        drop(answer.send(work()));
    };
    let thread = thread::Builder::new().name("bundle-look".to_owned()).spawn(body);
    let thread = thread.map_err(|error| format!("no thread can be had: {error}"))?;
    match answered.recv_timeout(bound) {
        Ok(value) => {
            // It has nothing more to do.
            drop(thread.join());
            Ok(value)
        }
        Err(mpsc::RecvTimeoutError::Timeout) => Err(format!("it took longer than {} ms", bound.as_millis())),
        Err(mpsc::RecvTimeoutError::Disconnected) => Err("the look ended by a panic".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_hangs_is_left_and_what_does_not_is_had() {
        assert_eq!(within(Duration::from_secs(30), || 7), Ok(7));
        let (go, gone) = mpsc::channel::<()>();
        let hanging = within(Duration::from_millis(1), move || gone.recv().is_ok());
        assert_eq!(hanging, Err("it took longer than 1 ms".to_owned()));
        drop(go);
        let panicked = within(Duration::from_secs(30), || std::panic::resume_unwind(Box::new("no")));
        assert_eq!(panicked, Err("the look ended by a panic".to_owned()) as Result<(), String>);
    }
}
