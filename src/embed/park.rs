//! The smallest executor there is: one future, on this thread, which sleeps meanwhile.
//!
//! It is what the blocking calls are made of. Unlike an executor's own it may be used inside another executor's thread,
//! which is then blocked, as by any other call that blocks.

use std::{
    pin::pin,
    sync::Arc,
    task::{Context, Poll, Wake, Waker},
    thread::{self, Thread},
    time::Duration,
};

use greenroom_actors::os::clock;

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Waits on this thread until `future` is done. For applications without an executor: every future of this library
/// works with it.
pub fn block_on<F: Future>(future: F) -> F::Output {
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut future = pin!(future);
    loop {
        if let Poll::Ready(done) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            return done;
        }
        thread::park();
    }
}

/// As [`block_on`], for at most `within`; `None` when it was not done by then.
pub(super) fn block_on_within<F: Future>(within: Duration, future: F) -> Option<F::Output> {
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut future = pin!(future);
    let began = clock::now();
    loop {
        if let Poll::Ready(done) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            return Some(done);
        }
        // Measured anew each time: a park may end early. Saturating, as `within` may be longer than any clock runs.
        let left = within.saturating_sub(clock::now().saturating_duration_since(began));
        if left.is_zero() {
            return None;
        }
        thread::park_timeout(left);
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::oneshot;

    use super::*;

    #[test]
    fn a_future_that_another_thread_completes_is_waited_for() {
        let (sender, receiver) = oneshot::channel();
        let other = thread::spawn(move || sender.send(7));
        assert_eq!(block_on(receiver), Ok(7));
        assert_eq!(other.join().expect("no panic"), Ok(()));
    }

    #[test]
    fn a_wait_ends_at_its_bound() {
        assert_eq!(block_on_within(Duration::from_millis(5), std::future::pending::<()>()), None);
        assert_eq!(block_on_within(Duration::ZERO, async { 1 }), Some(1), "what is done already counts");
        assert_eq!(block_on_within(Duration::MAX, async { 1 }), Some(1));
    }

    #[tokio::test]
    async fn it_may_be_used_inside_an_executor() {
        assert_eq!(block_on(async { 3 }), 3);
    }
}
