//! The ordered end of kept runs that nobody wants any more: their stop signal, and their grace.

use std::{path::Path, time::Duration};

use super::{
    find::{Adoptable, EndedRun},
    record::EndRecord,
};
use crate::os::{
    clock,
    proc::ProcessIdentity,
    registry::{KeptRun, RegistryEntry},
    shim::{socket::send, wire::ToShim},
};

/// How long a shim whose main process has ended may take to end the rest and go.
const CLEARED_WITHIN: Duration = Duration::from_secs(2);

/// Asks each of these runs to stop and waits until all have ended or had their grace. Blocks. What is left then is for
/// the sweep.
pub(super) fn end_all(state_dir: &Path, runs: Vec<Adoptable>) -> Vec<EndedRun> {
    let began = clock::now();
    let mut waiting: Vec<(ProcessIdentity, Duration)> = Vec::new();
    let mut entries = Vec::new();
    for Adoptable { entry, socket, .. } in runs {
        if let Some(kept) = &entry.kept {
            // A shim that does not take it is waited for in vain, and ended by the sweep.
            drop(send(&socket, &ToShim::Signal { signal: kept.signal.number() }, &[]));
            waiting.push((kept.shim.clone(), Duration::from_millis(kept.grace_millis)));
        }
        // Without a runtime at its socket the shim sees to the end by itself.
        drop(socket);
        entries.push(entry);
    }
    let longest = waiting.iter().map(|(_, grace)| *grace).max().unwrap_or_default();
    clock::wait_until(longest, || {
        let past = clock::now().duration_since(began);
        waiting.retain(|(shim, grace)| past < *grace && shim.is_alive());
        waiting.is_empty()
    });
    entries.into_iter().map(|entry| ended(state_dir, entry)).collect()
}

/// Waits until the shim of a run whose main process has ended is gone. Blocks for a moment.
pub(super) fn wait_for(state_dir: &Path, entry: RegistryEntry, kept: &KeptRun) -> EndedRun {
    clock::wait_until(CLEARED_WITHIN, || !kept.shim.is_alive());
    ended(state_dir, entry)
}

/// A run that is over, with its end as far as that was written down.
pub(super) fn ended(state_dir: &Path, entry: RegistryEntry) -> EndedRun {
    let record = EndRecord::read(state_dir, entry.run);
    EndedRun { status: record.as_ref().map(|r| r.status), at: record.map(|r| r.at), entry }
}
