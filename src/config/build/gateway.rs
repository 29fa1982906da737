//! `[gateway]`.

use std::{
    net::{Ipv4Addr, SocketAddr},
    path::Path,
};

use greenroom_actors::spec::{GatewaySpec, ListenAddress};

use super::{
    read::Reader,
    runtime::{SOCKET_PATH, control_socket},
};
use crate::config::{holes::expand, tree::Node};

pub(super) fn build(reader: &mut Reader<'_>, state_dir: &Path) -> GatewaySpec {
    let spec = GatewaySpec {
        listen: listen(reader, state_dir),
        api_keys: api_keys(reader),
        default_model: reader.text(&["gateway", "default_model"]),
        max_body: reader.size(&["gateway", "max_body"]),
        max_connections: reader.number(&["gateway", "max_connections"]),
        header_timeout: reader.duration(&["gateway", "header_timeout"]),
        max_wait: reader.duration(&["gateway", "queue", "max_wait"]),
        ..GatewaySpec::default()
    };
    let may_be_open = reader.bool(&["gateway", "allow_unauthenticated"]);
    // Wrong keys have been reported, and are keys all the same.
    if spec.api_keys.is_empty() && !may_be_open && !reader.effective.is_faulty(&["gateway", "api_keys"]) {
        open_doors(reader);
    }
    spec
}

/// The places that `gateway.listen` names.
fn doors<'a>(reader: &Reader<'a>) -> &'a [Node] {
    match reader.node(&["gateway", "listen"]) {
        Some(node) if node.text().is_some() => std::slice::from_ref(node),
        Some(node) => node.items(),
        None => &[],
    }
}

fn listen(reader: &mut Reader<'_>, state_dir: &Path) -> Vec<ListenAddress> {
    let mut found: Vec<ListenAddress> = Vec::new();
    for node in doors(reader) {
        let text = node.text().unwrap_or_default();
        let base = reader.effective.sources().base(node.span);
        let address = match (text.strip_prefix("unix:"), tcp(text)) {
            (Some(path), _) => ListenAddress::Unix(expand(path, base, reader.outside)),
            (None, Some(address)) => ListenAddress::Tcp(address),
            (None, None) => {
                // A name may mean another machine tomorrow, and who may connect depends on it.
                let message = format!("`gateway.listen`: `{text}` is a name, and names are not looked up");
                let help = "write an address of this machine; 0.0.0.0 and [::] are all of them";
                reader.error(node.span, message, help);
                continue;
            }
        };
        if let ListenAddress::Unix(path) = &address {
            socket(reader, node, path, state_dir);
        }
        match found.iter().find(|other| collide(other, &address)) {
            Some(_) => {
                let message = format!("`gateway.listen`: `{text}` and one before it are the same door");
                reader.error(node.span, message, "remove one of them");
            }
            None => found.push(address),
        }
    }
    found
}

/// An address and a port. `localhost` is 127.0.0.1, wherever the machine's own tables may point it.
fn tcp(text: &str) -> Option<SocketAddr> {
    let local = |text: &str| Some(SocketAddr::from((Ipv4Addr::LOCALHOST, text.parse().ok()?)));
    text.parse().ok().or_else(|| text.strip_prefix("localhost:").and_then(local))
}

fn socket(reader: &mut Reader<'_>, node: &Node, path: &Path, state_dir: &Path) {
    let length = path.as_os_str().len();
    if length > SOCKET_PATH {
        let message = format!("`gateway.listen`: `{}` is too long for a socket: {length} bytes", path.display());
        reader.error(node.span, message, format!("at most {SOCKET_PATH} are possible"));
    }
    if path == control_socket(state_dir) {
        let message = "`gateway.listen`: this is the control socket, which gives full control";
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

fn api_keys(reader: &mut Reader<'_>) -> Vec<String> {
    let path = ["gateway", "api_keys"];
    let keys = reader.node(&path).map(Node::items).unwrap_or_default();
    for (n, node) in keys.iter().enumerate() {
        let fits = |text: &str| text.chars().all(|c| c.is_ascii_graphic());
        if !node.text().is_some_and(fits) {
            let message = format!("`gateway.api_keys`: no client can send key {}", n + 1);
            reader.error(node.span, message, "a key has letters, digits and signs of ASCII, and no blanks");
        }
    }
    reader.texts(&path)
}

/// Nobody listens beyond this machine without a key by accident.
fn open_doors(reader: &mut Reader<'_>) {
    let open: Vec<&Node> = doors(reader).iter().filter(|node| node.text().is_some_and(is_open)).collect();
    // Made for whoever reads the message; a machine without chance gets the message without a key.
    let key = if open.is_empty() { None } else { reader.outside.chance().map(|bytes| key(&bytes)) };
    for node in open {
        let text = node.text().unwrap_or_default();
        let message = format!("`gateway.listen`: `{text}` is open to others without a key");
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
fn key(bytes: &[u8; 24]) -> String {
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
        assert_eq!(key(&[0xA5; 24]), format!("gr-{}", "a5".repeat(24)));
    }
}
