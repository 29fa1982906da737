//! Work that blocks, on a thread of its own, so that a slow disk holds up neither the caller's executor nor the runtime.

use std::{io, thread};

use tokio::sync::oneshot;

/// Does `work` on a thread of that name and waits for it, on any executor. Dropping the future stops the waiting alone.
///
/// # Errors
/// When there is no thread to be had, or it ended early, by a panic.
pub(super) async fn aside<T: Send + 'static>(name: &str, work: impl FnOnce() -> T + Send + 'static) -> io::Result<T> {
    let (answer, answered) = oneshot::channel();
    let work = move || {
        // An error means that the caller has gone.
        drop(answer.send(work()));
    };
    thread::Builder::new().name(name.to_owned()).spawn(work)?;
    answered.await.map_err(|_| io::Error::other("the thread that was to do it ended early"))
}
