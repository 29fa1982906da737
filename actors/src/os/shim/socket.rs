//! Packets with descriptors over a unix socket. One packet is one message; the end of the other side is `None`.

use std::{
    io::{self, IoSlice, IoSliceMut},
    mem::MaybeUninit,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
};

use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags, SocketFlags, SocketType, recvmsg, sendmsg, socketpair,
};
use serde::{Serialize, de::DeserializeOwned};

use super::wire::{LONGEST, decode, encode};

/// Descriptors in one packet at most.
const MOST: usize = 4;

/// Two ends; both close-on-exec and non-blocking.
///
/// # Errors
/// When the kernel has no descriptors left.
pub fn pair() -> io::Result<(OwnedFd, OwnedFd)> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    Ok(socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)?)
}

/// Sends a message. `WouldBlock` when the other side has not read for long.
///
/// # Errors
/// When the other side is gone, or the message is too long.
pub fn send<T: Serialize>(socket: impl AsFd, message: &T, descriptors: &[BorrowedFd<'_>]) -> io::Result<()> {
    let packet = encode(message).map_err(io::Error::other)?;
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    if !descriptors.is_empty() && !ancillary.push(SendAncillaryMessage::ScmRights(descriptors)) {
        return Err(io::Error::other("too many descriptors for one packet"));
    }
    sendmsg(socket, &[IoSlice::new(&packet)], &mut ancillary, SendFlags::NOSIGNAL)?;
    Ok(())
}

/// What came: the message and the descriptors with it.
pub type Received<T> = (T, Vec<OwnedFd>);

/// Takes the next message; `None` when the other side has ended. `WouldBlock` when there is none yet.
///
/// # Errors
/// The kernel's own; `InvalidData` for what is not a message.
pub fn receive<T: DeserializeOwned>(socket: impl AsFd) -> io::Result<Option<Received<T>>> {
    let mut packet = vec![0; LONGEST];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let flags = RecvFlags::CMSG_CLOEXEC;
    let got = recvmsg(socket, &mut [IoSliceMut::new(&mut packet)], &mut ancillary, flags)?;
    let mut descriptors = Vec::new();
    for message in ancillary.drain() {
        if let RecvAncillaryMessage::ScmRights(fds) = message {
            descriptors.extend(fds);
        }
    }
    if got.bytes == 0 {
        return Ok(None);
    }
    let message = decode(&packet[..got.bytes]);
    let message = message.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "not a message of Greenroom's"))?;
    Ok(Some((message, descriptors)))
}

#[cfg(test)]
mod tests {
    use std::fs::File;

    use super::*;
    use crate::os::shim::wire::{FromShim, ToShim};

    #[test]
    fn messages_come_whole_with_their_descriptors_and_the_end_is_seen() {
        let (a, b) = pair().expect("a pair");
        let file = File::open("/dev/null").expect("a file");
        send(&a, &ToShim::Start { id: 0 }, &[file.as_fd(), file.as_fd()]).expect("sent");
        send(&a, &ToShim::Kill, &[]).expect("sent");
        let (first, fds) = receive::<ToShim>(&b).expect("received").expect("a message");
        assert_eq!((first, fds.len()), (ToShim::Start { id: 0 }, 2));
        let (second, fds) = receive::<ToShim>(&b).expect("received").expect("a message");
        assert_eq!((second, fds.len()), (ToShim::Kill, 0));
        let empty = receive::<ToShim>(&b).expect_err("nothing there");
        assert_eq!(empty.kind(), io::ErrorKind::WouldBlock);
        drop(a);
        assert!(receive::<FromShim>(&b).expect("received").is_none());
    }
}
