//! The end of everything that a runtime without an end in order has left.

use std::{
    collections::BTreeSet,
    fs::{self, File, OpenOptions},
    io::Write,
    time::Duration,
};

use super::{
    brood::{Brood, LEFT_ALONE},
    charge::{Charge, Orders},
};
use crate::{
    ids::Pid,
    os::{
        clock,
        containment::tree,
        keep::{kept_now, spared},
        leftovers,
        registry::{Registry, RegistryEntry},
        roots::Roots,
        state_dir::SOCKET,
    },
};

/// Killing without pause, and with the lock held. Only what a driver holds lives longer.
const FAST: Duration = Duration::from_secs(10);
/// Killing at leisure, the lock given back, so that a new runtime can start beside what does not end.
const SLOW_ROUNDS: usize = 100;
const SLOW_STEP: Duration = Duration::from_millis(500);
/// Past this size the log is begun anew, in bytes.
const LOG_LIMIT: u64 = 256 * 1024;

/// Ends everything in its charge, within its bounds, and writes down how that went.
pub(super) fn end_trees(orders: &Orders, lock: File, brood: &mut Brood) {
    let charge = &orders.charge;
    let start = clock::now();
    // Nobody answers there any more, and a new runtime must not find its own socket removed: so first of all.
    drop(fs::remove_file(charge.state_dir.join(SOCKET)));
    let processes = living(charge, brood);
    leftovers::wake_shims(&charge.state_dir);
    let gone = clock::wait_until(FAST, || {
        let urge = clock::now().duration_since(start) >= LEFT_ALONE;
        // Both, whatever comes of the first.
        let is_empty = brood.end(urge);
        ended(charge) && is_empty
    });
    if gone {
        forget(charge);
    }
    let millis = clock::now().duration_since(start).as_millis();
    let outcome = if gone { "all ended".to_owned() } else { format!("{} did not end", living(charge, brood)) };
    log(
        charge,
        &format!("runtime {} is gone; {processes} processes left; {outcome} after {millis} ms", orders.runtime),
    );
    drop(lock);
    if gone {
        return;
    }
    for _ in 0..SLOW_ROUNDS {
        clock::pause(SLOW_STEP);
        let is_empty = brood.end(true);
        // Registry and environment do not tell what is left from what a new runtime starts from now on.
        if is_empty && (charge.cgroup.is_none() || ended(charge)) {
            // The lists belong to the next runtime by now, and its sweep puts them right.
            log(charge, &format!("what runtime {} left has ended at last", orders.runtime));
            return;
        }
    }
    log(
        charge,
        &format!("{} processes of runtime {} do not end; the next start tells", living(charge, brood), orders.runtime),
    );
}

/// One round: kills what is there; says whether nothing was left.
fn ended(charge: &Charge) -> bool {
    match &charge.cgroup {
        Some(root) => {
            // A failed kill shows in the removal, which the next round repeats.
            drop(tree::kill(root));
            tree::remove(root).is_ok()
        }
        None => {
            let found = strays(charge);
            // Failures are found alive in the next round.
            found.iter().for_each(|stray| drop(stray.kill()));
            found.is_empty()
        }
    }
}

/// How many processes are left.
fn living(charge: &Charge, brood: &mut Brood) -> usize {
    let mut left: BTreeSet<Pid> = brood.members().into_iter().collect();
    match &charge.cgroup {
        Some(root) => left.extend(tree::members(root).unwrap_or_default()),
        None => left.extend(strays(charge).iter().map(|stray| stray.pid)),
    }
    left.len()
}

/// Without a cgroup: what registry and environment tell.
fn strays(charge: &Charge) -> Vec<leftovers::Leftover> {
    let entries = covered(charge);
    let mut found = leftovers::by_registry(&charge.state_dir, &entries).unwrap_or_default();
    // Shims that another guardian has borne, too: nobody else looks after one that is stopped.
    let by_shim = leftovers::by_shim(&charge.state_dir).unwrap_or_default();
    let marked = leftovers::by_variable(&charge.state_dir).unwrap_or_default();
    // Looked for last: whoever of them was born before that is among them.
    let kept = spared::members(&charge.state_dir, &kept_now(&charge.state_dir)).unwrap_or_default();
    for stray in by_shim.into_iter().chain(marked) {
        if stray.pid.0 != std::process::id() && !kept.contains(&stray.pid) && !found.contains(&stray) {
            found.push(stray);
        }
    }
    // Afterwards: whoever is born to a kept run meanwhile is in it, or has ended.
    let kept = spared::members(&charge.state_dir, &kept_now(&charge.state_dir)).unwrap_or_default();
    found.retain(|stray| !kept.contains(&stray.pid) && stray.is_alive());
    found
}

fn covered(charge: &Charge) -> Vec<RegistryEntry> {
    let entries = Registry::at(&charge.state_dir).entries().unwrap_or_default();
    entries.into_iter().filter(|entry| charge.covers(entry)).collect()
}

/// Takes off the lists what is not there any more. What fails here is put right by the next sweep; so are runs that were
/// to be kept, because the next runtime looks at them first.
fn forget(charge: &Charge) {
    let registry = Registry::at(&charge.state_dir);
    for entry in covered(charge).iter().filter(|entry| entry.kept.is_none()) {
        drop(registry.remove(entry.run));
    }
    if let Some(root) = &charge.cgroup {
        drop(Roots::at(&charge.state_dir).remove(root));
    }
}

fn log(charge: &Charge, line: &str) {
    let path = charge.state_dir.join("guardian.log");
    let full = fs::metadata(&path).is_ok_and(|file| file.len() > LOG_LIMIT);
    let mut options = OpenOptions::new();
    if full {
        options.write(true).truncate(true)
    } else {
        options.append(true).create(true)
    };
    // The work is done all the same when the disk is full.
    if let Ok(mut file) = options.open(path) {
        drop(writeln!(file, "{} {line}", clock::wall()));
    }
}
