//! Sends JSON to a URL that is no remote of ours.

use bytes::Bytes;
use greenroom_actors::{
    cause::chain,
    watchdog::notify::{Post, Posting},
};
use http_body_util::Full;
use hyper::{Method, Request, header::CONTENT_TYPE};

use super::client::Connector;

/// Sends alerts to a webhook, each over a connection of its own: they are rare.
#[derive(Debug)]
pub struct Postman(Connector);

impl Postman {
    /// For this URL. The system's certificates are read if it speaks TLS.
    #[must_use]
    pub fn for_url(url: &str) -> Self {
        Self(Connector::for_urls([url]))
    }
}

impl Post for Postman {
    fn post(&self, url: &str, json: Bytes) -> Posting {
        let request = Request::builder().method(Method::POST).uri(url).header(CONTENT_TYPE, "application/json");
        let (request, client) = (request.body(Full::new(json)), self.0.single());
        Box::pin(async move {
            let answer =
                client.request(request.map_err(|error| chain(&error))?).await.map_err(|error| chain(&error))?;
            // Redirects are not followed; one that takes the news elsewhere has taken it.
            match answer.status() {
                status if status.as_u16() < 400 => Ok(()),
                status => Err(format!("it answers with status {status}")),
            }
        })
    }
}
