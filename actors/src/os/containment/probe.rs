//! Proves that cgroups work here, by moving a real process into one and killing it there.
//!
//! Reading modes and owners is not enough: in a cgroup that was not delegated, making one below and killing it work,
//! and only the entering is refused.

use std::{
    fs,
    io::Read,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use super::{location::CgroupProblem, tree};
use crate::{
    ids::Pid,
    os::{clock, entry, pidfd},
    time::Timestamp,
};

/// Each step of the proof takes some milliseconds; this much on a machine that can hardly breathe.
const BOUND: Duration = Duration::from_secs(5);

/// Two proofs of one process must not share a cgroup.
static NEXT: AtomicU32 = AtomicU32::new(0);

/// Begins the names of the cgroups that proofs are made in; the process that makes it comes next.
const PREFIX: &str = "greenroom-probe-";

/// How old such a cgroup is when its maker has gone and nobody in another PID namespace can still be at it.
const STALE: Duration = Duration::from_secs(10);

/// Removes what is left of proofs whose process was killed in the middle. They are empty, and nobody else would ever
/// remove them.
fn clear(own: &Path) {
    let Ok(entries) = fs::read_dir(own) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let maker = name.to_str().and_then(|name| name.strip_prefix(PREFIX)).and_then(|rest| rest.split('-').next());
        let has_gone = maker.is_some_and(|pid| !Path::new("/proc").join(pid).exists());
        if has_gone && is_stale(&entry) {
            // One that is in use cannot be removed, and need not be.
            drop(fs::remove_dir(entry.path()));
        }
    }
}

fn is_stale(entry: &fs::DirEntry) -> bool {
    let changed = entry.metadata().and_then(|metadata| metadata.modified()).ok();
    let since_epoch = changed.and_then(|at| at.duration_since(std::time::UNIX_EPOCH).ok()).unwrap_or_default();
    let at = Timestamp::from_micros(i64::try_from(since_epoch.as_micros()).unwrap_or(i64::MAX));
    clock::wall().since(at) >= STALE
}

/// Makes the cgroup of a proof. One of that name is of an earlier process with this one's number.
fn make(cgroup: &Path) -> std::io::Result<()> {
    match fs::create_dir(cgroup) {
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
            fs::remove_dir(cgroup).and_then(|()| fs::create_dir(cgroup))
        }
        made => made,
    }
}

/// Moves a process into a cgroup below `own` and kills it there. Blocks for some milliseconds, at most for some
/// seconds; leaves nothing behind, and clears away what a killed one left.
///
/// # Errors
/// With the step that does not work.
pub fn probe(own: &Path) -> Result<(), CgroupProblem> {
    clear(own);
    let name = format!("{PREFIX}{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
    let cgroup = own.join(name);
    make(&cgroup).map_err(|source| CgroupProblem::NotWritable { path: own.to_owned(), source })?;
    let mut trial = Trial { cgroup, child: None };
    if !trial.cgroup.join("cgroup.kill").exists() {
        return Err(CgroupProblem::NoKill);
    }
    let child = trial.start().map_err(CgroupProblem::NotTried)?;
    let pid = Pid(child.id());
    let process = pidfd::open(pid).map_err(CgroupProblem::NotTried)?;
    let ended = |within| pidfd::wait_end(rustix::fd::AsFd::as_fd(&process), within).unwrap_or(true);
    let is_in = || tree::members(&trial.cgroup).is_ok_and(|members| members.contains(&pid));
    clock::wait_until(BOUND, || is_in() || ended(Duration::ZERO));
    if !is_in() {
        return Err(CgroupProblem::NotMoved { path: own.to_owned(), said: trial.last_words() });
    }
    let killed = tree::kill(&trial.cgroup);
    if killed.is_err() || !ended(BOUND) {
        return Err(CgroupProblem::NotKilled { path: own.to_owned(), source: killed.err() });
    }
    Ok(())
}

/// The cgroup and the process; both are gone when it is dropped.
struct Trial {
    cgroup: PathBuf,
    child: Option<Child>,
}

impl Trial {
    /// Starts a process that waits for the end of its input, so that it cannot outlive this one.
    fn start(&mut self) -> std::io::Result<&Child> {
        let mut command = Command::new(entry::helper()?);
        command.arg(entry::EXEC).arg("--cgroup").arg(&self.cgroup);
        command.arg("--runtime").arg(std::process::id().to_string());
        command.args(["--", "/proc/self/exe", entry::PROBE]).env_clear();
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
        Ok(self.child.insert(command.spawn()?))
    }

    /// What the process wrote before it ended.
    fn last_words(&mut self) -> String {
        let mut text = String::new();
        if let Some(child) = &mut self.child {
            // It must not be waited for its words while it lives.
            drop(child.kill());
            if let Some(stderr) = &mut child.stderr {
                drop(stderr.take(4096).read_to_string(&mut text));
            }
        }
        let text = text.trim();
        if text.is_empty() { "it did not come in".to_owned() } else { text.to_owned() }
    }
}

impl Drop for Trial {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            // Failing means that it has ended.
            drop(child.kill());
            drop(child.wait());
        }
        clock::wait_until(BOUND, || tree::remove(&self.cgroup).is_ok());
    }
}
