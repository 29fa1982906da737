//! A request on its way to its service and the answer on its way back.

use std::future::Future;

use actix_web::{HttpRequest, HttpResponse, http::Method};
use greenroom_actors::{assembly::Supervised, gate::Permit};
use tokio::sync::watch;

use super::{
    desk::Desk,
    headers::Way,
    outgoing::Outgoing,
    refusal::{not_loaded, not_sent, upstream_closed},
    relay::{Stay, relay},
    routes::Doorway,
    upstream::{pool::Unanswered, request::to_service},
};
use crate::{
    gateway::errors::ApiError,
    runtime::{RunEndpoint, enter},
};

impl Doorway {
    /// Sends a request on as soon as the service can be used, and its answer back. Where the run has ended before anything
    /// was sent to it, and that was not known yet, the next one is asked.
    ///
    /// # Errors
    /// When the service cannot be used, or gives no answer.
    pub async fn pass(
        &self,
        request: &HttpRequest,
        service: &Supervised,
        path: &str,
        body: Outgoing,
        desk: &Desk,
    ) -> Result<HttpResponse, ApiError> {
        let guest = self.closing.subscribe();
        let is_head = *request.method() == Method::HEAD;
        let mut request = to_service(request.head(), path, body, &self.way(request))?;
        loop {
            let (endpoint, permit) = self.enter(&guest, request.method().as_str(), path, service).await?;
            let pool = desk.upstreams.of(&endpoint).map_err(|error| upstream_closed(&error))?;
            match pool.send(request).await {
                Ok((answer, lent)) => return relay(answer, is_head, Stay::new(lent, permit, guest)),
                Err(Unanswered::Failed(error)) => return Err(not_sent(&error)),
                // Each turn takes a run that has ended, and the supervisor bounds how often it starts another.
                Err(Unanswered::NotSent(unsent, error)) => {
                    drop(permit);
                    if !self.runtime.has_ended(&endpoint).await {
                        return Err(upstream_closed(&error));
                    }
                    request = *unsent;
                }
            }
        }
    }

    /// Where to go: with a permit, after a load if need be; or, for what is no work, beside the gate.
    async fn enter(
        &self,
        guest: &watch::Receiver<bool>,
        method: &str,
        path: &str,
        service: &Supervised,
    ) -> Result<(RunEndpoint, Option<Permit>), ApiError> {
        if *guest.borrow() {
            return Err(ApiError::stopping());
        }
        let (spec, bare) = (&service.spec, path.split('?').next().unwrap_or(path));
        if !spec.memory.wake_on.iter().any(|rule| rule.matches(method, bare)) {
            return match self.runtime.look_in(spec.name.as_str()) {
                Some(endpoint) => Ok((endpoint, None)),
                None => Err(not_loaded(&spec.name, method, bare)),
            };
        }
        let admitted = match enter(service) {
            Some(admitted) => admitted,
            None => {
                let admission = self.runtime.admit(spec.name.as_str(), Some(self.spec.max_wait));
                unless_closing(guest.clone(), admission).await??
            }
        };
        Ok((admitted.endpoint, Some(admitted.permit)))
    }

    fn way<'a>(&self, request: &'a HttpRequest) -> Way<'a> {
        Way {
            peer: request.peer_addr().map(|address| address.ip()),
            keeps_key: !self.spec.api_keys.is_empty(),
            host: request.headers().get("host").map(|host| host.as_bytes()),
        }
    }
}

/// Waits for `wait`, but no longer than the door is open.
async fn unless_closing<T>(mut closing: watch::Receiver<bool>, wait: impl Future<Output = T>) -> Result<T, ApiError> {
    tokio::select! {
        biased;
        _closed = closing.wait_for(|closing| *closing) => Err(ApiError::stopping()),
        done = wait => Ok(done),
    }
}
