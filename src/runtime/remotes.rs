//! What the API shows of remotes.

use greenroom_actors::{
    ids::ServiceName,
    remote::{Remote, Remotes, SiteView},
    spec::Balance,
};
use serde::Serialize;

use super::RuntimeHandle;

/// One of `GET /api/remotes`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RemoteView {
    /// Its name.
    pub name: ServiceName,
    /// What kind of program it is.
    pub engine: String,
    /// Names that clients use for it.
    pub serves: Vec<String>,
    /// `least_busy` or `round_robin`.
    pub balance: &'static str,
    /// `in` as long as one of its URLs gets requests, else `out`.
    pub state: &'static str,
    /// Requests on their way to it.
    pub in_flight: u32,
    /// Its URLs, in the order of the configuration.
    pub urls: Vec<UrlView>,
}

/// A URL of a remote.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct UrlView {
    /// The URL.
    pub url: String,
    /// `in` while it gets requests, else `out`.
    pub state: &'static str,
    /// Requests on their way to it.
    pub in_flight: u32,
    /// What was wrong when something was wrong last.
    pub last_error: Option<String>,
}

impl RuntimeHandle {
    /// The remotes, as the door uses them.
    #[must_use]
    pub fn remotes(&self) -> &Remotes {
        &self.inner.remotes
    }

    pub(super) fn remote_views(&self) -> Vec<RemoteView> {
        self.remotes().iter().map(|remote| RemoteView::new(remote)).collect()
    }
}

impl RemoteView {
    fn new(remote: &Remote) -> Self {
        let urls: Vec<UrlView> = remote.sites().iter().map(|site| site.view().into()).collect();
        let spec = remote.spec();
        Self {
            name: spec.name.clone(),
            engine: spec.engine.name().to_owned(),
            serves: spec.serves.clone(),
            balance: match spec.balance {
                Balance::LeastBusy => "least_busy",
                Balance::RoundRobin => "round_robin",
            },
            state: state(urls.iter().any(|url| url.state == IN)),
            in_flight: urls.iter().map(|url| url.in_flight).sum(),
            urls,
        }
    }
}

const IN: &str = "in";

fn state(is_in: bool) -> &'static str {
    if is_in { IN } else { "out" }
}

impl From<SiteView> for UrlView {
    fn from(SiteView { url, is_in, in_flight, last_error }: SiteView) -> Self {
        Self { url, state: state(is_in), in_flight, last_error }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use greenroom_actors::{engines::EngineRef, remote::Look, spec::RemoteSpec};

    use super::*;

    #[test]
    fn a_remote_is_in_as_long_as_one_of_its_urls_is() {
        let spec = RemoteSpec {
            name: "pod".parse().expect("a name"),
            urls: vec!["http://a".to_owned(), "http://b".to_owned()],
            engine: EngineRef::generic(),
            serves: vec!["realistic".to_owned()],
            balance: Balance::RoundRobin,
            api_key: Some("sk-pod".to_owned()),
            alive_interval: Duration::from_secs(1),
            cleanup: Default::default(),
            reset: Default::default(),
        };
        let remotes = Remotes::new(&[spec]);
        let remote = remotes.find("pod").expect("it is there");
        let states = || {
            let view = RemoteView::new(&remote);
            (view.state, view.urls.iter().map(|url| url.state).collect::<Vec<_>>(), view.in_flight)
        };
        assert_eq!(states(), ("in", vec!["in", "in"], 0));
        let (site, _in_flight) = remote.enter(&[]).expect("somebody is in");
        site.see(Look::Refused("nobody listens".to_owned()));
        assert_eq!(states(), ("in", vec!["out", "in"], 1));
        remote.sites()[1].see(Look::Refused("nobody listens".to_owned()));
        assert_eq!(states(), ("out", vec!["out", "out"], 1));
        let json = serde_json::to_value(RemoteView::new(&remote)).expect("JSON");
        assert_eq!((&json["engine"], &json["balance"]), (&"generic".into(), &"round_robin".into()));
        assert_eq!(json["urls"][0]["last_error"], "nobody listens");
        assert!(!json.to_string().contains("sk-pod"));
    }
}
