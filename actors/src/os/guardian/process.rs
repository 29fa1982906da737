//! The guardian's own side, behind `__guardian`. One thread, few allocations, no executor.

use std::{
    ffi::OsString,
    fs::File,
    io::{self, Write},
    os::fd::{AsFd, OwnedFd},
    time::Duration,
};

use nix::{
    sys::{prctl::set_child_subreaper, signal::SigSet, signalfd::SignalFd},
    unistd::{chdir, setsid},
};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::{brood::Brood, charge::Orders, ending::end_trees};
use crate::os::{
    clock, exec, pidfd,
    proc::{self, ProcessIdentity},
    shim::{
        children::{drain, watch_children},
        newborn::Newborn,
        socket,
        wire::{FromShim, ToGuardian},
    },
    state_dir::{GUARDIAN_LOCK, open_lock, write_owner},
};

/// On its standard output: it watches. Anything else is the reason why it does not.
pub(super) const READY: u8 = b'r';

/// How long the lock of a guardian that has just died is waited for.
const LOCK_WITHIN: Duration = Duration::from_secs(4);
/// Between two rounds of killing what a dead shim has left.
const HUNT_STEP: Duration = Duration::from_millis(20);
/// Orders taken at one go; the runtime's end must not wait behind a flood of them.
const BURST: usize = 64;

/// Watches, and ends what is left. Gives the exit code.
pub(in crate::os) fn run(args: &[OsString]) -> i32 {
    let Some(orders) = Orders::from_args(args) else {
        return give_up("its command line is not one that a runtime writes");
    };
    let (lock, mut watch) = match prepare(&orders) {
        Ok(prepared) => prepared,
        Err(error) => return give_up(&error.to_string()),
    };
    match watch.run() {
        Ok(End::Dismissed) => 0,
        Ok(End::Born(newborn)) => {
            let Watch { runtime, signals, brood, .. } = watch;
            // The lock is the original's, and a copy that held on to it would hold it on.
            drop((lock, signals, brood));
            match runtime {
                Some(runtime) => newborn.live(runtime),
                None => 0,
            }
        }
        // A watch that fails counts as the runtime's death: nothing else would end its trees.
        Ok(End::RuntimeDied) | Err(_) => {
            end_trees(&orders, lock, &mut watch.brood);
            0
        }
    }
}

fn give_up(why: &str) -> i32 {
    // Who started it reads this, or is gone.
    drop(io::stdout().write_all(why.as_bytes()));
    1
}

/// Cuts all ties, takes the lock, finds the runtime, and says that it is ready.
fn prepare(orders: &Orders) -> io::Result<(File, Watch)> {
    // Fails only for the leader of a group, which a freshly spawned process is not.
    setsid().ok();
    // Blocked is as good as ignored, for every signal but KILL and STOP.
    SigSet::all().thread_block()?;
    chdir("/")?;
    exec::close_strays()?;
    // Whoever loses his shim becomes a child of this process.
    set_child_subreaper(true)?;
    let mut lock = open_lock(&orders.charge.state_dir.join(GUARDIAN_LOCK))?;
    if !clock::wait_until(LOCK_WITHIN, || lock.try_lock().is_ok()) {
        return Err(io::Error::new(io::ErrorKind::WouldBlock, "another guardian holds guardian.lock"));
    }
    // For a start that waits for it in vain. Without it (a full disk) that start is refused.
    write_owner(&mut lock).ok();
    let boot_id = proc::boot_id()?.to_owned();
    let runtime = ProcessIdentity { boot_id, pid: orders.runtime, start_time: orders.start_time };
    let runtime = pidfd::open_identity(&runtime)?;
    let signals = watch_children()?;
    let mut stdout = io::stdout();
    // Fails when the runtime is gone, which the watch finds out by itself.
    drop(stdout.write_all(&[READY]).and_then(|()| stdout.flush()));
    Ok((lock, Watch { runtime, signals, is_heard: true, brood: Brood::default() }))
}

enum End {
    /// The runtime ends in order.
    Dismissed,
    /// The runtime is gone.
    RuntimeDied,
    /// This is a copy, and not the guardian any more.
    Born(Newborn),
}

/// What a guardian looks at while its runtime lives.
struct Watch {
    /// `None` for a runtime that has ended.
    runtime: Option<OwnedFd>,
    signals: SignalFd,
    /// Whether orders can still come. The end of the input means nothing else: what counts is the process.
    is_heard: bool,
    brood: Brood,
}

impl Watch {
    /// Waits for the end of the runtime or its order to leave, bears shims, and ends what dead ones have left.
    fn run(&mut self) -> io::Result<End> {
        let mut strays = 0;
        loop {
            let Some(runtime) = &self.runtime else { return Ok(End::RuntimeDied) };
            let stdin = io::stdin();
            let mut watched = [runtime.as_fd(), self.signals.as_fd(), stdin.as_fd()]
                .map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN));
            let watched = if self.is_heard { &mut watched[..] } else { &mut watched[..2] };
            let step = Timespec { tv_sec: 0, tv_nsec: HUNT_STEP.subsec_nanos().into() };
            match poll(watched, (strays > 0).then_some(&step)) {
                Ok(_) => {}
                Err(rustix::io::Errno::INTR) => continue,
                Err(error) => return Err(error.into()),
            }
            let has = |at: usize| watched.get(at).is_some_and(|fd| !fd.revents().is_empty());
            let (is_gone, child_ended, is_told) = (has(0), has(1), has(2));
            if child_ended {
                drain(&self.signals);
            }
            if child_ended || strays > 0 {
                strays = self.brood.tend();
            }
            // The order before the end: a runtime that gave it and ended at once has ended in order.
            if is_told && let Some(end) = self.listen() {
                return Ok(end);
            }
            if is_gone {
                return Ok(End::RuntimeDied);
            }
        }
    }

    /// Takes orders until there are none.
    fn listen(&mut self) -> Option<End> {
        for _ in 0..BURST {
            match socket::receive::<ToGuardian>(io::stdin()) {
                Ok(Some((ToGuardian::Leave, _))) => return Some(End::Dismissed),
                Ok(Some((ToGuardian::Shim(orders), descriptors))) => {
                    // Without its socket it would be nobody's.
                    let Some(control) = descriptors.into_iter().next() else { continue };
                    match self.brood.bear(orders, control) {
                        Ok(newborn) => {
                            if let Some(newborn) = newborn {
                                return Some(End::Born(newborn));
                            }
                        }
                        Err((control, error)) => {
                            let why = format!("the guardian cannot copy itself: {error}");
                            // Who does not hear it sees the end of the socket.
                            drop(socket::send(&control, &FromShim::Unable { why }, &[]));
                        }
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return None,
                Err(error) if matches!(error.kind(), io::ErrorKind::Interrupted | io::ErrorKind::InvalidData) => {}
                Ok(None) | Err(_) => {
                    self.is_heard = false;
                    return None;
                }
            }
        }
        None
    }
}
