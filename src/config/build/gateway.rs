//! `[gateway]`.

use std::path::Path;

use greenroom_actors::spec::GatewaySpec;

use super::{doors, read::Reader, url::Url};
use crate::config::tree::Node;

pub(super) fn build(reader: &mut Reader<'_>, state_dir: &Path) -> GatewaySpec {
    GatewaySpec {
        listen: doors::of_gateway(reader, state_dir),
        api_keys: api_keys(reader),
        default_model: reader.text(&["gateway", "default_model"]),
        max_body: reader.size(&["gateway", "max_body"]),
        max_connections: reader.number(&["gateway", "max_connections"]),
        header_timeout: reader.duration(&["gateway", "header_timeout"]),
        cors_origins: origins(reader),
        loading_comments: reader.bool(&["gateway", "loading_comments"]),
        max_waiting: reader.number(&["gateway", "queue", "max_waiting"]),
        max_wait: reader.duration(&["gateway", "queue", "max_wait"]),
        fairness: reader.duration(&["gateway", "queue", "fairness"]),
    }
}

/// Origins as browsers send them: a scheme, a host, perhaps a port, and nothing after them (RFC 6454, section 6.1).
fn origins(reader: &mut Reader<'_>) -> Vec<String> {
    let path = ["gateway", "cors_origins"];
    for node in reader.node(&path).map(Node::items).unwrap_or_default() {
        let text = node.text().unwrap_or_default();
        if text != "*" && !is_origin(text) {
            let message = format!("`gateway.cors_origins`: no browser sends the origin `{text}`");
            reader.error(node.span, message, "write scheme, host and perhaps port, such as \"https://chat.example\"");
        }
    }
    reader.texts(&path)
}

/// Whether a browser may send this: host and scheme in small letters, no path, no port that goes without saying.
fn is_origin(text: &str) -> bool {
    let Some(url) = Url::read(text) else { return false };
    let usual = if url.secure { 443 } else { 80 };
    url.path.is_empty() && !text.ends_with('/') && url.port != Some(usual) && text == text.to_ascii_lowercase()
}

/// Whether a key can stand in a header.
pub(super) fn can_be_sent(key: &str) -> bool {
    key.chars().all(|c| c.is_ascii_graphic())
}

fn api_keys(reader: &mut Reader<'_>) -> Vec<String> {
    let path = ["gateway", "api_keys"];
    let keys = reader.node(&path).map(Node::items).unwrap_or_default();
    for (n, node) in keys.iter().enumerate() {
        if !node.text().is_some_and(can_be_sent) {
            let message = format!("`gateway.api_keys`: no client can send key {}", n + 1);
            reader.error(node.span, message, "a key has letters, digits and signs of ASCII, and no blanks");
        }
    }
    reader.texts(&path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_are_what_browsers_send() {
        for sent in ["https://chat.example", "http://localhost:3000", "http://[::1]:8080", "http://10.0.0.2"] {
            assert!(is_origin(sent), "{sent}");
        }
        for other in [
            "chat.example",
            "https://chat.example/",
            "https://chat.example/app",
            "https://Chat.example",
            "https://chat.example:443",
            "http://x:80",
            "https://",
            "https://a b",
            "ftp://x",
            "null",
            "https://*.example",
        ] {
            assert!(!is_origin(other), "{other}");
        }
    }
}
