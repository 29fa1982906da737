//! Who is spared when everything else of a state dir is ended.

use std::{collections::BTreeSet, io, path::Path};

use serde::Serialize;

use super::{place, sight};
use crate::{
    ids::{Pid, RunId, ServiceName},
    os::{
        containment::tree,
        proc,
        registry::{Registry, RegistryEntry},
        state_dir,
    },
};

/// A run that goes on without a runtime.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct KeptProcess {
    /// Whose.
    pub service: ServiceName,
    /// Which run.
    pub run: RunId,
    /// Its main process.
    pub pid: Pid,
}

impl KeptProcess {
    /// As the registry has it.
    #[must_use]
    pub fn of(entry: &RegistryEntry) -> Self {
        Self { service: entry.service.clone(), run: entry.run, pid: entry.main.pid }
    }
}

/// The registered runs of a state dir that have a living shim to go on with. Whether each is what it seems,
/// [`find`](super::find) tells.
#[must_use]
pub fn kept_now(state_dir: &Path) -> Vec<RegistryEntry> {
    let entries = Registry::at(state_dir).entries().unwrap_or_default();
    let lives = |entry: &RegistryEntry| entry.kept.as_ref().is_some_and(|k| sight::is_shim(&k.shim, state_dir));
    entries.into_iter().filter(lives).collect()
}

/// Everybody who belongs to these runs: shims, what descends from them, and who is in their cgroups.
pub(in crate::os) fn members(state_dir: &Path, runs: &[RegistryEntry]) -> io::Result<BTreeSet<Pid>> {
    let kept = || runs.iter().filter_map(|entry| entry.kept.as_ref());
    let shims: Vec<Pid> = kept().filter(|k| sight::is_shim(&k.shim, state_dir)).map(|k| k.shim.pid).collect();
    let mut members: BTreeSet<Pid> = proc::descendants(&proc::table()?, &shims).into_iter().collect();
    members.extend(shims);
    let instance = state_dir::instance(state_dir);
    for cgroup in kept().filter_map(|k| k.cgroup.as_ref()).filter(|c| place::is_below_root(c, &instance)) {
        members.extend(tree::members(cgroup)?);
    }
    Ok(members)
}

/// The processes of a kept run that is *not* spared which are certainly its own: the main process, if its identity fits
/// and nothing speaks against it, and what its shim holds; the shim itself only when it holds nobody any more, because
/// it is who can tell.
pub(in crate::os) fn certain(state_dir: &Path, entry: &RegistryEntry) -> io::Result<Vec<Pid>> {
    let Some(kept) = &entry.kept else { return Ok(Vec::new()) };
    let table = proc::table()?;
    let shim = sight::is_shim(&kept.shim, state_dir).then_some(kept.shim.pid);
    let held = shim.map(|shim| proc::descendants(&table, &[shim])).unwrap_or_default();
    let lives = |pid: &Pid| table.iter().any(|(other, stat)| other == pid && stat.is_alive());
    let fits = match (&kept.cgroup, shim) {
        // Of whichever instance: the state dir may have been moved since.
        (Some(cgroup), _) => {
            place::is_of_run(cgroup, &entry.service, entry.run) && sight::is_in(entry.main.pid, cgroup)
        }
        (None, Some(_)) => held.contains(&entry.main.pid),
        // Nobody is left who could say: a main process leads a session of its own, which few strangers do.
        (None, None) => table.iter().any(|(pid, stat)| *pid == entry.main.pid && stat.session == *pid),
    };
    let mut certain: Vec<Pid> = held.iter().copied().filter(lives).collect();
    if fits && entry.main.is_alive() && !certain.contains(&entry.main.pid) {
        certain.push(entry.main.pid);
        certain.extend(proc::descendants(&table, &[entry.main.pid]));
    }
    Ok(if certain.is_empty() { shim.into_iter().collect() } else { certain })
}
