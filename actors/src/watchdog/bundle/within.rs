//! Looks that may hang, each on a thread of its own and waited for no longer than it may take.
//!
//! A disk that is gone, and the memory of a process that the driver holds, block whoever looks at them for good, and nothing
//! can call such a thread back. It is left to itself then, and there are never more than some of these: of each kind so many,
//! so that what hangs of one kind takes nothing from the other.

use std::{
    sync::{
        atomic::{AtomicUsize, Ordering},
        mpsc,
    },
    thread,
    time::Duration,
};

/// Threads at once for one kind: a bundle needs one, so the others have been left to themselves.
const MOST: usize = 6;

/// Looks at what lies on disk, and at all that nobody has told of hanging.
static PARTS: Looks = Looks::new();
/// Looks at processes, of which a bundle takes several, also from within a part.
pub(super) static PROCESSES: Looks = Looks::new();

/// Looks of one kind.
#[derive(Debug)]
pub(super) struct Looks {
    at_work: AtomicUsize,
}

/// Counts a thread for as long as it lives.
struct Counted(&'static Looks);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.at_work.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Looks {
    const fn new() -> Self {
        Self { at_work: AtomicUsize::new(0) }
    }

    fn begin(&'static self) -> Option<Counted> {
        let one_more = |count| (count < MOST).then_some(count + 1);
        self.at_work.fetch_update(Ordering::AcqRel, Ordering::Acquire, one_more).is_ok().then_some(Counted(self))
    }

    /// Does `work` and waits for it, at most `bound`.
    ///
    /// # Errors
    /// Why there is no answer, in a few words.
    pub fn within<T: Send + 'static>(
        &'static self,
        bound: Duration,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, String> {
        let Some(counted) = self.begin() else {
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
}

/// Does `work`, which looks at one part of a bundle, and waits for it, at most `bound`.
///
/// # Errors
/// Why there is no answer, in a few words.
pub fn within<T: Send + 'static>(bound: Duration, work: impl FnOnce() -> T + Send + 'static) -> Result<T, String> {
    PARTS.within(bound, work)
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

    #[test]
    fn what_hangs_of_one_kind_takes_nothing_from_another() {
        static HANGING: Looks = Looks::new();
        static OTHER: Looks = Looks::new();
        let (go, gone) = mpsc::channel::<()>();
        let gone = std::sync::Arc::new(std::sync::Mutex::new(gone));
        for _ in 0..MOST {
            let gone = std::sync::Arc::clone(&gone);
            let hang = move || gone.lock().is_ok_and(|gone| gone.recv().is_ok());
            assert_eq!(HANGING.within(Duration::from_millis(1), hang), Err("it took longer than 1 ms".to_owned()));
        }
        let refused = HANGING.within(Duration::from_secs(30), || 7);
        assert_eq!(refused, Err("too many earlier looks still hang".to_owned()));
        assert_eq!(OTHER.within(Duration::from_secs(30), || 7), Ok(7));
        drop(go);
        let is_free = || HANGING.within(Duration::from_secs(30), || 7) == Ok(7);
        assert!(crate::os::clock::wait_until(Duration::from_secs(30), is_free), "they come back once nothing hangs");
    }
}
