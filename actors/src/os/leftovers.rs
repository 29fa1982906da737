//! Processes of a state dir that outlived their runtime, outside of any cgroup: by the registry, by the variable in their
//! environment, and below a shim that has not ended. What the guardian (where there is no cgroup) and the sweep have in common.

use std::{io, path::Path};

use nix::sys::signal::Signal;

use super::{
    containment::{best_effort::RUN_MARKER, cgroup::MARKER},
    keep::{sight, spared},
    pidfd, proc,
    registry::RegistryEntry,
};
use crate::ids::Pid;

/// One process, as it was when it was found.
#[derive(Debug, Clone)]
pub(super) struct Leftover {
    /// Its id then.
    pub(super) pid: Pid,
    /// With the id, names it for good.
    pub(super) start_time: u64,
    /// Its command line, shortened.
    pub(super) command: String,
}

/// The same process, whatever it calls itself by now.
impl PartialEq for Leftover {
    fn eq(&self, other: &Self) -> bool {
        (self.pid, self.start_time) == (other.pid, other.start_time)
    }
}

impl Leftover {
    /// A process that was just seen.
    pub(super) fn new(pid: Pid, stat: &proc::Stat) -> Self {
        Self { pid, start_time: stat.start_time, command: proc::command(pid) }
    }

    /// Whether that very process still lives.
    pub(super) fn is_alive(&self) -> bool {
        proc::stat(self.pid).is_ok_and(|stat| stat.start_time == self.start_time && stat.is_alive())
    }

    /// Kills it. Does not wait; one that has ended is fine.
    pub(super) fn kill(&self) -> io::Result<()> {
        pidfd::kill_started_at(self.pid, self.start_time).map(drop)
    }
}

/// Main processes of registered runs that still live, together with all that descend from them. Of runs that were to be
/// kept only those who are certainly theirs.
pub(super) fn by_registry(state_dir: &Path, entries: &[RegistryEntry]) -> io::Result<Vec<Leftover>> {
    let (kept, others): (Vec<&RegistryEntry>, Vec<_>) = entries.iter().partition(|entry| entry.kept.is_some());
    let mains: Vec<Pid> = others.iter().filter(|entry| entry.main.is_alive()).map(|entry| entry.main.pid).collect();
    let mut certain = Vec::new();
    for entry in kept {
        certain.extend(spared::certain(state_dir, entry)?);
    }
    if mains.is_empty() && certain.is_empty() {
        return Ok(Vec::new());
    }
    let table = proc::table()?;
    let descendants = proc::descendants(&table, &mains);
    let meant = |pid: &Pid| [&mains, &descendants, &certain].iter().any(|list| list.contains(pid));
    Ok(table.iter().filter(|(pid, stat)| stat.is_alive() && meant(pid)).map(leftover).collect())
}

/// Living processes of this user that were started with the state dir's variable.
pub(super) fn by_variable(state_dir: &Path) -> io::Result<Vec<Leftover>> {
    let state_dir = state_dir.display().to_string();
    let belongs = |pid: Pid| proc::is_same_user(pid) && proc::any_variable(pid, |entry| is_marker(entry, &state_dir));
    Ok(proc::table()?.iter().filter(|(pid, stat)| stat.is_alive() && belongs(*pid)).map(leftover).collect())
}

/// The shims of a state dir whose runtime is gone, with all below them. The shim itself only when nobody is below it any
/// more, because it is who can tell.
pub(super) fn by_shim(state_dir: &Path) -> io::Result<Vec<Leftover>> {
    let table = proc::table()?;
    let is_shim = |pid: Pid| proc::is_same_user(pid) && sight::is_shim_of(pid, state_dir);
    let mut found = Vec::new();
    for shim in table.iter().filter(|(pid, stat)| stat.is_alive() && is_shim(*pid)) {
        let held = proc::descendants(&table, &[shim.0]);
        let before = found.len();
        found.extend(table.iter().filter(|(pid, stat)| stat.is_alive() && held.contains(pid)));
        if found.len() == before {
            found.push(shim);
        }
    }
    Ok(found.into_iter().map(leftover).collect())
}

/// Wakes those shims: one that goes on by itself ends its tree better than anybody else can.
pub(super) fn wake_shims(state_dir: &Path) {
    for pid in proc::all().unwrap_or_default() {
        if proc::is_same_user(pid) && sight::is_shim_of(pid, state_dir) {
            // Fails when it has ended.
            drop(pidfd::open(pid).and_then(|fd| {
                // Once more: the id may have been another's when it was looked at.
                if sight::is_shim_of(pid, state_dir) { pidfd::send(fd, Signal::SIGCONT) } else { Ok(false) }
            }));
        }
    }
}

fn leftover((pid, stat): &(Pid, proc::Stat)) -> Leftover {
    Leftover::new(*pid, stat)
}

/// Whether a variable says that its process belongs to this state dir: `GREENROOM_STATE_DIR=<dir>`, or
/// `GREENROOM_RUN=<run>@<dir>`.
pub(super) fn is_marker(entry: &[u8], state_dir: &str) -> bool {
    let Some((name, value)) = std::str::from_utf8(entry).ok().and_then(|text| text.split_once('=')) else {
        return false;
    };
    let run_of = |value: &str| value.split_once('@').is_some_and(|(_, dir)| dir == state_dir);
    (name == MARKER && value == state_dir) || (name == RUN_MARKER && run_of(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_very_state_dir_is_a_marker() {
        for (entry, expected) in [
            ("GREENROOM_STATE_DIR=/a/b", true),
            ("GREENROOM_STATE_DIR=/a/bc", false),
            ("GREENROOM_STATE_DIR=/a", false),
            ("OTHER=/a/b", false),
            ("GREENROOM_RUN=01J@/a/b", true),
            ("GREENROOM_RUN=/a/b", false),
            ("GREENROOM_RUN=01J@/a", false),
            ("GREENROOM_STATE_DIR", false),
        ] {
            assert_eq!(is_marker(entry.as_bytes(), "/a/b"), expected, "{entry}");
        }
    }
}
