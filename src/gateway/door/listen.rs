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
    spec::{ListenAddress, RuntimeSpec},
};
use nix::sys::socket::{Shutdown, shutdown};
use tokio::io::{Interest, unix::AsyncFd};

use super::own::{OwnDoors, Place};
use crate::gateway::server::{ControlError, LONGEST_PATH, private_listener};

/// Why an address cannot be listened on.
#[derive(Debug, thiserror::Error)]
pub enum DoorError {
    /// Somebody else listens there.
    #[error(
        "cannot listen on {address}: {} listens there already; choose another address with {key}, for example \
         \"127.0.0.1:0\"{}", Listener(holder.as_ref()), Without(key)
    )]
    Taken {
        /// The key that names the address.
        key: String,
        /// The address.
        address: String,
        /// Who it is, where that can be seen.
        holder: Option<PortHolder>,
    },
    /// There is something else than a socket at the path.
    #[error("cannot listen on {}: there is something else at that path; choose another one with {key}", .path.display())]
    NotASocket {
        /// The key that names the path.
        key: String,
        /// The path.
        path: PathBuf,
    },
    /// The path does not fit into a socket address.
    #[error("the path {} has {} bytes, and a socket's may have {LONGEST_PATH}: choose a shorter one with {key}", .path.display(), .path.as_os_str().len())]
    PathTooLong {
        /// The key that names the path.
        key: String,
        /// The path.
        path: PathBuf,
    },
    /// The socket file cannot be made.
    #[error("cannot listen where {key} says")]
    Socket {
        /// The key that names the path.
        key: String,
        /// Why.
        #[source]
        source: ControlError,
    },
    /// The runtime is stopping already.
    #[error("the gateway comes too late: the runtime is stopping")]
    NoOrder,
    /// The system refuses.
    #[error("cannot listen on {address}; choose another address with {key}")]
    System {
        /// The key that names the address.
        key: String,
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

/// How to do without.
struct Without<'a>(&'a str);

impl fmt::Display for Without<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0 == GATEWAY { ", or [] for no gateway" } else { "" })
    }
}

/// The key of the gateway's own addresses.
pub(super) const GATEWAY: &str = "gateway.listen";

/// Open addresses that nobody serves yet: whoever connects waits.
#[derive(Debug, Default)]
pub struct Listeners {
    pub(super) tcp: Vec<TcpListener>,
    pub(super) unix: Vec<UnixListener>,
    files: Vec<SocketFile>,
    /// Which of them are doors of one service.
    own: OwnDoors,
    /// Where the others are.
    gateway: Vec<String>,
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
    /// Opens the gateway's addresses and those of services that have a door of their own: all of them, or none.
    ///
    /// # Errors
    /// When one of them is taken or cannot be had.
    pub fn bind(spec: &RuntimeSpec) -> Result<Self, DoorError> {
        let mut listeners = Self::default();
        for address in &spec.gateway.listen {
            let url = listeners.add(address, GATEWAY)?.1;
            listeners.gateway.push(url);
        }
        for service in &spec.services {
            if let Some(address) = &service.door.listen {
                let (place, url) = listeners.add(address, &format!("service.{}.listen", service.name))?;
                tracing::info!("{} has a door of its own at {url}", service.name);
                listeners.own.add(place, service.name.clone());
            }
        }
        Ok(listeners)
    }

    /// Opens one more. Gives where it really is.
    fn add(&mut self, address: &ListenAddress, key: &str) -> Result<(Place, String), DoorError> {
        match address {
            ListenAddress::Tcp(address) => {
                let listener = tcp(*address, key)?;
                let refuse = |source| DoorError::System { key: key.to_owned(), address: address.to_string(), source };
                let address = listener.local_addr().map_err(refuse)?;
                self.tcp.push(listener);
                Ok((Place::Tcp(address), format!("http://{address}")))
            }
            ListenAddress::Unix(path) => {
                self.unix.push(unix(path, key)?);
                self.files.push(SocketFile(path.clone()));
                Ok((Place::Unix(path.clone()), format!("unix:{}", path.display())))
            }
        }
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.tcp.is_empty() && self.unix.is_empty()
    }

    /// Where to find the gateway: `http://127.0.0.1:8484`, `unix:/run/greenroom.sock`. Ports are the real ones.
    #[must_use]
    pub fn urls(&self) -> Vec<String> {
        self.gateway.clone()
    }

    /// Which of them are doors of one service.
    pub(super) fn own(&self) -> OwnDoors {
        self.own.clone()
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

fn tcp(address: SocketAddr, key: &str) -> Result<TcpListener, DoorError> {
    TcpListener::bind(address).map_err(|source| match source.kind() {
        io::ErrorKind::AddrInUse => {
            // Unknown is good enough: the address is what counts.
            let holder = match owner(address.port(), &[]) {
                Ok(PortOwner::Stranger(holder)) => holder,
                Ok(PortOwner::Member(_) | PortOwner::Nobody) | Err(_) => None,
            };
            DoorError::Taken { key: key.to_owned(), address: address.to_string(), holder }
        }
        _ => DoorError::System { key: key.to_owned(), address: address.to_string(), source },
    })
}

/// A socket that its owner alone may open, like the control socket. A file that a dead program has left is replaced.
fn unix(path: &Path, key: &str) -> Result<UnixListener, DoorError> {
    let (key, path_of) = (|| key.to_owned(), || path.to_owned());
    let address = || format!("unix:{}", path.display());
    if path.as_os_str().len() > LONGEST_PATH {
        return Err(DoorError::PathTooLong { key: key(), path: path_of() });
    }
    match fs::symlink_metadata(path) {
        Ok(found) if !found.file_type().is_socket() => {
            return Err(DoorError::NotASocket { key: key(), path: path_of() });
        }
        Ok(_) if UnixStream::connect(path).is_ok() => {
            return Err(DoorError::Taken { key: key(), address: address(), holder: None });
        }
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(source) => return Err(DoorError::System { key: key(), address: address(), source }),
    }
    private_listener(path).map_err(|source| DoorError::Socket { key: key(), source })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn local() -> ListenAddress {
        ListenAddress::Tcp("127.0.0.1:0".parse().expect("an address"))
    }

    fn bind(addresses: &[ListenAddress]) -> Result<Listeners, DoorError> {
        let mut listeners = Listeners::default();
        for address in addresses {
            let url = listeners.add(address, GATEWAY)?.1;
            listeners.gateway.push(url);
        }
        Ok(listeners)
    }

    #[test]
    fn a_free_port_is_told_and_one_that_is_taken_is_named_with_its_holder() {
        let first = bind(&[local()]).expect("a free port");
        let [url] = &first.urls()[..] else { panic!("one address") };
        let address: SocketAddr = url.strip_prefix("http://").expect("a URL").parse().expect("an address");
        assert_ne!(address.port(), 0);
        let error = bind(&[local(), ListenAddress::Tcp(address)]).expect_err("it is taken");
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
        let bind = || bind(&[ListenAddress::Unix(path.clone())]);
        fs::write(&path, "precious").expect("written");
        assert!(matches!(bind(), Err(DoorError::NotASocket { .. })));
        assert_eq!(fs::read_to_string(&path).expect("it is still there"), "precious");
        fs::remove_file(&path).expect("removed");
        drop(UnixListener::bind(&path).expect("a dead program's socket"));
        let live = bind().expect("it is replaced");
        assert!(matches!(bind(), Err(DoorError::Taken { .. })));
        drop(live);
        assert!(!path.exists());
    }
}
