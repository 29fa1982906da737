//! The sweep: finds and ends what earlier incarnations of a state dir's runtime left behind.
//!
//! Four traces lead to it, the surest first: cgroup roots (beside this process's own cgroup, and wherever the state
//! dir's lists say that one was), registered main processes with their descendants, a variable in the environment, and
//! shims with all below them. Processes are named by pid and start time and killed through pidfds.
//!
//! It is for a state dir without a living runtime, and refuses otherwise. It never touches a cgroup whose name does not
//! carry the instance, a process of another state dir or another user, itself, those that started it, or a kept run that
//! it was told to spare.

mod report;
mod roots;

use std::{io, path::Path, time::Duration};

pub use report::{FoundBy, Outcome, SweepReport, SweptProcess};

use super::{
    clock,
    keep::{
        KeptProcess,
        record::{self, EndRecord},
        spared,
    },
    leftovers::{self, Leftover},
    proc,
    registry::{Registry, RegistryEntry},
    state_dir,
};
use crate::ids::{Pid, RunId};

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
    sweep_but(state_dir, instance, dry_run, &[])
}

/// As [`sweep`], but leaves these runs alone: kept ones that were [found](super::keep::find) sound.
///
/// # Errors
/// As [`sweep`].
pub fn sweep_but(state_dir: &Path, instance: &str, dry_run: bool, kept: &[RunId]) -> Result<SweepReport, SweepError> {
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
    let mut entries = Registry::at(state_dir).entries().map_err(SweepError::Look)?;
    // How these ended is for the next runtime to tell; of those that are ended here there is nothing to tell.
    let told: Vec<RunId> =
        entries.iter().filter(|e| EndRecord::read(state_dir, e.run).is_some()).map(|entry| entry.run).collect();
    entries.retain(|entry| kept.contains(&entry.run));
    let roots = roots::without(roots, instance, &entries).map_err(SweepError::Look)?;
    let sweep = Sweep { state_dir, roots, spared, kept: entries };
    let kept = || sweep.kept.iter().map(KeptProcess::of).collect();
    let mut found = Vec::new();
    sweep.look(&mut found).map_err(SweepError::Look)?;
    if dry_run {
        return Ok(SweepReport {
            dry_run,
            processes: report(found, |_| Outcome::Found),
            kept: kept(),
            ..SweepReport::default()
        });
    }
    leftovers::wake_shims(state_dir);
    // Again and again: what was born while its parent was being killed is found by the next look.
    let ended = clock::wait_until(BOUND, || {
        sweep.kill(&found);
        found.iter().all(|(one, _)| !one.is_alive()) && sweep.look(&mut found).is_ok_and(|new| new == 0)
    });
    // Whoever is stuck has been waited for already.
    let patience = if ended { BOUND } else { Duration::ZERO };
    let (removed, left) = roots::remove(state_dir, &sweep.roots.to_end, patience);
    roots::remove_empty(&sweep.roots.of_kept);
    roots::remove_empty(&roots::of_kept_elsewhere(state_dir, instance));
    let entries = clear_registry(state_dir, ended, &told).map_err(SweepError::Look)?;
    let outcome = |one: &Leftover| if one.is_alive() { Outcome::Stuck } else { Outcome::Ended };
    Ok(SweepReport {
        dry_run,
        processes: report(found, outcome),
        cgroups_removed: removed,
        cgroups_left: left,
        entries,
        kept: kept(),
    })
}

/// One sweep under way.
struct Sweep<'a> {
    state_dir: &'a Path,
    roots: roots::Split,
    spared: Vec<Pid>,
    /// Runs that go on.
    kept: Vec<RegistryEntry>,
}

impl Sweep<'_> {
    /// Adds what is there and not yet in `found`; says how many that were.
    fn look(&self, found: &mut Vec<(Leftover, FoundBy)>) -> io::Result<usize> {
        let mut seen: Vec<(Leftover, FoundBy)> = Vec::new();
        let mut add = |more: Vec<Leftover>, by: FoundBy| seen.extend(more.into_iter().map(|one| (one, by)));
        for root in self.roots.to_end.iter().chain(&self.roots.of_shims) {
            add(roots::members(root)?, FoundBy::Cgroup);
        }
        let mut entries = Registry::at(self.state_dir).entries()?;
        entries.retain(|entry| !self.kept.iter().any(|kept| kept.run == entry.run));
        add(leftovers::by_registry(self.state_dir, &entries)?, FoundBy::Registry);
        add(leftovers::by_variable(self.state_dir)?, FoundBy::Environment);
        add(leftovers::by_shim(self.state_dir)?, FoundBy::Shim);
        // Looked for last: whoever of them was born before that is among them.
        let kept = spared::members(self.state_dir, &self.kept)?;
        let before = found.len();
        for (one, by) in seen {
            let is_spared = self.spared.contains(&one.pid) || kept.contains(&one.pid);
            // Who has ended meanwhile may have been one of them, too.
            if !is_spared && one.is_alive() && !found.iter().any(|(known, _)| *known == one) {
                found.push((one, by));
            }
        }
        Ok(found.len() - before)
    }

    /// One round of kills. Failures show in who still lives.
    fn kill(&self, found: &[(Leftover, FoundBy)]) {
        self.roots.to_end.iter().for_each(|root| drop(super::containment::tree::kill(root)));
        found.iter().for_each(|(one, _)| drop(one.kill()));
    }
}

fn report(found: Vec<(Leftover, FoundBy)>, outcome: impl Fn(&Leftover) -> Outcome) -> Vec<SweptProcess> {
    found
        .into_iter()
        .map(|(one, by)| SweptProcess { pid: one.pid, outcome: outcome(&one), command: one.command, found_by: by })
        .collect()
}

/// Removes the entries of runs that are over, but for these; says how many. What could not be read goes too, once nothing
/// lives.
fn clear_registry(state_dir: &Path, all_ended: bool, but: &[RunId]) -> io::Result<usize> {
    let registry = Registry::at(state_dir);
    let mut removed = 0;
    for entry in registry.entries()? {
        let is_told = entry.kept.is_some() && but.contains(&entry.run);
        if !entry.main.is_alive() && !is_told {
            registry.remove(entry.run)?;
            record::clear(state_dir, entry.run);
            removed += 1;
        }
    }
    Ok(removed + if all_ended { registry.clear_unreadable()? } else { 0 })
}
