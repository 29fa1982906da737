//! The sweep: finds and ends what earlier incarnations of a state dir's runtime left behind.
//!
//! Three traces lead to it, the surest first: cgroup roots (beside this process's own cgroup, and wherever the state
//! dir's lists say that one was), registered main processes with their descendants, and a variable in the environment.
//! Processes are named by pid and start time and killed through pidfds.
//!
//! It is for a state dir without a living runtime, and refuses otherwise. It never touches a cgroup whose name does not
//! carry the instance, a process of another state dir or another user, itself, or those that started it.

mod report;
mod roots;

use std::{io, path::Path, time::Duration};

pub use report::{FoundBy, Outcome, SweepReport, SweptProcess};

use super::{
    clock,
    leftovers::{self, Leftover},
    proc,
    registry::Registry,
    state_dir,
};
use crate::ids::Pid;

/// What SIGKILL ends is gone in some milliseconds; what is there after this is stuck.
const BOUND: Duration = Duration::from_secs(3);

/// Why nothing was swept.
#[derive(Debug, thiserror::Error)]
pub enum SweepError {
    /// What lives there is no leftover.
    #[error(
        "the runtime of that state dir is running (process {0}); stop it first, with `greenroom shutdown` or SIGTERM"
    )]
    Running(Pid),
    /// The traces cannot be read.
    #[error("cannot look for what earlier runs left")]
    Look(#[source] io::Error),
}

/// Ends what earlier runtimes of `state_dir` (canonical) left, and cleans up the lists; with `dry_run` only looks.
/// `instance` is [`state_dir::instance`]. Blocks: some 10 ms, some seconds where a process does not end.
///
/// # Errors
/// See [`SweepError`]. A process that does not end is no error: the report says so.
pub fn sweep(state_dir: &Path, instance: &str, dry_run: bool) -> Result<SweepReport, SweepError> {
    let own = Pid(std::process::id());
    let owner = state_dir::read_owner(state_dir).map_err(SweepError::Look)?;
    if let Some(owner) = owner.filter(|owner| owner.alive && owner.identity.pid != own) {
        return Err(SweepError::Running(owner.identity.pid));
    }
    let mut spared = proc::ancestors(own);
    spared.push(own);
    let roots = roots::find(state_dir, instance).map_err(SweepError::Look)?;
    // Its state dir was removed while it ran: what is found is no leftover.
    if let Some(pid) = roots.iter().find_map(|root| roots::runtime(root, state_dir)).filter(|pid| *pid != own) {
        return Err(SweepError::Running(pid));
    }
    let sweep = Sweep { state_dir, roots, spared };
    let mut found = Vec::new();
    sweep.look(&mut found).map_err(SweepError::Look)?;
    if dry_run {
        return Ok(SweepReport { dry_run, processes: report(found, |_| Outcome::Found), ..SweepReport::default() });
    }
    // Again and again: what was born while its parent was being killed is found by the next look.
    let ended = clock::wait_until(BOUND, || {
        sweep.kill(&found);
        found.iter().all(|(one, _)| !one.is_alive()) && sweep.look(&mut found).is_ok_and(|new| new == 0)
    });
    // Whoever is stuck has been waited for already.
    let patience = if ended { BOUND } else { Duration::ZERO };
    let (removed, left) = roots::remove(state_dir, &sweep.roots, patience);
    let entries = clear_registry(state_dir, ended).map_err(SweepError::Look)?;
    let outcome = |one: &Leftover| if one.is_alive() { Outcome::Stuck } else { Outcome::Ended };
    Ok(SweepReport {
        dry_run,
        processes: report(found, outcome),
        cgroups_removed: removed,
        cgroups_left: left,
        entries,
    })
}

/// One sweep under way.
struct Sweep<'a> {
    state_dir: &'a Path,
    roots: Vec<std::path::PathBuf>,
    spared: Vec<Pid>,
}

impl Sweep<'_> {
    /// Adds what is there and not yet in `found`; says how many that were.
    fn look(&self, found: &mut Vec<(Leftover, FoundBy)>) -> io::Result<usize> {
        let before = found.len();
        let mut add = |more: Vec<Leftover>, by: FoundBy| {
            for one in more {
                if !self.spared.contains(&one.pid) && !found.iter().any(|(known, _)| *known == one) {
                    found.push((one, by));
                }
            }
        };
        for root in &self.roots {
            add(roots::members(root)?, FoundBy::Cgroup);
        }
        add(leftovers::by_registry(&Registry::at(self.state_dir).entries()?)?, FoundBy::Registry);
        add(leftovers::by_variable(self.state_dir)?, FoundBy::Environment);
        Ok(found.len() - before)
    }

    /// One round of kills. Failures show in who still lives.
    fn kill(&self, found: &[(Leftover, FoundBy)]) {
        self.roots.iter().for_each(|root| drop(super::containment::tree::kill(root)));
        found.iter().for_each(|(one, _)| drop(one.kill()));
    }
}

fn report(found: Vec<(Leftover, FoundBy)>, outcome: impl Fn(&Leftover) -> Outcome) -> Vec<SweptProcess> {
    found
        .into_iter()
        .map(|(one, by)| SweptProcess { pid: one.pid, outcome: outcome(&one), command: one.command, found_by: by })
        .collect()
}

/// Removes the entries of runs that are over; says how many. What could not be read goes too, once nothing lives.
fn clear_registry(state_dir: &Path, all_ended: bool) -> io::Result<usize> {
    let registry = Registry::at(state_dir);
    let mut removed = 0;
    for entry in registry.entries()? {
        if !entry.main.is_alive() {
            registry.remove(entry.run)?;
            removed += 1;
        }
    }
    Ok(removed + if all_ended { registry.clear_unreadable()? } else { 0 })
}
