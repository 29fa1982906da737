//! Containment: the means by which a whole process tree is held and killed.
//!
//! A [`Containment`] belongs to one incarnation of the runtime; it opens one fresh [`Hold`] per run of a service.
//! [`select`] finds out which layer works on this machine, by holding and killing real processes ([`probe`],
//! [`prove`]). The layers are [`cgroup`], [`shim`] in its two kinds and, where the config accepts that some may get away,
//! [`best_effort`].

pub mod best_effort;
pub mod cgroup;
mod kept;
mod kept_hold;
pub mod location;
mod probe;
mod proof;
mod select;
pub mod shim;
pub mod tree;
pub mod user_namespaces;

pub use kept::{KeepRefused, KeepingContainment};
pub use probe::probe;
pub use proof::{ProofError, prove};
pub use select::{Refusal, Selection, Tried, select};

use std::{fmt, future::Future, io, path::PathBuf, pin::Pin, sync::Arc};

use nix::sys::signal::Signal;
use serde::Serialize;

use super::{
    keep::Adoptable,
    proc::ProcessIdentity,
    spawn::{SpawnError, SpawnRequest, Spawned},
};
use crate::ids::{Pid, RunId, ServiceName};

/// The layers, best first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ContainmentKind {
    /// One cgroup v2 per run: nothing gets out, one write ends all.
    Cgroup,
    /// One small process per run that takes every orphan of its tree: nothing gets out while it or the guardian lives.
    Shim,
    /// The same in a pid namespace of its own: the kernel ends all with it. Only where the config asks for it, because
    /// the services see other process ids then.
    Namespace,
    /// Session, descendants and environment marker: finds what has not deliberately hidden. Only where the config
    /// accepts it.
    BestEffort,
}

impl ContainmentKind {
    /// The name in status, `doctor` and the log.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Cgroup => "cgroup",
            Self::Shim => "shim",
            Self::Namespace => "namespace",
            Self::BestEffort => "best_effort",
        }
    }

    /// What it cannot do, in sentences for people.
    #[must_use]
    pub fn limits(self) -> &'static [&'static str] {
        match self {
            Self::Cgroup => &["a process that may write to other cgroups, as root always may, can leave its own"],
            Self::Shim => &[
                "when the guardian and a shim are both killed, a process of that shim's tree that left its session and \
                 cleared its environment is not found",
            ],
            Self::Namespace => {
                &["services see other process ids than the rest of the machine, and no processes but their own"]
            }
            Self::BestEffort => &[
                "a process that left its session, lost its parent unseen and cleared its environment is not found",
                "a storm of forks may outrun the kill",
            ],
        }
    }
}

/// Whose trees are held.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The state dir, absolute.
    pub state_dir: PathBuf,
    /// Names the state dir: [`super::state_dir::instance`].
    pub instance: String,
    /// Names this start of the runtime; letters, digits and `_` only.
    pub incarnation: String,
}

impl Place {
    /// The name of this incarnation's root: `greenroom-<instance>-<incarnation>`.
    #[must_use]
    pub fn root_name(&self) -> String {
        format!("{}{}", root_prefix(&self.instance), self.incarnation)
    }
}

/// What the root of every incarnation of an instance begins with.
#[must_use]
pub fn root_prefix(instance: &str) -> String {
    format!("greenroom-{instance}-")
}

/// What went wrong with a containment.
#[derive(Debug, thiserror::Error)]
#[error("cannot {operation} {}", path.display())]
pub struct ContainmentError {
    /// What was tried, for example `create the cgroup`.
    pub operation: &'static str,
    /// On what.
    pub path: PathBuf,
    /// Why it failed.
    #[source]
    pub source: io::Error,
}

/// Holds every process tree of one incarnation of the runtime.
pub trait Containment: fmt::Debug + Send + Sync {
    /// Which layer it is.
    fn kind(&self) -> ContainmentKind;

    /// Makes a fresh, empty place for one run.
    ///
    /// # Errors
    /// When the place cannot be made; nothing is left behind then.
    fn open(&self, service: &ServiceName, run: RunId) -> Result<Box<dyn Hold>, ContainmentError>;

    /// As [`Containment::open`], for a run that outlives the runtime.
    ///
    /// # Errors
    /// As there, and where nothing can be kept.
    fn open_kept(&self, service: &ServiceName, run: RunId) -> Result<Arc<dyn Hold>, ContainmentError> {
        let source = io::Error::new(io::ErrorKind::Unsupported, format!("run {run}: nothing is kept in this layer"));
        Err(ContainmentError { operation: "keep", path: service.as_str().into(), source })
    }

    /// Takes over a run of an earlier runtime: its hold and its main process. To be called inside a tokio runtime.
    ///
    /// # Errors
    /// When its shim cannot be told; it goes on without us then.
    fn take_over(&self, run: Adoptable) -> io::Result<(Arc<dyn Hold>, Spawned)> {
        let what = format!("run {}: nothing is kept in this layer", run.entry.run);
        Err(io::Error::new(io::ErrorKind::Unsupported, what))
    }

    /// Who is in the hold of this run, for those who only look.
    ///
    /// # Errors
    /// When there is no such hold, or the kernel does not say.
    fn members(&self, service: &ServiceName, run: RunId) -> io::Result<Vec<Pid>>;

    /// The process to which every orphan of this run's tree falls, as long as one lives: whoever is in the tree descends
    /// from it. `None` where there is none, or orphans leave the tree that is seen.
    fn reaper(&self, _service: &ServiceName, _run: RunId) -> Option<Pid> {
        None
    }

    /// Kills everything in every hold at once. Does not wait.
    ///
    /// # Errors
    /// When the kernel refuses.
    fn kill_all(&self) -> io::Result<()>;

    /// Removes what is left of it; every hold must be empty.
    ///
    /// # Errors
    /// When something still lives in it.
    fn close(&self) -> io::Result<()>;

    /// The root, for people (a cgroup path, or a note that there is none).
    fn describe(&self) -> String;

    /// Processes of it that still live, as far as no [`cgroup_root`](Self::cgroup_root) tells: for the audit.
    fn remains(&self) -> Vec<ProcessIdentity> {
        Vec::new()
    }

    /// The cgroup that all holds lie in, for the guardian and the audit; `None` where there is none.
    fn cgroup_root(&self) -> Option<PathBuf> {
        None
    }
}

/// Who keeps a run that outlives its runtime, for the registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeeperInfo {
    /// Its shim.
    pub shim: ProcessIdentity,
    /// The cgroup of its tree, where it has one.
    pub cgroup: Option<PathBuf>,
    /// Whether it lives in a pid namespace of its own.
    pub namespace: bool,
}

/// A process on its way into a hold.
pub type Starting<'a> = Pin<Box<dyn Future<Output = Result<Spawned, SpawnError>> + 'a>>;

/// Holds one run's process tree. All calls return at once.
pub trait Hold: fmt::Debug + Send + Sync {
    /// Starts a process in it. To be called, and awaited, inside a tokio runtime; the first one is the main process.
    ///
    /// # Errors
    /// See [`SpawnError`]; nothing was started then.
    fn spawn<'a>(&'a self, request: &'a SpawnRequest) -> Starting<'a>;

    /// Variables the new process must have to be found again by a sweep.
    fn marker(&self) -> Option<(String, String)> {
        None
    }

    /// Tells the hold which process is the run's main one, right after the spawn.
    fn set_main(&self, pid: Pid);

    /// Who is in it. A process that the kernel has ended but nobody has waited for does not count.
    ///
    /// # Errors
    /// When the kernel does not say.
    fn members(&self) -> io::Result<Vec<Pid>>;

    /// Sends a signal to every member; says how many got it. Safe against reuse of process ids.
    ///
    /// # Errors
    /// When the members cannot be listed.
    fn signal(&self, signal: Signal) -> io::Result<usize>;

    /// Kills every member. Does not wait.
    ///
    /// # Errors
    /// When the kernel refuses.
    fn kill(&self) -> io::Result<()>;

    /// Whether nobody is in it.
    ///
    /// # Errors
    /// When the kernel does not say.
    fn is_empty(&self) -> io::Result<bool>;

    /// What has befallen the hold itself, if anything: why the status of its main process is not known.
    fn trouble(&self) -> Option<String> {
        None
    }

    /// Why the log of the run cannot be written, where that is done for us by whoever keeps it.
    fn log_trouble(&self) -> Option<String> {
        None
    }

    /// Who keeps it, if it outlives the runtime; known once the main process was started.
    fn keeper(&self) -> Option<KeeperInfo> {
        None
    }

    /// Lets go of it, and leaves it as it is. Nothing but [`Hold::describe`] makes sense afterwards.
    fn release(&self) {}

    /// Gives the empty place back.
    ///
    /// # Errors
    /// When it is not empty, or not given back yet: to be tried again.
    fn remove(&self) -> io::Result<()>;

    /// Where it is, for people and the registry.
    fn describe(&self) -> String;
}
