//! Which headers go on, in both directions. Pure.
//!
//! The server speaks in the types of `http` 0.2, the client in those of `http` 1: values are carried over as bytes.

use actix_web::http::header as server;
use hyper::header as client;

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

/// A request's headers as they go to the service. `Expect` has been answered here by reading the body.
#[must_use]
pub fn to_service(from: &server::HeaderMap) -> client::HeaderMap {
    let named = listed(from.get_all("connection").map(server::HeaderValue::as_bytes));
    let mut to = client::HeaderMap::with_capacity(from.len());
    for (name, value) in from {
        let is_for_us = is_of_the_hop(name.as_str(), &named) || name.as_str() == "expect";
        if !is_for_us
            && let Ok(name) = client::HeaderName::from_bytes(name.as_str().as_bytes())
            && let Ok(value) = client::HeaderValue::from_bytes(value.as_bytes())
        {
            to.append(name, value);
        }
    }
    to
}

/// An answer's headers as they go to the client. The length is told apart.
#[must_use]
pub fn to_client(from: &client::HeaderMap) -> Vec<(server::HeaderName, server::HeaderValue)> {
    let named = listed(from.get_all("connection").iter().map(client::HeaderValue::as_bytes));
    let goes_on = |name: &str| !is_of_the_hop(name, &named) && name != "content-length";
    let all = from.iter().filter(|(name, _)| goes_on(name.as_str()));
    all.filter_map(|(name, value)| {
        let name = server::HeaderName::from_bytes(name.as_str().as_bytes()).ok()?;
        Some((name, server::HeaderValue::from_bytes(value.as_bytes()).ok()?))
    })
    .collect()
}

/// Whether a body follows (RFC 9112, section 6).
#[must_use]
pub fn has_body(headers: &server::HeaderMap) -> bool {
    let length = headers.get("content-length").map(server::HeaderValue::as_bytes);
    headers.contains_key("transfer-encoding") || length.is_some_and(|length| length != b"0")
}

/// The names in `Connection`, in small letters.
fn listed<'a>(values: impl Iterator<Item = &'a [u8]>) -> Vec<String> {
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
        let to = to_service(&from);
        let values = |name: &str| to.get_all(name).iter().map(|v| v.as_bytes().to_vec()).collect::<Vec<_>>();
        assert_eq!(to.len(), 4, "{to:?}");
        assert_eq!(values("cookie"), [b"a=1".to_vec(), b"b=2".to_vec()]);
        assert_eq!(values("x-odd"), [b"\xff\xfe".to_vec()]);
        let back = to_client(&to);
        assert_eq!(back.len(), 4, "{back:?}");
    }

    #[test]
    fn the_length_of_an_answer_is_told_apart() {
        let mut from = client::HeaderMap::new();
        from.insert("content-length", client::HeaderValue::from_static("3"));
        from.insert("connection", client::HeaderValue::from_static("keep-alive"));
        from.insert("content-type", client::HeaderValue::from_static("text/event-stream"));
        let to = to_client(&from);
        assert!(matches!(&to[..], [(name, _)] if name == "content-type"), "{to:?}");
    }
}
