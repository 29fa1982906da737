//! Reads the files of one process.

use std::{
    fs::{self, File},
    io::{self, Read},
    path::{Path, PathBuf},
};

use crate::ids::Pid;

/// Bytes that are asked for at a time: more than most files of a process hold.
const PIECE: usize = 4096;

/// One file of a process. A process that ended meanwhile is `NotFound`, whichever way the kernel says it.
pub(super) fn read(pid: Pid, file: &str) -> io::Result<Vec<u8>> {
    fs::read(path(pid, file)).map_err(gone)
}

/// The error of a file of a process, where one that ended meanwhile is `NotFound`.
pub(super) fn gone(error: io::Error) -> io::Error {
    match error.raw_os_error() {
        Some(raw) if raw == nix::errno::Errno::ESRCH as i32 => io::Error::from(io::ErrorKind::NotFound),
        _ => error,
    }
}

/// All of a file that the kernel writes record by record (`seq_file`), in one piece where it is short, as `stat` and
/// `children` are: hundreds of them are read every other second.
pub(super) fn short(path: &Path) -> io::Result<Vec<u8>> {
    let mut file = File::open(path)?;
    let mut buffer = [0; PIECE];
    let count = file.read(&mut buffer)?;
    let mut text = buffer[..count].to_vec();
    // A record that did not fit any more comes with the next piece, so only much room left means the end.
    if count > PIECE / 2 {
        file.read_to_end(&mut text)?;
    }
    Ok(text)
}

/// Where a file of a process is; its folder for an empty name.
pub(super) fn path(pid: Pid, file: &str) -> PathBuf {
    PathBuf::from(format!("/proc/{pid}/{file}"))
}
