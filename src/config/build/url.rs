//! The parts of a URL that a remote or a browser's page can have. Pure.

/// `http://` or `https://`, a host, perhaps a port and a path. No name and password, no query, no fragment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Url<'a> {
    /// Whether it is `https`.
    pub(super) secure: bool,
    /// Name or address; an IPv6 address stands in brackets.
    pub(super) host: &'a str,
    /// The port, if one is named.
    pub(super) port: Option<u16>,
    /// What follows, without a `/` at its end.
    pub(super) path: &'a str,
}

impl<'a> Url<'a> {
    /// The parts, if they are all there is and each of them is sound.
    pub(super) fn read(text: &'a str) -> Option<Self> {
        let (secure, rest) = match text.split_once("://")? {
            ("http", rest) => (false, rest),
            ("https", rest) => (true, rest),
            _ => return None,
        };
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let (host, port) = match authority.rsplit_once(':') {
            // The colons of an IPv6 address stand inside the brackets.
            Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
            _ => (authority, None),
        };
        let port = match port {
            Some(port) => Some(port.parse().ok().filter(|port| *port != 0 && is_number(authority))?),
            None => None,
        };
        let in_path = |c: char| c.is_ascii_graphic() && !matches!(c, '?' | '#' | '\\' | '"' | '<' | '>');
        let sound = is_host(host) && path.chars().all(in_path);
        sound.then(|| Self { secure, host, port, path: path.trim_end_matches('/') })
    }
}

/// Whether the port is written in digits alone: `parse` takes a sign.
fn is_number(authority: &str) -> bool {
    authority.rsplit(':').next().is_some_and(|port| port.bytes().all(|byte| byte.is_ascii_digit()))
}

fn is_host(host: &str) -> bool {
    if let Some(address) = host.strip_prefix('[') {
        return address.strip_suffix(']').is_some_and(|address| address.parse::<std::net::Ipv6Addr>().is_ok());
    }
    // An underscore is in no name of the net, and in many of a container's.
    let named = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_');
    !host.is_empty() && !host.starts_with(['-', '.']) && host.chars().all(named)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parts_are_read() {
        let read = |text| Url::read(text).map(|url| (url.secure, url.host, url.port, url.path));
        assert_eq!(read("http://a"), Some((false, "a", None, "")));
        assert_eq!(read("https://a.example:7860/api/"), Some((true, "a.example", Some(7860), "/api")));
        assert_eq!(read("http://[::1]:80/"), Some((false, "[::1]", Some(80), "")));
        assert_eq!(read("http://[::1]"), Some((false, "[::1]", None, "")));
        assert_eq!(read("http://my_pod:1"), Some((false, "my_pod", Some(1), "")));
    }

    #[test]
    fn what_is_none_or_says_more_is_refused() {
        for text in [
            "",
            "a",
            "a:80",
            "ftp://a",
            "http://",
            "http:///x",
            "http://:80",
            "http://a:",
            "http://a:0",
            "http://a:65536",
            "http://a:+80",
            "http://a:x",
            "http://user:pass@a",
            "http://a?x",
            "http://a/x?y",
            "http://a/#z",
            "http://a b",
            "http://[::1",
            "http://[x]",
            "http://::1",
            "HTTP://a",
        ] {
            assert_eq!(Url::read(text), None, "{text}");
        }
    }
}
