//! Asks every URL of every remote for its health, again and again.

use std::{future::pending, sync::Arc, time::Duration};

use bytes::Bytes;
use greenroom_actors::{
    cause::chain,
    plain::without_query,
    remote::{Look, Remote, Remotes, Site, Turn},
    spec::RemoteSpec,
};
use http_body_util::Empty;
use hyper::{Request, header::AUTHORIZATION};
use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy::{Client, connect::HttpConnector};
use tokio::{task::JoinHandle, time::timeout};

use super::{client::Connector, written};

/// How long a look may take.
const ANSWER: Duration = Duration::from_secs(3);

type Asker = Client<HttpsConnector<HttpConnector>, Empty<Bytes>>;

/// Those who look. Dropped, they stop.
#[derive(Debug)]
pub struct Watchers(Vec<JoinHandle<()>>);

impl Drop for Watchers {
    fn drop(&mut self) {
        self.0.iter().for_each(JoinHandle::abort);
    }
}

/// Begins to look after all of them. Must be called inside an actix system, on whose thread it happens: a look is a small
/// request, and waits for nobody else.
#[must_use]
pub fn watch(remotes: &Remotes, connector: &Connector) -> Watchers {
    let asker = connector.single();
    let sites = remotes.iter().flat_map(|remote| remote.sites().iter().map(move |site| (remote, site)));
    let begin = |(remote, site): (&Arc<Remote>, &Arc<Site>)| {
        actix_rt::spawn(look_after(Arc::clone(remote), Arc::clone(site), asker.clone()))
    };
    Watchers(sites.map(begin).collect())
}

async fn look_after(remote: Arc<Remote>, site: Arc<Site>, asker: Asker) {
    let (path, any) = written::health_path(remote.spec());
    let Ok(request) = written(remote.spec(), site.url(), &path) else {
        // The configuration takes no such URL, nor has an engine such a path.
        return pending().await;
    };
    let path = without_query(&path);
    loop {
        let look = match timeout(ANSWER, asker.request(request.clone())).await {
            Ok(Ok(answer)) if answer.status().is_success() || any && !answer.status().is_server_error() => Look::Good,
            Ok(Ok(answer)) => Look::Bad(format!("GET {path} is answered by status {}", answer.status())),
            Ok(Err(error)) if error.is_connect() => Look::Refused(chain(&error)),
            Ok(Err(error)) => Look::Bad(chain(&error)),
            Err(_) => Look::Bad(format!("GET {path} is not answered within {ANSWER:?}")),
        };
        note(&remote, &site, look);
        tokio::time::sleep(site.pause(remote.spec().alive_interval)).await;
    }
}

fn written(spec: &RemoteSpec, url: &str, path: &str) -> Result<Request<Empty<Bytes>>, String> {
    let mut request = Request::new(Empty::new());
    *request.uri_mut() = written::target(url, path)?;
    request.headers_mut().extend(written::key(spec).map(|key| (AUTHORIZATION, key)));
    Ok(request)
}

/// Takes in what a look or a request has shown, and tells where that changes something.
pub(super) fn note(remote: &Remote, site: &Site, look: Look) {
    let why = match &look {
        Look::Good => String::new(),
        Look::Bad(why) | Look::Refused(why) => why.clone(),
    };
    match site.see(look) {
        Some(Turn::Out) => tracing::warn!(remote = %remote.name(), "{} gets no more requests: {why}", site.url()),
        Some(Turn::In) => tracing::info!(remote = %remote.name(), "{} gets requests again", site.url()),
        None => {}
    }
}
