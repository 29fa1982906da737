//! The paths of the door.

use std::sync::Arc;

use actix_web::{
    HttpRequest, HttpResponse, Route,
    guard::fn_guard,
    http::{
        Method,
        header::{self, HeaderName, HeaderValue},
    },
    web::{self, Data, Payload, ServiceConfig},
};
use greenroom_actors::spec::GatewaySpec;
use tokio::sync::watch;

use super::{
    accounting::Tab,
    desk::{Desk, Target},
    headers::{X_MODEL, X_PRIORITY, has_body},
    jobs::{Call, Maker, Works, not_there},
    model::{Scan, in_query},
    names,
    outgoing::{BodyError, Outgoing},
    priority,
    table::Wanted,
    websocket,
};
use crate::{
    gateway::{errors::ApiError, remotes::Messenger},
    runtime::RuntimeHandle,
};

/// What every route has at hand.
#[derive(Debug, Clone)]
pub struct Doorway {
    /// The runtime.
    pub runtime: RuntimeHandle,
    /// Its jobs.
    pub works: Arc<dyn Works>,
    /// How the door is configured.
    pub spec: Arc<GatewaySpec>,
    /// Turns to `true` when the door closes: who waits for a service is sent away then. Each receiver is a request whose
    /// answer has not ended.
    pub closing: watch::Sender<bool>,
}

type Answer = Result<HttpResponse, ApiError>;

/// Adds every path; a [`Doorway`] and the worker's `Desk` must be there as app data. They are tried in this order.
pub fn routes(app: &mut ServiceConfig) {
    app.route("/v1/chat/completions", post().to(model))
        .route("/v1/completions", post().to(model))
        .route("/v1/responses", post().to(model))
        .route("/v1/messages", post().to(model))
        .route("/v1/messages/count_tokens", post().to(model))
        .route("/v1/embeddings", post().to(model))
        .route("/v1/rerank", post().to(model))
        .route("/v1/images/generations", post().to(model))
        .route("/v1/images/edits", post().to(model))
        .route("/v1/audio/speech", post().to(model))
        .route("/v1/audio/transcriptions", post().to(model))
        .route("/v1/audio/translations", post().to(model))
        .route("/infill", post().to(model))
        .route("/completion", post().to(model))
        .route("/props", web::route().to(model))
        .route("/slots", web::route().to(model))
        .route("/slots/{id}", web::route().to(model))
        .route("/sdapi/v1/{call:.*}", web::route().to(model))
        .route("/health", web::get().to(|| async { "OK" }))
        .route("/upstream/{service:[^/]*}", web::route().to(upstream))
        .route("/upstream/{service:[^/]*}/{path:.*}", web::route().to(upstream));
}

/// A route for POST. The guard of `web::post` writes down at each request which methods there are, for an answer that is
/// never given here.
fn post() -> Route {
    web::route().guard(fn_guard(|request| request.head().method == Method::POST))
}

/// To the service that the body names, or else the query, or else the header `X-Model`. As much of the body is waited for
/// as it takes to know.
async fn model(
    request: HttpRequest,
    payload: Payload,
    door: Data<Doorway>,
    desk: Data<Desk>,
    far: Data<Messenger>,
) -> HttpResponse {
    let tab = Tab::open(door.runtime.metrics());
    let hands = Hands { door: &door, desk: &desk, far: &far, tab: &tab };
    let answer = hands.to_model(&request, payload).await;
    tab.answer(answer)
}

/// To the service that the path names, with whatever follows.
async fn upstream(
    request: HttpRequest,
    payload: Payload,
    door: Data<Doorway>,
    desk: Data<Desk>,
    far: Data<Messenger>,
) -> HttpResponse {
    let tab = Tab::open(door.runtime.metrics());
    let hands = Hands { door: &door, desk: &desk, far: &far, tab: &tab };
    let answer = hands.to_named(&request, payload).await;
    tab.answer(answer)
}

/// What it takes to send a request on.
struct Hands<'a> {
    door: &'a Doorway,
    desk: &'a Data<Desk>,
    far: &'a Messenger,
    tab: &'a Tab,
}

impl Hands<'_> {
    async fn to_model(&self, request: &HttpRequest, payload: Payload) -> Answer {
        let Self { door, desk, far, tab } = self;
        if websocket::is_wanted(request.head())? {
            return Err(ApiError::bad_param("headers", "there is no WebSocket here"));
        }
        let mut body = door.body(request, payload)?;
        let text = |name: &HeaderName| request.headers().get(name).and_then(|value| value.to_str().ok());
        let spotted = body.look(Scan::new(text(&header::CONTENT_TYPE))).await?;
        let in_query = request.uri().query().and_then(in_query);
        let named = spotted.as_ref().map(|spotted| spotted.name.as_str());
        let said = [named, in_query.as_deref(), text(&X_MODEL)];
        tab.note(|account| said.into_iter().flatten().take(1).for_each(|name| account.asks_for(name)));
        let routes = desk.routes(door);
        let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
        let wanted = match Call::of(request.method().as_str(), path) {
            Some(_) => Wanted::Image,
            None => Wanted::Other,
        };
        match &**routes.choose(said, wanted)? {
            Target::Job(definition) => {
                let priority = door.priority(request)?;
                Box::pin(door.maker().make(request, definition, priority, body, tab)).await
            }
            Target::Service(service) => {
                if let (Some(spotted), Some(name)) = (&spotted, &service.spec.door.upstream_model) {
                    body.rename(spotted, name);
                }
                door.pass(request, service, path, body, desk, tab).await
            }
            Target::Remote(remote) => Box::pin(door.pass_far(request, remote, path, body, far, tab)).await,
        }
    }

    async fn to_named(&self, request: &HttpRequest, payload: Payload) -> Answer {
        let Self { door, desk, far, tab } = self;
        let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
        let Some((name, path)) = names::upstream(path) else {
            return Err(ApiError::bad_param("path", "the path names no service: /upstream/{service}/{path}"));
        };
        tab.note(|account| account.asks_for(&name));
        let routes = desk.routes(door);
        let wants_websocket = websocket::is_wanted(request.head())?;
        match &**routes.find(&name)? {
            Target::Job(_) => Err(not_there(&name)),
            Target::Service(service) if wants_websocket => {
                Box::pin(door.connect(request, payload, service, &path, tab)).await
            }
            Target::Remote(_) if wants_websocket => {
                Err(ApiError::bad_param("headers", "WebSockets of remotes are not passed on"))
            }
            Target::Service(service) => {
                let body = door.body(request, payload)?;
                door.pass(request, service, &path, body, desk, tab).await
            }
            Target::Remote(remote) => {
                let body = door.body(request, payload)?;
                Box::pin(door.pass_far(request, remote, &path, body, far, tab)).await
            }
        }
    }
}

impl Doorway {
    fn maker(&self) -> Maker<'_> {
        Maker { works: &self.works, max_wait: self.spec.max_wait, closing: &self.closing }
    }

    /// How urgent a request is. Where keys are asked for, whoever has come so far has one.
    ///
    /// # Errors
    /// When it says something that is no priority.
    pub(super) fn priority(&self, request: &HttpRequest) -> Result<i32, ApiError> {
        let said = request.headers().get(&X_PRIORITY).map(HeaderValue::as_bytes);
        priority::of(said, self.keeps_key())
    }

    /// Whether the keys of clients are for this door.
    pub(super) fn keeps_key(&self) -> bool {
        !self.spec.api_keys.is_empty()
    }

    /// The body of a request, of which nothing has been read.
    ///
    /// # Errors
    /// When it says to be too large.
    pub(super) fn body(&self, request: &HttpRequest, payload: Payload) -> Result<Outgoing, ApiError> {
        let headers = request.headers();
        if !has_body(headers) {
            return Ok(Outgoing::nothing());
        }
        let told = headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
        let most = self.spec.max_body.0;
        if told.is_some_and(|told| told > most) {
            return Err(BodyError::TooLarge(most).into());
        }
        Ok(Outgoing::of(payload, told, most))
    }
}
