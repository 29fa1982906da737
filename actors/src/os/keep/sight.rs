//! Looks at a kept run.

use std::{
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    path::Path,
    time::Duration,
};

use nix::sys::signal::Signal;
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::{
    handover, place,
    record::EndRecord,
    verdict::{Answer, Sight},
};
use crate::{
    ids::{Pid, RunId},
    os::{
        clock,
        containment::location,
        entry::GUARDIAN,
        pidfd,
        proc::{self, ProcessIdentity},
        registry::{KeptRun, RegistryEntry},
        shim::{link::pid_of, newborn::SHIM_NAME, socket::receive, wire::FromShim},
    },
};

/// How long a shim may take to greet. It takes about a millisecond, or as long as it takes to see that the runtime before
/// this one is gone.
const GREETED_WITHIN: Duration = Duration::from_secs(2);

/// A shim that has greeted us.
#[derive(Debug)]
pub(super) struct Contact {
    pub socket: OwnedFd,
    /// Its pidfd, from itself.
    pub shim: OwnedFd,
}

/// What is to be seen of a run, and the connection to its shim if that very process answers.
pub(super) fn look(
    state_dir: &Path,
    instance: &str,
    entry: &RegistryEntry,
    kept: &KeptRun,
) -> (Sight, Option<Contact>) {
    let shim = is_shim(&kept.shim, state_dir);
    let main = entry.main.is_alive();
    if shim {
        wake(&kept.shim);
    }
    let (answer, contact) = if shim { greet(state_dir, entry.run, kept.shim.pid) } else { (Answer::Nobody, None) };
    let sight = Sight {
        same_boot: proc::boot_id().is_ok_and(|boot| boot == kept.shim.boot_id && boot == entry.main.boot_id),
        shim,
        main,
        in_place: shim && main && is_in_place(instance, entry, kept),
        answer,
        recorded: EndRecord::read(state_dir, entry.run).is_some(),
    };
    (sight, contact)
}

/// Has a shim go on that somebody has stopped (SIGSTOP).
fn wake(shim: &ProcessIdentity) {
    // Fails when it has ended.
    drop(pidfd::open_identity(shim).map(|fd| fd.map(|fd| pidfd::send(fd, Signal::SIGCONT))));
}

/// Goes to whoever listens for this run and waits for the greeting that only its shim has.
fn greet(state_dir: &Path, run: RunId, shim: Pid) -> (Answer, Option<Contact>) {
    let mut outcome = (Answer::Nobody, None);
    clock::wait_until(GREETED_WITHIN, || {
        let Ok((socket, pid)) = handover::reach(state_dir, run) else { return true };
        if pid != shim {
            outcome = (Answer::Another, None);
            return true;
        }
        // Sent away when it has not seen yet that the runtime before this one is gone: then once more.
        let Some(own) = greeting(&socket) else { return false };
        outcome = if pid_of(own.as_fd()) == Some(shim) {
            (Answer::Shim, Some(Contact { socket, shim: own }))
        } else {
            (Answer::Another, None)
        };
        true
    });
    outcome
}

/// The pidfd that comes with a shim's first word.
fn greeting(socket: &OwnedFd) -> Option<OwnedFd> {
    // Readable with the word as well as with the end.
    wait_readable(socket.as_fd(), GREETED_WITHIN);
    match receive::<FromShim>(socket) {
        Ok(Some((FromShim::Ready, descriptors))) => descriptors.into_iter().next(),
        Ok(_) | Err(_) => None,
    }
}

fn wait_readable(socket: BorrowedFd<'_>, within: Duration) {
    let timeout = Timespec { tv_sec: i64::try_from(within.as_secs()).unwrap_or(1), tv_nsec: 0 };
    // Whatever it says, the receiving that follows does not wait.
    poll(&mut [PollFd::from_borrowed_fd(socket, PollFlags::IN)], Some(&timeout)).ok();
}

/// Whether a process lives and is a shim of this state dir. A shim is a copy of the guardian and has its command line.
pub(super) fn is_shim(identity: &ProcessIdentity, state_dir: &Path) -> bool {
    identity.is_alive() && has_command_line(identity.pid, state_dir)
}

/// Whether this is a shim of this state dir by its command line and by the name that tells it from the guardian.
pub(in crate::os) fn is_shim_of(pid: Pid, state_dir: &Path) -> bool {
    let name = std::fs::read(format!("/proc/{pid}/comm")).unwrap_or_default();
    name.trim_ascii_end() == SHIM_NAME.to_bytes() && has_command_line(pid, state_dir)
}

fn has_command_line(pid: Pid, state_dir: &Path) -> bool {
    let words = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let has = |word: &[u8]| words.split(|byte| *byte == 0).any(|part| part == word);
    has(GUARDIAN.as_bytes()) && has(state_dir.as_os_str().as_encoded_bytes())
}

/// Whether a process is in this cgroup, or in one that its service has made below it.
pub(super) fn is_in(pid: Pid, cgroup: &Path) -> bool {
    location::of(pid).is_some_and(|own| own.starts_with(cgroup))
}

/// Whether the main process is where the entry says.
pub(super) fn is_in_place(instance: &str, entry: &RegistryEntry, kept: &KeptRun) -> bool {
    let below_shim = || proc::ancestors(entry.main.pid).contains(&kept.shim.pid);
    match &kept.cgroup {
        Some(cgroup) => place::is_below_root(cgroup, instance) && is_in(entry.main.pid, cgroup),
        None => below_shim(),
    }
}
