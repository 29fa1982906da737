//! A service's log: its output byte for byte, rotated by size.
//!
//! Written through a buffer that is flushed when it is full or the output pauses. Whatever the disk does, the service is
//! never made to wait for it and never sees an error: what cannot be written is dropped and counted, told once, and tried
//! again with the next bytes.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
};

use crate::{ids::ServiceName, job::JobId, spec::ServiceLogSpec};

/// The file that is written now; `1.log` is the one before it, and so on.
pub const CURRENT: &str = "current.log";
/// Bytes gathered before they are written. Beyond this a larger block no longer helps.
const BUFFER: usize = 64 * 1024;

/// The folder of a service's logs.
#[must_use]
pub fn log_dir(state_dir: &Path, service: &ServiceName) -> PathBuf {
    state_dir.join("logs").join(service.as_str())
}

/// The folder of what the processes of one job print, among the files of that job.
#[must_use]
pub fn log_dir_of_job(state_dir: &Path, job: JobId) -> PathBuf {
    state_dir.join("jobs").join(job.to_string()).join("log")
}

/// The name of the `n`-th file before the current one; `n` begins at 1.
#[must_use]
pub fn rotated_name(n: u32) -> String {
    format!("{n}.log")
}

/// The last bytes of a service's log, at most `most`, from the current file and the one before it. Empty where nothing
/// can be read.
#[must_use]
pub fn tail(dir: &Path, most: u64) -> Vec<u8> {
    let last = |name: &str, most: u64| -> io::Result<Vec<u8>> {
        let mut file = File::open(dir.join(name))?;
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(most)))?;
        let mut bytes = Vec::new();
        file.take(most).read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    let current = last(CURRENT, most).unwrap_or_default();
    let mut bytes = last(&rotated_name(1), most.saturating_sub(current.len() as u64)).unwrap_or_default();
    bytes.extend(current);
    bytes
}

/// One service's log.
#[derive(Debug)]
pub struct LogFile {
    dir: PathBuf,
    spec: ServiceLogSpec,
    file: Option<(File, u64)>,
    buffer: Vec<u8>,
    dropped: u64,
    trouble: Option<String>,
}

impl LogFile {
    /// The log in `dir`. Opened with the first bytes, so that there is nothing that could fail here.
    #[must_use]
    pub fn new(dir: PathBuf, spec: ServiceLogSpec) -> Self {
        Self { dir, spec, file: None, buffer: Vec::new(), dropped: 0, trouble: None }
    }

    /// Takes bytes; writes when enough have gathered.
    pub fn take(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
        if self.buffer.len() >= BUFFER {
            self.write();
            self.buffer.clear();
        }
    }

    /// Writes what has gathered and gives the buffer's memory back: the output pauses.
    pub fn flush(&mut self) {
        if !self.buffer.is_empty() {
            self.write();
            self.buffer = Vec::new();
        }
    }

    /// Bytes that could not be written so far.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.dropped
    }

    /// Why nothing can be written at present, with path and remedy.
    #[must_use]
    pub fn trouble(&self) -> Option<&str> {
        self.trouble.as_deref()
    }

    fn write(&mut self) {
        match self.try_write() {
            Ok(()) => self.trouble = None,
            Err(e) => {
                self.dropped += self.buffer.len() as u64;
                self.file = None;
                let dir = self.dir.display();
                self.trouble =
                    Some(format!("the log in {dir} cannot be written ({e}); its output is dropped until it can"));
            }
        }
    }

    /// Writes the buffer, over several files if it must; what is left in it on an error was not written.
    fn try_write(&mut self) -> io::Result<()> {
        let max = self.spec.max_size.0;
        while !self.buffer.is_empty() {
            let (file, size) = match &mut self.file {
                Some(open) => open,
                None => self.file.insert(open(&self.dir)?),
            };
            let piece = piece(&self.buffer, max.saturating_sub(*size), *size == 0);
            if piece == 0 {
                self.file = None;
                self.rotate()?;
                continue;
            }
            file.write_all(&self.buffer[..piece])?;
            *size += piece as u64;
            self.buffer.drain(..piece);
        }
        Ok(())
    }

    /// Moves every file one number on; the last one falls off.
    fn rotate(&self) -> io::Result<()> {
        let path = |n: u32| self.dir.join(rotated_name(n));
        let current = self.dir.join(CURRENT);
        if self.spec.keep == 0 {
            return fs::remove_file(current);
        }
        for n in (1..self.spec.keep).rev() {
            match fs::rename(path(n), path(n + 1)) {
                Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
                Ok(()) | Err(_) => {}
            }
        }
        fs::rename(current, path(1))
    }
}

impl Drop for LogFile {
    fn drop(&mut self) {
        self.flush();
    }
}

/// How much of `buffer` goes into a file that has `room` bytes left: whole lines, but for one that no file could hold.
fn piece(buffer: &[u8], room: u64, is_fresh: bool) -> usize {
    let room = usize::try_from(room).unwrap_or(usize::MAX);
    if buffer.len() <= room {
        return buffer.len();
    }
    let lines = buffer[..room].iter().rposition(|b| *b == b'\n').map_or(0, |end| end + 1);
    if lines == 0 && is_fresh { room.max(1) } else { lines }
}

fn open(dir: &Path) -> io::Result<(File, u64)> {
    fs::create_dir_all(dir)?;
    let file = OpenOptions::new().create(true).append(true).open(dir.join(CURRENT))?;
    let size = file.metadata()?.len();
    Ok((file, size))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::ByteSize;

    fn log(dir: &Path, max_size: u64, keep: u32) -> LogFile {
        LogFile::new(dir.join("logs/x"), ServiceLogSpec { max_size: ByteSize(max_size), keep })
    }

    fn read(dir: &Path, name: &str) -> Option<String> {
        fs::read_to_string(dir.join("logs/x").join(name)).ok()
    }

    #[test]
    fn bytes_are_there_after_a_pause_and_a_later_log_goes_on_behind_them() {
        let dir = tempfile::tempdir().expect("a folder");
        let mut first = log(dir.path(), 1000, 2);
        first.take(b"one\n");
        assert_eq!(read(dir.path(), CURRENT), None);
        first.flush();
        assert_eq!(read(dir.path(), CURRENT).as_deref(), Some("one\n"));
        drop(first);
        let mut second = log(dir.path(), 1000, 2);
        second.take(b"two\n");
        drop(second);
        assert_eq!(read(dir.path(), CURRENT).as_deref(), Some("one\ntwo\n"));
    }

    #[test]
    fn a_full_file_is_rotated_and_the_oldest_falls_off() {
        let dir = tempfile::tempdir().expect("a folder");
        let mut log = log(dir.path(), 8, 2);
        for text in ["aaaaaa", "bbbbbb", "cccccc", "dddddd"] {
            log.take(text.as_bytes());
            log.flush();
        }
        let files = [CURRENT, "1.log", "2.log", "3.log"].map(|name| read(dir.path(), name));
        assert_eq!(files, [Some("dddddd".to_owned()), Some("cccccc".to_owned()), Some("bbbbbb".to_owned()), None]);
        assert_eq!((log.dropped(), log.trouble()), (0, None));
    }

    #[test]
    fn the_tail_reaches_over_into_the_file_before() {
        let dir = tempfile::tempdir().expect("a folder");
        let folder = dir.path().join("logs/x");
        assert_eq!(tail(&folder, 10), b"");
        let mut log = log(dir.path(), 8, 2);
        for text in ["aaaaaa", "bbbbbb"] {
            log.take(text.as_bytes());
            log.flush();
        }
        assert_eq!(tail(&folder, 9), b"aaabbbbbb");
        assert_eq!(tail(&folder, 2), b"bb");
    }

    #[test]
    fn no_file_is_larger_than_it_may_be_however_much_comes_at_once() {
        let dir = tempfile::tempdir().expect("a folder");
        let mut log = log(dir.path(), 10, 9);
        log.take(b"one\ntwo\nthree\nfour\na line without an end");
        log.flush();
        let names = [CURRENT, "1.log", "2.log", "3.log", "4.log", "5.log"];
        let files: Vec<String> = names.iter().rev().filter_map(|name| read(dir.path(), name)).collect();
        assert_eq!(files, ["one\ntwo\n", "three\n", "four\n", "a line wit", "hout an en", "d"]);
        assert_eq!((log.dropped(), log.trouble()), (0, None));
    }

    #[test]
    fn what_cannot_be_written_is_counted_and_told_and_writing_goes_on_when_it_can() {
        let dir = tempfile::tempdir().expect("a folder");
        fs::write(dir.path().join("logs"), "a file where the folder should be").expect("a file");
        let mut log = log(dir.path(), 1000, 2);
        log.take(b"lost");
        log.flush();
        assert_eq!(log.dropped(), 4);
        assert!(log.trouble().is_some_and(|t| t.contains("logs/x")), "{:?}", log.trouble());
        fs::remove_file(dir.path().join("logs")).expect("removed");
        log.take(b"kept");
        log.flush();
        assert_eq!((read(dir.path(), CURRENT).as_deref(), log.trouble()), (Some("kept"), None));
    }
}
