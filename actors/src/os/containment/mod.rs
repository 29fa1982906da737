//! Containment: the means by which a whole process tree is held and killed.
//!
//! A [`Containment`] belongs to one incarnation of the runtime; it opens one fresh [`Hold`] per run of a service.
//! [`select`] finds out which layer works on this machine. The layers are [`cgroup`] and, where the config accepts that
//! some may get away, [`best_effort`].

pub mod best_effort;
pub mod cgroup;
pub mod location;
mod probe;
mod select;
pub mod tree;

pub use probe::probe;
pub use select::{Refusal, Selection, Tried, select};

use std::{fmt, future::Future, io, path::PathBuf, pin::Pin};

use nix::sys::signal::Signal;
use serde::Serialize;

use super::spawn::{SpawnError, SpawnRequest, Spawned};
use crate::ids::{Pid, RunId, ServiceName};

/// The layers, best first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ContainmentKind {
    /// One cgroup v2 per run: nothing gets out, one write ends all.
    Cgroup,
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
            Self::BestEffort => "best_effort",
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

    /// Who is in the hold of this run, for those who only look.
    ///
    /// # Errors
    /// When there is no such hold, or the kernel does not say.
    fn members(&self, service: &ServiceName, run: RunId) -> io::Result<Vec<Pid>>;

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

    /// The cgroup that all holds lie in, for the guardian and the audit; `None` where there is none.
    fn cgroup_root(&self) -> Option<PathBuf> {
        None
    }
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

    /// Gives the empty place back.
    ///
    /// # Errors
    /// When it is not empty.
    fn remove(&self) -> io::Result<()>;

    /// Where it is, for people and the registry.
    fn describe(&self) -> String;
}
