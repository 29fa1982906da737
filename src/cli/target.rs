//! Which runtime a command speaks to, and with which key. Pure.

use std::{fmt, path::PathBuf};

/// Where a runtime listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// A socket file: the control socket, or one of `gateway.listen`.
    Socket(PathBuf),
    /// The gateway of a runtime, here or elsewhere.
    Http {
        /// A name or an address and a port, as `Host` says it.
        authority: String,
        /// What stands before each path, where the gateway is behind another server; empty or `/...` without an end.
        base: String,
    },
}

impl Target {
    /// Reads what `--url` takes: `http://HOST[:PORT][/PATH]` or `unix:PATH`.
    ///
    /// # Errors
    /// What is wrong with it, and what to write.
    pub fn parse(url: &str) -> Result<Self, String> {
        if let Some(path) = url.strip_prefix("unix:").filter(|path| !path.is_empty()) {
            return Ok(Self::Socket(path.into()));
        }
        if url.starts_with("https://") {
            return Err(format!(
                "`{url}`: this program speaks no TLS; ask the gateway itself (http://HOST:8484), or bring its port here: \
                 ssh -L 8484:127.0.0.1:8484 HOST"
            ));
        }
        let bad = || format!("`{url}` is neither http://HOST:PORT nor unix:PATH");
        let rest = url.strip_prefix("http://").ok_or_else(bad)?;
        let (authority, base) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let is_plain = |text: &str| text.bytes().all(|b| b.is_ascii_graphic() && !b"?#\\\"<>".contains(&b));
        if !is_plain(authority) || authority.contains('@') || !is_plain(base) {
            return Err(bad());
        }
        let authority = with_port(authority).ok_or_else(bad)?;
        Ok(Self::Http { authority, base: base.trim_end_matches('/').to_owned() })
    }

    /// What stands before each path.
    #[must_use]
    pub fn base(&self) -> &str {
        match self {
            Self::Socket(_) => "",
            Self::Http { base, .. } => base,
        }
    }

    /// What `Host` says.
    #[must_use]
    pub fn host(&self) -> &str {
        match self {
            Self::Socket(_) => "localhost",
            Self::Http { authority, .. } => authority,
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Socket(path) => write!(f, "{}", path.display()),
            Self::Http { authority, base } => write!(f, "http://{authority}{base}"),
        }
    }
}

/// A name or an address with a port; without one it is that of HTTP.
fn with_port(authority: &str) -> Option<String> {
    let (name, port) = match authority.rsplit_once(':') {
        Some((name, port)) if !port.ends_with(']') => (name, Some(port)),
        _ => (authority, None),
    };
    // An IPv6 address has its colons in brackets.
    let is_name = !name.is_empty() && (!name.contains(':') || (name.starts_with('[') && name.ends_with(']')));
    let port: u16 = port.map_or(Ok(80), str::parse).ok()?;
    (is_name && port > 0).then(|| format!("{name}:{port}"))
}

/// What opens a gateway. Never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct ApiKey(String);

impl ApiKey {
    /// Takes the text of a variable or of a file; `None` where there is nothing.
    ///
    /// # Errors
    /// When it is more than one word of ASCII.
    pub fn parse(text: &str) -> Result<Option<Self>, String> {
        let key = text.trim();
        if !key.bytes().all(|b| b.is_ascii_graphic()) {
            return Err("a key is one word of ASCII, and this is not".to_owned());
        }
        Ok((!key.is_empty()).then(|| Self(key.to_owned())))
    }

    /// The header that brings it.
    #[must_use]
    pub fn authorization(&self) -> String {
        format!("Bearer {}", self.0)
    }
}

impl fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ApiKey")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_says_where_and_what_stands_before_each_path() {
        let http = |url: &str| match Target::parse(url) {
            Ok(Target::Http { authority, base }) => Some((authority, base)),
            _ => None,
        };
        for (url, authority, base) in [
            ("http://box:8484", "box:8484", ""),
            ("http://box", "box:80", ""),
            ("http://127.0.0.1:1/", "127.0.0.1:1", ""),
            ("http://[::1]:8484/ai/", "[::1]:8484", "/ai"),
            ("http://[::1]", "[::1]:80", ""),
        ] {
            assert_eq!(http(url), Some((authority.to_owned(), base.to_owned())), "{url}");
        }
        assert_eq!(Target::parse("unix:/run/g.sock"), Ok(Target::Socket("/run/g.sock".into())));
        for bad in [
            "",
            "box:8484",
            "http://",
            "http://:80",
            "http://box:0",
            "http://box:99999",
            "http://a:b@box",
            "http://::1:80",
            "http://box/?a",
            "http://box/a b",
            "unix:",
            "ftp://box",
            "http://box:80x",
        ] {
            assert!(Target::parse(bad).is_err(), "{bad}");
        }
        assert!(Target::parse("https://box").is_err_and(|why| why.contains("TLS")));
        assert_eq!(Target::parse("http://box/ai").map(|target| target.to_string()), Ok("http://box:80/ai".to_owned()));
    }

    #[test]
    fn a_key_is_one_word_and_is_never_shown() {
        let key = ApiKey::parse(" sk-1\n").expect("a key").expect("not empty");
        assert_eq!(key.authorization(), "Bearer sk-1");
        assert!(!format!("{key:?}").contains("sk-1"));
        assert_eq!(ApiKey::parse(" \n"), Ok(None));
        assert!(ApiKey::parse("a\nb").is_err() && ApiKey::parse("ké").is_err());
    }
}
