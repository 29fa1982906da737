//! What the owner of a run waits for, and how it names what it sees.

use std::{
    future::{Future, pending},
    io,
    os::unix::process::ExitStatusExt,
    pin::Pin,
    process::ExitStatus,
    time::Instant,
};

use nix::sys::signal::Signal;
use tokio::time::sleep_until;

use crate::{
    os::{containment::Hold, pidfd::EndWatch},
    process_supervisor::classify::Exit,
    spec::StopSignal,
};

/// Something that goes on beside the run.
pub(super) type Task<T> = Pin<Box<dyn Future<Output = T>>>;

/// How a process ended, in our own words.
pub(super) fn exit_of(status: ExitStatus) -> Exit {
    match (status.code(), status.signal()) {
        (Some(code), _) => Exit::Code(code),
        (None, Some(signal)) => Exit::Signal(signal),
        (None, None) => Exit::Unknown,
    }
}

/// Whether nobody is in the hold. One that is not there any more holds nobody; when the kernel does not say, somebody
/// may be in it.
pub(super) fn is_empty(hold: &dyn Hold) -> bool {
    hold.is_empty().unwrap_or_else(|error| error.kind() == io::ErrorKind::NotFound)
}

pub(super) fn signal(signal: StopSignal) -> Signal {
    match signal {
        StopSignal::SigTerm => Signal::SIGTERM,
        StopSignal::SigInt => Signal::SIGINT,
        StopSignal::SigQuit => Signal::SIGQUIT,
        StopSignal::SigHup => Signal::SIGHUP,
        StopSignal::SigUsr1 => Signal::SIGUSR1,
        StopSignal::SigUsr2 => Signal::SIGUSR2,
        StopSignal::SigKill => Signal::SIGKILL,
    }
}

/// Ready once the process has ended; never where it is not watched.
pub(super) async fn ended(watch: Option<&EndWatch>) {
    match watch {
        Some(watch) => watch.ended().await,
        None => pending().await,
    }
}

pub(super) async fn until(at: Option<Instant>) {
    match at {
        Some(at) => sleep_until(at.into()).await,
        None => pending().await,
    }
}

pub(super) async fn maybe<T>(task: &mut Option<Task<T>>) -> T {
    match task {
        Some(task) => task.await,
        None => pending().await,
    }
}
