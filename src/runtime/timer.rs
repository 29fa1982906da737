//! Waiting, for futures that may be polled by any executor or by none: the time is kept on the control thread.

use std::time::Duration;

use actix::{ArbiterHandle, System};
use tokio::sync::oneshot;

/// Keeps time for others. Clones share the control thread.
#[derive(Debug, Clone)]
pub(crate) struct Timer {
    control: ArbiterHandle,
}

impl Timer {
    /// One that keeps time on this thread, which must be an actix system's.
    pub(super) fn of_this_thread() -> Self {
        Self { control: System::current().arbiter().clone() }
    }

    /// Over after `wait`, or as soon as the control thread has ended, which it says by `false`. Borrows nothing.
    pub(crate) fn after(&self, wait: Duration) -> impl Future<Output = bool> + Send + use<> {
        let control = self.control.clone();
        async move {
            let (mut over, is_over) = oneshot::channel();
            // A thread that has ended drops the other end, as the task below does.
            control.spawn(async move {
                tokio::select! {
                    () = tokio::time::sleep(wait) => {
                        // An error means that whoever waited has gone.
                        over.send(()).ok();
                    }
                    // Nobody waits any more.
                    () = over.closed() => {}
                }
            });
            is_over.await.is_ok()
        }
    }
}
