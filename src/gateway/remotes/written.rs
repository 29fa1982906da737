//! What is asked of a remote, and what is said where it gives no answer. Pure.

use greenroom_actors::{probe::Probe, remote::Remote, spec::RemoteSpec};
use hyper::{
    HeaderMap, Uri,
    header::{AUTHORIZATION, HOST, HeaderName, HeaderValue},
};

/// What every server for models answers: the path that is asked for its health where its engine has none of its own.
const MODELS: &str = "/v1/models";

/// The path that is asked for the health of a remote, and whether any answer below 500 will do, or a good one alone.
#[must_use]
pub fn health_path(spec: &RemoteSpec) -> (String, bool) {
    match spec.engine.ready_probe() {
        Probe::Http(path) => (path, false),
        Probe::None | Probe::Tcp | Probe::Log(_) | Probe::Exec(_) | Probe::Delay(_) => (MODELS.to_owned(), true),
    }
}

/// Where a request goes: the URL of the remote with the path of the request after it, byte for byte.
///
/// # Errors
/// Why it cannot go there: a path that climbs out of the one in the URL, or that HTTP cannot say.
pub fn target(url: &str, path: &str) -> Result<Uri, String> {
    let has_path = url.split_once("://").is_some_and(|(_, rest)| rest.contains('/'));
    if has_path && climbs(path) {
        return Err("the path leads out of the remote's own".to_owned());
    }
    format!("{url}{path}").parse().map_err(|error| format!("{error}"))
}

/// Whether a part of a path is `..`, written as dots or percent-encoded.
fn climbs(path: &str) -> bool {
    let bare = path.split(['?', '#']).next().unwrap_or_default().to_ascii_lowercase();
    // Some servers take a backslash for a slash.
    let plain = bare.replace("%2e", ".").replace("%2f", "/").replace("%5c", "/").replace('\\', "/");
    plain.split('/').any(|part| part == "..")
}

/// The headers of a request as they go to a remote. The client's key is for this door alone; the remote's stands in its
/// place, and the host is the remote's own.
#[must_use]
pub fn headers(mut headers: HeaderMap, spec: &RemoteSpec) -> HeaderMap {
    headers.remove(HOST);
    headers.remove(AUTHORIZATION);
    headers.remove(HeaderName::from_static("x-api-key"));
    headers.extend(key(spec).map(|key| (AUTHORIZATION, key)));
    headers
}

/// The remote's key as a header's value.
#[must_use]
pub fn key(spec: &RemoteSpec) -> Option<HeaderValue> {
    let key = spec.api_key.as_ref()?;
    // The configuration takes no other keys than such as can be sent.
    let mut value = HeaderValue::from_str(&format!("Bearer {key}")).ok()?;
    value.set_sensitive(true);
    Some(value)
}

/// Whether a URL is on the server of one of the remote's own, by scheme, host and port: others do not get its key.
#[must_use]
pub fn is_its_own(spec: &RemoteSpec, url: &str) -> bool {
    let server = |url: &str| {
        let url: Uri = url.parse().ok()?;
        let scheme = url.scheme_str()?.to_ascii_lowercase();
        let port = url.port_u16().unwrap_or(if scheme == "https" { 443 } else { 80 });
        Some((scheme, url.host()?.to_ascii_lowercase(), port))
    };
    server(url).is_some_and(|asked| spec.urls.iter().any(|own| server(own).as_ref() == Some(&asked)))
}

/// What each URL of a remote that nobody can ask has said last.
#[must_use]
pub fn all_out(remote: &Remote) -> String {
    let say = |site: &greenroom_actors::remote::SiteView| {
        format!("{}: {}", site.url, site.last_error.as_deref().unwrap_or("not tried"))
    };
    let said: Vec<String> = remote.sites().iter().map(|site| say(&site.view())).collect();
    format!("no URL of the remote `{}` can be asked: {}", remote.name(), said.join("; "))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use greenroom_actors::{engines::Engines, spec::Balance};

    use super::*;

    fn spec(engine: &str, api_key: Option<&str>) -> RemoteSpec {
        RemoteSpec {
            name: "pod".parse().expect("a name"),
            urls: vec!["http://a".to_owned()],
            engine: Engines::built_in().named(engine).expect("an engine"),
            serves: Vec::new(),
            balance: Balance::LeastBusy,
            api_key: api_key.map(str::to_owned),
            alive_interval: Duration::from_secs(1),
            cleanup: Default::default(),
            reset: Default::default(),
        }
    }

    #[test]
    fn each_engine_is_asked_its_own_way() {
        for (engine, path, any) in [
            ("llama-server", "/health", false),
            ("vllm", "/health", false),
            ("a1111", "/internal/ping", false),
            ("comfyui", "/system_stats", false),
            ("sd-server", "/v1/models", false),
            ("generic", "/v1/models", true),
        ] {
            assert_eq!(health_path(&spec(engine, None)), (path.to_owned(), any), "{engine}");
        }
    }

    #[test]
    fn the_path_follows_the_url_byte_for_byte() {
        let target = |url, path| target(url, path).map(|uri| uri.to_string());
        for path in ["/", "/v1/chat/completions", "/a%2Fb/../..//c;d=1?x=%20&y", "//evil.example/x"] {
            assert_eq!(target("http://a:1", path), Ok(format!("http://a:1{path}")), "{path}");
        }
        assert_eq!(target("https://a/base", "/x?y=/../"), Ok("https://a/base/x?y=/../".to_owned()));
        for path in ["/..", "/x/../../y", "/%2e%2E/y", "/x/..%2Fy", "/.%2e?x", "/x/..\\y"] {
            assert!(target("https://a/base", path).is_err(), "{path}");
        }
        assert!(target("https://a/base", "/...").is_ok() && target("https://a", "/a b").is_err());
    }

    #[test]
    fn the_remotes_key_stands_in_the_place_of_the_clients() {
        let client = || {
            let pairs = [("host", "door"), ("authorization", "Bearer mine"), ("x-api-key", "mine"), ("x-a", "1")];
            pairs.into_iter().map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
        };
        let sent = headers(client().collect(), &spec("generic", Some("theirs")));
        assert_eq!(sent.get("authorization").map(HeaderValue::as_bytes), Some(&b"Bearer theirs"[..]));
        assert_eq!((sent.len(), sent.get("x-a").is_some()), (2, true));
        assert!(!format!("{sent:?}").contains("theirs"), "it is not shown");
        let sent = headers(client().collect(), &spec("generic", None));
        assert_eq!(sent.keys().map(HeaderName::as_str).collect::<Vec<_>>(), ["x-a"]);
    }
}
