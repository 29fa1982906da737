//! Requests of jobs to remotes, with TLS and the remote's key.

use std::sync::Arc;

use greenroom_actors::{
    cause::chain,
    job_queue::runner::{
        far::FarWires,
        wire::{Answer, Letter, Sending, Wire, WireError},
    },
    remote::{Remote, Remotes, Site},
};
use hyper::header::AUTHORIZATION;

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
        let (connector, key, place) =
            (self.connector.clone(), written::key(self.remote.spec()), self.site.url().to_owned());
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
}
