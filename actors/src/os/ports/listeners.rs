//! Who listens on a port: the sockets as the kernel tells them, their owners from `/proc/PID/fd`.
//!
//! The kernel is asked over netlink, which looks at listeners alone. `/proc/net/tcp*`, which also tells them, goes through
//! the table of all connections, which takes milliseconds, and stands in where netlink is not to be had.

use std::{fs, io};

use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, netlink::SOCK_DIAG, recv, send, socket_with,
};

use super::{
    PortHolder, PortOwner,
    inet_diag::{Family, Listener, question, take},
};
use crate::{ids::Pid, os::proc};

/// The kernel sends no larger datagram of an answer (`netlink_dump` in `net/netlink/af_netlink.c`).
const DATAGRAM: usize = 32 << 10;

/// Who listens on `port` (any address, IPv4 or IPv6). A stranger goes before a member where both may be reached by a
/// client on this machine: what it asks could then be answered by either.
///
/// # Errors
/// When `/proc` cannot be read.
pub fn owner(port: u16, members: &[Pid]) -> io::Result<PortOwner> {
    let listeners = on(port)?;
    if listeners.is_empty() {
        return Ok(PortOwner::Nobody);
    }
    let mut member = None;
    let mut strangers = Vec::new();
    for listener in listeners {
        match members.iter().find(|pid| has_socket(**pid, listener.inode)) {
            Some(pid) => member = Some(*pid),
            None => strangers.push(listener),
        }
    }
    let in_the_way = strangers.iter().find(|s| s.local).or(if member.is_none() { strangers.first() } else { None });
    Ok(match (in_the_way, member) {
        (Some(stranger), _) => PortOwner::Stranger(holder(stranger.inode)?),
        (None, Some(pid)) => PortOwner::Member(pid),
        (None, None) => PortOwner::Nobody,
    })
}

fn on(port: u16) -> io::Result<Vec<Listener>> {
    // A kernel without it, or a sandbox that forbids it.
    asked(port).or_else(|_| in_tables(port))
}

/// As the kernel answers.
fn asked(port: u16) -> io::Result<Vec<Listener>> {
    let mut found = Vec::new();
    for family in [Family::V4, Family::V6] {
        let socket = socket_with(AddressFamily::NETLINK, SocketType::RAW, SocketFlags::CLOEXEC, Some(SOCK_DIAG))?;
        send(&socket, &question(family, port), SendFlags::empty())?;
        let mut datagram = vec![0; DATAGRAM];
        let mut is_done = false;
        while !is_done {
            // The answer is there as soon as the question has been put: nothing is waited for.
            let (length, _) = recv(&socket, &mut datagram[..], RecvFlags::DONTWAIT)?;
            let answer = datagram.get(..length).filter(|answer| !answer.is_empty());
            is_done = take(answer.ok_or(io::ErrorKind::UnexpectedEof)?, &mut found).map_err(io::Error::other)?;
        }
    }
    Ok(found)
}

/// As `/proc` shows them.
fn in_tables(port: u16) -> io::Result<Vec<Listener>> {
    let mut found = parse(&fs::read_to_string("/proc/net/tcp")?, port);
    match fs::read_to_string("/proc/net/tcp6") {
        Ok(text) => found.extend(parse(&text, port)),
        // A kernel without IPv6.
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    Ok(found)
}

/// Reads the listeners (state 0A) on a port from a table like `/proc/net/tcp`.
fn parse(table: &str, port: u16) -> Vec<Listener> {
    let line = |line: &str| {
        let fields: Vec<&str> = line.split_ascii_whitespace().collect();
        let (address, hex_port) = fields.get(1)?.split_once(':')?;
        let listens = *fields.get(3)? == "0A" && u16::from_str_radix(hex_port, 16) == Ok(port);
        let inode = fields.get(9)?.parse().ok()?;
        listens.then_some(Listener { inode, local: is_local(address) })
    };
    table.lines().skip(1).filter_map(line).collect()
}

/// Whether a listener on this address is reached through 127.0.0.1 or ::1. The kernel writes each 32-bit group in the
/// machine's own byte order; both machines that are served here are little-endian.
fn is_local(address: &str) -> bool {
    let any = address.bytes().all(|digit| digit == b'0');
    let loopback_v4 = address == "0100007F";
    let loopback_v6 = address == "00000000000000000000000001000000";
    let mapped = address == "0000000000000000FFFF00000100007F" || address == "0000000000000000FFFF000000000000";
    any || loopback_v4 || loopback_v6 || mapped
}

/// Whether a process has that socket open. `false` where that cannot be seen.
fn has_socket(pid: Pid, inode: u64) -> bool {
    let Ok(descriptors) = fs::read_dir(format!("/proc/{pid}/fd")) else { return false };
    let wanted = format!("socket:[{inode}]");
    descriptors
        .flatten()
        .any(|entry| fs::read_link(entry.path()).is_ok_and(|target| target.as_os_str() == wanted.as_str()))
}

fn holder(inode: u64) -> io::Result<Option<PortHolder>> {
    let pid = proc::all()?.into_iter().find(|pid| has_socket(*pid, inode));
    Ok(pid.map(|pid| PortHolder { pid, command: proc::command(pid) }))
}

#[cfg(test)]
mod tests {
    use std::{net::TcpListener, time::Duration};

    use super::*;
    use crate::os::clock;

    const TABLE: &str = "\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:2A30 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4711 1 0 100 0 0 10 0
   1: 0100007F:2A30 0100007F:8000 01 00000000:00000000 00:00000000 00000000     0        0 4712 1 0 20 4 30 10 -1
   2: 0A00A8C0:2A30 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4713 1 0 100 0 0 10 0
   3: 00000000:2A31 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4714 1 0 100 0 0 10 0
";

    #[test]
    fn only_listeners_on_the_port_are_taken_from_the_table() {
        let expected = [Listener { inode: 4711, local: true }, Listener { inode: 4713, local: false }];
        assert_eq!(parse(TABLE, 0x2A30), expected);
        assert_eq!(parse(TABLE, 0x2A31), [Listener { inode: 4714, local: true }]);
        assert_eq!(parse("", 1), []);
    }

    #[test]
    fn the_owner_of_a_real_port_is_a_member_a_stranger_or_nobody() {
        let own = Pid(std::process::id());
        let listener = TcpListener::bind("127.0.0.1:0").expect("a listener");
        let port = listener.local_addr().expect("an address").port();
        assert_eq!(owner(port, &[Pid(1), own]).expect("an owner"), PortOwner::Member(own));
        match owner(port, &[]).expect("an owner") {
            PortOwner::Stranger(Some(holder)) => assert_eq!(holder.pid, own),
            other => panic!("{other:?}"),
        }
        drop(listener);
        // A child that another test has just begun holds what was open here until it is its program.
        let is_over = || owner(port, &[own]).expect("an owner") == PortOwner::Nobody;
        assert!(clock::wait_until(Duration::from_secs(30), is_over));
    }

    #[test]
    fn the_kernel_says_what_the_tables_say() {
        let inodes = |found: io::Result<Vec<Listener>>| {
            let mut found: Vec<_> = found.expect("an answer").iter().map(|one| (one.inode, one.local)).collect();
            found.sort_unstable();
            found
        };
        for address in ["127.0.0.1:0", "0.0.0.0:0", "127.0.0.2:0", "[::1]:0", "[::]:0"] {
            let Ok(listener) = TcpListener::bind(address) else { continue };
            let address = listener.local_addr().expect("an address");
            let _client = std::net::TcpStream::connect(address).expect("a connection, which is no listener");
            let (asked, shown) = (inodes(asked(address.port())), inodes(in_tables(address.port())));
            assert_eq!(asked, shown, "{address}");
            assert_eq!(asked.len(), 1, "{address}");
        }
    }

    #[test]
    fn a_listener_on_ipv6_is_seen_too() {
        let Ok(listener) = TcpListener::bind("[::1]:0") else { return };
        let port = listener.local_addr().expect("an address").port();
        let own = Pid(std::process::id());
        assert_eq!(owner(port, &[own]).expect("an owner"), PortOwner::Member(own));
    }
}
