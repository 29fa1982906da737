//! The tree below a process that takes every orphan of it: signalling it and killing it.
//!
//! Signals go through pidfds, and only to a process that is still in the tree once its pidfd is open. Whoever is born
//! while the tree is walked may be missed by one walk; [`kill_round`] walks until nobody new is found.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use nix::sys::signal::Signal;

use crate::{
    ids::Pid,
    os::{
        clock, pidfd,
        proc::{self, Stat},
    },
};

/// Stopping everybody takes some milliseconds. Against a storm of forks it may take longer; past this the kill begins
/// with those who were found.
const STOPPED_WITHIN: Duration = Duration::from_secs(2);

/// Sends a signal to everybody below `root`, parents before their children.
pub(in crate::os) fn signal(root: Pid, signal: Signal) {
    // Everybody is found before anybody is told: who ends at once leaves its children to the root, where a walk that has
    // begun does not look again.
    let mut found = BTreeMap::new();
    let mut order = Vec::new();
    walk(root, &children(root), |pid, still_there| {
        if let Some(stat) = proc::stat(pid).ok().filter(|stat| still_there(stat)) {
            found.insert(pid, stat.start_time);
            order.push(pid);
        }
    });
    for pid in order {
        let is_below = |stat: &Stat| stat.parent == root || found.contains_key(&stat.parent);
        send(pid, signal, |stat| found.get(&pid) == Some(&stat.start_time) && is_below(stat));
    }
}

/// One round of killing everybody below `root`, beginning with those of its children that `first` names, again and again:
/// first stops them all, repeatedly until nobody new is found, so that nobody can give birth any more, then kills them.
/// Says how many it found.
pub(in crate::os) fn kill_round(root: Pid, mut first: impl FnMut() -> Vec<Pid>) -> usize {
    let until = clock::now() + STOPPED_WITHIN;
    let mut stopped: BTreeMap<Pid, u64> = BTreeMap::new();
    loop {
        let mut is_over = true;
        walk(root, &first(), |pid, still_there| {
            // Not only the living: one whose first thread has ended looks dead, and lives.
            let is_known = |stat: &Stat| stopped.get(&pid) == Some(&stat.start_time);
            let mut start_time = None;
            let is_new = |stat: &Stat| {
                start_time = Some(stat.start_time);
                still_there(stat) && !is_known(stat)
            };
            if send(pid, Signal::SIGSTOP, is_new)
                && let Some(start_time) = start_time
            {
                stopped.insert(pid, start_time);
                is_over = false;
            }
        });
        if is_over || clock::now() >= until {
            break;
        }
    }
    for (pid, start_time) in &stopped {
        // What fails is found again in the next round.
        drop(pidfd::kill_started_at(*pid, *start_time));
    }
    stopped.len()
}

/// The children of a process, also those that have ended.
pub(in crate::os) fn children(pid: Pid) -> Vec<Pid> {
    if proc::lists_children() {
        proc::listed_children(pid).unwrap_or_default()
    } else {
        proc::children(pid).unwrap_or_default()
    }
}

/// Visits everybody at and below `first`, parents before their children. The visitor gets the means to tell whether a
/// process is still in the tree.
fn walk(root: Pid, first: &[Pid], mut visit: impl FnMut(Pid, &dyn Fn(&Stat) -> bool)) {
    // Where the kernel does not list children, one look at everybody serves the whole walk.
    let table = if proc::lists_children() { None } else { proc::table().ok() };
    let mut seen = BTreeSet::from([root]);
    let mut waiting = first.to_vec();
    while let Some(pid) = waiting.pop() {
        if seen.contains(&pid) {
            continue;
        }
        // An orphan has become a child of the root.
        visit(pid, &|stat| seen.contains(&stat.parent));
        seen.insert(pid);
        match &table {
            None => waiting.extend(proc::listed_children(pid).unwrap_or_default()),
            Some(table) => waiting.extend(table.iter().filter(|(_, stat)| stat.parent == pid).map(|(child, _)| *child)),
        }
    }
}

/// Sends a signal to a process of which, once its pidfd is open, `is_meant` holds. Says whether it got it.
fn send(pid: Pid, signal: Signal, is_meant: impl FnOnce(&Stat) -> bool) -> bool {
    let Ok(fd) = pidfd::open(pid) else { return false };
    proc::stat(pid).is_ok_and(|stat| is_meant(&stat)) && pidfd::send(fd, signal).unwrap_or(false)
}
