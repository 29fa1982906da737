//! From where a request may come: no page of another site may speak to this machine through a browser. Pure.
//!
//! A browser says in `Origin` whose page asks (RFC 6454), and in `Sec-Fetch-Site` and `Sec-Fetch-Mode` how that page and
//! this address belong together (W3C, Fetch Metadata Request Headers); programs say neither. A page whose own name is
//! pointed at this machine after it was loaded (DNS rebinding) says a `Host` that is not one of this machine's.

use std::net::IpAddr;

/// Endings of names that nobody on the internet can be given: RFC 6761 (`localhost`), RFC 6762 (`local`), and `internal`, which
/// ICANN has set aside for private use.
const PRIVATE_ENDINGS: [&str; 3] = [".localhost", ".local", ".internal"];

/// What a request says of where it comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Claim<'a> {
    /// Whom it means: the authority of the request's target, else `Host`.
    pub host: Option<&'a str>,
    /// `Origin`.
    pub origin: Option<&'a str>,
    /// `Sec-Fetch-Site`.
    pub site: Option<&'a str>,
    /// Whether a person has followed a link to a page (`Sec-Fetch-Mode: navigate`), which reads and changes nothing.
    pub is_visit: bool,
}

/// From where requests may come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origins {
    /// `gateway.cors_origins`.
    listed: Vec<String>,
    /// Whether anybody who can connect may ask.
    is_open: bool,
}

/// What is to be done with a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It may come in.
    Pass,
    /// It may come in, and the page of its origin may read the answer.
    Shared,
    /// It comes from a page of another site.
    CrossSite,
    /// It means a host that this is not.
    StrangeHost,
}

impl Origins {
    /// The pages of these origins may, `*` being all; `is_open` says that no key is asked for.
    #[must_use]
    pub fn new(listed: &[String], is_open: bool) -> Self {
        Self { listed: listed.iter().map(|origin| origin.trim_end_matches('/').to_owned()).collect(), is_open }
    }

    /// Whether the pages of this origin may.
    #[must_use]
    pub fn lists(&self, origin: &str) -> bool {
        self.listed.iter().any(|listed| listed == "*" || listed.eq_ignore_ascii_case(origin))
    }

    /// What is to be done with a request that says this.
    #[must_use]
    pub fn verdict(&self, claim: Claim<'_>) -> Verdict {
        match claim.origin {
            Some(origin) if self.lists(origin) => return Verdict::Shared,
            Some(origin) if !claim.host.is_some_and(|host| is_same(origin, host)) => return Verdict::CrossSite,
            Some(_) => {}
            // An image, a form or a link of another page says no origin.
            None if !claim.is_visit && matches!(claim.site, Some("cross-site" | "same-site")) => {
                return Verdict::CrossSite;
            }
            None => {}
        }
        // Whoever has a key is nobody's page: the key is no cookie that a browser adds by itself.
        let is_known = !self.is_open || claim.host.is_none_or(|host| self.knows(host));
        if is_known { Verdict::Pass } else { Verdict::StrangeHost }
    }

    /// Whether a `Host` can mean this machine and nothing else.
    fn knows(&self, host: &str) -> bool {
        let name = name_of(host).to_ascii_lowercase();
        let name = name.trim_end_matches('.');
        let is_private = PRIVATE_ENDINGS.iter().any(|ending| name.ends_with(ending));
        let of_listed = |listed: &String| {
            listed.split_once("://").is_some_and(|(_, authority)| name_of(authority).eq_ignore_ascii_case(name))
        };
        // A name without a dot is one of this machine or of its own network: nobody can register it. What that leaves open,
        // and why, stands in docs/gateway.md.
        is_address(name) || !name.contains('.') || is_private || self.listed.iter().any(of_listed)
    }
}

/// Whether an origin is the one of this `Host`, by name and port.
fn is_same(origin: &str, host: &str) -> bool {
    let Some((scheme, authority)) = origin.split_once("://") else { return false };
    let default = match scheme {
        "http" => ":80",
        "https" => ":443",
        _ => return false,
    };
    let bare = |text: &str| text.strip_suffix(default).unwrap_or(text).to_ascii_lowercase();
    bare(authority) == bare(host)
}

/// An authority without its port.
fn name_of(authority: &str) -> &str {
    match authority.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) && !name.ends_with(':') => name,
        _ => authority,
    }
}

fn is_address(name: &str) -> bool {
    let inner = name.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(name);
    inner.parse::<IpAddr>().is_ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn origins(listed: &[&str], is_open: bool) -> Origins {
        Origins::new(&listed.iter().map(|&origin| origin.to_owned()).collect::<Vec<_>>(), is_open)
    }

    fn page<'a>(host: &'a str, origin: &'a str) -> Claim<'a> {
        Claim { host: Some(host), origin: Some(origin), site: Some("cross-site"), is_visit: false }
    }

    #[test]
    fn a_program_and_a_page_of_its_own_may_come_in_and_no_other_page() {
        let none = origins(&[], true);
        assert_eq!(none.verdict(Claim { host: Some("127.0.0.1:8484"), ..Claim::default() }), Verdict::Pass);
        assert_eq!(none.verdict(Claim::default()), Verdict::Pass, "HTTP/1.0");
        for (host, origin) in [
            ("localhost:8484", "http://localhost:8484"),
            ("localhost", "http://localhost"),
            ("localhost:80", "http://localhost"),
            ("LocalHost:8484", "http://localhost:8484"),
            ("[::1]:8484", "http://[::1]:8484"),
        ] {
            assert_eq!(none.verdict(page(host, origin)), Verdict::Pass, "{origin} at {host}");
        }
        for (host, origin) in [
            ("localhost:8484", "http://localhost:3000"),
            ("localhost:8484", "https://localhost"),
            ("localhost:8484", "http://localhost.evil.example:8484"),
            ("127.0.0.1:8484", "http://localhost:8484"),
            ("localhost:8484", "null"),
            ("localhost:8484", ""),
            ("localhost:8484", "file://localhost:8484"),
            ("localhost:8484", "http://evil.example, http://localhost:8484"),
        ] {
            assert_eq!(none.verdict(page(host, origin)), Verdict::CrossSite, "{origin} at {host}");
        }
    }

    #[test]
    fn an_origin_that_is_listed_may_read_the_answer() {
        let listed = origins(&["https://chat.example", "app://desk/"], true);
        for origin in ["https://chat.example", "https://CHAT.example", "app://desk"] {
            assert_eq!(listed.verdict(page("127.0.0.1:8484", origin)), Verdict::Shared, "{origin}");
        }
        for origin in ["http://chat.example", "https://chat.example:444", "https://chat.example.evil", "*"] {
            assert_eq!(listed.verdict(page("127.0.0.1:8484", origin)), Verdict::CrossSite, "{origin}");
        }
        assert_eq!(origins(&["*"], false).verdict(page("a", "null")), Verdict::Shared);
    }

    #[test]
    fn an_image_of_another_page_is_told_from_a_link_that_a_person_follows() {
        let none = origins(&[], true);
        let claim = |site, is_visit| Claim { host: Some("localhost:1"), origin: None, site: Some(site), is_visit };
        for site in ["cross-site", "same-site"] {
            assert_eq!(none.verdict(claim(site, false)), Verdict::CrossSite);
            assert_eq!(none.verdict(claim(site, true)), Verdict::Pass);
        }
        for site in ["same-origin", "none", "something new"] {
            assert_eq!(none.verdict(claim(site, false)), Verdict::Pass);
        }
    }

    #[test]
    fn without_a_key_a_host_must_be_one_that_only_this_machine_can_be() {
        let open = origins(&["https://box.example:8443"], true);
        let host = |host| open.verdict(Claim { host: Some(host), ..Claim::default() });
        for known in [
            "127.0.0.1",
            "192.168.0.2:8484",
            "[::1]:8484",
            "[fe80::1]",
            "localhost",
            "localhost.:8484",
            "a.localhost",
            "box",
            "greenroom:8484",
            "box.local:8484",
            "host.docker.internal:8484",
            "BOX.example:1",
        ] {
            assert_eq!(host(known), Verdict::Pass, "{known}");
        }
        for strange in [
            "evil.example",
            "evil.example:8484",
            "127.0.0.1.evil.example",
            "localhost.evil.example:1",
            "local.evil",
            "[::1].evil.example",
            "evil.example.",
            "1.2.3",
        ] {
            assert_eq!(host(strange), Verdict::StrangeHost, "{strange}");
            let own = format!("http://{strange}");
            assert_eq!(open.verdict(page(strange, &own)), Verdict::StrangeHost, "its own origin is of no help");
            let closed = origins(&[], false).verdict(Claim { host: Some(strange), ..Claim::default() });
            assert_eq!(closed, Verdict::Pass, "with keys a name is no secret");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn no_text_opens_what_is_closed(host in "\\PC{0,30}", origin in "\\PC{0,30}") {
            let verdict = origins(&[], true).verdict(page(&host, &origin));
            let is_own = origin.split_once("://").is_some_and(|(scheme, rest)| {
                ["http", "https"].contains(&scheme) && rest.get(..1).is_none_or(|c| host.to_lowercase().starts_with(&c.to_lowercase()))
            });
            prop_assert!(verdict == Verdict::CrossSite || is_own, "{host:?} {origin:?}: {verdict:?}");
        }
    }
}
