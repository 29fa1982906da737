//! What the kernel is asked about the TCP sockets that listen on a port, and what it answers. Pure.
//!
//! The formats are those of `netlink(7)`, `sock_diag(7)` and the kernel's `linux/inet_diag.h`. Numbers are in the
//! machine's own byte order, addresses and ports in that of the network.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Before each message: its length with this, its type, flags, a sequence number, and whose it is.
const HEADER: usize = 16;
/// The length of `struct inet_diag_req_v2`.
const REQUEST: usize = 56;
/// The length of `struct inet_diag_msg`, and where in it the address and the number of the socket lie.
const MESSAGE: usize = 72;
const SOURCE: usize = 8;
const INODE: usize = 68;

/// `SOCK_DIAG_BY_FAMILY`, `NLM_F_REQUEST | NLM_F_DUMP`, `NLMSG_NOOP`, `NLMSG_ERROR`, `NLMSG_DONE`.
const BY_FAMILY: u16 = 20;
const ALL_OF_THEM: u16 = 0x301;
const NOTHING: u16 = 1;
const ERROR: u16 = 2;
const DONE: u16 = 3;
/// `IPPROTO_TCP`; the bit of the state `TCP_LISTEN`.
const TCP: u8 = 6;
const LISTENING: u32 = 1 << 10;

/// A version of the internet protocol, as the kernel numbers it (`AF_INET`, `AF_INET6`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Family {
    V4 = 2,
    V6 = 10,
}

/// One listening socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Listener {
    /// Its number, as in the link `socket:[NUMBER]`.
    pub inode: u64,
    /// Whether a client of 127.0.0.1 or ::1 may reach it.
    pub local: bool,
}

/// What is wrong with an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum NoAnswer {
    /// The kernel refuses: an `errno`.
    #[error("the kernel answers with error {0}")]
    Refused(i32),
    /// It is not as the kernel writes it.
    #[error("the kernel's answer cannot be read")]
    Garbled,
}

/// The question who listens on `port`.
pub(super) fn question(family: Family, port: u16) -> [u8; HEADER + REQUEST] {
    let mut bytes = [0; HEADER + REQUEST];
    let mut put = |at: usize, what: &[u8]| bytes[at..at + what.len()].copy_from_slice(what);
    put(0, &72_u32.to_ne_bytes());
    put(4, &BY_FAMILY.to_ne_bytes());
    put(6, &ALL_OF_THEM.to_ne_bytes());
    put(HEADER, &[family as u8, TCP]);
    put(HEADER + 4, &LISTENING.to_ne_bytes());
    put(HEADER + 8, &port.to_be_bytes());
    bytes
}

/// Takes in one datagram of the answer; `true` once it was the last one.
pub(super) fn take(mut datagram: &[u8], found: &mut Vec<Listener>) -> Result<bool, NoAnswer> {
    while !datagram.is_empty() {
        let length = usize::try_from(u32::from_ne_bytes(at(datagram, 0)?)).map_err(|_| NoAnswer::Garbled)?;
        let kind = u16::from_ne_bytes(at(datagram, 4)?);
        let body = datagram.get(HEADER..length).ok_or(NoAnswer::Garbled)?;
        match kind {
            DONE => return Ok(true),
            ERROR => return Err(NoAnswer::Refused(i32::from_ne_bytes(at(body, 0)?).saturating_neg())),
            BY_FAMILY => found.push(listener(body)?),
            NOTHING => {}
            _ => return Err(NoAnswer::Garbled),
        }
        // Each message begins at a multiple of four; the padding of the last one may be left out.
        datagram = datagram.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    Ok(false)
}

fn listener(body: &[u8]) -> Result<Listener, NoAnswer> {
    let body = body.get(..MESSAGE).ok_or(NoAnswer::Garbled)?;
    let address: IpAddr = match body[0] {
        family if family == Family::V4 as u8 => Ipv4Addr::from(at::<4>(body, SOURCE)?).into(),
        family if family == Family::V6 as u8 => Ipv6Addr::from(at::<16>(body, SOURCE)?).into(),
        _ => return Err(NoAnswer::Garbled),
    };
    Ok(Listener { inode: u32::from_ne_bytes(at(body, INODE)?).into(), local: is_local(address) })
}

/// Whether a listener on this address is reached through 127.0.0.1 or ::1.
pub(super) fn is_local(address: IpAddr) -> bool {
    let address = address.to_canonical();
    address.is_unspecified() || address == Ipv4Addr::LOCALHOST || address == Ipv6Addr::LOCALHOST
}

fn at<const N: usize>(bytes: &[u8], at: usize) -> Result<[u8; N], NoAnswer> {
    bytes.get(at..).and_then(|rest| rest.first_chunk()).copied().ok_or(NoAnswer::Garbled)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn message(kind: u16, body: &[u8]) -> Vec<u8> {
        let length = u32::try_from(HEADER + body.len()).expect("short");
        let mut bytes = [&length.to_ne_bytes()[..], &kind.to_ne_bytes(), &[0; 10], body].concat();
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes
    }

    fn socket(family: Family, address: &[u8], inode: u32) -> Vec<u8> {
        let mut body = vec![0; MESSAGE];
        body[0] = family as u8;
        body[SOURCE..SOURCE + address.len()].copy_from_slice(address);
        body[INODE..].copy_from_slice(&inode.to_ne_bytes());
        message(BY_FAMILY, &body)
    }

    #[test]
    fn listeners_are_taken_until_the_kernel_is_done() {
        let mut found = Vec::new();
        let first = [socket(Family::V4, &[127, 0, 0, 1], 4711), message(NOTHING, &[0; 3])].concat();
        assert_eq!(take(&first, &mut found), Ok(false));
        let other = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1).octets();
        let second = [socket(Family::V6, &other, 4712), message(DONE, &[0; 4])].concat();
        assert_eq!(take(&second, &mut found), Ok(true));
        assert_eq!(found, [Listener { inode: 4711, local: true }, Listener { inode: 4712, local: false }]);
    }

    #[test]
    fn a_refusal_is_told() {
        assert_eq!(take(&message(ERROR, &(-2_i32).to_ne_bytes()), &mut Vec::new()), Err(NoAnswer::Refused(2)));
        assert_eq!(take(&message(BY_FAMILY, &[2; 71]), &mut Vec::new()), Err(NoAnswer::Garbled));
        assert_eq!(take(&[1, 0, 0], &mut Vec::new()), Err(NoAnswer::Garbled));
    }

    #[test]
    fn this_machine_is_reached_by_its_own_addresses_and_by_any() {
        for local in ["127.0.0.1", "0.0.0.0", "::1", "::", "::ffff:127.0.0.1", "::ffff:0.0.0.0"] {
            assert!(is_local(local.parse().expect("an address")), "{local}");
        }
        for far in ["192.168.0.10", "127.0.0.2", "fe80::1", "::ffff:10.0.0.1"] {
            assert!(!is_local(far.parse().expect("an address")), "{far}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn no_answer_is_too_strange(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _taken = take(&bytes, &mut Vec::new());
        }

        #[test]
        fn no_cut_answer_is_taken_for_a_whole_one(cut in 0usize..88) {
            let whole = [socket(Family::V4, &[127, 0, 0, 1], 1), message(DONE, &[0; 4])].concat();
            prop_assert!(take(&whole[..cut], &mut Vec::new()) != Ok(true));
        }
    }
}
