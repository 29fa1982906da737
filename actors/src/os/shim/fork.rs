//! A copy of this process.

use std::{fs, io};

use nix::unistd::ForkResult;

use crate::ids::Pid;

/// Which of the two one is after a fork.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::os) enum Forked {
    /// The original; the copy has this id.
    Original(Pid),
    /// The copy.
    Copy,
}

/// Copies this process, which shares its memory with the copy until one of them writes to it. The copy has all the
/// descriptors too.
///
/// # Errors
/// `Unsupported` in a process with several threads; otherwise the kernel's own (out of processes or memory).
#[allow(unsafe_code, reason = "what a copy may do depends on the threads of the original, which no type tells")]
pub(in crate::os) fn fork() -> io::Result<Forked> {
    if fs::read_dir("/proc/self/task")?.count() != 1 {
        return Err(io::Error::new(io::ErrorKind::Unsupported, "a process with several threads cannot be copied"));
    }
    // SAFETY: this process has no other thread, and none can come into being here. So no lock of the allocator or of the
    // standard library can be held by a thread that the copy does not have, and the copy may do whatever the original may.
    match unsafe { nix::unistd::fork() }? {
        // The kernel's ids are positive.
        ForkResult::Parent { child } => Ok(Forked::Original(Pid(child.as_raw().unsigned_abs()))),
        ForkResult::Child => Ok(Forked::Copy),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_with_threads_is_not_copied() {
        // The test harness has a thread of its own beside this one.
        std::thread::scope(|scope| {
            let (end, wait) = std::sync::mpsc::channel::<()>();
            scope.spawn(move || wait.recv());
            assert_eq!(fork().map_err(|error| error.kind()), Err(io::ErrorKind::Unsupported));
            drop(end);
        });
    }
}
