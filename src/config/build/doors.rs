//! Where to listen: `gateway.listen`, and the `listen` of each service.

use std::{
    net::{Ipv4Addr, SocketAddr},
    path::Path,
};

use greenroom_actors::spec::{ListenAddress, RuntimeSpec};

use super::{
    read::Reader,
    runtime::{SOCKET_PATH, control_socket},
};
use crate::config::{
    holes::expand,
    tree::{Node, dotted},
};

/// The places that `gateway.listen` names.
pub(super) fn of_gateway(reader: &mut Reader<'_>, state_dir: &Path) -> Vec<ListenAddress> {
    let mut found: Vec<ListenAddress> = Vec::new();
    for node in gateways(reader) {
        let Some(address) = address(reader, "gateway.listen", node, state_dir) else { continue };
        if found.iter().any(|other| collide(other, &address)) {
            let message =
                format!("`gateway.listen`: `{}` and one before it are the same door", node.text().unwrap_or_default());
            reader.error(node.span, message, "remove one of them");
        } else {
            found.push(address);
        }
    }
    found
}

/// The place that the `listen` of a service names.
pub(super) fn of_service(reader: &mut Reader<'_>, s: &str, state_dir: &Path) -> Option<ListenAddress> {
    let node = reader.node(&["service", s, "listen"]).filter(|node| node.text() != Some(""))?;
    address(reader, &key(s), node, state_dir)
}

/// What can be said only of all doors together: no two are one, and none is open to others by accident.
pub(super) fn check(reader: &mut Reader<'_>, spec: &RuntimeSpec) {
    let mut before: Vec<(String, &ListenAddress)> = Vec::new();
    before.extend(spec.gateway.listen.iter().map(|address| ("gateway.listen".to_owned(), address)));
    for service in &spec.services {
        let Some(address) = &service.door.listen else { continue };
        let key = key(service.name.as_str());
        if let Some((other, _)) = before.iter().find(|(_, other)| collide(other, address)) {
            let message = format!("`{other}` and `{key}` are the same door");
            let span = super::memory::span(reader, &["service", service.name.as_str(), "listen"]);
            reader.error(span, message, "give one of them another address");
        }
        before.push((key, address));
    }
    let may_be_open = reader.bool(&["gateway", "allow_unauthenticated"]);
    // Wrong keys have been reported, and are keys all the same.
    if spec.gateway.api_keys.is_empty() && !may_be_open && !reader.effective.is_faulty(&["gateway", "api_keys"]) {
        open_doors(reader, spec);
    }
}

/// The key of a service's door.
fn key(s: &str) -> String {
    dotted(&["service".to_owned(), s.to_owned(), "listen".to_owned()])
}

fn gateways<'a>(reader: &Reader<'a>) -> &'a [Node] {
    match reader.node(&["gateway", "listen"]) {
        Some(node) if node.text().is_some() => std::slice::from_ref(node),
        Some(node) => node.items(),
        None => &[],
    }
}

/// An address that can be opened.
fn address(reader: &mut Reader<'_>, key: &str, node: &Node, state_dir: &Path) -> Option<ListenAddress> {
    let text = node.text().unwrap_or_default();
    if let Some(path) = text.strip_prefix("unix:") {
        let path = expand(path, reader.effective.sources().base(node.span), reader.outside);
        socket(reader, key, node, &path, state_dir);
        return Some(ListenAddress::Unix(path));
    }
    if let Some(address) = tcp(text) {
        return Some(ListenAddress::Tcp(address));
    }
    // A name may mean another machine tomorrow, and who may connect depends on it.
    let message = format!("`{key}`: `{text}` is a name, and names are not looked up");
    reader.error(node.span, message, "write an address of this machine; 0.0.0.0 and [::] are all of them");
    None
}

/// An address and a port. `localhost` is 127.0.0.1, wherever the machine's own tables may point it.
fn tcp(text: &str) -> Option<SocketAddr> {
    let local = |text: &str| Some(SocketAddr::from((Ipv4Addr::LOCALHOST, text.parse().ok()?)));
    text.parse().ok().or_else(|| text.strip_prefix("localhost:").and_then(local))
}

fn socket(reader: &mut Reader<'_>, key: &str, node: &Node, path: &Path, state_dir: &Path) {
    let length = path.as_os_str().len();
    if length > SOCKET_PATH {
        let message = format!("`{key}`: `{}` is too long for a socket: {length} bytes", path.display());
        reader.error(node.span, message, format!("at most {SOCKET_PATH} are possible"));
    }
    if path == control_socket(state_dir) {
        let message = format!("`{key}`: this is the control socket, which gives full control");
        reader.error(node.span, message, "choose another path");
    }
}

/// Whether the second could not be opened beside the first.
fn collide(a: &ListenAddress, b: &ListenAddress) -> bool {
    match (a, b) {
        (ListenAddress::Tcp(a), ListenAddress::Tcp(b)) => {
            let all = |a: &SocketAddr, b: &SocketAddr| a.ip().is_unspecified() && a.is_ipv4() == b.is_ipv4();
            a.port() != 0 && a.port() == b.port() && (a.ip() == b.ip() || all(a, b) || all(b, a))
        }
        (a, b) => a == b,
    }
}

/// Nobody listens beyond this machine without a key by accident.
fn open_doors(reader: &mut Reader<'_>, spec: &RuntimeSpec) {
    let mut doors: Vec<(String, &Node)> =
        gateways(reader).iter().map(|node| ("gateway.listen".to_owned(), node)).collect();
    for service in &spec.services {
        let s = service.name.as_str();
        doors.extend(reader.node(&["service", s, "listen"]).map(|node| (key(s), node)));
    }
    doors.retain(|(_, node)| node.text().is_some_and(is_open));
    // Made for whoever reads the message; a machine without chance gets the message without a key.
    let key = if doors.is_empty() { None } else { reader.outside.chance().map(|bytes| new_key(&bytes)) };
    for (name, node) in doors {
        let message = format!("`{name}`: `{}` is open to others without a key", node.text().unwrap_or_default());
        let keys = key.as_ref().map_or("set gateway.api_keys".to_owned(), |key| {
            format!("add this new key to [gateway]: api_keys = [\"{key}\"]")
        });
        reader.error(node.span, message, format!("{keys}; or say gateway.allow_unauthenticated = true"));
    }
}

/// Whether others than this machine's own users can reach it.
fn is_open(text: &str) -> bool {
    tcp(text).is_some_and(|address| !address.ip().is_loopback())
}

/// A key of 192 bits, in hexadecimal.
fn new_key(bytes: &[u8; 24]) -> String {
    bytes.iter().fold("gr-".to_owned(), |key, byte| format!("{key}{byte:02x}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> ListenAddress {
        tcp(text).map(ListenAddress::Tcp).expect("an address")
    }

    #[test]
    fn local_doors_are_told_from_open_ones() {
        for local in ["127.0.0.1:1", "[::1]:1", "unix:/x", "localhost:1", "127.9.9.9:1"] {
            assert!(!is_open(local), "{local}");
        }
        // An IPv4 address in IPv6 clothes is not known to be local, so it wants a key.
        for open in ["0.0.0.0:1", "[::]:1", "192.168.0.2:1", "[::ffff:127.0.0.1]:1"] {
            assert!(is_open(open), "{open}");
        }
    }

    #[test]
    fn doors_that_cannot_stand_side_by_side_are_found() {
        let collide = |a: &str, b: &str| collide(&address(a), &address(b));
        assert!(collide("127.0.0.1:1", "localhost:1") && collide("0.0.0.0:1", "127.0.0.1:1"));
        assert!(collide("[::1]:1", "[::]:1"));
        assert!(!collide("127.0.0.1:1", "127.0.0.1:2") && !collide("127.0.0.1:0", "127.0.0.1:0"));
        assert!(!collide("127.0.0.1:1", "127.0.0.2:1") && !collide("0.0.0.0:1", "[::1]:1"));
    }

    #[test]
    fn a_key_is_as_long_as_its_chance() {
        assert_eq!(new_key(&[0xA5; 24]), format!("gr-{}", "a5".repeat(24)));
    }
}
