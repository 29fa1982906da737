//! The output of a run that outlives its runtime: from the run's pipes into its log files, and on to the runtime that is
//! attached.
//!
//! Each block goes to the log first and then to the reader, and the next block is taken only when the reader has all of
//! the last one: a runtime that is slow slows the service down, as a pipe of its own would. A reader that is gone is
//! dropped, and the log goes on. Nothing here ever waits, and a disk that is full costs the log its bytes, never the
//! service its time.

use std::{
    io,
    os::fd::{AsFd, OwnedFd},
};

use rustix::{
    event::{PollFd, PollFlags},
    io::{Errno, ioctl_fionbio, read, write},
    pipe::{PipeFlags, pipe_with},
};

use crate::os::service_log::LogFile;

/// Bytes taken from a pipe at once; a pipe holds 64 KiB.
const CHUNK: usize = 64 * 1024;
/// Blocks of one stream in one turn, so that orders never wait long behind a flood.
const BURST: usize = 16;

/// The pump of one run.
#[derive(Debug)]
pub struct Pump {
    streams: [Stream; 2],
    log: LogFile,
    /// Empty between turns, so that an idle shim holds no memory for it.
    block: Vec<u8>,
}

/// Standard output, or standard error.
#[derive(Debug, Default)]
struct Stream {
    /// What the run writes to; `None` before the start and after the end.
    source: Option<OwnedFd>,
    /// Who reads along.
    reader: Option<OwnedFd>,
    /// What the reader has not taken yet.
    pending: Vec<u8>,
}

impl Pump {
    /// A pump into this log. Nothing flows yet.
    #[must_use]
    pub fn new(log: LogFile) -> Self {
        Self { streams: <[Stream; 2]>::default(), log, block: Vec::new() }
    }

    /// Makes the pipes of the main process and gives the ends that it writes to: output, errors.
    ///
    /// # Errors
    /// When the kernel has no descriptors left.
    pub fn open(&mut self) -> io::Result<[OwnedFd; 2]> {
        let (out, out_end) = pipe_with(PipeFlags::CLOEXEC)?;
        let (err, err_end) = pipe_with(PipeFlags::CLOEXEC)?;
        // Our ends alone: the program expects pipes that wait.
        ioctl_fionbio(&out, true)?;
        ioctl_fionbio(&err, true)?;
        let [stdout, stderr] = &mut self.streams;
        (stdout.source, stderr.source) = (Some(out), Some(err));
        Ok([out_end, err_end])
    }

    /// From now on a runtime reads along, over these two pipes.
    ///
    /// # Errors
    /// When they cannot be written to without waiting; nobody reads along then.
    pub fn attach(&mut self, readers: [OwnedFd; 2]) -> io::Result<()> {
        self.detach();
        for reader in &readers {
            ioctl_fionbio(reader, true)?;
        }
        for (stream, reader) in self.streams.iter_mut().zip(readers) {
            stream.reader = Some(reader);
        }
        Ok(())
    }

    /// The runtime is gone.
    pub fn detach(&mut self) {
        self.streams.iter_mut().for_each(Stream::drop_reader);
    }

    /// Why the log cannot be written at present.
    #[must_use]
    pub fn trouble(&self) -> Option<&str> {
        self.log.trouble()
    }

    /// What has to be polled for the next [`turn`](Self::turn) to have something to do.
    pub fn watched(&self) -> impl Iterator<Item = PollFd<'_>> {
        self.streams.iter().filter_map(|stream| match (&stream.reader, &stream.source) {
            (Some(reader), _) if !stream.pending.is_empty() => {
                Some(PollFd::from_borrowed_fd(reader.as_fd(), PollFlags::OUT))
            }
            (_, Some(source)) => Some(PollFd::from_borrowed_fd(source.as_fd(), PollFlags::IN)),
            _ => None,
        })
    }

    /// Moves what can be moved without waiting, within bounds. When the output pauses, the log has all of it.
    pub fn turn(&mut self) {
        self.block.resize(CHUNK, 0);
        let mut paused = true;
        for stream in &mut self.streams {
            paused &= stream.turn(&mut self.block, &mut self.log);
        }
        if paused {
            self.log.flush();
            self.block = Vec::new();
        }
    }

    /// The run is over: takes what lies in its pipes, without waiting for a reader that does not take it.
    pub fn finish(&mut self) {
        self.turn();
        self.detach();
        let mut block = vec![0; CHUNK];
        for stream in &mut self.streams {
            while !stream.turn(&mut block, &mut self.log) {}
            // Somebody outside of the tree may hold the other end. What he writes is not the run's.
            stream.source = None;
        }
        self.log.flush();
    }
}

impl Stream {
    /// Moves blocks until one of both ends has to be waited for, which is `true`, or the bound is reached.
    fn turn(&mut self, block: &mut [u8], log: &mut LogFile) -> bool {
        for _ in 0..BURST {
            if !self.pass_on() {
                return true;
            }
            let Some(source) = &self.source else {
                // Its end of the pipe tells the reader that nothing more comes.
                self.drop_reader();
                return true;
            };
            match read(source, &mut *block) {
                Ok(length @ 1..) => {
                    log.take(&block[..length]);
                    if self.reader.is_some() {
                        self.pending.extend_from_slice(&block[..length]);
                    }
                }
                Err(Errno::AGAIN) => return true,
                Err(Errno::INTR) => {}
                // The end, or a pipe that is broken, which is the same.
                Ok(_) | Err(_) => self.source = None,
            }
        }
        false
    }

    /// Gives the reader what it has not taken; says whether nothing is left of it.
    fn pass_on(&mut self) -> bool {
        while let Some(reader) = self.reader.as_ref().filter(|_| !self.pending.is_empty()) {
            match write(reader, &self.pending) {
                Ok(length @ 1..) => drop(self.pending.drain(..length)),
                Err(Errno::AGAIN) => return false,
                Err(Errno::INTR) => {}
                Ok(_) | Err(_) => self.drop_reader(),
            }
        }
        self.pending = Vec::new();
        true
    }

    fn drop_reader(&mut self) {
        self.reader = None;
        self.pending = Vec::new();
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    use super::*;
    use crate::{spec::ServiceLogSpec, units::ByteSize};

    /// SIGPIPE is ignored in a test binary, as it is blocked in a shim.
    fn pump(dir: &Path) -> (Pump, [OwnedFd; 2]) {
        let spec = ServiceLogSpec { max_size: ByteSize(1 << 30), keep: 1 };
        let mut pump = Pump::new(LogFile::new(dir.join("log"), spec));
        let ends = pump.open().expect("pipes");
        (pump, ends)
    }

    fn readers() -> ([OwnedFd; 2], [OwnedFd; 2]) {
        let (a, b) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK).expect("a pipe");
        let (c, d) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK).expect("a pipe");
        ([a, c], [b, d])
    }

    fn take(reader: &OwnedFd) -> Vec<u8> {
        let (mut all, mut block) = (Vec::new(), vec![0; CHUNK]);
        while let Ok(length @ 1..) = read(reader, &mut block) {
            all.extend_from_slice(&block[..length]);
        }
        all
    }

    fn logged(dir: &Path) -> Vec<u8> {
        fs::read(dir.join("log/current.log")).unwrap_or_default()
    }

    #[test]
    fn what_is_written_goes_to_the_log_and_to_the_reader_of_its_stream() {
        let dir = tempfile::tempdir().expect("a folder");
        let (mut pump, [out, err]) = pump(dir.path());
        let (ours, theirs) = readers();
        pump.attach(theirs).expect("attached");
        write(&out, b"one\n").expect("written");
        write(&err, b"two\n").expect("written");
        pump.turn();
        assert_eq!(logged(dir.path()), b"one\ntwo\n");
        assert_eq!((take(&ours[0]), take(&ours[1])), (b"one\n".to_vec(), b"two\n".to_vec()));
        drop((out, err));
        pump.turn();
        assert_eq!(read(&ours[0], &mut [0; 8]), Ok(0), "the reader sees the end");
    }

    #[test]
    fn a_reader_that_takes_nothing_holds_the_service_back_and_one_that_is_gone_does_not() {
        let dir = tempfile::tempdir().expect("a folder");
        let (mut pump, [out, _err]) = pump(dir.path());
        ioctl_fionbio(&out, true).expect("set");
        let (ours, theirs) = readers();
        pump.attach(theirs).expect("attached");
        let mut written = 0;
        for _ in 0..100 {
            while let Ok(length) = write(&out, &[b'x'; CHUNK]) {
                written += length;
            }
            pump.turn();
        }
        assert!(written < 10 * CHUNK, "{written} bytes went into a reader that takes nothing");
        assert_eq!(pump.watched().count(), 2);
        drop(ours);
        pump.turn();
        assert_eq!(logged(dir.path()).len(), written, "the log has all of it");
        while let Ok(length) = write(&out, &[b'y'; CHUNK]) {
            written += length;
        }
        pump.finish();
        assert_eq!(logged(dir.path()).len(), written);
    }

    #[test]
    fn a_log_that_cannot_be_written_holds_nobody_back() {
        let dir = tempfile::tempdir().expect("a folder");
        fs::write(dir.path().join("log"), "a file where the folder should be").expect("written");
        let (mut pump, [out, _err]) = pump(dir.path());
        ioctl_fionbio(&out, true).expect("set");
        let mut written = 0;
        for _ in 0..20 {
            while let Ok(length) = write(&out, &[b'x'; CHUNK]) {
                written += length;
            }
            pump.turn();
        }
        assert!(written >= 20 * CHUNK, "{written}");
        assert_eq!(pump.log.dropped(), written as u64);
    }
}
