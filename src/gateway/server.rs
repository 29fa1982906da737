//! The control socket and the one worker that serves it.
//!
//! The socket has mode 0600 from its first moment: the mode is set on the socket before it is bound, and Linux gives the
//! file the mode of its socket (`unix_bind_bsd` in net/unix/af_unix.c). Whoever calls [`bind`] holds the lock of the
//! state dir, so a file that is there already belongs to nobody
//! and is replaced.
//!
//! Stopping is bounded by `FAREWELL`: streams and waits are told, then whatever is still open is cut.

use std::{
    fs, io,
    os::{fd::AsRawFd, unix::net::UnixListener},
    path::{Path, PathBuf},
    time::Duration,
};

use actix_web::{App, HttpServer, dev::ServerHandle, http::KeepAlive, web::Data};
use nix::sys::{
    socket::{AddressFamily, Backlog, SockFlag, SockType, UnixAddr, bind as bind_socket, listen, socket},
    stat::{Mode, fchmod},
};
use tokio::{sync::watch, task::JoinHandle};

use super::{
    api::Control,
    control::{Door, configure},
};

/// How long open streams have to say their last word when the server closes.
const FAREWELL: Duration = Duration::from_millis(300);
/// How long the worker and the accepting thread have to end after that.
const THREADS_END: Duration = Duration::from_secs(2);
/// How long a client may take to send its request's head.
const HEAD: Duration = Duration::from_secs(10);
/// Connections that may wait to be accepted.
const BACKLOG: i32 = 128;
/// Longest path of a socket in bytes: `sun_path` less the final zero.
pub const LONGEST_PATH: usize = 107;

/// Why there is no control socket.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    /// The path does not fit into a socket address.
    #[error(
        "the path {} has {} bytes, and a socket's may have {LONGEST_PATH}: use a shorter runtime.state_dir",
        .0.display(), .0.as_os_str().len()
    )]
    PathTooLong(PathBuf),
    /// The system refuses.
    #[error("cannot {operation} {}", path.display())]
    System {
        /// What was tried.
        operation: &'static str,
        /// On what.
        path: PathBuf,
        /// Why it failed.
        #[source]
        source: io::Error,
    },
}

/// The running control server. Dropping it leaves it running; [`stop`](Self::stop) ends it.
#[derive(Debug)]
pub struct ControlServer {
    socket: PathBuf,
    closing: watch::Sender<bool>,
    handle: ServerHandle,
    served: JoinHandle<io::Result<()>>,
}

/// Opens the control socket and serves `control` on it. Must be called inside an actix system.
///
/// # Errors
/// When the path is too long or taken by something else, or the system refuses.
pub fn bind<C: Control>(path: &Path, control: C) -> Result<ControlServer, ControlError> {
    let listener = private_listener(path)?;
    let (closing, _) = watch::channel(false);
    let door = Door { control, closing: closing.clone() };
    let refuse = |operation| move |source| ControlError::System { operation, path: path.to_owned(), source };
    let server = HttpServer::new(move || App::new().app_data(Data::new(door.clone())).configure(configure::<C>))
        .workers(1)
        .disable_signals()
        // One request a connection: nothing idles on it when the runtime stops.
        .keep_alive(KeepAlive::Disabled)
        .client_request_timeout(HEAD)
        // Without this a client that leaves while it waits is not noticed.
        .h1_allow_half_closed(false)
        .shutdown_timeout(0)
        .listen_uds(listener)
        .map_err(refuse("serve on"))?
        .run();
    let handle = server.handle();
    Ok(ControlServer { socket: path.to_owned(), closing, handle, served: actix_rt::spawn(server) })
}

impl ControlServer {
    /// The first half of a stop: streams and waits are told.
    #[cfg(test)]
    pub(super) fn closing_for_test(&self) {
        self.closing.send_replace(true);
    }

    /// Ends every stream and wait, closes the socket and removes its file. Takes 2.3 s at the very most, next to
    /// nothing when no client is connected.
    pub async fn stop(self) {
        // Whoever holds a receiver is a stream or a wait; without any this is over at once.
        if self.closing.receiver_count() > 0 {
            self.closing.send_replace(true);
            // Past the bound they are cut off below.
            drop(tokio::time::timeout(FAREWELL, self.closing.closed()).await);
        }
        if let Err(error) = fs::remove_file(&self.socket) {
            tracing::warn!("the control socket {} could not be removed: {error}", self.socket.display());
        }
        let ended = async {
            self.handle.stop(false).await;
            self.served.await
        };
        match tokio::time::timeout(THREADS_END, ended).await {
            Ok(Ok(Ok(()))) => {}
            Ok(Ok(Err(error))) => tracing::warn!("the control server ended with an error: {error}"),
            Ok(Err(error)) => tracing::warn!("the control server ended by itself: {error}"),
            Err(_) => tracing::warn!("the control server's threads did not end in {THREADS_END:?}"),
        }
    }
}

/// A listening socket at `path` that nobody but its owner may open.
pub(super) fn private_listener(path: &Path) -> Result<UnixListener, ControlError> {
    let refuse =
        |operation: &'static str, source: io::Error| ControlError::System { operation, path: path.to_owned(), source };
    if path.as_os_str().len() > LONGEST_PATH {
        return Err(ControlError::PathTooLong(path.to_owned()));
    }
    match fs::remove_file(path) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(refuse("replace the stale socket", error)),
    }
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let fd = socket(AddressFamily::Unix, SockType::Stream, flags, None)
        .map_err(|e| refuse("make a socket for", e.into()))?;
    fchmod(&fd, Mode::S_IRUSR | Mode::S_IWUSR).map_err(|e| refuse("restrict the socket for", e.into()))?;
    let address = UnixAddr::new(path).map_err(|e| refuse("make an address of", e.into()))?;
    bind_socket(fd.as_raw_fd(), &address).map_err(|e| refuse("bind a socket to", e.into()))?;
    let backlog = Backlog::new(BACKLOG).map_err(|e| refuse("listen on", e.into()))?;
    listen(&fd, backlog).map_err(|e| refuse("listen on", e.into()))?;
    Ok(fd.into())
}
