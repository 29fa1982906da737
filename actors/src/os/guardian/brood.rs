//! The shims of a guardian: bearing them, waiting for them, and ending what one of them has left behind.
//!
//! Every child of the guardian is a shim or, because it takes the orphans of its descendants, a stray: somebody whose shim
//! has died. Strays are killed, always, with all below them. Shims are left alone until the runtime is gone.

use std::{
    fs::File,
    io::{self, Read},
    os::fd::OwnedFd,
    time::Duration,
};

use nix::sys::signal::Signal;
use rustix::pipe::{PipeFlags, pipe_with};

use crate::{
    ids::Pid,
    os::{
        pidfd, proc,
        shim::{
            children::reap,
            fork::{Forked, fork},
            newborn::Newborn,
            tree,
            wire::ShimOrders,
        },
    },
};

/// How long shims have to end their trees and themselves once the runtime is gone. It takes them some milliseconds; only
/// one that was stopped, or whose tree a driver holds, is still there.
pub(super) const LEFT_ALONE: Duration = Duration::from_secs(2);

/// One shim.
#[derive(Debug)]
struct Shim {
    pid: Pid,
    /// It outlives the runtime.
    keeps: bool,
    /// From the first of two copies: where it tells the id of the second.
    report: Option<OwnedFd>,
}

/// All children of a guardian.
#[derive(Debug, Default)]
pub(super) struct Brood {
    shims: Vec<Shim>,
}

impl Brood {
    /// Bears a shim. `Some` in the copy, which is to become it.
    ///
    /// # Errors
    /// When the kernel has no processes or descriptors left, and the control socket with it.
    pub(super) fn bear(
        &mut self,
        orders: ShimOrders,
        control: OwnedFd,
    ) -> Result<Option<Newborn>, (OwnedFd, io::Error)> {
        let pipe = || Ok(pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)?);
        let (report, tell) = match orders.namespace.then(pipe).transpose() {
            Ok(ends) => ends.unzip(),
            Err(error) => return Err((control, error)),
        };
        // Its own: the shim wakes it when the runtime is gone, in case somebody has stopped it.
        let guardian = pidfd::open(own_pid()).ok();
        match fork() {
            Ok(Forked::Original(pid)) => {
                self.shims.push(Shim { pid, keeps: orders.keep.is_some(), report });
                Ok(None)
            }
            Ok(Forked::Copy) => Ok(Some(Newborn { orders, control, guardian, report: tell })),
            Err(error) => Err((control, error)),
        }
    }

    /// Waits for those that have ended and kills strays, one round. Says how many strays it found.
    pub(super) fn tend(&mut self) -> usize {
        tree::kill_round(own_pid(), || self.strays())
    }

    /// One round after the end of the runtime: as [`tend`](Self::tend), and with `urge` shims are killed too. Says whether
    /// nobody is left but those that are kept.
    pub(super) fn end(&mut self, urge: bool) -> bool {
        for shim in self.shims.iter().filter(|shim| urge && !shim.keeps) {
            // A child that was not waited for, so the id is its own. What fails is tried again in the next round.
            drop(pidfd::open(shim.pid).and_then(|fd| pidfd::send(fd, Signal::SIGKILL)));
        }
        self.tend() == 0 && self.shims.iter().all(|shim| shim.keeps)
    }

    /// The living in the trees of shims that are to end with the runtime, and strays. Without the shims.
    pub(super) fn members(&mut self) -> Vec<Pid> {
        let mut roots = self.strays();
        let mut found = roots.clone();
        roots.extend(self.shims.iter().filter(|shim| !shim.keeps).map(|shim| shim.pid));
        found.extend(roots.into_iter().flat_map(|root| proc::tree(root).unwrap_or_default()).map(|(pid, _)| pid));
        found
    }

    /// Children that are no shims.
    fn strays(&mut self) -> Vec<Pid> {
        // Listed before those that have ended are waited for: the second copy of a namespace's shim becomes a child in the
        // moment in which the first one ends, and is known once that was waited for.
        let mut children = tree::children(own_pid());
        reap(|pid, _| self.ended(pid));
        children.retain(|child| !self.shims.iter().any(|shim| shim.pid == *child));
        // Those that were waited for just now are gone.
        children.retain(|child| is_child(*child));
        children
    }

    /// A child has ended and was waited for.
    fn ended(&mut self, pid: Pid) {
        let Some(at) = self.shims.iter().position(|shim| shim.pid == pid) else { return };
        let first = self.shims.swap_remove(at);
        let second = first.report.and_then(read_id).filter(|second| is_child(*second));
        self.shims.extend(second.map(|pid| Shim { pid, keeps: first.keeps, report: None }));
    }
}

/// What the first copy has told before its end.
fn read_id(report: OwnedFd) -> Option<Pid> {
    let mut bytes = [0; 4];
    File::from(report).read_exact(&mut bytes).ok()?;
    Some(Pid(u32::from_le_bytes(bytes)))
}

fn is_child(pid: Pid) -> bool {
    proc::stat(pid).is_ok_and(|stat| stat.parent == own_pid())
}

fn own_pid() -> Pid {
    Pid(std::process::id())
}
