//! Small figures of the kernel that are read again and again: pressure on memory, open descriptors, and which processes may
//! have begun since the last look. Each costs some microseconds.

mod stir;
mod text;

use std::{
    collections::HashSet,
    fs::{self, File},
    io,
    os::unix::fs::FileExt,
    path::PathBuf,
    sync::OnceLock,
};

use rustix::process::{Resource, getrlimit};

pub use stir::{Births, Stir, StirWatch};
pub use text::Stall;

use super::proc;
use crate::ids::Pid;

/// More than any of the files that are read has.
const LONGEST: usize = 512;

/// Open descriptors of these processes together. Those that have ended, or belong to somebody else and cannot be looked
/// into, count nothing.
#[must_use]
pub fn descriptors(pids: &[Pid]) -> u64 {
    pids.iter().filter_map(|pid| open_below(format!("/proc/{pid}/fd").into())).sum()
}

/// How many children of these processes have ended and are not waited for: they hold no memory, but their numbers, and a
/// machine has only so many. None where the kernel does not list children.
#[must_use]
pub fn unreaped(pids: &[Pid]) -> u32 {
    let living: HashSet<Pid> = pids.iter().copied().collect();
    let children = pids.iter().filter_map(|pid| proc::listed_children(*pid)).flatten();
    let has_ended = |pid: &Pid| proc::stat(*pid).is_ok_and(|stat| !stat.is_alive());
    let ended = children.filter(|child| !living.contains(child)).filter(has_ended).count();
    u32::try_from(ended).unwrap_or(u32::MAX)
}

/// Open descriptors of this process.
#[must_use]
pub fn own_descriptors() -> u64 {
    open_below("/proc/self/fd".into()).unwrap_or_default()
}

/// The most descriptors that this process may have open; `u64::MAX` where there is no limit.
#[must_use]
pub fn own_descriptors_limit() -> u64 {
    getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)
}

/// Memory of this process that no file stands behind, in bytes.
#[must_use]
pub fn own_memory() -> u64 {
    proc::anonymous_bytes(&[Pid(std::process::id())])
}

/// How many descriptors a folder `fd` shows. Since Linux 6.2 its size is their number, which is ten times as fast as
/// counting; before that its size is 0.
fn open_below(folder: PathBuf) -> Option<u64> {
    static SIZE_COUNTS: OnceLock<bool> = OnceLock::new();
    let size = |folder: PathBuf| fs::metadata(folder).map(|metadata| metadata.len());
    // This process has some open at any time.
    if *SIZE_COUNTS.get_or_init(|| size("/proc/self/fd".into()).is_ok_and(|size| size > 0)) {
        return size(folder).ok();
    }
    Some(fs::read_dir(folder).ok()?.count() as u64)
}

/// Pressure on memory, where the kernel tells (`CONFIG_PSI`).
#[derive(Debug)]
pub struct MemoryPressure(Option<File>);

impl MemoryPressure {
    /// Of the machine.
    #[must_use]
    pub fn new() -> Self {
        Self(File::open("/proc/pressure/memory").ok())
    }

    /// Over the last ten seconds.
    #[must_use]
    pub fn look(&self) -> Option<Stall> {
        // Where it is switched off at boot, the file is there and cannot be read.
        text::stall(&read(self.0.as_ref()?).ok()?)
    }
}

impl Default for MemoryPressure {
    fn default() -> Self {
        Self::new()
    }
}

/// A short file of the kernel from its start.
fn read(file: &File) -> io::Result<String> {
    let mut buffer = [0; LONGEST];
    let length = file.read_at(&mut buffer, 0)?;
    Ok(String::from_utf8_lossy(&buffer[..length]).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_has_memory_and_descriptors_and_may_have_more() {
        let before = own_descriptors();
        let files: Vec<File> = (0..200).map(|_| File::open("/proc/self/stat").expect("it can be read")).collect();
        // Other tests of this process open and close some as well.
        assert!(own_descriptors() >= before + 100, "{before} {} {}", files.len(), own_descriptors());
        assert!(own_descriptors() < own_descriptors_limit());
        assert!(descriptors(&[Pid(std::process::id()), Pid(u32::MAX)]) >= 200);
        assert!(own_memory() > 100_000);
    }
}
