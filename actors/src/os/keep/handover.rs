//! The socket over which a kept run's shim and the next runtime find each other: `state_dir/keep/<run>.sock`.
//!
//! It is reached through the folder's descriptor, so that the length of the state dir's path does not matter. The kernel
//! says who is at the other end: the shim takes only its own user, the runtime only that very shim.

use std::{
    fs, io,
    os::{
        fd::{AsFd, AsRawFd, OwnedFd},
        unix::fs::PermissionsExt,
    },
    path::{Path, PathBuf},
};

use nix::{
    sys::socket::{getsockopt, sockopt::PeerCredentials},
    unistd::geteuid,
};
use rustix::{
    fs::{CWD, Mode, OFlags, openat},
    net::{
        AddressFamily, SocketAddrUnix, SocketFlags, SocketType, accept_with, bind, connect, listen as listen_on,
        socket_with,
    },
};

use super::record::{folder, make_folder};
use crate::ids::{Pid, RunId};

const FLAGS: SocketFlags = SocketFlags::CLOEXEC.union(SocketFlags::NONBLOCK);

/// Makes the socket and listens on it; non-blocking, for this user alone.
///
/// # Errors
/// When it cannot be made, for example because the disk is full.
pub fn listen(state_dir: &Path, run: RunId) -> io::Result<OwnedFd> {
    make_folder(state_dir)?;
    let near = Near::open(state_dir)?;
    let path = near.path(run);
    let socket = socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, FLAGS, None)?;
    bind(&socket, &SocketAddrUnix::new(path.as_path())?)?;
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600))?;
    listen_on(&socket, 4)?;
    Ok(socket)
}

/// The next runtime that has come, if one has; others than this user are sent away.
pub fn accept(listener: impl AsFd) -> Option<OwnedFd> {
    let socket = accept_with(listener, FLAGS).ok()?;
    // Seen from a pid namespace, the runtime has no process id; its user it has.
    getsockopt(&socket, PeerCredentials).is_ok_and(|peer| peer.uid() == geteuid().as_raw()).then_some(socket)
}

/// Goes to a run's shim; gives the connection and whose process listens there.
///
/// # Errors
/// When nobody listens.
pub fn reach(state_dir: &Path, run: RunId) -> io::Result<(OwnedFd, Pid)> {
    let near = Near::open(state_dir)?;
    let socket = socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, FLAGS, None)?;
    connect(&socket, &SocketAddrUnix::new(near.path(run).as_path())?)?;
    let peer = getsockopt(&socket, PeerCredentials)?;
    if peer.uid() != geteuid().as_raw() {
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, "another user listens there"));
    }
    let pid = u32::try_from(peer.pid()).map_err(io::Error::other)?;
    Ok((socket, Pid(pid)))
}

/// The folder, held open, and with it a short way to what lies in it.
struct Near(OwnedFd);

impl Near {
    fn open(state_dir: &Path) -> io::Result<Self> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        Ok(Self(openat(CWD, folder(state_dir), flags, Mode::empty())?))
    }

    fn path(&self, run: RunId) -> PathBuf {
        PathBuf::from(format!("/proc/self/fd/{}/{run}.sock", self.0.as_raw_fd()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::os::shim::{
        socket::{receive, send},
        wire::ToShim,
    };

    #[test]
    fn the_two_find_each_other_however_long_the_path_is() {
        let dir = tempfile::tempdir().expect("a folder");
        let state_dir = dir.path().join("d".repeat(200));
        fs::create_dir(&state_dir).expect("made");
        let run = RunId::fresh();
        let listener = listen(&state_dir, run).expect("listening");
        assert!(accept(&listener).is_none());
        let (ours, pid) = reach(&state_dir, run).expect("reached");
        assert_eq!(pid, Pid(std::process::id()));
        let theirs = accept(&listener).expect("somebody has come");
        send(&ours, &ToShim::Leave, &[]).expect("sent");
        assert_eq!(receive::<ToShim>(&theirs).expect("received").map(|(said, _)| said), Some(ToShim::Leave));
        let mode = fs::metadata(folder(&state_dir).join(format!("{run}.sock"))).expect("a socket").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn a_socket_nobody_listens_on_is_an_error() {
        let dir = tempfile::tempdir().expect("a folder");
        let run = RunId::fresh();
        assert!(reach(dir.path(), run).is_err());
        drop(listen(dir.path(), run).expect("listening"));
        assert!(reach(dir.path(), run).is_err());
    }
}
