//! A service's output on disk: the last lines over all rotated files, and what is added from then on.
//!
//! The files are `logs/SERVICE/current.log` and, older and older, `1.log`, `2.log` ... Bytes are passed on as they are.
//! Memory stays at one block however long a line or a file is. Following looks at the file every [`POLL`]; when
//! another file stands in its place it reads the old one to its end first. Should two rotations fall between two
//! looks, what lies between them is passed over.
//!
//! Reads are made in place, by blocks of 64 KiB: what was written a moment ago lies in the page cache.

use std::{
    fs::File,
    io::{self, Read, Seek, SeekFrom},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    time::Duration,
};

use bytes::Bytes;
use futures_util::{Stream, stream};
use tokio::sync::watch;

/// Bytes read at once.
const BLOCK: usize = 64 * 1024;
/// Pause between two looks at a file that is followed.
pub const POLL: Duration = Duration::from_millis(100);

/// The folder with the logs of `service`.
#[must_use]
pub fn folder(state_dir: &Path, service: &str) -> PathBuf {
    state_dir.join("logs").join(service)
}

/// Reads a service's log from some lines before its end.
#[derive(Debug)]
pub struct LogReader {
    current: PathBuf,
    /// What is still to be read, the next one last.
    files: Vec<File>,
}

impl LogReader {
    /// Stands before the last `lines` lines of the log in `folder`. A log that is not there yet is empty.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub fn open(folder: &Path, lines: u64) -> io::Result<Self> {
        let current = folder.join("current.log");
        let mut files = Vec::new();
        let mut missing = lines;
        let rotated = (1u32..).map(|n| folder.join(format!("{n}.log")));
        for path in std::iter::once(current.clone()).chain(rotated) {
            let mut file = match File::open(&path) {
                Ok(file) => file,
                // A service that is just rotating has no current log for a moment.
                Err(error) if error.kind() == io::ErrorKind::NotFound && path == current => continue,
                Err(error) if error.kind() == io::ErrorKind::NotFound => break,
                Err(error) => return Err(error),
            };
            missing -= seek_lines(&mut file, missing)?;
            files.push(file);
            if missing == 0 {
                break;
            }
        }
        Ok(Self { current, files })
    }

    /// The next bytes, or `None` where the log ends at present.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub fn read(&mut self) -> io::Result<Option<Bytes>> {
        while let Some(file) = self.files.last_mut() {
            let mut block = vec![0; BLOCK];
            let n = file.read(&mut block)?;
            if n > 0 {
                block.truncate(n);
                return Ok(Some(block.into()));
            }
            if self.files.len() > 1 {
                self.files.pop();
            } else if !self.step_to_successor()? {
                return Ok(None);
            }
            // With a successor there, the old file is read once more: it may have grown before it was moved.
        }
        // Nothing was there when it was opened.
        if let Some(file) = open_if_there(&self.current)? {
            self.files.push(file);
            return self.read();
        }
        Ok(None)
    }

    /// Waits for more bytes. Dropping the future loses nothing.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub async fn follow(&mut self) -> io::Result<Bytes> {
        loop {
            if let Some(bytes) = self.read()? {
                return Ok(bytes);
            }
            tokio::time::sleep(POLL).await;
        }
    }

    /// All of it, piece by piece: to its present end, or, with `follow`, as it grows, until `closing` turns to `true`.
    pub fn pieces(self, follow: bool, closing: watch::Receiver<bool>) -> impl Stream<Item = io::Result<Bytes>> + use<> {
        stream::try_unfold((self, closing), move |(mut reader, mut closing)| async move {
            let piece = if follow {
                tokio::select! {
                    biased;
                    piece = reader.follow() => piece.map(Some)?,
                    // What was written since the last look is the last word.
                    _closed = closing.wait_for(|closing| *closing) => reader.read()?,
                }
            } else {
                reader.read()?
            };
            Ok::<_, io::Error>(piece.map(|piece| (piece, (reader, closing))))
        })
    }

    /// Puts the file that has taken the place of the one being read behind it. Says whether there is one.
    fn step_to_successor(&mut self) -> io::Result<bool> {
        let (Some(reading), Some(newest)) = (self.files.last_mut(), open_if_there(&self.current)?) else {
            return Ok(false);
        };
        let (old, new) = (reading.metadata()?, newest.metadata()?);
        if (old.dev(), old.ino()) != (new.dev(), new.ino()) {
            self.files.insert(0, newest);
            return Ok(true);
        }
        // Somebody emptied it in place.
        if new.len() < reading.stream_position()? {
            reading.seek(SeekFrom::Start(0))?;
        }
        Ok(false)
    }
}

fn open_if_there(path: &Path) -> io::Result<Option<File>> {
    match File::open(path) {
        Ok(file) => Ok(Some(file)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Puts `file` before its last `lines` lines, or at its start if it has fewer; says how many lines follow.
fn seek_lines(file: &mut File, lines: u64) -> io::Result<u64> {
    let mut at = file.seek(SeekFrom::End(0))?;
    let mut found = 0;
    let mut block = vec![0; BLOCK];
    let mut last_byte = true;
    while at > 0 && lines > 0 {
        let n = BLOCK.min(usize::try_from(at).unwrap_or(BLOCK));
        at -= n as u64;
        file.seek(SeekFrom::Start(at))?;
        let part = block.get_mut(..n).unwrap_or_default();
        file.read_exact(part)?;
        for (i, byte) in part.iter().enumerate().rev() {
            // The very last line counts with or without an end.
            if *byte == b'\n' && !last_byte {
                found += 1;
                if found == lines {
                    file.seek(SeekFrom::Start(at + i as u64 + 1))?;
                    return Ok(found);
                }
            }
            last_byte = false;
        }
    }
    if lines > 0 {
        file.seek(SeekFrom::Start(0))?;
        found += u64::from(!last_byte);
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use std::{fs, io::Write};

    use proptest::prelude::*;

    use super::*;

    fn all(reader: &mut LogReader) -> Vec<u8> {
        let mut bytes = Vec::new();
        while let Some(part) = reader.read().expect("readable") {
            bytes.extend_from_slice(&part);
        }
        bytes
    }

    #[test]
    fn the_last_lines_are_taken_over_rotated_files() {
        let dir = tempfile::tempdir().expect("a folder");
        fs::write(dir.path().join("2.log"), "a\nb\n").expect("written");
        fs::write(dir.path().join("1.log"), "c\nd\n").expect("written");
        fs::write(dir.path().join("current.log"), "e\nf").expect("written");
        let last = |n| String::from_utf8(all(&mut LogReader::open(dir.path(), n).expect("open"))).expect("text");
        assert_eq!(last(0), "");
        assert_eq!(last(1), "f");
        assert_eq!(last(2), "e\nf");
        assert_eq!(last(3), "d\ne\nf");
        assert_eq!(last(5), "b\nc\nd\ne\nf");
        assert_eq!(last(99), "a\nb\nc\nd\ne\nf");
    }

    #[test]
    fn what_is_added_and_what_is_rotated_is_followed_without_loss() {
        let dir = tempfile::tempdir().expect("a folder");
        let mut reader = LogReader::open(dir.path(), 10).expect("open");
        assert_eq!(all(&mut reader), b"");
        let current = dir.path().join("current.log");
        fs::write(&current, "one\n").expect("written");
        assert_eq!(all(&mut reader), b"one\n");
        let mut file = fs::OpenOptions::new().append(true).open(&current).expect("open");
        file.write_all(b"two\n").expect("written");
        fs::rename(&current, dir.path().join("1.log")).expect("renamed");
        fs::write(&current, "three\n").expect("written");
        assert_eq!(all(&mut reader), b"two\nthree\n");
        fs::write(&current, "4\n").expect("written");
        let more = all(&mut reader);
        assert!(more.is_empty() || more == b"4\n", "{more:?}");
        assert_eq!([more, all(&mut reader)].concat(), b"4\n");
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]
        #[test]
        fn the_last_n_lines_are_the_last_n_lines(
            lines in prop::collection::vec("[a-z]{0,8}", 1..40), cut in 0usize..40, n in 1u64..50, ended: bool
        ) {
            let dir = tempfile::tempdir().expect("a folder");
            // Whatever the last file holds, the last line has at least one byte, so that it is one.
            let mut lines = lines;
            if let Some(last) = lines.last_mut() {
                last.push('x');
            }
            let cut = cut.min(lines.len() - 1);
            let (old, new) = lines.split_at(cut);
            let text = |part: &[String], ended: bool| part.join("\n") + if ended { "\n" } else { "" };
            if !old.is_empty() {
                fs::write(dir.path().join("1.log"), text(old, true)).expect("written");
            }
            fs::write(dir.path().join("current.log"), text(new, ended)).expect("written");
            let wanted = lines.len().saturating_sub(usize::try_from(n).expect("small"));
            let got = all(&mut LogReader::open(dir.path(), n).expect("open"));
            prop_assert_eq!(String::from_utf8(got).expect("text"), text(&lines[wanted..], ended));
        }
    }
}
