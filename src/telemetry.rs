//! Where the runtime's own log lines go: standard error, pretty on a terminal, JSON otherwise.
//!
//! Only the launcher calls this; an embedding application keeps its own subscriber.

use std::{
    io::{self, IsTerminal, Write},
    os::fd::AsFd,
};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use tracing_subscriber::{EnvFilter, fmt};

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// One line for people, with colours where the terminal has them.
    Pretty,
    /// One JSON object per line.
    Json,
}

impl Format {
    /// Pretty on a terminal, JSON elsewhere.
    #[must_use]
    pub fn for_stderr() -> Self {
        if std::io::stderr().is_terminal() { Self::Pretty } else { Self::Json }
    }
}

/// A level that is none.
#[derive(Debug, thiserror::Error)]
#[error("`{level}` is not a log level: use error, warn, info, debug or trace")]
pub struct BadLevel {
    level: String,
}

/// A plain level is meant for Greenroom: what its web server says about itself matters only when it warns.
fn quieter(level: &str) -> String {
    if level.contains('=') { level.to_owned() } else { format!("{level},actix_server=warn,actix_web=warn") }
}

/// What a pipe takes at once when it says that it takes anything (`PIPE_BUF`), in bytes.
const ROOM: usize = 4096;

/// Standard error, but for what it cannot take now: that is dropped. A reader that has stopped reading would otherwise
/// stop the thread that supervises.
struct Patient;

impl Write for Patient {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // Held over both steps, so that no other thread takes the room.
        let mut stderr = io::stderr().lock();
        let mut room = [PollFd::new(stderr.as_fd(), PollFlags::POLLOUT)];
        let is_full = poll(&mut room, PollTimeout::ZERO) == Ok(0);
        if is_full { Ok(bytes.len()) } else { stderr.write(&bytes[..bytes.len().min(ROOM)]) }
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().lock().flush()
    }
}

/// Installs the subscriber of this process. A second call changes nothing.
///
/// # Errors
/// When `level` is not one (a filter such as `info,hyper=warn` is one).
pub fn install(level: &str, format: Format, color: bool) -> Result<(), BadLevel> {
    let filter = EnvFilter::try_new(quieter(level)).map_err(|_| BadLevel { level: level.to_owned() })?;
    let builder = fmt().with_env_filter(filter).with_writer(|| Patient).with_target(false);
    // It would tell standard error that standard error is gone, and panic on that: the end of whichever thread logs.
    let builder = builder.log_internal_errors(false);
    let installed = match format {
        Format::Pretty => builder.with_ansi(color && std::io::stderr().is_terminal()).try_init(),
        Format::Json => builder.json().flatten_event(true).try_init(),
    };
    // An error means that a subscriber is there already: an application's own, which stays.
    drop(installed);
    Ok(())
}
