//! The runtime's side of one shim: orders go out, what it says is taken note of as it comes.
//!
//! A task of its own reads the socket, so that nobody has to ask for news. Sending never waits but in
//! [`Link::start`]; everything else either goes out at once or is said again at the next look.

mod adopt;

use std::{
    collections::BTreeMap,
    fs, io,
    os::{
        fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd},
        unix::process::ExitStatusExt,
    },
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

use super::{
    book::Book,
    nursery::Nursery,
    socket,
    wire::{FromShim, ShimOrders, ToShim},
};
use crate::{
    ids::Pid,
    os::{clock, pidfd, proc},
};

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

/// What comes of an order to start something.
type Answer = Result<(OwnedFd, Option<Pid>), LinkError>;

/// The shim's own process.
#[derive(Debug)]
struct Shim {
    pidfd: OwnedFd,
    pid: Option<Pid>,
    start_time: u64,
}

impl Shim {
    fn of(pidfd: OwnedFd) -> Self {
        let pid = pid_of(pidfd.as_fd());
        let start_time = pid.and_then(|pid| proc::stat(pid).ok()).map_or(0, |stat| stat.start_time);
        Self { pidfd, pid, start_time }
    }
}

/// What is known of a shim and its processes.
#[derive(Debug, Default)]
struct State {
    book: Book,
    shim: Option<Shim>,
    ready: Option<oneshot::Sender<Result<(), LinkError>>>,
    answers: BTreeMap<u32, oneshot::Sender<Answer>>,
    ends: BTreeMap<u32, oneshot::Sender<ExitStatus>>,
    log_trouble: Option<String>,
    /// The pidfds of what runs, for when the shim dies.
    running: BTreeMap<u32, OwnedFd>,
    /// The shim outlives this side of it: the end of the socket is not its death.
    let_go: bool,
    gone: bool,
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

impl State {
    fn withdraw(&mut self, id: u32) {
        self.book.withdraw(id);
        self.answers.remove(&id);
        self.ends.remove(&id);
    }

    /// Takes note of a message. Gives the number of a process that nobody waits for any more: it is to be killed.
    fn hear(&mut self, message: FromShim, descriptors: Vec<OwnedFd>) -> Option<u32> {
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
    fn close(&mut self) {
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

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    // Nothing below can panic while the lock is held, so a poisoned one still guards whole data.
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::fs::File;

    use super::*;

    /// A shim's end of a socket that a link has the other end of.
    fn linked() -> (Link, OwnedFd, oneshot::Receiver<Result<(), LinkError>>) {
        let (near, far) = socket::pair().expect("a pair");
        let (ready, is_ready) = oneshot::channel();
        (Link::new(near, Some(ready)).expect("a link"), far, is_ready)
    }

    /// A process whose pidfd can be given away: this one.
    fn own_pidfd() -> OwnedFd {
        pidfd::open(Pid(std::process::id())).expect("a pidfd")
    }

    async fn next(shim: &OwnedFd) -> (ToShim, Vec<OwnedFd>) {
        loop {
            match socket::receive(shim) {
                Ok(message) => return message.expect("a message"),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => sleep(Duration::from_millis(1)).await,
                Err(error) => panic!("{error}"),
            }
        }
    }

    #[test]
    fn ids_are_read_from_fdinfo() {
        assert_eq!(pid_in("pos:\t0\nflags:\t02\nPid:\t4711\nNSpid:\t4711\t1\n"), Some(Pid(4711)));
        assert_eq!(pid_in("Pid:\t-1\n"), None);
        assert_eq!(pid_of(own_pidfd().as_fd()), Some(Pid(std::process::id())));
    }

    #[tokio::test]
    async fn a_process_is_started_told_of_and_ended() {
        let (link, shim, is_ready) = linked();
        socket::send(&shim, &FromShim::Ready, &[own_pidfd().as_fd()]).expect("sent");
        is_ready.await.expect("told").expect("ready");
        assert_eq!((link.pid(), link.is_gone()), (Some(Pid(std::process::id())), false));

        let file = File::open("/dev/null").expect("a file");
        let start = link.start([file.as_fd(); 3]);
        let answer = async {
            let (message, descriptors) = next(&shim).await;
            assert_eq!((message, descriptors.len()), (ToShim::Start { id: 0 }, 3));
            assert!(!link.is_empty(), "one is on its way");
            socket::send(&shim, &FromShim::Started { id: 0, pid: None }, &[own_pidfd().as_fd()]).expect("sent");
        };
        let (process, ()) = tokio::join!(start, answer);
        let process = process.expect("started");
        assert_eq!(process.pid, Some(Pid(std::process::id())));
        socket::send(&shim, &FromShim::Ended { id: 0, status: 0x300 }, &[]).expect("sent");
        assert_eq!(process.ended.await.expect("told").code(), Some(3));
        assert!(!link.is_empty(), "nobody has said so");
        socket::send(&shim, &FromShim::Empty, &[]).expect("sent");
        while !link.is_empty() {
            sleep(Duration::from_millis(1)).await;
        }
    }

    #[tokio::test]
    async fn who_waits_learns_that_the_shim_is_gone() {
        let (link, shim, is_ready) = linked();
        let file = File::open("/dev/null").expect("a file");
        let die = async {
            next(&shim).await;
            drop(shim);
        };
        let (outcome, ()) = tokio::join!(link.start([file.as_fd(); 3]), die);
        assert!(matches!(outcome, Err(LinkError::Gone)), "{outcome:?}");
        assert!(is_ready.await.is_err() && link.is_gone() && !link.is_empty());
        assert!(matches!(link.start([file.as_fd(); 3]).await, Err(LinkError::Gone)));
    }

    #[tokio::test]
    async fn what_nobody_waits_for_is_killed() {
        let (link, shim, _is_ready) = linked();
        let file = File::open("/dev/null").expect("a file");
        tokio::select! {
            _ = link.start([file.as_fd(); 3]) => panic!("nobody answered"),
            _ = next(&shim) => {}
        }
        socket::send(&shim, &FromShim::Started { id: 0, pid: None }, &[own_pidfd().as_fd()]).expect("sent");
        assert_eq!(next(&shim).await.0, ToShim::KillOne { id: 0 });
    }

    #[tokio::test]
    async fn a_refusal_is_passed_on() {
        let (link, shim, is_ready) = linked();
        socket::send(&shim, &FromShim::Unable { why: "no namespaces".to_owned() }, &[]).expect("sent");
        assert!(matches!(is_ready.await.expect("told"), Err(LinkError::Unable(why)) if why == "no namespaces"));
        drop(link);
        while socket::receive::<ToShim>(&shim).is_err() {
            sleep(Duration::from_millis(1)).await;
        }
    }
}
