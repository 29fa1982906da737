//! The paths of the door.

use std::{future::Future, sync::Arc};

use actix_web::{
    HttpRequest, HttpResponse,
    http::{
        Method, StatusCode,
        header::{HeaderMap, HeaderValue},
    },
    web::{self, Data, Payload, ServiceConfig},
};
use bytes::Bytes;
use greenroom_actors::{assembly::Supervised, gate::Permit, spec::GatewaySpec};
use tokio::sync::watch;

use super::{
    headers::{has_body, wants_websocket},
    keys,
    names::{self, Candidate},
    outgoing::{BodyError, Outgoing, collect},
    priority,
    refusal::{no_upgrade, not_loaded, not_sent, unauthorized},
    relay::{Stay, relay},
    upstream::{Upstreams, to_service},
};
use crate::{
    gateway::errors::ApiError,
    runtime::{Arrival, RunEndpoint, RuntimeHandle},
};

/// What every route has at hand.
#[derive(Debug, Clone)]
pub struct Doorway {
    /// The runtime.
    pub runtime: RuntimeHandle,
    /// How the door is configured.
    pub spec: Arc<GatewaySpec>,
    /// Turns to `true` when the door closes: who waits for a service is sent away then. Each receiver is a request whose
    /// answer has not ended.
    pub closing: watch::Sender<bool>,
}

type Answer = Result<HttpResponse, ApiError>;

/// Adds every path; a [`Doorway`] and the worker's `Upstreams` must be there as app data.
pub fn routes(app: &mut ServiceConfig) {
    app.route("/health", web::get().to(|| async { "OK" }))
        .route("/v1/chat/completions", web::post().to(chat))
        .route("/upstream/{service:[^/]*}", web::route().to(upstream))
        .route("/upstream/{service:[^/]*}/{path:.*}", web::route().to(upstream))
        .default_service(web::to(nothing_here));
}

/// Who comes without a key learns nothing of what there is.
async fn nothing_here(request: HttpRequest, door: Data<Doorway>) -> Answer {
    door.check_key(request.headers())?;
    let message = format!("there is nothing at {} {}", request.method(), request.path());
    Err(ApiError::new(StatusCode::NOT_FOUND, "not_found", message))
}

/// To the service that the body names. The body is taken in whole, since the name may stand at its end.
async fn chat(request: HttpRequest, payload: Payload, door: Data<Doorway>, upstreams: Data<Upstreams>) -> Answer {
    door.check_key(request.headers())?;
    door.check_length(request.headers())?;
    let body = collect(payload, door.spec.max_body.0).await?;
    let services = door.runtime.services();
    let target = {
        let header = request.headers().get("x-model").and_then(|name| name.to_str().ok());
        let said = [names::model(&body), header.map(Into::into)];
        let said = [said[0].as_deref(), said[1].as_deref()];
        names::choose(said, &door.spec.default_model, &candidates(&services))?.name
    };
    let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
    door.pass(&request, target, path, Outgoing::Whole(body), &upstreams).await
}

/// To the service that the path names, with whatever follows.
async fn upstream(request: HttpRequest, payload: Payload, door: Data<Doorway>, upstreams: Data<Upstreams>) -> Answer {
    door.check_key(request.headers())?;
    door.check_length(request.headers())?;
    if wants_websocket(request.headers()) {
        return Err(no_upgrade());
    }
    let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
    let Some((name, path)) = names::upstream(path) else {
        return Err(ApiError::bad_param("path", "the path names no service: /upstream/{service}/{path}"));
    };
    let services = door.runtime.services();
    let target = names::find(&name, &candidates(&services))?.name;
    let body = if has_body(request.headers()) {
        Outgoing::forward(payload, door.spec.max_body.0)
    } else {
        Outgoing::Whole(Bytes::new())
    };
    door.pass(&request, target, &path, body, &upstreams).await
}

impl Doorway {
    fn check_key(&self, headers: &HeaderMap) -> Result<(), ApiError> {
        let keys = &self.spec.api_keys;
        if keys.is_empty() {
            return Ok(());
        }
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        let brought = keys::brought(text("authorization"), text("x-api-key"));
        let opens = brought.is_some_and(|key| keys::is_one_of(keys, &key));
        if opens { Ok(()) } else { Err(unauthorized()) }
    }

    /// Refuses a body before it is sent where its length is told.
    fn check_length(&self, headers: &HeaderMap) -> Result<(), ApiError> {
        let length = headers.get("content-length").and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
        let most = self.spec.max_body.0;
        if length.is_some_and(|length| length > most) {
            return Err(BodyError::TooLarge(most).into());
        }
        Ok(())
    }

    /// Sends a request on as soon as the service can be used, and its answer back. Where the run has ended before anything
    /// was sent to it, and that was not known yet, the next one is asked.
    async fn pass(
        &self,
        request: &HttpRequest,
        service: &str,
        path: &str,
        body: Outgoing,
        upstreams: &Upstreams,
    ) -> Answer {
        let guest = self.closing.subscribe();
        let (mut body, mut is_first) = (body, true);
        loop {
            let (endpoint, permit) = unless_closing(guest.clone(), self.enter(request, service, path)).await??;
            let again = if is_first { body.again() } else { None };
            let sent = to_service(request.head(), path, &endpoint, body)?;
            let error = match upstreams.of(&endpoint.service, endpoint.run).request(sent).await {
                Ok(answer) => return relay(answer, *request.method() == Method::HEAD, Stay::new(permit, guest)),
                Err(error) => error,
            };
            drop(permit);
            match again {
                Some(again) if error.is_connect() && self.runtime.has_ended(&endpoint).await => {
                    (body, is_first) = (again, false);
                }
                _ => return Err(not_sent(&error)),
            }
        }
    }

    /// Where to go: with a permit, after a load if need be; or, for what is no work, beside the gate.
    async fn enter(
        &self,
        request: &HttpRequest,
        service: &str,
        path: &str,
    ) -> Result<(RunEndpoint, Option<Permit>), ApiError> {
        let (method, bare) = (request.method().as_str(), path.split('?').next().unwrap_or(path));
        let spec = self.runtime.find(service).map_err(ApiError::from)?.spec;
        if spec.memory.wake_on.iter().any(|rule| rule.matches(method, bare)) {
            // Where keys are asked for, whoever has come so far has one.
            let said = request.headers().get(priority::HEADER).map(HeaderValue::as_bytes);
            let priority = priority::of(said, !self.spec.api_keys.is_empty())?;
            let arrival = Arrival { priority, max_wait: Some(self.spec.max_wait) };
            let admitted = self.runtime.admit(service, arrival).await?;
            return Ok((admitted.endpoint, Some(admitted.permit)));
        }
        match self.runtime.look_in(service) {
            Some(endpoint) => Ok((endpoint, None)),
            None => Err(not_loaded(&spec.name, method, bare)),
        }
    }
}

/// The services that requests can go to: those with a port.
fn candidates(services: &[Supervised]) -> Vec<Candidate<'_>> {
    let with_port = services.iter().filter(|service| service.spec.port.is_some());
    with_port.map(|service| Candidate { name: service.spec.name.as_str(), serves: &service.spec.serves }).collect()
}

/// Waits for `wait`, but no longer than the door is open.
async fn unless_closing<T>(mut closing: watch::Receiver<bool>, wait: impl Future<Output = T>) -> Result<T, ApiError> {
    tokio::select! {
        biased;
        _closed = closing.wait_for(|closing| *closing) => Err(ApiError::stopping()),
        done = wait => Ok(done),
    }
}
