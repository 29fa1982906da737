//! The registry: which runs there are, on disk, so that a sweep finds them when the runtime was killed.
//!
//! One small file per run in `state_dir/registry/`, written by rename right after the spawn and removed when its hold
//! is empty. It has to survive the death of the runtime, not of the machine: nothing outlives a reboot, so nothing is
//! synced to disk.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use super::proc::ProcessIdentity;
use crate::{
    ids::{RunId, ServiceName},
    memory::GpuId,
    spec::StopSignal,
    time::Timestamp,
};

/// One run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RegistryEntry {
    /// The run.
    pub run: RunId,
    /// Of this service.
    pub service: ServiceName,
    /// Its main process.
    pub main: ProcessIdentity,
    /// Where it is held (a cgroup path).
    pub hold: String,
    /// Its port.
    pub port: Option<u16>,
    /// What else the next runtime needs to know, if it outlives this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kept: Option<KeptRun>,
}

/// What is written down of a run that outlives its runtime.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptRun {
    /// The process that holds it, pumps its output and notes its end.
    pub shim: ProcessIdentity,
    /// The cgroup of its tree, where it has one.
    pub cgroup: Option<PathBuf>,
    /// Whether it lives in a pid namespace of its own.
    pub namespace: bool,
    /// The command as it was run.
    pub command: Vec<String>,
    /// When it was started.
    pub started: Timestamp,
    /// Of what it was started with, see [`crate::os::keep::fingerprint`].
    pub fingerprint: String,
    /// The cards that it was given.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub gpus: Vec<GpuId>,
    /// The layers that it was told to put there, where that was planned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gpu_layers: Option<u32>,
    /// How it is asked to stop when nobody knows its configuration any more.
    pub signal: StopSignal,
    /// And how long it has then, in milliseconds.
    pub grace_millis: u64,
}

/// The registry of one state dir. Clones are the same.
#[derive(Debug, Clone)]
pub struct Registry {
    folder: PathBuf,
}

impl Registry {
    /// Opens, and makes the folder if need be.
    ///
    /// # Errors
    /// When the folder cannot be made.
    pub fn open(state_dir: &Path) -> io::Result<Self> {
        let registry = Self::at(state_dir);
        fs::create_dir_all(&registry.folder)?;
        Ok(registry)
    }

    /// Refers to it without making anything.
    #[must_use]
    pub fn at(state_dir: &Path) -> Self {
        Self { folder: state_dir.join("registry") }
    }

    /// Writes an entry.
    ///
    /// # Errors
    /// When the disk is full or the folder is not writable.
    pub fn add(&self, entry: &RegistryEntry) -> io::Result<()> {
        let text = serde_json::to_vec(entry)?;
        let unfinished = self.folder.join(format!("{}.new", entry.run));
        fs::write(&unfinished, text)?;
        fs::rename(&unfinished, self.file(entry.run))
    }

    /// Forgets a run; one that is not there is fine.
    ///
    /// # Errors
    /// When the folder is not writable.
    pub fn remove(&self, run: RunId) -> io::Result<()> {
        gone_is_fine(fs::remove_file(self.file(run)))
    }

    /// Every entry. Files that are not entries (damaged, half written) are left out; [`Self::clear_unreadable`] takes
    /// them away.
    ///
    /// # Errors
    /// When the folder cannot be read; one that is not there has no entries.
    pub fn entries(&self) -> io::Result<Vec<RegistryEntry>> {
        Ok(self.files()?.into_iter().filter_map(|file| read(&file)).collect())
    }

    /// Removes files that no entry can be read from; says how many.
    ///
    /// # Errors
    /// When the folder cannot be read or written.
    pub fn clear_unreadable(&self) -> io::Result<usize> {
        let bad: Vec<PathBuf> = self.files()?.into_iter().filter(|file| read(file).is_none()).collect();
        bad.iter().try_for_each(|file| gone_is_fine(fs::remove_file(file)))?;
        Ok(bad.len())
    }

    fn files(&self) -> io::Result<Vec<PathBuf>> {
        match fs::read_dir(&self.folder) {
            Ok(listing) => listing.map(|entry| Ok(entry?.path())).collect(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
            Err(error) => Err(error),
        }
    }

    fn file(&self, run: RunId) -> PathBuf {
        self.folder.join(format!("{run}.json"))
    }
}

fn read(file: &Path) -> Option<RegistryEntry> {
    if file.extension()? != "json" {
        return None;
    }
    serde_json::from_slice(&fs::read(file).ok()?).ok()
}

fn gone_is_fine(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry() -> RegistryEntry {
        RegistryEntry {
            run: RunId::fresh(),
            service: "chat".parse().expect("a name"),
            main: ProcessIdentity::own().expect("an identity"),
            hold: "/sys/fs/cgroup/greenroom-a-b/chat.1".to_owned(),
            port: Some(10_800),
            kept: None,
        }
    }

    #[test]
    fn entries_are_there_until_they_are_removed() {
        let dir = tempfile::tempdir().expect("a folder");
        let registry = Registry::open(dir.path()).expect("a registry");
        let (first, second) = (entry(), entry());
        registry.add(&first).expect("added");
        registry.add(&second).expect("added");
        assert_eq!(Registry::at(dir.path()).entries().expect("entries").len(), 2);
        registry.remove(first.run).expect("removed");
        registry.remove(first.run).expect("removed twice");
        assert_eq!(registry.entries().expect("entries"), [second]);
    }

    #[test]
    fn damaged_files_are_passed_over_and_cleared() {
        let dir = tempfile::tempdir().expect("a folder");
        let registry = Registry::open(dir.path()).expect("a registry");
        registry.add(&entry()).expect("added");
        fs::write(dir.path().join("registry/half.new"), "{").expect("written");
        fs::write(dir.path().join("registry/bad.json"), [0xff, 0x00]).expect("written");
        assert_eq!(registry.entries().expect("entries").len(), 1);
        assert_eq!(registry.clear_unreadable().expect("cleared"), 2);
        assert_eq!(registry.entries().expect("entries").len(), 1);
    }

    #[test]
    fn a_registry_that_never_was_has_no_entries() {
        let dir = tempfile::tempdir().expect("a folder");
        assert_eq!(Registry::at(dir.path()).entries().expect("entries"), []);
    }
}
