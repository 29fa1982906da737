//! Finds what an earlier runtime has kept, before anything else is done to what it left.

use std::{io, os::fd::OwnedFd, path::Path};

use super::{
    ending,
    fingerprint::misfit,
    record,
    sight::{Contact, look},
    verdict::{Verdict, judge},
};
use crate::{
    ids::RunId,
    os::{
        pidfd,
        registry::{KeptRun, Registry, RegistryEntry},
    },
    spec::RuntimeSpec,
    time::Timestamp,
};

/// What the registry says of kept runs cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("cannot look for what an earlier runtime has kept")]
pub struct FindError(#[source] io::Error);

/// A run that is sound: everything about its identity fits.
#[derive(Debug)]
pub struct Adoptable {
    /// As it was written down.
    pub entry: RegistryEntry,
    /// To its shim, which takes no other runtime while this is open.
    pub socket: OwnedFd,
    /// The shim's pidfd.
    pub shim: OwnedFd,
    /// The main process's pidfd.
    pub main: OwnedFd,
}

/// A run that ended while no runtime was there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndedRun {
    /// As it was written down.
    pub entry: RegistryEntry,
    /// How, as `waitpid` gives it; `None` when nobody could write it down.
    pub status: Option<i32>,
    /// When, if that is known.
    pub at: Option<Timestamp>,
}

/// A kept run of which something does not fit, and what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Doubt {
    /// As it was written down.
    pub entry: RegistryEntry,
    /// What does not fit.
    pub why: &'static str,
}

/// What there is of kept runs.
#[derive(Debug, Default)]
pub struct Found {
    /// To be taken over.
    pub adoptable: Vec<Adoptable>,
    /// They ended by themselves meanwhile.
    pub ended: Vec<EndedRun>,
    /// They were ended by [`Found::end_unwanted`], with the reason.
    pub unwanted: Vec<(EndedRun, String)>,
    /// To be ended by the sweep.
    pub doubtful: Vec<Doubt>,
}

/// Looks at every kept run of a state dir (canonical) whose runtime is gone. `instance` is
/// [`state_dir::instance`](crate::os::state_dir::instance). Blocks for some milliseconds, two seconds where a shim is
/// just clearing up. Signals nobody but shims, which it wakes.
///
/// # Errors
/// When the registry cannot be read.
pub fn find(state_dir: &Path, instance: &str) -> Result<Found, FindError> {
    let mut found = Found::default();
    let entries = Registry::at(state_dir).entries().map_err(FindError)?;
    record::clear_unknown(state_dir, |run| entries.iter().any(|entry| entry.run == run && entry.kept.is_some()));
    for entry in entries {
        if let Some(kept) = entry.kept.clone() {
            found.sort(state_dir, instance, entry, &kept);
        }
    }
    Ok(found)
}

impl Found {
    fn sort(&mut self, state_dir: &Path, instance: &str, entry: RegistryEntry, kept: &KeptRun) {
        // Opened first: what is said of it below is said of the process that this is.
        let main = pidfd::open_identity(&entry.main).ok().flatten();
        let (sight, contact) = look(state_dir, instance, &entry, kept);
        match (judge(sight), contact, main) {
            // A service has one run at a time; whoever of them is the right one, two are one too many.
            (Verdict::Sound, ..) if self.adoptable.iter().any(|other| other.entry.service == entry.service) => {
                self.doubtful.push(Doubt { entry, why: "there is another run of the same service" });
            }
            (Verdict::Sound, Some(Contact { socket, shim }), Some(main)) => {
                self.adoptable.push(Adoptable { entry, socket, shim, main });
            }
            (Verdict::Sound, ..) => self.doubtful.push(Doubt { entry, why: "it went while it was looked at" }),
            (Verdict::Ended, ..) => self.ended.push(ending::ended(state_dir, entry)),
            (Verdict::Ending, contact, _) => {
                // While it is open the shim waits for us.
                drop(contact);
                self.ended.push(ending::wait_for(state_dir, entry, kept));
            }
            (Verdict::Doubtful(why), ..) => self.doubtful.push(Doubt { entry, why }),
        }
    }

    /// Ends in order what `spec` does not want as it is, and waits for that: at most for the longest grace among them.
    pub fn end_unwanted(&mut self, state_dir: &Path, spec: &RuntimeSpec) {
        let (mut unwanted, mut reasons) = (Vec::new(), Vec::new());
        for run in std::mem::take(&mut self.adoptable) {
            match misfit(state_dir, spec, &run.entry) {
                Some(reason) => {
                    unwanted.push(run);
                    reasons.push(reason.to_owned());
                }
                None => self.adoptable.push(run),
            }
        }
        self.unwanted = ending::end_all(state_dir, unwanted).into_iter().zip(reasons).collect();
    }

    /// The runs that a sweep has to spare.
    #[must_use]
    pub fn sound(&self) -> Vec<RunId> {
        self.adoptable.iter().map(|run| run.entry.run).collect()
    }
}
