//! Containment by cgroup v2: one fresh cgroup per run, below one root per incarnation of the runtime.
//!
//! Whatever a process does, its children are born into its cgroup, and one write to `cgroup.kill` ends them all. A run
//! gets a cgroup of its own that is never used again, because a kill also reaches what is cloned into it later. The
//! process moves itself in (see [`crate::os::exec`]), so nothing it starts can be born outside.

use std::{
    fs,
    future::ready,
    io,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU32, Ordering},
};

use nix::sys::signal::Signal;

use super::{Containment, ContainmentError, ContainmentKind, Hold, Place, Starting, location::CgroupProblem, tree};
use crate::{
    ids::{Pid, RunId, ServiceName},
    os::{
        pidfd,
        roots::Roots,
        spawn::{SpawnRequest, spawn},
    },
};

/// The variable that marks every process of a state dir's services; its value is the state dir.
pub const MARKER: &str = "GREENROOM_STATE_DIR";

/// All trees of one incarnation, below one cgroup.
#[derive(Debug)]
pub struct CgroupContainment {
    root: PathBuf,
    state_dir: PathBuf,
}

impl CgroupContainment {
    /// Makes the root in the cgroup `own` and lists it in the state dir.
    ///
    /// # Errors
    /// When it cannot be made; nothing is left then.
    pub fn new(own: &Path, place: &Place) -> Result<Self, CgroupProblem> {
        let root = own.join(place.root_name());
        let failed = |source| CgroupProblem::NotWritable { path: own.to_owned(), source };
        let roots = Roots::at(&place.state_dir);
        let listed = |source| CgroupProblem::NotListed { path: place.state_dir.join("cgroup_root"), source };
        roots.add(&root).map_err(listed)?;
        if let Err(error) = fs::create_dir(&root) {
            // The error of the making is the one to tell.
            drop(roots.remove(&root));
            return Err(failed(error));
        }
        Ok(Self { root, state_dir: place.state_dir.clone() })
    }

    fn path_of(&self, service: &ServiceName, run: RunId) -> PathBuf {
        self.root.join(format!("{service}.{run}"))
    }

    /// The root.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }
}

impl Containment for CgroupContainment {
    fn kind(&self) -> ContainmentKind {
        ContainmentKind::Cgroup
    }

    fn open(&self, service: &ServiceName, run: RunId) -> Result<Box<dyn Hold>, ContainmentError> {
        let path = self.path_of(service, run);
        fs::create_dir(&path).map_err(|source| ContainmentError {
            operation: "create the cgroup",
            path: path.clone(),
            source,
        })?;
        Ok(Box::new(CgroupHold::new(path, self.state_dir.clone())))
    }

    fn members(&self, service: &ServiceName, run: RunId) -> io::Result<Vec<Pid>> {
        tree::members(&self.path_of(service, run))
    }

    fn kill_all(&self) -> io::Result<()> {
        tree::kill(&self.root)
    }

    fn close(&self) -> io::Result<()> {
        tree::remove(&self.root)?;
        Roots::at(&self.state_dir).remove(&self.root)
    }

    fn describe(&self) -> String {
        self.root.display().to_string()
    }

    fn cgroup_root(&self) -> Option<PathBuf> {
        Some(self.root.clone())
    }
}

/// One run's cgroup.
#[derive(Debug)]
pub(super) struct CgroupHold {
    path: PathBuf,
    state_dir: PathBuf,
    /// The main process; 0 until it is known.
    main: AtomicU32,
}

impl CgroupHold {
    /// On a cgroup that is there.
    pub(super) fn new(path: PathBuf, state_dir: PathBuf) -> Self {
        Self { path, state_dir, main: AtomicU32::new(0) }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

impl Hold for CgroupHold {
    fn spawn<'a>(&'a self, request: &'a SpawnRequest) -> Starting<'a> {
        Box::pin(ready(spawn(request, &["--cgroup".into(), self.path.clone().into()])))
    }

    fn marker(&self) -> Option<(String, String)> {
        Some((MARKER.to_owned(), self.state_dir.display().to_string()))
    }

    fn set_main(&self, pid: Pid) {
        self.main.store(pid.0, Ordering::Relaxed);
    }

    fn members(&self) -> io::Result<Vec<Pid>> {
        tree::members(&self.path)
    }

    fn signal(&self, signal: Signal) -> io::Result<usize> {
        let mut members = tree::members(&self.path)?;
        // The main process first: a wrapper that is told before its workers does not start them again.
        let main = self.main.load(Ordering::Relaxed);
        members.sort_by_key(|pid| pid.0 != main);
        let opened: Vec<_> = members.iter().filter_map(|pid| Some((*pid, pidfd::open(*pid).ok()?))).collect();
        // An id may have passed to a stranger between the list and the opening. Whoever is on a second list under that
        // id is a member, and if the pidfd is of somebody before him, that one has ended and gets nothing.
        let still = tree::members(&self.path)?;
        let mut told = 0;
        for (pid, fd) in &opened {
            if still.binary_search(pid).is_ok() && pidfd::send(fd, signal)? {
                told += 1;
            }
        }
        Ok(told)
    }

    fn kill(&self) -> io::Result<()> {
        tree::kill(&self.path)
    }

    fn is_empty(&self) -> io::Result<bool> {
        tree::is_populated(&self.path).map(|populated| !populated)
    }

    fn remove(&self) -> io::Result<()> {
        tree::remove(&self.path)
    }

    fn describe(&self) -> String {
        self.path.display().to_string()
    }
}
