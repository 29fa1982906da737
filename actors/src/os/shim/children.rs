//! Learning that children have ended, without waiting and without a signal handler.

use std::io;

use nix::sys::{
    signal::{SigSet, Signal},
    signalfd::{SfdFlags, SignalFd},
};
use rustix::{
    io::Errno,
    process::{WaitOptions, wait},
};

use crate::ids::Pid;

/// Readable when a child has ended. Every signal must be blocked.
pub(in crate::os) fn watch_children() -> io::Result<SignalFd> {
    let mask: SigSet = [Signal::SIGCHLD].into_iter().collect();
    Ok(SignalFd::with_flags(&mask, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)?)
}

/// Reads what there is, so that the next poll tells only what is new.
pub(in crate::os) fn drain(signals: &SignalFd) {
    while let Ok(Some(_)) = signals.read_signal() {}
}

/// Waits for every child that has ended, without waiting for one to end; `ended` hears of each. Says whether any is left.
pub(in crate::os) fn reap(mut ended: impl FnMut(Pid, i32)) -> bool {
    loop {
        match wait(WaitOptions::NOHANG) {
            Ok(Some((pid, status))) => ended(Pid(pid.as_raw_nonzero().get().unsigned_abs()), status.as_raw()),
            Err(Errno::INTR) => {}
            Err(Errno::CHILD) => return false,
            Ok(None) | Err(_) => return true,
        }
    }
}
