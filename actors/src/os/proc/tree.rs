//! Which processes there are, and who descends from whom.

use std::{fs, io, os::unix::fs::MetadataExt, sync::OnceLock};

use super::{
    Stat,
    file::{path, short},
    stat,
};
use crate::ids::Pid;

/// Every process there is.
///
/// # Errors
/// When `/proc` cannot be read.
pub fn all() -> io::Result<Vec<Pid>> {
    let numbers = fs::read_dir("/proc")?.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    Ok(numbers.map(Pid).collect())
}

/// Every process with what `/proc/PID/stat` says of it; those that end meanwhile are left out.
///
/// # Errors
/// When `/proc` cannot be read.
pub fn table() -> io::Result<Vec<(Pid, Stat)>> {
    Ok(all()?.into_iter().filter_map(|pid| Some((pid, stat(pid).ok()?))).collect())
}

/// The children of a process, also those that have ended and not been waited for.
///
/// # Errors
/// When `/proc` cannot be read.
pub fn children(pid: Pid) -> io::Result<Vec<Pid>> {
    Ok(table()?.into_iter().filter(|(_, stat)| stat.parent == pid).map(|(child, _)| child).collect())
}

/// Those of whom `table` says that they descend from `roots`, without the roots. Pure.
#[must_use]
pub fn descendants(table: &[(Pid, Stat)], roots: &[Pid]) -> Vec<Pid> {
    let mut found: Vec<Pid> = Vec::new();
    let mut parents: Vec<Pid> = roots.to_vec();
    while let Some(parent) = parents.pop() {
        for (child, stat) in table {
            if stat.parent == parent && !found.contains(child) && !roots.contains(child) {
                found.push(*child);
                parents.push(*child);
            }
        }
    }
    found
}

/// The living processes that descend from one, without it: what it holds if it takes every orphan of its tree. Reads
/// only the tree, where the kernel lists children (`CONFIG_PROC_CHILDREN`), and every process where it does not.
///
/// # Errors
/// When `/proc` cannot be read.
pub fn tree(root: Pid) -> io::Result<Vec<(Pid, Stat)>> {
    let Some(first) = listed_children(root) else {
        let table = table()?;
        let found = descendants(&table, &[root]);
        return Ok(table.into_iter().filter(|(pid, stat)| stat.is_alive() && found.contains(pid)).collect());
    };
    let (mut found, mut parents) = (Vec::new(), first);
    while let Some(pid) = parents.pop() {
        let Ok(stat) = stat(pid) else { continue };
        if found.iter().any(|(known, _)| *known == pid) {
            continue;
        }
        found.push((pid, stat));
        parents.extend(listed_children(pid).unwrap_or_default());
    }
    found.retain(|(_, stat)| stat.is_alive());
    Ok(found)
}

/// Whether this kernel lists children (`CONFIG_PROC_CHILDREN`).
pub(in crate::os) fn lists_children() -> bool {
    static LISTS: OnceLock<bool> = OnceLock::new();
    *LISTS.get_or_init(|| listed_children(Pid(std::process::id())).is_some())
}

/// The children of all threads of a process; `None` when the kernel does not list them, or there is no such process.
pub(in crate::os) fn listed_children(pid: Pid) -> Option<Vec<Pid>> {
    let tasks = path(pid, "task");
    // Most processes have one thread, and hundreds of them are asked every other second. As a folder, `task` has a link for
    // each thread besides its own two.
    if fs::metadata(&tasks).is_ok_and(|tasks| tasks.nlink() == 3)
        && let Ok(text) = short(&tasks.join(pid.to_string()).join("children"))
    {
        return Some(numbers(&text).collect());
    }
    let threads = fs::read_dir(tasks).ok()?;
    let mut found = None;
    for thread in threads.flatten() {
        if let Ok(text) = fs::read(thread.path().join("children")) {
            found.get_or_insert_with(Vec::new).extend(numbers(&text));
        }
    }
    found
}

/// Process ids that stand in a text, with spaces between them.
fn numbers(text: &[u8]) -> impl Iterator<Item = Pid> + '_ {
    let words = text.split(u8::is_ascii_whitespace).filter_map(|word| std::str::from_utf8(word).ok());
    words.filter_map(|word| word.parse().ok()).map(Pid)
}

/// The parents of a process, nearest first, as far as they can be seen.
#[must_use]
pub fn ancestors(pid: Pid) -> Vec<Pid> {
    let mut line = Vec::new();
    let mut current = pid;
    while let Ok(stat) = stat(current) {
        if stat.parent.0 == 0 || line.contains(&stat.parent) {
            break;
        }
        line.push(stat.parent);
        current = stat.parent;
    }
    line
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::os::{clock, pidfd::kill_if, proc::command};

    fn child_of(parent: u32) -> Stat {
        Stat { state: 'S', parent: Pid(parent), session: Pid(1), start_time: 0, resident_pages: 0 }
    }

    #[test]
    fn this_process_is_among_all() {
        assert!(all().expect("processes").contains(&Pid(std::process::id())));
    }

    #[test]
    fn descendants_are_found_across_generations() {
        let table = [(Pid(2), child_of(1)), (Pid(3), child_of(2)), (Pid(4), child_of(3)), (Pid(5), child_of(1))];
        let mut found = descendants(&table, &[Pid(2)]);
        found.sort();
        assert_eq!(found, [Pid(3), Pid(4)]);
    }

    #[test]
    fn a_tree_is_read_by_its_children_as_by_the_table() {
        let mut child =
            std::process::Command::new("sh").args(["-c", "sleep 987 & sleep 987"]).spawn().expect("spawned");
        let parent = Pid(child.id());
        let up = || tree(parent).expect("a tree").iter().filter(|(pid, _)| command(*pid) == "sleep 987").count() == 2;
        let is_up = clock::wait_until(std::time::Duration::from_secs(20), up);
        let mut listed: Vec<Pid> = tree(parent).expect("a tree").into_iter().map(|(pid, _)| pid).collect();
        let mut all = descendants(&table().expect("a table"), &[parent]);
        for pid in std::iter::once(parent).chain(all.clone()) {
            kill_if(pid, || true).expect("killed");
        }
        child.wait().expect("waited for");
        listed.sort();
        all.sort();
        assert!(is_up && listed == all, "{listed:?} {all:?}");
    }

    proptest! {
        #[test]
        fn walking_down_ends_even_in_a_circle(parents in proptest::collection::vec(0u32..12, 12)) {
            let table: Vec<_> = parents.iter().zip(0..).map(|(parent, pid)| (Pid(pid), child_of(*parent))).collect();
            let found = descendants(&table, &[Pid(0)]);
            prop_assert!(found.len() <= table.len());
            prop_assert!(!found.contains(&Pid(0)));
        }
    }
}
