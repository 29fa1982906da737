//! Containment by shims: one small process per run that takes every orphan of its tree, and ends the tree.
//!
//! The guardian bears the shims (see [`crate::os::shim`]), so nothing here works without one; [`Nursery`] is how it is
//! asked. In the namespace kind the shim is the first process of a pid namespace, and the kernel ends everything in it
//! together with the shim.
//!
//! A shim that is killed takes its knowledge with it: its tree is ended by the guardian, which inherits it, and here by
//! what is remembered of it, until nobody of it is found any more.

use std::{
    io,
    os::fd::{AsFd, OwnedFd},
    path::PathBuf,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
};

use nix::sys::signal::Signal;
use rustix::pipe::{PipeFlags, pipe_with};
use tokio::sync::OnceCell;

use super::{
    Containment, ContainmentError, ContainmentKind, Hold, Place, Starting,
    best_effort::{Tree, lock},
};
use crate::{
    ids::{Pid, RunId, ServiceName},
    os::{
        exec_request,
        proc::{self, ProcessIdentity},
        running::{Running, ShimChild},
        shim::{
            link::Link,
            nursery::Nursery,
            wire::{ShimOrders, ToShim},
        },
        spawn::{SpawnError, SpawnRequest, Spawned, check},
    },
};

/// All trees of one incarnation, each below a shim of its own.
#[derive(Debug)]
pub struct ShimContainment {
    kind: ContainmentKind,
    root: String,
    state_dir: PathBuf,
    nursery: Nursery,
    holds: Mutex<Vec<Arc<Held>>>,
}

impl ShimContainment {
    /// Shims as they are. Takes no resource; the nursery may get its guardian later.
    #[must_use]
    pub fn shims(place: &Place, nursery: Nursery) -> Self {
        Self::new(ContainmentKind::Shim, place, nursery)
    }

    /// Shims in pid namespaces of their own.
    #[must_use]
    pub fn namespaces(place: &Place, nursery: Nursery) -> Self {
        Self::new(ContainmentKind::Namespace, place, nursery)
    }

    fn new(kind: ContainmentKind, place: &Place, nursery: Nursery) -> Self {
        let (root, state_dir) = (place.root_name(), place.state_dir.clone());
        Self { kind, root, state_dir, nursery, holds: Mutex::default() }
    }

    fn name_of(&self, service: &ServiceName, run: RunId) -> String {
        format!("{}:{}/{service}.{run}", self.kind.name(), self.root)
    }

    /// The hold of a run. Asked of every run again and again, so the others are not so much as copied.
    fn find(&self, service: &ServiceName, run: RunId) -> Option<Arc<Held>> {
        let name = self.name_of(service, run);
        lock(&self.holds).iter().find(|hold| hold.tree.name() == name && !hold.is_removed()).cloned()
    }

    /// Those that have not been given back.
    fn open_holds(&self) -> Vec<Arc<Held>> {
        lock(&self.holds).iter().filter(|hold| !hold.is_removed()).cloned().collect()
    }
}

impl Containment for ShimContainment {
    fn kind(&self) -> ContainmentKind {
        self.kind
    }

    fn open(&self, service: &ServiceName, run: RunId) -> Result<Box<dyn Hold>, ContainmentError> {
        let tree = Tree::new(self.name_of(service, run), run, &self.state_dir);
        let orders = ShimOrders { namespace: self.kind == ContainmentKind::Namespace, keep: None };
        let hold = Arc::new(Held::new(tree, self.nursery.clone(), orders, None));
        let mut holds = lock(&self.holds);
        // One whose run was given up although somebody lives in it stays, for the end of the runtime.
        holds.retain(|hold| !hold.is_removed());
        holds.push(Arc::clone(&hold));
        Ok(Box::new(ShimHold(hold)))
    }

    fn members(&self, service: &ServiceName, run: RunId) -> io::Result<Vec<Pid>> {
        self.find(service, run).ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))?.members()
    }

    fn reaper(&self, service: &ServiceName, run: RunId) -> Option<Pid> {
        self.find(service, run)?.reaper()
    }

    fn kill_all(&self) -> io::Result<()> {
        // All of them, whatever is the matter with one.
        self.open_holds().iter().map(|hold| hold.kill()).fold(Ok(()), Result::and)
    }

    fn close(&self) -> io::Result<()> {
        for hold in self.open_holds() {
            hold.remove().map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", hold.tree.name())))?;
        }
        lock(&self.holds).clear();
        Ok(())
    }

    fn describe(&self) -> String {
        let what = if self.kind == ContainmentKind::Namespace {
            "a pid namespace for each run"
        } else {
            "a shim for each run"
        };
        format!("{}: {what}", self.root)
    }

    fn remains(&self) -> Vec<ProcessIdentity> {
        let pids = self.open_holds().into_iter().flat_map(|hold| {
            let shim = hold.link.get().and_then(Link::pid);
            hold.members().unwrap_or_default().into_iter().chain(shim)
        });
        pids.filter_map(|pid| ProcessIdentity::of(pid).ok()).collect()
    }
}

/// One run's shim and tree.
#[derive(Debug)]
pub(super) struct Held {
    /// What is known of the tree without the shim.
    tree: Tree,
    nursery: Nursery,
    orders: ShimOrders,
    /// The cgroup that the processes enter besides.
    cgroup: Option<PathBuf>,
    /// The shim, from the first start of a process on.
    link: OnceCell<Link>,
    removed: AtomicBool,
}

impl Held {
    /// A shim that comes with the first process, by these orders.
    pub(super) fn new(tree: Tree, nursery: Nursery, orders: ShimOrders, cgroup: Option<PathBuf>) -> Self {
        Self { tree, nursery, orders, cgroup, link: OnceCell::new(), removed: AtomicBool::new(false) }
    }

    /// A shim that is there. `orders` are those that it was begun with.
    pub(super) fn taken_over(
        tree: Tree,
        nursery: Nursery,
        orders: ShimOrders,
        cgroup: Option<PathBuf>,
        link: Link,
    ) -> Self {
        Self { link: OnceCell::new_with(Some(link)), ..Self::new(tree, nursery, orders, cgroup) }
    }

    /// The way to the shim, if there is or was one.
    pub(super) fn link(&self) -> Option<&Link> {
        self.link.get()
    }

    /// What is known of the tree without the shim.
    pub(super) fn tree(&self) -> &Tree {
        &self.tree
    }

    pub(super) fn is_removed(&self) -> bool {
        self.removed.load(Ordering::Relaxed)
    }

    pub(super) async fn spawn(&self, request: &SpawnRequest) -> Result<Spawned, SpawnError> {
        check(request)?;
        let link = self.link.get_or_try_init(|| Link::open(&self.nursery, &self.orders)).await?;
        let written = exec_request::file(request, self.cgroup.as_deref()).map_err(SpawnError::Kernel)?;
        let ((stdout, far_stdout), (stderr, far_stderr)) =
            pipe().and_then(|out| Ok((out, pipe()?))).map_err(SpawnError::Kernel)?;
        let process = link.start([written.as_fd(), far_stdout.as_fd(), far_stderr.as_fd()]).await?;
        // Held any longer, they would keep the output from ending.
        drop((far_stdout, far_stderr));
        let running = ShimChild::new(stdout, stderr, process.ended).map_err(SpawnError::Kernel)?;
        let pid = process.pid.unwrap_or(Pid(0));
        Ok(Spawned { running: Running::of_shim(running), pidfd: process.pidfd, pid })
    }

    /// The shim while it lives. `Err` with what its death has left to be looked at: nothing, or whoever is found.
    fn shim(&self) -> Result<&Link, Orphans> {
        let link = self.link.get().ok_or(Orphans::None)?;
        match (link.is_gone(), link.is_empty()) {
            (false, _) => Ok(link),
            (true, true) => Err(Orphans::None),
            (true, false) => {
                // Who has inherited them ends them, if he is awake.
                self.nursery.wake();
                Err(Orphans::Some)
            }
        }
    }

    pub(super) fn members(&self) -> io::Result<Vec<Pid>> {
        if let Ok(link) = self.shim()
            && let Some(shim) = link.pid()
        {
            let found = proc::tree(shim)?;
            // Had it died meanwhile, others would have inherited them.
            if link.pid() == Some(shim) {
                self.tree.remember(&found);
                return Ok(found.into_iter().map(|(pid, _)| pid).collect());
            }
        }
        match self.shim() {
            Err(Orphans::None) => Ok(Vec::new()),
            Ok(_) | Err(Orphans::Some) => self.tree.members(),
        }
    }

    /// The shim, while everybody in the tree descends from it.
    pub(super) fn reaper(&self) -> Option<Pid> {
        self.shim().ok()?.pid()
    }

    pub(super) fn signal(&self, signal: Signal) -> io::Result<usize> {
        match self.shim() {
            Ok(link) => {
                let members = self.members()?.len();
                link.tell(&ToShim::Signal { signal: signal as i32 })?;
                Ok(members)
            }
            Err(Orphans::None) => Ok(0),
            Err(Orphans::Some) => self.tree.signal(signal),
        }
    }

    pub(super) fn kill(&self) -> io::Result<()> {
        match self.shim() {
            Ok(link) => said_soon(link.tell(&ToShim::Kill)),
            Err(Orphans::None) => Ok(()),
            Err(Orphans::Some) => self.tree.kill(),
        }
    }

    pub(super) fn is_empty(&self) -> io::Result<bool> {
        match self.shim() {
            Ok(link) => Ok(link.is_empty()),
            Err(Orphans::None) => Ok(true),
            Err(Orphans::Some) => self.tree.members().map(|members| members.is_empty()),
        }
    }

    pub(super) fn remove(&self) -> io::Result<()> {
        let busy = |why: &str| Err(io::Error::new(io::ErrorKind::ResourceBusy, why));
        match self.shim() {
            Ok(link) if !link.is_empty() => return busy("somebody lives in it"),
            Ok(link) => {
                said_soon(link.tell(&ToShim::Leave))?;
                if !link.is_gone() {
                    return busy("its shim is about to leave");
                }
            }
            Err(Orphans::None) => {}
            Err(Orphans::Some) if self.is_empty()? => {}
            Err(Orphans::Some) => return busy("its shim has died, and somebody of its tree lives"),
        }
        self.removed.store(true, Ordering::Relaxed);
        Ok(())
    }

    pub(super) fn trouble(&self) -> Option<String> {
        let is_lost = matches!(self.shim(), Err(Orphans::Some));
        is_lost.then(|| {
            "its shim was killed, so how its main process ended is not known; its whole tree was ended".to_owned()
        })
    }
}

/// What a shim that is not there has left behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Orphans {
    /// Nobody: there never was one, or its tree was empty when it went.
    None,
    /// Nobody knows: it was killed.
    Some,
}

/// A shim that is behind is told again at the next look, and one that is gone is noticed there.
fn said_soon(said: io::Result<()>) -> io::Result<()> {
    match said {
        Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::BrokenPipe) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::ConnectionReset => Ok(()),
        other => other,
    }
}

/// A reading and a writing end.
pub(super) fn pipe() -> io::Result<(OwnedFd, OwnedFd)> {
    Ok(pipe_with(PipeFlags::CLOEXEC)?)
}

/// One run's hold.
#[derive(Debug)]
struct ShimHold(Arc<Held>);

impl Hold for ShimHold {
    fn spawn<'a>(&'a self, request: &'a SpawnRequest) -> Starting<'a> {
        Box::pin(self.0.spawn(request))
    }

    fn marker(&self) -> Option<(String, String)> {
        Some(self.0.tree.marker())
    }

    fn set_main(&self, pid: Pid) {
        self.0.tree.set_main(pid);
    }

    fn members(&self) -> io::Result<Vec<Pid>> {
        self.0.members()
    }

    fn signal(&self, signal: Signal) -> io::Result<usize> {
        self.0.signal(signal)
    }

    fn kill(&self) -> io::Result<()> {
        self.0.kill()
    }

    fn is_empty(&self) -> io::Result<bool> {
        self.0.is_empty()
    }

    fn remove(&self) -> io::Result<()> {
        self.0.remove()
    }

    fn trouble(&self) -> Option<String> {
        self.0.trouble()
    }

    fn describe(&self) -> String {
        self.0.tree.name().to_owned()
    }
}
