//! Opens what `gateway.listen` names, and says who is in the way.

use std::{
    fmt, fs,
    future::pending,
    io,
    net::{SocketAddr, TcpListener},
    os::{
        fd::{AsFd, AsRawFd, OwnedFd},
        unix::{
            fs::FileTypeExt,
            net::{UnixListener, UnixStream},
        },
    },
    path::{Path, PathBuf},
};

use futures_util::{StreamExt, stream::FuturesUnordered};
use greenroom_actors::{
    os::ports::{PortHolder, PortOwner, owner},
    spec::ListenAddress,
};
use nix::sys::socket::{Shutdown, shutdown};
use tokio::io::{Interest, unix::AsyncFd};

use crate::gateway::server::{ControlError, LONGEST_PATH, private_listener};

/// Why an address cannot be listened on.
#[derive(Debug, thiserror::Error)]
pub enum DoorError {
    /// Somebody else listens there.
    #[error(
        "cannot listen on {address}: {} listens there already; choose another address with gateway.listen, for example \
         \"127.0.0.1:0\", or [] for no gateway", Listener(holder.as_ref())
    )]
    Taken {
        /// The address.
        address: String,
        /// Who it is, where that can be seen.
        holder: Option<PortHolder>,
    },
    /// There is something else than a socket at the path.
    #[error("cannot listen on {}: there is something else at that path; choose another one with gateway.listen", .0.display())]
    NotASocket(PathBuf),
    /// The path does not fit into a socket address.
    #[error("the path {} has {} bytes, and a socket's may have {LONGEST_PATH}: choose a shorter one with gateway.listen", .0.display(), .0.as_os_str().len())]
    PathTooLong(PathBuf),
    /// The socket file cannot be made.
    #[error("cannot listen where gateway.listen says")]
    Socket(#[source] ControlError),
    /// The runtime is stopping already.
    #[error("the gateway comes too late: the runtime is stopping")]
    NoOrder,
    /// The system refuses.
    #[error("cannot listen on {address}; choose another address with gateway.listen")]
    System {
        /// The address.
        address: String,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// A holder in a sentence.
struct Listener<'a>(Option<&'a PortHolder>);

impl fmt::Display for Listener<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(PortHolder { pid, command }) => write!(f, "process {pid} ({command})"),
            None => f.write_str("another program"),
        }
    }
}

/// Open addresses that nobody serves yet: whoever connects waits.
#[derive(Debug, Default)]
pub struct Listeners {
    pub(super) tcp: Vec<TcpListener>,
    pub(super) unix: Vec<UnixListener>,
    files: Vec<SocketFile>,
}

/// A socket file of ours, which goes with this.
#[derive(Debug)]
struct SocketFile(PathBuf);

impl Drop for SocketFile {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_file(&self.0) {
            tracing::warn!("the socket {} could not be removed: {error}", self.0.display());
        }
    }
}

/// Closes listening sockets that somebody else owns by now, so that who comes is turned away at once.
#[derive(Debug)]
pub(super) struct Shutter {
    sockets: Vec<OwnedFd>,
    files: Vec<SocketFile>,
}

impl Listeners {
    /// Opens all of them, or none.
    ///
    /// # Errors
    /// When one of them is taken or cannot be had.
    pub fn bind(addresses: &[ListenAddress]) -> Result<Self, DoorError> {
        let mut listeners = Self::default();
        for address in addresses {
            match address {
                ListenAddress::Tcp(address) => listeners.tcp.push(tcp(*address)?),
                ListenAddress::Unix(path) => {
                    listeners.unix.push(unix(path)?);
                    listeners.files.push(SocketFile(path.clone()));
                }
            }
        }
        Ok(listeners)
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.tcp.is_empty() && self.unix.is_empty()
    }

    /// Where to find them: `http://127.0.0.1:8484`, `unix:/run/greenroom.sock`. Ports are the real ones.
    #[must_use]
    pub fn urls(&self) -> Vec<String> {
        let tcp = self.tcp.iter().filter_map(|listener| listener.local_addr().ok());
        let unix = self.files.iter().map(|SocketFile(path)| format!("unix:{}", path.display()));
        tcp.map(|address| format!("http://{address}")).chain(unix).collect()
    }

    /// Done as soon as somebody wants to come in at one of them, and never where there is none; takes nobody in. To be
    /// called, and waited for, inside a tokio runtime.
    #[allow(
        deprecated,
        reason = "its successor is unsafe only for types that may change their descriptor, which an OwnedFd cannot"
    )]
    pub(super) fn knock(&self) -> io::Result<impl Future<Output = ()> + use<>> {
        let tcp = self.tcp.iter().map(|listener| listener.as_fd().try_clone_to_owned());
        let unix = self.unix.iter().map(|listener| listener.as_fd().try_clone_to_owned());
        let watched = tcp.chain(unix).map(|socket| AsyncFd::with_interest(socket?, Interest::READABLE));
        let watched = watched.collect::<io::Result<Vec<_>>>()?;
        Ok(async move {
            let mut knocks: FuturesUnordered<_> = watched.iter().map(AsyncFd::readable).collect();
            match knocks.next().await {
                // An error as well is for the server to see.
                Some(_) => {}
                None => pending().await,
            }
        })
    }

    /// Them, and what closes them once a server owns them.
    pub(super) fn split(self) -> io::Result<(Vec<TcpListener>, Vec<UnixListener>, Shutter)> {
        let tcp = self.tcp.iter().map(|listener| listener.as_fd().try_clone_to_owned());
        let unix = self.unix.iter().map(|listener| listener.as_fd().try_clone_to_owned());
        let sockets = tcp.chain(unix).collect::<io::Result<_>>()?;
        Ok((self.tcp, self.unix, Shutter { sockets, files: self.files }))
    }
}

impl Shutter {
    /// Turns away whoever comes from now on, and those who wait to be accepted. On Linux a listening socket that is shut
    /// down is closed, whoever else has it open (`inet_shutdown` in net/ipv4/af_inet.c).
    pub(super) fn close(self) {
        for socket in &self.sockets {
            if let Err(error) = shutdown(socket.as_raw_fd(), Shutdown::Both) {
                tracing::warn!("a listening socket of the gateway could not be shut: {error}");
            }
        }
        drop(self.files);
    }
}

fn tcp(address: SocketAddr) -> Result<TcpListener, DoorError> {
    TcpListener::bind(address).map_err(|source| match source.kind() {
        io::ErrorKind::AddrInUse => {
            // Unknown is good enough: the address is what counts.
            let holder = match owner(address.port(), &[]) {
                Ok(PortOwner::Stranger(holder)) => holder,
                Ok(PortOwner::Member(_) | PortOwner::Nobody) | Err(_) => None,
            };
            DoorError::Taken { address: address.to_string(), holder }
        }
        _ => DoorError::System { address: address.to_string(), source },
    })
}

/// A socket that its owner alone may open, like the control socket. A file that a dead program has left is replaced.
fn unix(path: &Path) -> Result<UnixListener, DoorError> {
    let address = || format!("unix:{}", path.display());
    if path.as_os_str().len() > LONGEST_PATH {
        return Err(DoorError::PathTooLong(path.to_owned()));
    }
    match fs::symlink_metadata(path) {
        Ok(found) if !found.file_type().is_socket() => return Err(DoorError::NotASocket(path.to_owned())),
        Ok(_) if UnixStream::connect(path).is_ok() => {
            return Err(DoorError::Taken { address: address(), holder: None });
        }
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(source) => return Err(DoorError::System { address: address(), source }),
    }
    private_listener(path).map_err(DoorError::Socket)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn local() -> ListenAddress {
        ListenAddress::Tcp("127.0.0.1:0".parse().expect("an address"))
    }

    #[test]
    fn a_free_port_is_told_and_one_that_is_taken_is_named_with_its_holder() {
        let first = Listeners::bind(&[local()]).expect("a free port");
        let [url] = &first.urls()[..] else { panic!("one address") };
        let address: SocketAddr = url.strip_prefix("http://").expect("a URL").parse().expect("an address");
        assert_ne!(address.port(), 0);
        let error = Listeners::bind(&[local(), ListenAddress::Tcp(address)]).expect_err("it is taken");
        let said = error.to_string();
        let own = format!("process {}", std::process::id());
        assert!(
            said.contains(&own) && said.contains("gateway.listen") && said.contains(&address.to_string()),
            "{said}"
        );
    }

    #[test]
    fn a_socket_file_replaces_a_dead_one_and_nothing_else() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("g.sock");
        let bind = || Listeners::bind(&[ListenAddress::Unix(path.clone())]);
        fs::write(&path, "precious").expect("written");
        assert!(matches!(bind(), Err(DoorError::NotASocket(_))));
        assert_eq!(fs::read_to_string(&path).expect("it is still there"), "precious");
        fs::remove_file(&path).expect("removed");
        drop(UnixListener::bind(&path).expect("a dead program's socket"));
        let live = bind().expect("it is replaced");
        assert!(matches!(bind(), Err(DoorError::Taken { .. })));
        drop(live);
        assert!(!path.exists());
    }
}
