//! What an earlier runtime has kept: who of the services gets what, and what is left to be remembered.

use std::path::Path;

use crate::{
    history_store::{HistorySink, messages::Record},
    ids::RunId,
    os::{
        clock,
        keep::{EndedRun, Found, record},
        registry::{Registry, RegistryEntry},
    },
    process_supervisor::end_of,
    spec::FailureClass,
    state::ExitReport,
};

/// Remembers that each of these runs began: the runtime that began it may have been killed before that was on disk. One
/// that is remembered already stays as it is.
pub(super) fn remember_starts(found: &Found, history: &HistorySink) {
    let living = found.adoptable.iter().map(|run| &run.entry);
    let ended = found.ended.iter().chain(found.unwanted.iter().map(|(run, _)| run)).map(|run| &run.entry);
    let doubtful = found.doubtful.iter().map(|doubt| &doubt.entry);
    for entry in living.chain(ended).chain(doubtful) {
        let RegistryEntry { run, service, main, kept: Some(kept), .. } = entry else { continue };
        let (service, command) = (service.clone(), kept.command.clone());
        history.record(Record::RunStarted { run: *run, service, pid: main.pid, command, at: kept.started });
    }
}

/// Remembers the ends of kept runs that no supervisor will tell of: those that were ended because nobody wants them as
/// they were, those of services that are gone, and those that could not be taken over. Then nothing of them is left on
/// disk. A run that could not be told before (the runtime was killed) is told again, which the history takes as one.
pub(super) fn remember(left: Found, history: &HistorySink, registry: &Registry, state_dir: &Path) {
    let unwanted = left.unwanted.into_iter().map(|(run, _)| (run, true));
    for (run, wanted) in unwanted.chain(left.ended.into_iter().map(|run| (run, false))) {
        let (mut exit, _) = end_of(None, state_dir, &run);
        if wanted {
            exit.class = None;
        }
        history.record(Record::RunEnded { run: run.entry.run, exit, wanted });
        forget(run.entry.run, registry, state_dir);
    }
    for doubt in left.doubtful {
        let RegistryEntry { run, .. } = doubt.entry;
        let exit = ExitReport {
            code: None,
            signal: None,
            class: Some(FailureClass::Unknown),
            stderr: vec![format!("greenroom: not taken over, because {}", doubt.why)],
            at: clock::wall(),
        };
        history.record(Record::RunEnded { run, exit, wanted: false });
        forget(run, registry, state_dir);
    }
}

/// The end of this run is told: nothing of it is needed any more.
pub(super) fn forget(run: RunId, registry: &Registry, state_dir: &Path) {
    // What cannot be removed is told once more by the next start.
    drop(registry.remove(run));
    record::clear(state_dir, run);
}

/// The runs whose end a supervisor is about to tell.
pub(super) fn told(found: &Found) -> Vec<RunId> {
    found.ended.iter().map(|EndedRun { entry, .. }| entry.run).collect()
}
