//! The shim's own side: one thread that polls its control socket, the runtime's pidfd and its children.
//!
//! It is born in [`super::newborn`], in the copy that the guardian has made of itself.

use std::{
    collections::VecDeque,
    io,
    os::fd::{AsFd, OwnedFd},
    process::Command,
    time::{Duration, Instant},
};

use nix::sys::{signal::Signal, signalfd::SignalFd};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::{
    children::{drain, reap},
    course::{Course, Effect, Event, Main},
    keeper::Keeper,
    namespace, socket, tree,
    wire::{FromShim, ToShim},
};
use crate::{
    ids::Pid,
    os::{clock, entry::EXEC, pidfd},
};

/// Between two rounds of killing.
const KILL_STEP: Duration = Duration::from_millis(20);
/// Pause when the kernel does not even let it wait (out of memory).
const STUCK_STEP: Duration = Duration::from_millis(50);
/// Orders taken at one go; ends of processes must not wait behind a flood of them.
const BURST: usize = 64;

/// Whom a shim watches, and who watches it: their pidfds.
#[derive(Debug)]
pub(super) struct Watched {
    /// The runtime; `None` for a shim that outlives it.
    pub runtime: Option<OwnedFd>,
    /// The guardian that has borne it.
    pub guardian: Option<OwnedFd>,
}

/// A shim at work.
#[derive(Debug)]
pub(super) struct Shim {
    /// To the runtime; `None` when there is none.
    control: Option<OwnedFd>,
    watched: Watched,
    signals: SignalFd,
    keeper: Option<Keeper>,
    /// Whether it is the first process of a pid namespace.
    is_first: bool,
    course: Course,
    /// What could not be sent yet.
    unsent: VecDeque<(FromShim, Option<OwnedFd>)>,
    /// When it last killed.
    killed: Option<Instant>,
    is_over: bool,
}

/// What a poll has found.
#[derive(Debug, Default, Clone, Copy)]
struct Seen {
    runtime_ended: bool,
    child_ended: bool,
    control: bool,
    keeper: bool,
}

impl Shim {
    /// One that has everything it needs. It says that it is ready. `is_first`: it is the first process of a pid namespace.
    pub(super) fn new(
        control: OwnedFd,
        watched: Watched,
        signals: SignalFd,
        keeper: Option<Keeper>,
        is_first: bool,
    ) -> Self {
        let mut shim = Self {
            control: Some(control),
            watched,
            signals,
            course: Course::new(keeper.is_some()),
            keeper,
            is_first,
            unsent: VecDeque::new(),
            killed: None,
            is_over: false,
        };
        shim.greet();
        shim
    }

    fn greet(&mut self) {
        // Without the descriptor the word is nonsense to the other side, which gives up.
        let own = pidfd::open(own_pid()).ok();
        self.say(FromShim::Ready, own);
    }

    /// Works until nothing is left to do.
    pub(super) fn run(mut self) {
        while !self.is_over {
            let seen = self.wait();
            if seen.child_ended {
                self.reap();
            }
            // The control socket before the keeper: the next runtime may come right behind the end of the last one.
            if seen.control {
                self.flush();
                self.listen();
            }
            if seen.keeper {
                self.turn_keeper();
            }
            if seen.runtime_ended {
                self.be_alone();
            }
            let is_due = self.killed.is_none_or(|last| clock::now().duration_since(last) >= KILL_STEP);
            if self.course.is_killing() && is_due {
                self.kill_round();
            }
        }
        if let Some(keeper) = self.keeper {
            keeper.finish();
        }
    }

    /// Waits until something has happened, or the next round of killing is due.
    fn wait(&self) -> Seen {
        let wanted = if self.unsent.is_empty() { PollFlags::IN } else { PollFlags::IN | PollFlags::OUT };
        let mut watched = vec![PollFd::from_borrowed_fd(self.signals.as_fd(), PollFlags::IN)];
        let control = self.control.as_ref().map(|fd| {
            watched.push(PollFd::from_borrowed_fd(fd.as_fd(), wanted));
            watched.len() - 1
        });
        let runtime = self.watched.runtime.as_ref().map(|fd| {
            watched.push(PollFd::from_borrowed_fd(fd.as_fd(), PollFlags::IN));
            watched.len() - 1
        });
        let others = watched.len();
        watched.extend(self.keeper.iter().flat_map(Keeper::watched));
        let step = Timespec { tv_sec: 0, tv_nsec: KILL_STEP.subsec_nanos().into() };
        match poll(&mut watched, self.course.is_killing().then_some(&step)) {
            Ok(_) => {}
            Err(rustix::io::Errno::INTR) => return Seen::default(),
            Err(_) => {
                clock::pause(STUCK_STEP);
                return Seen::default();
            }
        }
        let has = |at: Option<usize>| at.and_then(|at| watched.get(at)).is_some_and(|fd| !fd.revents().is_empty());
        Seen {
            child_ended: has(Some(0)),
            control: has(control),
            runtime_ended: has(runtime),
            keeper: watched.iter().skip(others).any(|fd| !fd.revents().is_empty()),
        }
    }

    fn reap(&mut self) {
        drain(&self.signals);
        let mut ended = Vec::new();
        let is_left = reap(|pid, status| ended.push(Event::Ended { pid, status }));
        ended.extend((!is_left).then_some(Event::Nobody));
        ended.into_iter().for_each(|event| self.step(event));
    }

    /// Takes orders until there are none.
    fn listen(&mut self) {
        for _ in 0..BURST {
            let Some(control) = &self.control else { return };
            match socket::receive::<ToShim>(control) {
                Ok(Some((order, descriptors))) => self.obey(order, descriptors),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                // Not understood, so not obeyed: who gave it waits in vain, within its bounds.
                Err(error) if matches!(error.kind(), io::ErrorKind::Interrupted | io::ErrorKind::InvalidData) => {}
                Ok(None) | Err(_) => return self.be_alone(),
            }
        }
    }

    fn obey(&mut self, order: ToShim, descriptors: Vec<OwnedFd>) {
        match order {
            ToShim::Start { id } => self.start(id, descriptors),
            ToShim::Signal { signal } => {
                if let Ok(signal) = Signal::try_from(signal) {
                    self.signal(signal);
                }
            }
            ToShim::KillOne { id } => self.step(Event::KillOne { id }),
            ToShim::Kill => {
                self.step(Event::Kill);
                if self.course.is_killing() {
                    self.kill_round();
                }
            }
            ToShim::Attach => self.attach(descriptors),
            ToShim::Leave => self.step(Event::Leave),
        }
    }

    fn start(&mut self, id: u32, descriptors: Vec<OwnedFd>) {
        match self.try_start(id, descriptors) {
            Ok((pid, pidfd)) => {
                self.step(Event::Started { id, pid });
                let pid = self.known_outside(pid);
                self.say(FromShim::Started { id, pid }, Some(pidfd));
            }
            Err(error) => self.say(FromShim::NotStarted { id, why: error.to_string() }, None),
        }
    }

    fn try_start(&mut self, id: u32, descriptors: Vec<OwnedFd>) -> io::Result<(Pid, OwnedFd)> {
        if !self.course.may_start(id) {
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, "that number is in use"));
        }
        let missing = |_| io::Error::new(io::ErrorKind::InvalidInput, "the order came without its descriptors");
        let [request, mut out, mut err] = <[OwnedFd; 3]>::try_from(descriptors).map_err(missing)?;
        if let Some(keeper) = self.keeper.as_mut().filter(|_| id == 0) {
            [out, err] = keeper.open([out, err])?;
        }
        // The guardian was started from the binary that plays all the small parts, and this is still that.
        let mut command = Command::new("/proc/self/exe");
        command.args([EXEC, "--request", "--parent"]).arg(own_pid().to_string());
        command.env_clear().stdin(request).stdout(out).stderr(err);
        let child = command.spawn()?;
        let pid = Pid(child.id());
        // Nobody but this thread waits for it, so the id is still its own.
        let pidfd = pidfd::open(pid).inspect_err(|_| kill_child(pid))?;
        Ok((pid, pidfd))
    }

    /// A process's id as the runtime knows it; `None` where it is one of a namespace.
    fn known_outside(&self, pid: Pid) -> Option<Pid> {
        (!self.is_first).then_some(pid)
    }

    /// A new runtime takes over.
    fn attach(&mut self, descriptors: Vec<OwnedFd>) {
        let Some(keeper) = &mut self.keeper else { return };
        if let Ok(readers) = <[OwnedFd; 2]>::try_from(descriptors) {
            // Should it fail, the pipes are closed, which the other side sees.
            drop(keeper.attach(readers));
        }
        match self.course.main() {
            Main::Awaited => {}
            Main::Runs(pid) => {
                let pidfd = pidfd::open(pid).ok();
                let pid = self.known_outside(pid);
                self.say(FromShim::Started { id: 0, pid }, pidfd);
            }
            Main::Ended(status) => self.say(FromShim::Ended { id: 0, status }, None),
        }
        if self.course.is_empty() {
            self.say(FromShim::Empty, None);
        }
    }

    fn turn_keeper(&mut self) {
        if let Some(socket) = self.keeper.as_mut().and_then(Keeper::turn) {
            self.control = Some(socket);
            self.step(Event::Attached);
            self.greet();
        }
        if let Some(news) = self.keeper.as_mut().and_then(Keeper::news_of_log) {
            self.say(news, None);
        }
    }

    /// The runtime is gone, or has let go.
    fn be_alone(&mut self) {
        self.control = None;
        if self.watched.runtime.take().is_some()
            && let Some(guardian) = self.watched.guardian.take()
        {
            // One that somebody has stopped would stay, and keep what it has inherited. Fails when it has died.
            drop(pidfd::send(guardian, Signal::SIGCONT));
        }
        self.unsent.clear();
        if let Some(keeper) = &mut self.keeper {
            keeper.detach();
        }
        self.step(Event::Alone);
    }

    fn step(&mut self, event: Event) {
        for effect in self.course.step(event) {
            match effect {
                Effect::Say(word) => self.say(word, None),
                Effect::Record(status) => {
                    if let Some(keeper) = &mut self.keeper {
                        keeper.main_ended(status);
                    }
                }
                Effect::Kill(pid) => kill_child(pid),
                Effect::End => self.is_over = true,
            }
        }
    }

    fn signal(&self, signal: Signal) {
        if self.is_first {
            namespace::signal_all(signal);
        } else {
            tree::signal(own_pid(), signal);
        }
    }

    fn kill_round(&mut self) {
        self.killed = Some(clock::now());
        if let Some(keeper) = &self.keeper {
            keeper.kill();
        }
        if self.is_first {
            namespace::signal_all(Signal::SIGKILL);
        } else {
            tree::kill_round(own_pid(), || tree::children(own_pid()));
        }
    }

    fn say(&mut self, word: FromShim, descriptor: Option<OwnedFd>) {
        self.unsent.push_back((word, descriptor));
        self.flush();
    }

    /// Sends what can be sent.
    fn flush(&mut self) {
        let Some(control) = &self.control else { return self.unsent.clear() };
        while let Some((word, descriptor)) = self.unsent.front() {
            let with = descriptor.as_ref().map(AsFd::as_fd);
            match socket::send(control, word, with.as_slice()) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                // Nobody is there: that is noticed at the next look.
                Ok(()) | Err(_) => drop(self.unsent.pop_front()),
            }
        }
    }
}

fn own_pid() -> Pid {
    Pid(std::process::id())
}

/// Kills a child of this process that has not been waited for.
fn kill_child(pid: Pid) {
    // Fails when it has ended.
    drop(pidfd::open(pid).and_then(|fd| pidfd::send(fd, Signal::SIGKILL)));
}
