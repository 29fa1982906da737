//! Cgroup roots of earlier incarnations.

use std::{
    collections::BTreeSet,
    fs, io,
    path::{Path, PathBuf},
    time::Duration,
};

use crate::ids::Pid;
use crate::os::{
    clock,
    containment::{location, root_prefix, tree},
    keep::place,
    leftovers::Leftover,
    proc,
    registry::{Registry, RegistryEntry},
    roots::Roots,
    state_dir::RUNTIME_LOCK,
};

/// Every root of the instance that is there: in this process's own cgroup, on the state dir's list, around the holds of
/// its registry, and beside each of these.
pub(super) fn find(state_dir: &Path, instance: &str) -> io::Result<Vec<PathBuf>> {
    let prefix = root_prefix(instance);
    let mut named: Vec<PathBuf> = Roots::at(state_dir).list()?;
    for entry in Registry::at(state_dir).entries()? {
        named.extend(root_of(Path::new(&entry.hold), &prefix));
    }
    let own = location::own().ok();
    let parents = named.iter().filter_map(|root| Some(root.parent()?.to_owned()));
    let places: BTreeSet<PathBuf> = parents.chain(own.clone()).collect();
    let mut found = BTreeSet::new();
    for place in places {
        // A list may have been tampered with: nothing outside of the cgroup file system is looked at.
        if location::is_in_cgroup2(&place) {
            found.extend(tree::below(&place)?.into_iter().filter(|root| is_root(root, &prefix)));
        }
    }
    // Started from inside of what was left: that root is ended by a sweep from elsewhere.
    Ok(found.into_iter().filter(|root| !own.as_ref().is_some_and(|own| own.starts_with(root))).collect())
}

/// The root that a hold lies in. Pure.
fn root_of(hold: &Path, prefix: &str) -> Option<PathBuf> {
    hold.ancestors().find(|part| is_root(part, prefix) && part.is_absolute()).map(Path::to_owned)
}

fn is_root(path: &Path, prefix: &str) -> bool {
    path.file_name().and_then(|name| name.to_str()).is_some_and(|name| name.starts_with(prefix))
}

/// The living runtime that a root belongs to, if there is one: the process in the root's name, while it has the lock of
/// this very state dir open. The lock itself says nothing once its file was removed and another one made.
pub(super) fn runtime(root: &Path, state_dir: &Path) -> Option<Pid> {
    let pid = runtime_in(root.file_name()?.to_str()?)?;
    let lock = state_dir.join(RUNTIME_LOCK).display().to_string();
    let descriptors = fs::read_dir(format!("/proc/{pid}/fd")).ok()?.flatten();
    let mut open = descriptors.filter_map(|entry| Some(fs::read_link(entry.path()).ok()?.display().to_string()));
    open.any(|target| target.trim_end_matches(" (deleted)") == lock).then_some(pid)
}

/// The process that a root's name ends with. Pure.
fn runtime_in(name: &str) -> Option<Pid> {
    name.rsplit_once('_')?.1.parse().ok().map(Pid)
}

/// Roots, by what is to become of them.
pub(super) struct Split {
    /// Everything in them ends.
    pub(super) to_end: Vec<PathBuf>,
    /// Where the shims of kept runs are, sound ones among others.
    pub(super) of_shims: Vec<PathBuf>,
    /// The roots of kept runs; they go when they are empty.
    pub(super) of_kept: Vec<PathBuf>,
}

/// Roots of kept runs are not ended as a whole, but run by run, without the sound ones.
pub(super) fn without(roots: Vec<PathBuf>, instance: &str, sound: &[RegistryEntry]) -> io::Result<Split> {
    let (of_kept, mut to_end): (Vec<PathBuf>, Vec<PathBuf>) =
        roots.into_iter().partition(|root| place::is_root(root, instance));
    let is_sound =
        |cgroup: &PathBuf| sound.iter().any(|e| e.kept.as_ref().is_some_and(|k| k.cgroup.as_ref() == Some(cgroup)));
    for root in &of_kept {
        to_end
            .extend(tree::below(root)?.into_iter().filter(|cgroup| !is_sound(cgroup) && *cgroup != place::shims(root)));
    }
    Ok(Split { to_end, of_shims: of_kept.iter().map(|root| place::shims(root)).collect(), of_kept })
}

/// The roots of kept runs that this state dir had under another name, before it was moved.
pub(super) fn of_kept_elsewhere(state_dir: &Path, instance: &str) -> Vec<PathBuf> {
    let mut listed = Roots::at(state_dir).list().unwrap_or_default();
    listed.retain(|root| place::is_any_root(root) && !place::is_root(root, instance) && location::is_in_cgroup2(root));
    listed
}

/// Removes roots of kept runs that nobody lives in; the others stay.
pub(super) fn remove_empty(roots: &[PathBuf]) {
    for root in roots {
        // Both fail while somebody is in there, and the next sweep looks again.
        drop(fs::remove_dir(place::shims(root)));
        drop(fs::remove_dir(root));
    }
}

/// Who lives in a root.
pub(super) fn members(root: &Path) -> io::Result<Vec<Leftover>> {
    Ok(tree::members(root)?.into_iter().filter_map(|pid| Some(Leftover::new(pid, &proc::stat(pid).ok()?))).collect())
}

/// Removes empty roots, each of them within this time, and takes what is gone off the list; says which were removed and
/// which are left.
pub(super) fn remove(state_dir: &Path, roots: &[PathBuf], within: Duration) -> (Vec<PathBuf>, Vec<PathBuf>) {
    let list = Roots::at(state_dir);
    // A cgroup counts as populated for a moment longer than its last process is seen alive.
    let empty = |root: &PathBuf| clock::wait_until(within, || tree::remove(root).is_ok());
    let (removed, left): (Vec<PathBuf>, Vec<PathBuf>) = roots.iter().cloned().partition(empty);
    for root in list.list().unwrap_or_default() {
        if !root.exists() {
            // A line too many does no harm; the next sweep tries again.
            drop(list.remove(&root));
        }
    }
    (removed, left)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_roots_name_ends_with_its_runtimes_process() {
        assert_eq!(runtime_in("greenroom-0123-660c6e2f0c903_12640"), Some(Pid(12640)));
        assert_eq!(runtime_in("greenroom-0123-660c6e2f0c903"), None);
    }

    #[test]
    fn a_holds_root_is_the_part_with_the_instances_name() {
        let prefix = root_prefix("0123");
        let hold = Path::new("/cg/app/greenroom-0123-5/chat.1");
        assert_eq!(root_of(hold, &prefix), Some("/cg/app/greenroom-0123-5".into()));
        assert_eq!(root_of(Path::new("/cg/greenroom-4567-5/chat.1"), &prefix), None);
        assert_eq!(root_of(Path::new("greenroom-0123-5/chat.1"), &prefix), None);
    }
}
