//! The audit at the end of a runtime: is everything gone that it brought in?
//!
//! A baseline is taken before anything is started, and compared with at the end. The launcher's audit is strict: its
//! process serves nothing but the runtime, so whatever is new was left behind. An application opens and starts things of
//! its own meanwhile, so there only what carries the runtime's marks counts ([`Whose`]).

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    path::{Path, PathBuf},
    time::Duration,
};

use serde::{Deserialize, Serialize};

use super::{
    clock,
    containment::tree,
    gpu,
    leftovers::is_marker,
    ports::{self, PortOwner},
    proc::{self, ProcessIdentity},
};
use crate::ids::Pid;

/// What this process had at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AuditBaseline {
    /// Children by id: command line.
    children: BTreeMap<u32, String>,
    /// Threads by id: name.
    threads: BTreeMap<u32, String>,
    /// Descriptors by number: what they are open on.
    descriptors: BTreeMap<u32, String>,
}

/// Whose things count as left behind.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Whose {
    /// Everything that is new: for a process that serves nothing but the runtime.
    #[default]
    All,
    /// Children that carry the marks of one runtime, and no thread or descriptor, which carry none: for an application.
    Marked {
        /// The root of its containment, [`Place::root_name`](super::containment::Place::root_name); its guardian has it
        /// on its command line.
        root_name: String,
        /// Its state dir; its services have it in their environment.
        state_dir: PathBuf,
    },
}

/// What must be gone at the end, besides what the baseline tells.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AuditScope {
    /// Roots of the containment.
    pub cgroup_roots: Vec<PathBuf>,
    /// Ports that services had.
    pub ports: Vec<u16>,
    /// Main processes and the guardian.
    pub processes: Vec<ProcessIdentity>,
    /// Whose children, threads and descriptors count.
    pub whose: Whose,
}

/// What was left. Empty lists are what is hoped for.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct AuditReport {
    /// Processes: pid and command line.
    pub children: Vec<String>,
    /// Threads: id and name.
    pub threads: Vec<String>,
    /// Descriptors: number and what they are open on.
    pub descriptors: Vec<String>,
    /// Cgroups: path.
    pub cgroups: Vec<String>,
    /// Ports on which a process of this runtime listens.
    pub ports: Vec<u16>,
}

impl AuditReport {
    /// Whether nothing was left.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        *self == Self::default()
    }
}

impl AuditBaseline {
    /// What this process has now.
    ///
    /// # Errors
    /// When `/proc` cannot be read.
    pub fn take() -> io::Result<Self> {
        let own = Pid(std::process::id());
        let children = proc::children(own)?.into_iter().map(|pid| (pid.0, proc::command(pid))).collect();
        let threads = listing("/proc/self/task", |path| fs::read_to_string(path.join("comm")).map(told))?;
        let descriptors = listing("/proc/self/fd", |path| Ok(fs::read_link(path)?.display().to_string()))?;
        Ok(Self { children, threads, descriptors })
    }

    /// What is there now that was not there then.
    ///
    /// # Errors
    /// When `/proc` cannot be read.
    pub fn compare(&self, scope: &AuditScope) -> io::Result<AuditReport> {
        let mut now = Self::take()?;
        if let Whose::Marked { root_name, state_dir } = &scope.whose {
            now.children.retain(|pid, _| is_marked(Pid(*pid), root_name, state_dir));
            (now.threads, now.descriptors) = (BTreeMap::new(), BTreeMap::new());
        }
        let mut processes = now.children.clone();
        for process in scope.processes.iter().filter(|process| process.is_alive()) {
            processes.insert(process.pid.0, proc::command(process.pid));
        }
        let mut cgroups = BTreeSet::new();
        for root in scope.cgroup_roots.iter().filter(|root| root.exists()) {
            cgroups.insert(root.display().to_string());
            for pid in tree::members(root)? {
                processes.insert(pid.0, proc::command(pid));
            }
        }
        let mut suspects: Vec<Pid> = processes.keys().copied().map(Pid).collect();
        suspects.push(Pid(std::process::id()));
        let ours = |port: &u16| matches!(ports::owner(*port, &suspects), Ok(PortOwner::Member(_)));
        Ok(AuditReport {
            children: new(&self.children, &processes, by_number),
            threads: new(&self.threads, &now.threads, by_number),
            descriptors: new(&self.descriptors, &now.descriptors, by_target),
            cgroups: cgroups.into_iter().collect(),
            ports: scope.ports.iter().copied().filter(ours).collect(),
        })
    }

    /// Compares until nothing is left or `within` has passed: a thread that was joined is listed for a moment longer.
    /// Blocks.
    ///
    /// # Errors
    /// When `/proc` cannot be read.
    pub fn settle(&self, scope: &AuditScope, within: Duration) -> io::Result<AuditReport> {
        let mut last = self.compare(scope);
        clock::wait_until(within, || {
            if last.as_ref().is_ok_and(|report| !report.is_clean()) {
                last = self.compare(scope);
            }
            !last.as_ref().is_ok_and(|report| !report.is_clean())
        });
        last
    }
}

/// Whether a process belongs to the runtime with this root and state dir.
fn is_marked(pid: Pid, root_name: &str, state_dir: &Path) -> bool {
    let command = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let state_dir = state_dir.display().to_string();
    command.split(|byte| *byte == 0).any(|argument| argument == root_name.as_bytes())
        || proc::any_variable(pid, |entry| is_marker(entry, &state_dir))
}

/// A folder of `/proc` whose entries are numbers. Those that go while it is read are left out, as the listing's own
/// descriptor is.
fn listing(folder: &str, describe: impl Fn(PathBuf) -> io::Result<String>) -> io::Result<BTreeMap<u32, String>> {
    let entry = |entry: fs::DirEntry| {
        let number = entry.file_name().to_str()?.parse().ok()?;
        Some((number, describe(entry.path()).ok()?.trim_end().to_owned()))
    };
    let found: BTreeMap<u32, String> = fs::read_dir(folder)?.flatten().filter_map(entry).collect();
    let own = format!("/proc/{}{}", std::process::id(), folder.trim_start_matches("/proc/self"));
    Ok(found.into_iter().filter(|(_, target)| *target != own).collect())
}

/// A thread's name, with what it means that it is still there, where that is known: this one ends at once unless a call
/// into the driver does not return.
fn told(name: String) -> String {
    if name.trim_end() == gpu::sampler::THREAD {
        format!("{} (a call into the graphics driver does not return)", name.trim_end())
    } else {
        name
    }
}

/// What is in `now` and was not in `then`, as `same` tells. Pure.
fn new(then: &BTreeMap<u32, String>, now: &BTreeMap<u32, String>, same: fn(&str, &str) -> bool) -> Vec<String> {
    let known = |(number, what): &(&u32, &String)| then.get(number).is_some_and(|before| same(before, what));
    now.iter().filter(|entry| !known(entry)).map(|(number, what)| format!("{number} {what}")).collect()
}

/// Processes and threads are the same under the same number: they may rename themselves.
fn by_number(_before: &str, _after: &str) -> bool {
    true
}

/// Numbers of descriptors are used again at once: only what they are open on tells. The file may have been removed since.
fn by_target(before: &str, after: &str) -> bool {
    before == after.trim_end_matches(" (deleted)")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(entries: &[(u32, &str)]) -> BTreeMap<u32, String> {
        entries.iter().map(|(number, what)| (*number, (*what).to_owned())).collect()
    }

    #[test]
    fn the_thread_that_measures_cards_is_told_as_what_it_is() {
        assert_eq!(told("worker\n".to_owned()), "worker\n");
        assert_eq!(told("gpu\n".to_owned()), "gpu (a call into the graphics driver does not return)");
    }

    #[test]
    fn only_what_came_since_is_new() {
        let then = map(&[(1, "pipe:[7]"), (2, "worker")]);
        let now = map(&[(1, "pipe:[8]"), (2, "renamed"), (3, "/a/file")]);
        assert_eq!(new(&then, &now, by_number), ["3 /a/file"]);
        assert_eq!(new(&then, &now, by_target), ["1 pipe:[8]", "2 renamed", "3 /a/file"]);
        assert_eq!(new(&then, &map(&[(1, "pipe:[7]")]), by_target), Vec::<String>::new());
        assert_eq!(new(&then, &map(&[(2, "worker (deleted)")]), by_target), Vec::<String>::new());
    }
}
