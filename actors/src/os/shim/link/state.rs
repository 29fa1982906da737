//! What is known of a shim and its processes, as it is told.

use std::{
    collections::BTreeMap,
    fs,
    os::{
        fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd},
        unix::process::ExitStatusExt,
    },
    process::ExitStatus,
};

use nix::sys::signal::Signal;
use tokio::sync::oneshot;

use super::LinkError;
use crate::{
    ids::Pid,
    os::{
        pidfd, proc,
        shim::{book::Book, wire::FromShim},
    },
};

/// What comes of an order to start something.
pub(super) type Answer = Result<(OwnedFd, Option<Pid>), LinkError>;

/// The shim's own process.
#[derive(Debug)]
pub(super) struct Shim {
    pub(super) pidfd: OwnedFd,
    pub(super) pid: Option<Pid>,
    pub(super) start_time: u64,
}

impl Shim {
    pub(super) fn of(pidfd: OwnedFd) -> Self {
        let pid = pid_of(pidfd.as_fd());
        let start_time = pid.and_then(|pid| proc::stat(pid).ok()).map_or(0, |stat| stat.start_time);
        Self { pidfd, pid, start_time }
    }
}

/// What is known of a shim and its processes.
#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) book: Book,
    pub(super) shim: Option<Shim>,
    pub(super) ready: Option<oneshot::Sender<Result<(), LinkError>>>,
    pub(super) answers: BTreeMap<u32, oneshot::Sender<Answer>>,
    pub(super) ends: BTreeMap<u32, oneshot::Sender<ExitStatus>>,
    pub(super) log_trouble: Option<String>,
    /// The pidfds of what runs, for when the shim dies.
    pub(super) running: BTreeMap<u32, OwnedFd>,
    /// The shim outlives this side of it: the end of the socket is not its death.
    pub(super) let_go: bool,
    pub(super) gone: bool,
}

impl State {
    pub(super) fn withdraw(&mut self, id: u32) {
        self.book.withdraw(id);
        self.answers.remove(&id);
        self.ends.remove(&id);
    }

    /// Takes note of a message. Gives the number of a process that nobody waits for any more: it is to be killed.
    pub(super) fn hear(&mut self, message: FromShim, descriptors: Vec<OwnedFd>) -> Option<u32> {
        // Said once more of one that was taken over.
        let is_known = matches!(message, FromShim::Started { id, .. } if self.book.is_running(id));
        self.book.hear(&message);
        let descriptor = descriptors.into_iter().next();
        match message {
            FromShim::Ready => {
                self.shim = descriptor.map(Shim::of);
                let outcome = if self.shim.is_some() { Ok(()) } else { Err(LinkError::Nonsense) };
                self.tell_ready(outcome);
            }
            FromShim::Unable { why } => self.tell_ready(Err(LinkError::Unable(why))),
            FromShim::Started { id, pid } => {
                let answer = self.answers.remove(&id);
                let pid = pid.or_else(|| pid_of(descriptor.as_ref()?.as_fd()));
                self.running.extend(descriptor.as_ref().and_then(|pidfd| Some((id, pidfd.try_clone().ok()?))));
                let process = descriptor.map(|pidfd| (pidfd, pid)).ok_or(LinkError::Nonsense);
                let is_wanted = answer.is_some_and(|answer| answer.send(process).is_ok());
                return (!is_wanted && !is_known).then_some(id);
            }
            FromShim::NotStarted { id, why } => {
                self.ends.remove(&id);
                if let Some(answer) = self.answers.remove(&id) {
                    // An error means that nobody waits any more.
                    drop(answer.send(Err(LinkError::NotStarted(why))));
                }
            }
            FromShim::Ended { id, status } => {
                self.running.remove(&id);
                if let Some(end) = self.ends.remove(&id) {
                    // As above.
                    end.send(ExitStatus::from_raw(status)).ok();
                }
            }
            FromShim::Empty => {}
            FromShim::Log { trouble } => self.log_trouble = trouble,
        }
        None
    }

    fn tell_ready(&mut self, outcome: Result<(), LinkError>) {
        if let Some(ready) = self.ready.take() {
            // An error means that nobody waits any more.
            drop(ready.send(outcome));
        }
    }

    /// The shim is dead. Whoever waits for something learns that by the end of its channel, and what runs is ended: if the
    /// guardian is not the one that had borne the shim, nobody else does it, and nobody would hold it from now on.
    pub(super) fn close(&mut self) {
        for process in std::mem::take(&mut self.running).into_values().filter(|_| !self.let_go) {
            // Fails when it has ended.
            drop(pidfd::send(process, Signal::SIGKILL));
        }
        self.gone = true;
        self.ready = None;
        self.answers.clear();
        self.ends.clear();
    }
}

/// The id here of the process that a pidfd is of; `None` once that has ended and been waited for.
pub(in crate::os) fn pid_of(pidfd: BorrowedFd<'_>) -> Option<Pid> {
    let text = fs::read_to_string(format!("/proc/self/fdinfo/{}", pidfd.as_raw_fd())).ok()?;
    pid_in(&text)
}

/// The id in the text of a pidfd's `fdinfo`; -1 and 0 are none. Pure.
fn pid_in(fdinfo: &str) -> Option<Pid> {
    let line = fdinfo.lines().find_map(|line| line.strip_prefix("Pid:"))?;
    line.trim().parse().ok().filter(|pid| *pid != 0).map(Pid)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_read_from_fdinfo() {
        assert_eq!(pid_in("pos:\t0\nflags:\t02\nPid:\t4711\nNSpid:\t4711\t1\n"), Some(Pid(4711)));
        assert_eq!(pid_in("Pid:\t-1\n"), None);
        assert_eq!(
            pid_of(pidfd::open(Pid(std::process::id())).expect("a pidfd").as_fd()),
            Some(Pid(std::process::id()))
        );
    }
}
