//! The paths of the door.

use std::{cell::Cell, future::Future, rc::Rc, sync::Arc};

use actix_web::{
    HttpRequest, HttpResponse,
    http::{ConnectionType, StatusCode, header::HeaderMap},
    web::{self, Data, Payload, ServiceConfig},
};
use bytes::Bytes;
use futures_util::FutureExt;
use greenroom_actors::{assembly::Supervised, gate::Permit, spec::GatewaySpec};
use tokio::sync::watch;

use super::{
    events::OfRun,
    headers::has_body,
    keys,
    loading::{self, Errand, Fetched},
    names::{self, Candidate},
    outgoing::{BodyError, Outgoing, collect},
    refusal::{not_loaded, not_sent, unauthorized},
    relay::{Asked, Stay, relay},
    upstream::{Upstreams, to_service},
    websocket::{self, Unanswered},
};
use crate::{
    gateway::errors::ApiError,
    runtime::{RunEndpoint, RuntimeHandle},
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
    if websocket::is_wanted(request.head())? {
        return Err(ApiError::bad_param("headers", "there is no WebSocket here"));
    }
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
    let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
    let Some((name, path)) = names::upstream(path) else {
        return Err(ApiError::bad_param("path", "the path names no service: /upstream/{service}/{path}"));
    };
    let services = door.runtime.services();
    let target = names::find(&name, &candidates(&services))?.name;
    if websocket::is_wanted(request.head())? {
        return door.connect(&request, payload, target, &path).await;
    }
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

    /// Sends a request on as soon as the service can be used, and its answer back. Whoever wants a stream and waits for
    /// long is told how it stands meanwhile.
    async fn pass(
        &self,
        request: &HttpRequest,
        service: &str,
        path: &str,
        body: Outgoing,
        upstreams: &Data<Upstreams>,
    ) -> Answer {
        let asked = Asked::by(request.head(), path);
        let may_be_told = self.spec.loading_comments && self.runtime.look_in(service).is_none();
        let Some(whole) = body.whole().filter(|_| may_be_told) else {
            let fetched = self.fetch(request, service, path, body, upstreams, &Cell::default()).await?;
            return relay(fetched.answer, asked, fetched.stay, fetched.inquest);
        };
        let is_in = Rc::new(Cell::new(false));
        let mut errand: Errand = {
            let (door, request, upstreams) = (self.clone(), request.clone(), upstreams.clone());
            let (service, path, is_in) = (service.to_owned(), path.to_owned(), Rc::clone(&is_in));
            async move { door.fetch(&request, &service, &path, body, &upstreams, &is_in).await }.boxed_local()
        };
        let in_time = tokio::time::timeout(loading::PATIENCE, &mut errand).await;
        let fetched = match in_time {
            Ok(fetched) => fetched?,
            Err(_) if is_in.get() || !loading::wants_stream(&whole) => errand.await?,
            Err(_) => {
                let status = self.runtime.watch(service).map_err(ApiError::from)?;
                return Ok(loading::telling(errand, status, asked));
            }
        };
        relay(fetched.answer, asked, fetched.stay, fetched.inquest)
    }

    /// The answer of a service, from when it can be used. Where its run has ended before anything was sent to it, and that
    /// was not known yet, the next one is asked. `is_in` is set as soon as it is not waited for any more.
    async fn fetch(
        &self,
        request: &HttpRequest,
        service: &str,
        path: &str,
        body: Outgoing,
        upstreams: &Upstreams,
        is_in: &Cell<bool>,
    ) -> Result<Fetched, ApiError> {
        let guest = self.closing.subscribe();
        let (mut body, mut is_first) = (body, true);
        loop {
            let (endpoint, permit) = unless_closing(guest.clone(), self.enter(request, service, path)).await??;
            is_in.set(true);
            let again = if is_first { body.again() } else { None };
            let sent = to_service(request.head(), path, &endpoint, body)?;
            let error = match upstreams.of(&endpoint.service, endpoint.run).request(sent).await {
                Ok(answer) => {
                    let inquest = OfRun { runtime: self.runtime.clone(), endpoint };
                    return Ok(Fetched { answer, stay: Stay::new(permit, guest), inquest });
                }
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

    /// A WebSocket of a service, or what it says instead.
    async fn connect(&self, request: &HttpRequest, client: Payload, service: &str, path: &str) -> Answer {
        let guest = self.closing.subscribe();
        let mut is_first = true;
        let (answer, endpoint, permit) = loop {
            let (endpoint, permit) = unless_closing(guest.clone(), self.enter(request, service, path)).await??;
            let sent = to_service(request.head(), path, &endpoint, Outgoing::Whole(Bytes::new()))?;
            let port = endpoint.port.unwrap_or_default();
            let error = match unless_closing(guest.clone(), websocket::handshake(sent, port)).await? {
                Ok(answer) => break (answer, endpoint, permit),
                Err(error) => error,
            };
            drop(permit);
            let is_gone = matches!(error, Unanswered::Connect(_)) && self.runtime.has_ended(&endpoint).await;
            if !is_gone || !is_first {
                return Err(not_sent(&error));
            }
            is_first = false;
        };
        if answer.status() != hyper::StatusCode::SWITCHING_PROTOCOLS {
            // The server takes all that comes on this connection for the WebSocket, so it ends with this answer.
            let asked = Asked { takes_chunks: false, ..Asked::by(request.head(), path) };
            let inquest = OfRun { runtime: self.runtime.clone(), endpoint };
            let mut response = relay(answer, asked, Stay::new(permit, guest), inquest)?;
            response.head_mut().set_connection_type(ConnectionType::Close);
            return Ok(response);
        }
        drop(permit);
        let (runtime, mut closing) = (self.runtime.clone(), guest);
        let over = async move {
            tokio::select! {
                // An error means that the door has gone.
                _ = closing.wait_for(|closing| *closing) => {}
                () = runtime.is_leaving(&endpoint) => {}
            }
        };
        websocket::tunnel(answer, client, over).await
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
            let admitted = self.runtime.admit(service, Some(self.spec.max_wait)).await?;
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
