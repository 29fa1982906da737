//! A process that was started, with its output and its exit status: a child of ours, or one that a shim started for us.

use std::{io, os::fd::OwnedFd, process::ExitStatus};

use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;
use tokio::{io::AsyncReadExt, net::unix::pipe, process::Child, sync::oneshot};
use tokio_process_stream::{Item, ProcessChunkStream};

/// Bytes taken from a pipe at once; a pipe holds 64 KiB.
const CHUNK: usize = 64 * 1024;

/// The output and the exit status of one process.
#[derive(Debug)]
pub struct Running {
    kind: Kind,
    /// Told with the end of the output: the stream has given the child up by then.
    status: Option<ExitStatus>,
}

#[derive(Debug)]
enum Kind {
    Child(Box<ProcessChunkStream>),
    Shim(ShimChild),
}

/// A process whose parent is a shim.
#[derive(Debug)]
pub struct ShimChild {
    stdout: Option<pipe::Receiver>,
    stderr: Option<pipe::Receiver>,
    buffer: BytesMut,
    ended: Option<oneshot::Receiver<ExitStatus>>,
    status: Option<ExitStatus>,
    told: bool,
}

impl ShimChild {
    /// From the reading ends of its pipes; `ended` tells its status, or is dropped when nobody will ever know. To be
    /// called inside a tokio runtime.
    ///
    /// # Errors
    /// When a descriptor is not a pipe or cannot be watched.
    pub fn new(stdout: OwnedFd, stderr: OwnedFd, ended: oneshot::Receiver<ExitStatus>) -> io::Result<Self> {
        Ok(Self {
            stdout: Some(pipe::Receiver::from_owned_fd(stdout)?),
            stderr: Some(pipe::Receiver::from_owned_fd(stderr)?),
            buffer: BytesMut::new(),
            ended: Some(ended),
            status: None,
            told: false,
        })
    }

    async fn status(&mut self) -> Option<ExitStatus> {
        if let Some(ended) = &mut self.ended {
            // An error means that the shim is gone, and with it the only one who could know.
            self.status = ended.await.ok();
            self.ended = None;
        }
        self.status
    }

    async fn next(&mut self) -> Option<Item<Bytes>> {
        while self.stdout.is_some() || self.stderr.is_some() {
            self.buffer.reserve(CHUNK);
            let mut other = BytesMut::new();
            let (read, is_stdout) = match (&mut self.stdout, &mut self.stderr) {
                (Some(stdout), Some(stderr)) => {
                    other.reserve(CHUNK);
                    tokio::select! {
                        read = stdout.read_buf(&mut self.buffer) => (read, true),
                        read = stderr.read_buf(&mut other) => (read, false),
                    }
                }
                (Some(stdout), None) => (stdout.read_buf(&mut self.buffer).await, true),
                (None, Some(stderr)) => (stderr.read_buf(&mut self.buffer).await, false),
                (None, None) => break,
            };
            // An error of a pipe is its end.
            if read.is_ok_and(|bytes| bytes > 0) {
                let bytes = if other.is_empty() { self.buffer.split() } else { other }.freeze();
                return Some(if is_stdout { Item::Stdout(bytes) } else { Item::Stderr(bytes) });
            }
            if is_stdout { self.stdout = None } else { self.stderr = None }
        }
        if self.told {
            return None;
        }
        let status = self.status().await;
        self.told = true;
        Some(Item::Done(status.ok_or_else(|| io::Error::other("its shim is gone"))))
    }
}

impl Running {
    /// One that is a child of this process.
    #[must_use]
    pub fn child(child: Child) -> Self {
        Self { kind: Kind::Child(Box::new(ProcessChunkStream::from(child))), status: None }
    }

    /// One that a shim started.
    #[must_use]
    pub fn of_shim(child: ShimChild) -> Self {
        Self { kind: Kind::Shim(child), status: None }
    }

    /// The next piece of output; `Done` once both streams have ended and the process has; then `None`. Cancel-safe.
    pub async fn next(&mut self) -> Option<Item<Bytes>> {
        let item = match &mut self.kind {
            Kind::Child(stream) => stream.next().await,
            Kind::Shim(child) => child.next().await,
        };
        if let Some(Item::Done(Ok(status))) = &item {
            self.status = Some(*status);
        }
        item
    }

    /// Waits for the process, not for the end of its output; `None` when the status is lost. Cancel-safe.
    pub async fn status(&mut self) -> Option<ExitStatus> {
        if self.status.is_some() {
            return self.status;
        }
        match &mut self.kind {
            Kind::Child(stream) => match stream.child_mut() {
                Some(child) => child.wait().await.ok(),
                None => None,
            },
            Kind::Shim(child) => child.status().await,
        }
    }
}
