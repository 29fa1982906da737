//! What can be done to a cgroup and everything below it. Shared by the holds, the guardian, the sweep and the audit.
//!
//! A cgroup that is gone has no members, is not populated, and counts as killed and removed: others may be removing
//! the same tree at the same time.

use std::{
    fs::{self, OpenOptions},
    io::{self, Write},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use nix::errno::Errno;

use crate::ids::Pid;

/// Every process in it and below. The kernel leaves out those that have ended and not been waited for, and shows those
/// of another pid namespace as 0, which are left out here.
///
/// # Errors
/// When the kernel does not say.
pub fn members(cgroup: &Path) -> io::Result<Vec<Pid>> {
    let mut found = Vec::new();
    let mut folders = vec![cgroup.to_owned()];
    while let Some(folder) = folders.pop() {
        let text = match fs::read_to_string(folder.join("cgroup.procs")) {
            Ok(text) => text,
            // A threaded cgroup: its processes are listed further up.
            Err(error) if is_gone(&error) || error.raw_os_error() == Some(Errno::EOPNOTSUPP as i32) => String::new(),
            Err(error) => return Err(error),
        };
        found.extend(text.lines().filter_map(|line| line.parse().ok()).filter(|pid| *pid != 0).map(Pid));
        folders.extend(below(&folder)?);
    }
    found.sort_unstable();
    found.dedup();
    Ok(found)
}

/// The cgroups directly below.
///
/// # Errors
/// When the folder cannot be read.
pub fn below(cgroup: &Path) -> io::Result<Vec<PathBuf>> {
    // A folder has two links, and one more for each folder in it, in the file system of the cgroups as well
    // (`fs/kernfs/inode.c`, `kernfs_refresh_inode`). Most have none, and to list the fifty files that each has takes longer
    // than everything else about it. A file system that counts otherwise has not two.
    if fs::metadata(cgroup).is_ok_and(|folder| folder.nlink() == 2) {
        return Ok(Vec::new());
    }
    let listing = match fs::read_dir(cgroup) {
        Ok(listing) => listing,
        Err(error) if is_gone(&error) => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let folder = |entry: fs::DirEntry| entry.file_type().is_ok_and(|kind| kind.is_dir()).then(|| entry.path());
    Ok(listing.flatten().filter_map(folder).collect())
}

/// Kills everything in it and below, by one write. Does not wait: a process in a driver may take its time.
///
/// # Errors
/// When the kernel refuses.
pub fn kill(cgroup: &Path) -> io::Result<()> {
    let write = || OpenOptions::new().write(true).open(cgroup.join("cgroup.kill"))?.write_all(b"1");
    gone_is_fine(write())
}

/// Whether anybody lives in it or below.
///
/// # Errors
/// When the kernel does not say.
pub fn is_populated(cgroup: &Path) -> io::Result<bool> {
    match fs::read_to_string(cgroup.join("cgroup.events")) {
        Ok(text) => Ok(text.lines().any(|line| line == "populated 1")),
        Err(error) if is_gone(&error) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Removes it and everything below, deepest first.
///
/// # Errors
/// When anybody lives in it; what was empty is gone then.
pub fn remove(cgroup: &Path) -> io::Result<()> {
    for folder in below(cgroup)? {
        remove(&folder)?;
    }
    gone_is_fine(fs::remove_dir(cgroup))
}

fn gone_is_fine(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if is_gone(&error) => Ok(()),
        other => other,
    }
}

/// Not there any more: `ENOENT` by its path, `ENODEV` through a file that was open when it went.
fn is_gone(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::NotFound || error.raw_os_error() == Some(Errno::ENODEV as i32)
}
