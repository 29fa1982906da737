//! How a kept run ended, written down by its shim for the next runtime: `state_dir/keep/<run>.json`.

use std::{
    fs, io,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use crate::{
    ids::{RunId, ServiceName},
    time::Timestamp,
};

/// What the names of a run's files end with: its end, that end while it is being written, its socket.
const EXTENSIONS: [&str; 3] = ["json", "new", "sock"];

/// The end of a run's main process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndRecord {
    /// The run.
    pub run: RunId,
    /// Of this service.
    pub service: ServiceName,
    /// As `waitpid` gives it.
    pub status: i32,
    /// When.
    pub at: Timestamp,
}

/// The folder of records and sockets.
#[must_use]
pub fn folder(state_dir: &Path) -> PathBuf {
    state_dir.join("keep")
}

/// Makes that folder, for this user alone.
///
/// # Errors
/// When it cannot be made.
pub fn make_folder(state_dir: &Path) -> io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(folder(state_dir))
}

impl EndRecord {
    /// Writes it, whole or not at all.
    ///
    /// # Errors
    /// When the disk is full or the folder is not writable.
    pub fn write(&self, state_dir: &Path) -> io::Result<()> {
        let file = path(state_dir, self.run);
        let unfinished = file.with_extension("new");
        fs::write(&unfinished, serde_json::to_vec(self)?)?;
        fs::rename(unfinished, file)
    }

    /// Reads it; `None` when there is none, or none that can be understood.
    #[must_use]
    pub fn read(state_dir: &Path, run: RunId) -> Option<Self> {
        serde_json::from_slice(&fs::read(path(state_dir, run)).ok()?).ok()
    }
}

/// Removes everything that a run had in the folder. What is not there, or cannot be removed, is left to the next start.
pub fn clear(state_dir: &Path, run: RunId) {
    for extension in EXTENSIONS {
        drop(fs::remove_file(path(state_dir, run).with_extension(extension)));
    }
}

/// Removes a run's socket, on which nobody listens any more.
pub(in crate::os) fn clear_socket(state_dir: &Path, run: RunId) {
    // Left to the next start as above.
    drop(fs::remove_file(path(state_dir, run).with_extension("sock")));
}

/// Removes what the folder has of runs that `known` does not know, and nothing that is no run's.
pub fn clear_unknown(state_dir: &Path, known: impl Fn(RunId) -> bool) {
    for entry in fs::read_dir(folder(state_dir)).into_iter().flatten().flatten() {
        if entry.file_name().to_str().and_then(run_of).is_some_and(|run| !known(run)) {
            // Tried again at the next start.
            drop(fs::remove_file(entry.path()));
        }
    }
}

/// From the name of a file that a run has in the folder.
fn run_of(name: &str) -> Option<RunId> {
    let (run, extension) = name.split_once('.')?;
    EXTENSIONS.contains(&extension).then(|| run.parse().ok())?
}

fn path(state_dir: &Path, run: RunId) -> PathBuf {
    folder(state_dir).join(format!("{run}.json"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_there_until_it_is_cleared_and_those_of_unknown_runs_go() {
        let dir = tempfile::tempdir().expect("a folder");
        make_folder(dir.path()).expect("made");
        let record = |run| EndRecord {
            run,
            service: "chat".parse().expect("a name"),
            status: 256,
            at: Timestamp::from_micros(1_000_000),
        };
        let (known, unknown) = (RunId::fresh(), RunId::fresh());
        record(known).write(dir.path()).expect("written");
        record(unknown).write(dir.path()).expect("written");
        // The folder may be a link to one that has more in it.
        for strange in ["what.is.this", "notes.json", &format!("{unknown}.txt")] {
            fs::write(folder(dir.path()).join(strange), "x").expect("written");
        }
        clear_unknown(dir.path(), |run| run == known);
        assert_eq!(EndRecord::read(dir.path(), known), Some(record(known)));
        assert_eq!(fs::read_dir(folder(dir.path())).expect("a listing").count(), 4);
        clear(dir.path(), known);
        assert_eq!(EndRecord::read(dir.path(), known), None);
    }
}
