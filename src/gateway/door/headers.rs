//! Which headers go on, in both directions. Pure.
//!
//! The server speaks in the types of `http` 0.2, the client in those of `http` 1: values are carried over as bytes.

use std::{io::Write, net::IpAddr};

use actix_web::http::header as server;
use bytes::{Bytes, BytesMut};
use hyper::header as client;

// Names that `http` does not know as its own, made once: a look-up by text would make them anew each time.

/// A model, where neither body nor query names one.
pub static X_MODEL: server::HeaderName = server::HeaderName::from_static("x-model");
/// A key.
pub static X_API_KEY: server::HeaderName = server::HeaderName::from_static("x-api-key");
/// Who goes first among those who wait.
pub static X_PRIORITY: server::HeaderName = server::HeaderName::from_static("x-priority");

/// The job that an answer comes of.
pub static X_GREENROOM_JOB: server::HeaderName = server::HeaderName::from_static("x-greenroom-job");

/// The type of a stream of events.
const EVENTS: &[u8] = b"text/event-stream";

/// Headers that concern one connection alone (RFC 9110, section 7.6.1, and what was used before it).
const HOP_BY_HOP: [&str; 9] = [
    "connection",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// Where a request has come from and what is not passed on with it.
#[derive(Debug, Clone, Copy, Default)]
pub struct Way<'a> {
    /// The client; `None` for one that came over a socket file.
    pub peer: Option<IpAddr>,
    /// Whether the client's key was one for this door, and is nobody else's business.
    pub keeps_key: bool,
    /// The `Host` that the client asked for.
    pub host: Option<&'a [u8]>,
}

/// A request's headers as they go to the service. `Expect` has been answered here by reading the body.
#[must_use]
pub fn to_service(from: &server::HeaderMap, way: &Way<'_>) -> client::HeaderMap {
    let named = listed(from.get_all(server::CONNECTION).map(server::HeaderValue::as_bytes));
    let mut to = client::HeaderMap::with_capacity(from.len() + 2);
    // One allocation for all values.
    let mut text = BytesMut::with_capacity(from.iter().map(|(_, value)| value.len()).sum());
    for (name, value) in from {
        let is_for_us = match name.as_str() {
            "expect" => true,
            "authorization" | "x-api-key" => way.keeps_key,
            name => is_of_the_hop(name, &named),
        };
        if !is_for_us
            && let Ok(name) = client::HeaderName::from_bytes(name.as_str().as_bytes())
            && let Ok(value) = carried(value.as_bytes(), &mut text)
        {
            to.append(name, value);
        }
    }
    forwarded(&mut to, way);
    to
}

/// A value of the same bytes, which lie in `text`.
fn carried(value: &[u8], text: &mut BytesMut) -> Result<client::HeaderValue, client::InvalidHeaderValue> {
    text.extend_from_slice(value);
    client::HeaderValue::from_maybe_shared(text.split().freeze())
}

/// Adds to `Forwarded` whom this came from (RFC 7239, section 4): behind what others have said on the way.
fn forwarded(to: &mut client::HeaderMap, way: &Way<'_>) {
    // `for="[`, the longest address, `]";proto=http;host="` and `"`: what is added where nothing stands there yet.
    let mut said = Vec::with_capacity(72 + way.host.map_or(0, <[u8]>::len));
    for before in to.get_all(client::FORWARDED) {
        said.extend_from_slice(before.as_bytes());
        said.extend_from_slice(b", ");
    }
    let written = match way.peer {
        Some(IpAddr::V4(peer)) => write!(said, "for={peer}"),
        Some(IpAddr::V6(peer)) => write!(said, "for=\"[{peer}]\""),
        None => write!(said, "for=unknown"),
    };
    said.extend_from_slice(b";proto=http");
    if let Some(host) = way.host {
        said.extend_from_slice(b";host=\"");
        for &byte in host {
            // A quoted string (RFC 9110, section 5.6.4).
            said.extend_from_slice(if matches!(byte, b'"' | b'\\') { b"\\" } else { b"" });
            said.push(byte);
        }
        said.push(b'"');
    }
    if let (Ok(()), Ok(value)) = (written, client::HeaderValue::from_maybe_shared(Bytes::from(said))) {
        to.insert(client::FORWARDED, value);
    }
}

/// An answer's headers as they go to the client. The length is told apart.
pub fn to_client(from: &client::HeaderMap) -> impl Iterator<Item = (server::HeaderName, server::HeaderValue)> {
    let named = listed(from.get_all(client::CONNECTION).iter().map(client::HeaderValue::as_bytes));
    let goes_on = move |name: &str| !is_of_the_hop(name, &named) && name != "content-length";
    let all = from.iter().filter(move |(name, _)| goes_on(name.as_str()));
    let all = all.filter_map(|(name, value)| {
        let name = server::HeaderName::from_bytes(name.as_str().as_bytes()).ok()?;
        Some((name, server::HeaderValue::from_bytes(value.as_bytes()).ok()?))
    });
    all.chain(unbuffered(from))
}

/// Tells a proxy before this one not to collect a stream of events (nginx, ngx_http_upstream.c), unless the service has said
/// something about that itself.
fn unbuffered(from: &client::HeaderMap) -> Option<(server::HeaderName, server::HeaderValue)> {
    const NAME: &str = "x-accel-buffering";
    let kind = from.get(client::CONTENT_TYPE)?.as_bytes();
    let is_stream = kind.get(..EVENTS.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(EVENTS));
    let is_open = is_stream && !from.contains_key(NAME);
    is_open.then(|| (server::HeaderName::from_static(NAME), server::HeaderValue::from_static("no")))
}

/// Whether a body follows (RFC 9112, section 6).
#[must_use]
pub fn has_body(headers: &server::HeaderMap) -> bool {
    let length = headers.get(server::CONTENT_LENGTH).map(server::HeaderValue::as_bytes);
    headers.contains_key(server::TRANSFER_ENCODING) || length.is_some_and(|length| length != b"0")
}

/// The names in `Connection`, in small letters.
fn listed<'a>(values: impl Iterator<Item = &'a [u8]>) -> Vec<String> {
    // What is always meant, and by most clients alone.
    let values = values.filter(|value| !value.eq_ignore_ascii_case(b"keep-alive"));
    let text: Vec<String> = values.map(|value| String::from_utf8_lossy(value).to_ascii_lowercase()).collect();
    text.iter().flat_map(|value| value.split(',')).map(|name| name.trim().to_owned()).collect()
}

fn is_of_the_hop(name: &str, named: &[String]) -> bool {
    HOP_BY_HOP.contains(&name) || named.iter().any(|listed| listed == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_concerns_the_connection_stays_and_everything_else_goes_on_as_bytes() {
        let mut from = server::HeaderMap::new();
        for (name, value) in [
            ("connection", &b"close, X-Mine"[..]),
            ("x-mine", b"1"),
            ("te", b"trailers"),
            ("expect", b"100-continue"),
            ("transfer-encoding", b"chunked"),
            ("authorization", b"Bearer x"),
            ("x-odd", b"\xff\xfe"),
            ("cookie", b"a=1"),
            ("cookie", b"b=2"),
        ] {
            let name = server::HeaderName::from_static(name);
            from.append(name, server::HeaderValue::from_bytes(value).expect("a value"));
        }
        let to = to_service(&from, &Way::default());
        let values = |name: &str| to.get_all(name).iter().map(|v| v.as_bytes().to_vec()).collect::<Vec<_>>();
        assert_eq!(to.len(), 5, "{to:?}");
        assert_eq!(values("cookie"), [b"a=1".to_vec(), b"b=2".to_vec()]);
        assert_eq!(values("x-odd"), [b"\xff\xfe".to_vec()]);
        assert_eq!(values("authorization"), [b"Bearer x".to_vec()]);
        assert_eq!(values("forwarded"), [b"for=unknown;proto=http".to_vec()]);
        let back: Vec<_> = to_client(&to).collect();
        assert_eq!(back.len(), 5, "{back:?}");
    }

    #[test]
    fn the_key_of_this_door_is_not_handed_on() {
        let mut from = server::HeaderMap::new();
        for name in ["authorization", "x-api-key", "x-other"] {
            from.append(server::HeaderName::from_static(name), server::HeaderValue::from_static("sk"));
        }
        let kept = to_service(&from, &Way { keeps_key: true, ..Way::default() });
        assert!(kept.contains_key("x-other") && !kept.contains_key("authorization") && !kept.contains_key("x-api-key"));
    }

    #[test]
    fn whom_it_came_from_is_added_behind_what_others_have_said() {
        let said = |before: &[&'static str], way: &Way<'_>| {
            let mut from = server::HeaderMap::new();
            for value in before {
                from.append(server::FORWARDED, server::HeaderValue::from_static(value));
            }
            let to = to_service(&from, way);
            let all: Vec<_> = to.get_all("forwarded").iter().map(|value| value.to_str().expect("text")).collect();
            assert_eq!(all.len(), 1, "{all:?}");
            all[0].to_owned()
        };
        let v4 = Way { peer: Some([127, 0, 0, 1].into()), host: Some(b"a:80"), ..Way::default() };
        assert_eq!(said(&[], &v4), "for=127.0.0.1;proto=http;host=\"a:80\"");
        let v6 = Way { peer: Some(std::net::Ipv6Addr::LOCALHOST.into()), ..Way::default() };
        assert_eq!(said(&["for=a", "for=b;by=c"], &v6), "for=a, for=b;by=c, for=\"[::1]\";proto=http");
        let odd = Way { host: Some(b"a\"\\"), ..Way::default() };
        assert_eq!(said(&[], &odd), "for=unknown;proto=http;host=\"a\\\"\\\\\"");
    }

    #[test]
    fn the_length_of_an_answer_is_told_apart() {
        let mut from = client::HeaderMap::new();
        from.insert("content-length", client::HeaderValue::from_static("3"));
        from.insert("connection", client::HeaderValue::from_static("keep-alive"));
        from.insert("content-type", client::HeaderValue::from_static("text/event-stream"));
        let told = |from: &client::HeaderMap| {
            let told = to_client(from);
            told.map(|(name, value)| format!("{name}: {}", value.to_str().expect("text"))).collect::<Vec<_>>()
        };
        assert_eq!(told(&from), ["content-type: text/event-stream", "x-accel-buffering: no"]);
        from.insert("x-accel-buffering", client::HeaderValue::from_static("yes"));
        assert_eq!(told(&from), ["content-type: text/event-stream", "x-accel-buffering: yes"], "its own word counts");
        from.insert("content-type", client::HeaderValue::from_static("text/plain"));
        from.remove("x-accel-buffering");
        assert_eq!(told(&from), ["content-type: text/plain"]);
    }
}
