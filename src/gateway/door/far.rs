//! A request on its way to a remote and the answer on its way back.

use std::sync::Arc;

use actix_web::{
    HttpRequest, HttpResponse,
    http::header::{self, HeaderValue},
};
use futures_util::{FutureExt, future::LocalBoxFuture};
use greenroom_actors::remote::{Remote, Site};

use super::{
    accounting::Tab,
    events::Inquest,
    headers::Way,
    outgoing::Outgoing,
    relay::{Asked, Stay, relay},
    routes::Doorway,
};
use crate::gateway::{
    errors::ApiError,
    remotes::{self, Lent, Letter, Messenger, Passed, broken_off, counted},
};

impl Doorway {
    /// Sends a request on to one of the URLs of a remote, and its answer back.
    ///
    /// # Errors
    /// When none of them can be asked, or the one that was gives no answer.
    pub async fn pass_far(
        &self,
        request: &HttpRequest,
        remote: &Arc<Remote>,
        path: &str,
        body: Outgoing,
        messenger: &Messenger,
        tab: &Tab,
    ) -> Result<HttpResponse, ApiError> {
        tab.note(|account| {
            account.goes_to(remote.name());
            account.enters(true);
        });
        // From here on whoever closes the door waits for this one.
        let guest = self.closing.subscribe();
        if *guest.borrow() {
            return Err(ApiError::stopping());
        }
        let way = Way {
            peer: request.peer_addr().map(|address| address.ip()),
            keeps_key: true,
            host: request.headers().get(header::HOST).map(HeaderValue::as_bytes),
        };
        let letter = Letter { head: request.head(), path, way, body: Lent::new(body) };
        let Passed { answer, site, in_flight } = remotes::pass(messenger, remote, letter).await?;
        let inquest = OfRemote { remote: Arc::clone(remote), site };
        let response = relay(answer, Asked::by(request.head(), path), Stay::new(None, None, guest), inquest)?;
        Ok(counted(response, in_flight))
    }
}

/// The inquest on an answer of a remote, of which nothing is known but what its connection says.
struct OfRemote {
    remote: Arc<Remote>,
    site: Arc<Site>,
}

impl Inquest for OfRemote {
    fn hold(self: Box<Self>, said: String) -> LocalBoxFuture<'static, ApiError> {
        async move { broken_off(&self.remote, &self.site, said) }.boxed_local()
    }
}
