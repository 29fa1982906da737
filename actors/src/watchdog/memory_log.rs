//! `logs/memory.jsonl`: who held what while memory was short.
//!
//! One JSON object a line, every ten seconds while a memory alert stands; three files of 5 MiB at the most. Written on a
//! thread that ends with the line, since a disk that hangs must not blind whoever watches; while it does, lines are left
//! out.

use std::{
    collections::BTreeMap,
    fs::{self, OpenOptions},
    io::{self, Write},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

use serde::Serialize;

use super::{
    board::{HostFigures, OwnFigures, ServiceFigures},
    sample::Sample,
};
use crate::{
    ids::ServiceName,
    resource_orchestrator::view::{CardView, MemorySnapshot},
    time::Timestamp,
};

/// A file is rotated before it is longer.
const LONGEST: u64 = 5 << 20;
/// Files before the current one.
const KEPT: u32 = 2;

/// One line.
#[derive(Debug, Serialize)]
pub struct Line<'a> {
    /// When.
    pub at: Timestamp,
    /// The machine.
    pub host: Option<HostFigures>,
    /// This process.
    pub own: OwnFigures,
    /// Every live tree.
    pub services: BTreeMap<&'a ServiceName, ServiceFigures>,
    /// The cards, with what strangers and each service hold there.
    pub cards: &'a [CardView],
}

impl<'a> Line<'a> {
    /// Of this sample, taken at `at`.
    #[must_use]
    pub fn of(sample: &'a Sample, memory: &'a MemorySnapshot, at: Timestamp) -> Self {
        let services = sample.services.iter().map(|service| (service.name(), service.into())).collect();
        let (host, own) = (sample.host.map(Into::into), sample.own.into());
        Self { at, host, own, services, cards: &memory.cards }
    }
}

/// The log.
#[derive(Debug)]
pub struct MemoryLog {
    folder: PathBuf,
    /// A line is being written.
    busy: Arc<AtomicBool>,
    /// It could not be written lately, which has been said.
    failed: Arc<AtomicBool>,
}

impl MemoryLog {
    /// The one of this state dir.
    #[must_use]
    pub fn below(state_dir: &Path) -> Self {
        Self { folder: state_dir.join("logs"), busy: Arc::default(), failed: Arc::default() }
    }

    /// Writes a line, unless one is still being written. Never waits.
    pub fn note(&self, line: &Line<'_>) {
        let Ok(mut text) = serde_json::to_vec(line) else { return };
        text.push(b'\n');
        if self.busy.swap(true, Ordering::AcqRel) {
            return;
        }
        let (folder, busy, failed) = (self.folder.clone(), Arc::clone(&self.busy), Arc::clone(&self.failed));
        let write = move || {
            match append(&folder, &text, LONGEST) {
                Ok(()) => failed.store(false, Ordering::Release),
                Err(error) if !failed.swap(true, Ordering::AcqRel) => {
                    tracing::warn!(%error, "the memory log in {} cannot be written", folder.display());
                }
                Err(_) => {}
            }
            busy.store(false, Ordering::Release);
        };
        if let Err(error) = thread::Builder::new().name("memory-log".to_owned()).spawn(write) {
            self.busy.store(false, Ordering::Release);
            tracing::warn!(%error, "the memory log is not written: no thread is to be had");
        }
    }
}

/// The `n`-th file before the current one, which is number 0.
fn name(n: u32) -> String {
    if n == 0 { "memory.jsonl".to_owned() } else { format!("memory.{n}.jsonl") }
}

fn append(folder: &Path, text: &[u8], longest: u64) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    let path = |n: u32| folder.join(name(n));
    let size = fs::metadata(path(0)).map_or(0, |metadata| metadata.len());
    if size > 0 && size + text.len() as u64 > longest {
        for n in (0..KEPT).rev() {
            match fs::rename(path(n), path(n + 1)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                Ok(()) | Err(_) => {}
            }
        }
    }
    OpenOptions::new().create(true).append(true).open(path(0))?.write_all(text)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{os::clock, watchdog::sample::OwnSample};

    fn sample() -> Sample {
        let own = OwnSample { ram: 7, descriptors: 3, descriptors_limit: 1024 };
        Sample { at: clock::now(), host: None, services: Vec::new(), own, actors: Vec::new() }
    }

    #[test]
    fn each_line_is_a_json_object_of_its_own() {
        let dir = tempfile::tempdir().expect("a folder");
        let (log, sample, memory) = (MemoryLog::below(dir.path()), sample(), MemorySnapshot::default());
        let text = || fs::read_to_string(dir.path().join("logs/memory.jsonl")).unwrap_or_default();
        for count in 1..=2 {
            log.note(&Line::of(&sample, &memory, Timestamp::from_micros(count)));
            let is_there = || text().lines().count() == usize::try_from(count).expect("a count");
            assert!(clock::wait_until(Duration::from_secs(30), is_there), "{}", text());
            assert!(clock::wait_until(Duration::from_secs(30), || !log.busy.load(Ordering::Acquire)));
        }
        for line in text().lines() {
            let line: serde_json::Value = serde_json::from_str(line).expect("JSON");
            assert_eq!((&line["own"]["ram"], &line["host"]), (&7.into(), &serde_json::Value::Null));
        }
    }

    #[test]
    fn three_files_are_kept_and_none_is_longer_than_it_may_be() {
        let dir = tempfile::tempdir().expect("a folder");
        for n in 0..50 {
            append(dir.path(), format!("line {n:3}\n").as_bytes(), 20).expect("written");
        }
        let mut files: Vec<_> = fs::read_dir(dir.path()).expect("a folder").flatten().collect();
        files.sort_by_key(fs::DirEntry::file_name);
        let names: Vec<_> = files.iter().map(|file| file.file_name().to_string_lossy().into_owned()).collect();
        assert_eq!(names, ["memory.1.jsonl", "memory.2.jsonl", "memory.jsonl"]);
        assert!(files.iter().all(|file| file.metadata().expect("a file").len() <= 20));
        assert!(fs::read_to_string(dir.path().join("memory.jsonl")).expect("a file").ends_with("line  49\n"));
    }
}
