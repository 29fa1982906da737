//! Pidfds: descriptors that name one process for good, however often its id is used again.

use std::{
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    time::Duration,
};

use nix::sys::signal::Signal;
use tokio::io::{Interest, unix::AsyncFd};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    process::{PidfdFlags, pidfd_open, pidfd_send_signal},
};

use super::proc::{self, ProcessIdentity};
use crate::ids::Pid;

/// A pidfd on whatever process has that id now. Readable once it has ended; close-on-exec.
///
/// # Errors
/// `NotFound` when there is none, or the kernel's own (out of descriptors).
pub fn open(pid: Pid) -> io::Result<OwnedFd> {
    let gone = || io::Error::new(io::ErrorKind::NotFound, format!("there is no process {pid}"));
    let raw = i32::try_from(pid.0).ok().and_then(rustix::process::Pid::from_raw).ok_or_else(gone)?;
    pidfd_open(raw, PidfdFlags::empty()).map_err(|errno| match errno {
        rustix::io::Errno::SRCH => gone(),
        other => other.into(),
    })
}

/// A pidfd on that very process; `None` when it has ended, also when its id is in use again.
///
/// # Errors
/// The kernel's own (out of descriptors, not permitted).
pub fn open_identity(identity: &ProcessIdentity) -> io::Result<Option<OwnedFd>> {
    let fd = match open(identity.pid) {
        Ok(fd) => fd,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    // Looked at after the opening: if it is the right one now, it was the right one when it was opened.
    Ok(identity.is_alive().then_some(fd))
}

/// Sends a signal; `false` when the process has ended and been waited for.
///
/// # Errors
/// When that is not permitted.
pub fn send(fd: impl AsFd, signal: Signal) -> io::Result<bool> {
    let unknown = || io::Error::new(io::ErrorKind::InvalidInput, "a signal that the kernel does not know");
    let signal = rustix::process::Signal::from_named_raw(signal as i32).ok_or_else(unknown)?;
    match pidfd_send_signal(fd, signal) {
        Ok(()) => Ok(true),
        Err(rustix::io::Errno::SRCH) => Ok(false),
        Err(other) => Err(other.into()),
    }
}

/// Blocks until the process has ended or `within` has passed; says whether it has ended.
///
/// # Errors
/// The kernel's own.
pub fn wait_end(fd: BorrowedFd<'_>, within: Duration) -> io::Result<bool> {
    let end = super::clock::now() + within;
    loop {
        let left = end.saturating_duration_since(super::clock::now());
        let timeout =
            Timespec { tv_sec: i64::try_from(left.as_secs()).unwrap_or(i64::MAX), tv_nsec: left.subsec_nanos().into() };
        match poll(&mut [PollFd::from_borrowed_fd(fd, PollFlags::IN)], Some(&timeout)) {
            Ok(ready) => return Ok(ready > 0),
            Err(rustix::io::Errno::INTR) => {}
            Err(other) => return Err(other.into()),
        }
    }
}

/// Waits for the end of one process without a thread.
#[derive(Debug)]
pub struct EndWatch(AsyncFd<OwnedFd>);

impl EndWatch {
    /// Watches by a pidfd. To be called inside a tokio runtime.
    ///
    /// # Errors
    /// When the descriptor cannot be watched.
    #[allow(
        deprecated,
        reason = "its successor is unsafe only for types that may change their descriptor, which an OwnedFd cannot"
    )]
    pub fn new(pidfd: OwnedFd) -> io::Result<Self> {
        AsyncFd::with_interest(pidfd, Interest::READABLE).map(Self)
    }

    /// Comes back once the process has ended, at once if it has already. Cancel-safe.
    pub async fn ended(&self) {
        // An error would mean that the runtime around it is shutting down: then there is nothing to wait for.
        drop(self.0.readable().await);
    }
}

impl AsFd for EndWatch {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Kills one process for which `still` holds once its pidfd is open, so that a reused id is spared. Says whether it
/// got the signal.
pub(crate) fn kill_if(pid: Pid, still: impl FnOnce() -> bool) -> io::Result<bool> {
    match open(pid) {
        Ok(fd) if still() => send(fd, Signal::SIGKILL),
        Ok(_) => Ok(false),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// Kills one process if it is the one that was seen with this start time.
pub(crate) fn kill_started_at(pid: Pid, start_time: u64) -> io::Result<bool> {
    kill_if(pid, || proc::stat(pid).is_ok_and(|stat| stat.start_time == start_time))
}
