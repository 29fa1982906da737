//! The runtime's side of one shim: orders go out, what it says is taken note of as it comes.
//!
//! A task of its own reads the socket, so that nobody has to ask for news. Sending never waits but in
//! [`Link::start`]; everything else either goes out at once or is said again at the next look.

mod adopt;
mod state;

use std::{
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    process::ExitStatus,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use nix::sys::signal::Signal;
use tokio::{
    io::{Interest, unix::AsyncFd},
    sync::oneshot,
    task::AbortHandle,
    time::{sleep, timeout_at},
};

use state::{Shim, State};

use super::{
    nursery::Nursery,
    socket,
    wire::{FromShim, ShimOrders, ToShim},
};
use crate::{
    ids::Pid,
    os::{clock, pidfd, proc},
};

pub(in crate::os) use state::pid_of;

/// From the order to the shim's first word. It takes about a millisecond, or as long as another guardian takes to be
/// there.
const READY_WITHIN: Duration = Duration::from_secs(10);
/// From the order to start a process to the answer.
const START_WITHIN: Duration = Duration::from_secs(10);
/// Pause before a guardian that has died, or is far behind, is asked again.
const AGAIN: Duration = Duration::from_millis(5);

/// Why a shim does not hold a process.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    /// The guardian could not be asked.
    #[error("the guardian cannot be asked for a shim")]
    NotOrdered(#[source] io::Error),
    /// The socket cannot be watched.
    #[error("the socket of a shim cannot be watched")]
    NotWatched(#[source] io::Error),
    /// It gave up.
    #[error("{0}")]
    Unable(String),
    /// It has died.
    #[error("its shim has died")]
    Gone,
    /// The order could not be sent.
    #[error("its shim cannot be told")]
    NotTold(#[source] io::Error),
    /// The process could not be started.
    #[error("its shim cannot start it: {0}")]
    NotStarted(String),
    /// The answer makes no sense.
    #[error("its shim answers without the descriptor of what it has started")]
    Nonsense,
    /// No answer in time.
    #[error("its shim does not answer within {} s", START_WITHIN.as_secs())]
    Late,
}

/// A process that a shim has started.
#[derive(Debug)]
pub struct Process {
    /// Its id here, also when it has another one in its own namespace. `None` when it had ended, and been waited for,
    /// before it could be looked up.
    pub pid: Option<Pid>,
    /// Readable once it has ended.
    pub pidfd: OwnedFd,
    /// Its status; dropped when the shim dies before it could tell.
    pub ended: oneshot::Receiver<ExitStatus>,
}

/// One shim. Dropping it closes the socket, at which a shim that does not outlive its runtime ends its tree and itself.
#[derive(Debug)]
pub struct Link {
    socket: Arc<AsyncFd<OwnedFd>>,
    state: Arc<Mutex<State>>,
    reader: AbortHandle,
}

impl Link {
    /// Orders a shim from the guardian and waits until it holds what it will start, at most 10 s. To be called inside a
    /// tokio runtime. A guardian that dies meanwhile is one that another takes over from.
    ///
    /// # Errors
    /// See [`LinkError`]; there is no shim then.
    pub async fn open(nursery: &Nursery, orders: &ShimOrders) -> Result<Self, LinkError> {
        let until = clock::now() + READY_WITHIN;
        loop {
            match Self::open_once(nursery, orders, until).await {
                Err(LinkError::NotOrdered(error)) if error.kind() == io::ErrorKind::NotConnected => {
                    return Err(LinkError::NotOrdered(error));
                }
                Err(LinkError::NotOrdered(_) | LinkError::Gone) if clock::now() < until => sleep(AGAIN).await,
                outcome => return outcome,
            }
        }
    }

    async fn open_once(nursery: &Nursery, orders: &ShimOrders, until: Instant) -> Result<Self, LinkError> {
        let socket = nursery.order(orders).map_err(LinkError::NotOrdered)?;
        let (ready, is_ready) = oneshot::channel();
        let link = Self::new(socket, Some(ready)).map_err(LinkError::NotWatched)?;
        match timeout_at(until.into(), is_ready).await {
            Ok(Ok(Ok(()))) => Ok(link),
            Ok(Ok(Err(error))) => Err(error),
            Ok(Err(_)) => Err(LinkError::Gone),
            Err(_) => Err(LinkError::Late),
        }
    }

    /// Over a socket that has a shim at its other end. `ready` is told when it says that it holds what it will start.
    #[allow(
        deprecated,
        reason = "its successor is unsafe only for types that may change their descriptor, which an OwnedFd cannot"
    )]
    fn new(socket: OwnedFd, ready: Option<oneshot::Sender<Result<(), LinkError>>>) -> io::Result<Self> {
        let socket = Arc::new(AsyncFd::with_interest(socket, Interest::READABLE | Interest::WRITABLE)?);
        let state = Arc::new(Mutex::new(State { ready, ..State::default() }));
        let reader = tokio::spawn(read(Arc::clone(&socket), Arc::clone(&state))).abort_handle();
        Ok(Self { socket, state, reader })
    }

    /// Starts a process: what to start, its output, its errors. Waits for the answer, at most 10 s; what is started
    /// after that is killed at once.
    ///
    /// # Errors
    /// See [`LinkError`]; nothing was started then.
    pub async fn start(&self, descriptors: [BorrowedFd<'_>; 3]) -> Result<Process, LinkError> {
        let (answer, answered) = oneshot::channel();
        let (end, ended) = oneshot::channel();
        let id = {
            let mut state = lock(&self.state);
            if state.gone {
                return Err(LinkError::Gone);
            }
            let id = state.book.begin();
            state.answers.insert(id, answer);
            state.ends.insert(id, end);
            id
        };
        let until = (clock::now() + START_WITHIN).into();
        let sent = timeout_at(until, self.send_when_possible(&ToShim::Start { id }, &descriptors)).await;
        match sent {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                lock(&self.state).withdraw(id);
                return Err(LinkError::NotTold(error));
            }
            Err(_) => {
                lock(&self.state).withdraw(id);
                return Err(LinkError::Late);
            }
        }
        match timeout_at(until, answered).await {
            Ok(Ok(Ok((pidfd, pid)))) => Ok(Process { pid, pidfd, ended }),
            Ok(Ok(Err(error))) => Err(error),
            Ok(Err(_)) => Err(LinkError::Gone),
            Err(_) => Err(LinkError::Late),
        }
    }

    async fn send_when_possible(&self, message: &ToShim, descriptors: &[BorrowedFd<'_>]) -> io::Result<()> {
        loop {
            let mut ready = self.socket.writable().await?;
            match ready.try_io(|socket| socket::send(socket.get_ref(), message, descriptors)) {
                Ok(outcome) => return outcome,
                Err(_would_block) => {}
            }
        }
    }

    /// Tells it something, at once. One that has been stopped is woken for it.
    ///
    /// # Errors
    /// `WouldBlock` when it has not read for long, or that it is gone.
    pub fn tell(&self, message: &ToShim) -> io::Result<()> {
        self.wake();
        socket::send(self.socket.get_ref(), message, &[])
    }

    /// Has it go on if it was stopped (SIGSTOP).
    pub fn wake(&self) {
        if let Some(shim) = &lock(&self.state).shim {
            // It has every signal blocked, but going on is not a matter of that. Fails only when it is dead.
            drop(pidfd::send(&shim.pidfd, Signal::SIGCONT));
        }
    }

    /// Whether it has died.
    #[must_use]
    pub fn is_gone(&self) -> bool {
        let state = lock(&self.state);
        let has_ended = |shim: &Shim| pidfd::wait_end(shim.pidfd.as_fd(), Duration::ZERO).unwrap_or(false);
        state.gone || state.shim.as_ref().is_some_and(has_ended)
    }

    /// Whether there was nobody in the tree, nor on the way into it, when it last said something.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        lock(&self.state).book.is_empty()
    }

    /// Its process id here, while it lives.
    #[must_use]
    pub fn pid(&self) -> Option<Pid> {
        let state = lock(&self.state);
        let shim = state.shim.as_ref()?;
        let pid = shim.pid?;
        proc::stat(pid).is_ok_and(|stat| stat.start_time == shim.start_time && stat.is_alive()).then_some(pid)
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.reader.abort();
    }
}

/// Reads until the other end is closed.
async fn read(socket: Arc<AsyncFd<OwnedFd>>, state: Arc<Mutex<State>>) {
    while let Ok(mut ready) = socket.readable().await {
        match ready.try_io(|socket| socket::receive::<FromShim>(socket.get_ref())) {
            Ok(Ok(Some((message, descriptors)))) => {
                let unwanted = lock(&state).hear(message, descriptors);
                if let Some(id) = unwanted {
                    // Should this fail, it ends with the tree.
                    drop(socket::send(socket.get_ref(), &ToShim::KillOne { id }, &[]));
                }
            }
            Ok(Ok(None)) => break,
            Ok(Err(error)) if error.kind() == io::ErrorKind::InvalidData => {
                tracing::warn!("a shim says something that is not understood");
            }
            Ok(Err(error)) if error.kind() == io::ErrorKind::Interrupted => {}
            Ok(Err(_)) => break,
            Err(_would_block) => {}
        }
    }
    lock(&state).close();
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    // Nothing below can panic while the lock is held, so a poisoned one still guards whole data.
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
#[path = "link_tests.rs"]
mod tests;
