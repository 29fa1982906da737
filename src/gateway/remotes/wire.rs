//! Requests of jobs to remotes, with TLS and the remote's key.

use std::sync::Arc;

use bytes::Bytes;
use greenroom_actors::{
    cause::chain,
    job_queue::runner::{
        far::FarWires,
        wire::{Answer, Letter, Sending, Wire, WireError},
    },
    remote::{Remote, Remotes, Site},
};
use http_body_util::Full;
use hyper::{
    Request,
    header::{AUTHORIZATION, HeaderValue},
};

use super::{client::Connector, written};

/// Speaks to remotes for jobs. A job's request has a connection of its own, which is closed with it.
#[derive(Debug)]
pub struct FarConnections(Connector);

impl FarConnections {
    /// For these remotes.
    #[must_use]
    pub fn new(remotes: &Remotes) -> Self {
        Self(Connector::new(remotes))
    }
}

impl FarWires for FarConnections {
    fn wire(&self, remote: &Arc<Remote>, site: &Arc<Site>) -> Arc<dyn Wire> {
        Arc::new(FarWire { connector: self.0.clone(), remote: Arc::clone(remote), site: Arc::clone(site) })
    }

    fn ask(&self, remote: &Arc<Remote>, method: &str, url: &str) -> Sending {
        let letter = Letter { method: method.to_owned(), path: url.to_owned(), body: Bytes::new() };
        let key = written::key(remote.spec()).filter(|_| written::is_its_own(remote.spec(), url));
        // It may hold a key, which is not for others to read.
        send(self.0.clone(), letter.request(url), key, "the URL of its reset".to_owned())
    }
}

/// Sends it, with the key, over a connection of its own. `place` is what errors call it.
fn send(
    connector: Connector,
    request: Result<Request<Full<Bytes>>, WireError>,
    key: Option<HeaderValue>,
    place: String,
) -> Sending {
    Box::pin(async move {
        let mut request = request?;
        request.headers_mut().extend(key.map(|key| (AUTHORIZATION, key)));
        let answer = connector.single().request(request).await.map_err(|error| match error.is_connect() {
            true => WireError::Refused { place, why: chain(&error) },
            false => WireError::Broken(chain(&error)),
        })?;
        let (head, body) = answer.into_parts();
        Ok(Answer::new(head.status.as_u16(), &head.headers, body))
    })
}

/// One URL.
#[derive(Debug)]
struct FarWire {
    connector: Connector,
    remote: Arc<Remote>,
    site: Arc<Site>,
}

impl Wire for FarWire {
    fn send(&self, letter: &Letter) -> Sending {
        let request = written::target(self.site.url(), &letter.path)
            .map_err(WireError::Unwritable)
            .and_then(|uri| letter.request(uri.to_string()));
        send(self.connector.clone(), request, written::key(self.remote.spec()), self.site.url().to_owned())
    }
}
