//! Ctrl-C and TERM during a wait: the wait ends, and the command with exit code 130.

use std::{future::Future, io, os::unix::net::UnixStream, path::PathBuf};

use signal_hook::{
    SigId,
    consts::{SIGINT, SIGTERM},
    low_level::{pipe, unregister},
};
use tokio::io::AsyncReadExt;

use super::failure::Failure;

/// Listens for SIGINT and SIGTERM until it is dropped.
#[derive(Debug)]
pub struct Interrupt {
    wakes: tokio::net::UnixStream,
    ids: Vec<SigId>,
}

impl Interrupt {
    /// Begins to listen. Needs a tokio runtime.
    ///
    /// # Errors
    /// When the system has no descriptor left for it.
    pub fn listen() -> Result<Self, Failure> {
        Self::open().map_err(|source| Failure::Io { operation: "listen for", path: PathBuf::from("signals"), source })
    }

    fn open() -> io::Result<Self> {
        let (read, write) = UnixStream::pair()?;
        read.set_nonblocking(true)?;
        let mut ids = Vec::new();
        for signal in [SIGINT, SIGTERM] {
            ids.push(pipe::register(signal, write.try_clone()?)?);
        }
        Ok(Self { wakes: tokio::net::UnixStream::from_std(read)?, ids })
    }

    /// Waits for `work`, or for a signal.
    ///
    /// # Errors
    /// [`Failure::Interrupted`] after a signal; `work` is dropped then.
    pub async fn or<T>(&mut self, work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
        tokio::select! {
            biased;
            () = self.came() => Err(Failure::Interrupted),
            done = work => done,
        }
    }

    /// Waits for a signal.
    async fn came(&mut self) {
        let mut byte = [0];
        // The other end lives in the handlers, so neither an end nor an error can come before a signal.
        drop(self.wakes.read(&mut byte).await);
    }
}

impl Drop for Interrupt {
    fn drop(&mut self) {
        for id in self.ids.drain(..) {
            unregister(id);
        }
    }
}
