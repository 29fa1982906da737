//! The paths of the door.

use std::{future::Future, sync::Arc};

use actix_web::{
    HttpRequest, HttpResponse,
    http::{Method, StatusCode, header::HeaderMap},
    web::{self, Data, Payload, ServiceConfig},
};
use bytes::Bytes;
use greenroom_actors::{assembly::Supervised, gate::Permit, remote::Remotes, spec::GatewaySpec};
use tokio::sync::watch;

use super::{
    headers::{has_body, wants_websocket},
    keys,
    names::{self, Candidate},
    outgoing::{BodyError, Outgoing, collect},
    refusal::{no_upgrade, not_loaded, not_sent, unauthorized},
    relay::{Stay, relay},
    upstream::{Upstreams, to_service},
};
use crate::{
    gateway::{
        errors::ApiError,
        remotes::{self, Lent, Messenger, Passed, counted},
    },
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

/// The connections of the worker, to services and to remotes.
type Ways = (Data<Upstreams>, Data<Messenger>);

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
async fn chat(request: HttpRequest, payload: Payload, door: Data<Doorway>, ways: Ways) -> Answer {
    door.check_key(request.headers())?;
    door.check_length(request.headers())?;
    let body = collect(payload, door.spec.max_body.0).await?;
    let services = door.runtime.services();
    let target = {
        let header = request.headers().get("x-model").and_then(|name| name.to_str().ok());
        let said = [names::model(&body), header.map(Into::into)];
        let said = [said[0].as_deref(), said[1].as_deref()];
        names::choose(said, &door.spec.default_model, &candidates(&services, door.runtime.remotes()))?.name
    };
    let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
    door.pass(&request, target, path, Outgoing::Whole(body), ways).await
}

/// To the service that the path names, with whatever follows.
async fn upstream(request: HttpRequest, payload: Payload, door: Data<Doorway>, ways: Ways) -> Answer {
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
    let target = names::find(&name, &candidates(&services, door.runtime.remotes()))?.name;
    let body = if has_body(request.headers()) {
        Outgoing::forward(payload, door.spec.max_body.0)
    } else {
        Outgoing::Whole(Bytes::new())
    };
    door.pass(&request, target, &path, body, ways).await
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

    /// To the remote of this name, or to the service.
    async fn pass(&self, request: &HttpRequest, target: &str, path: &str, body: Outgoing, ways: Ways) -> Answer {
        let (upstreams, messenger) = ways;
        let Some(remote) = self.runtime.remotes().find(target) else {
            return self.pass_to_service(request, target, path, body, &upstreams).await;
        };
        let guest = self.closing.subscribe();
        let sent = remotes::pass(&messenger, &remote, request.head(), path, Lent::new(body));
        let Passed { answer, in_flight } = unless_closing(guest.clone(), sent).await??;
        let answer = relay(answer, *request.method() == Method::HEAD, Stay::new(None, guest))?;
        Ok(counted(answer, in_flight))
    }

    /// Sends a request on as soon as the service can be used, and its answer back. Where the run has ended before anything
    /// was sent to it, and that was not known yet, the next one is asked.
    async fn pass_to_service(
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
            let admitted = self.runtime.admit(service, Some(self.spec.max_wait)).await?;
            return Ok((admitted.endpoint, Some(admitted.permit)));
        }
        match self.runtime.look_in(service) {
            Some(endpoint) => Ok((endpoint, None)),
            None => Err(not_loaded(&spec.name, method, bare)),
        }
    }
}

/// Whom requests can go to: the services with a port, and the remotes.
fn candidates<'a>(services: &'a [Supervised], remotes: &'a Remotes) -> Vec<Candidate<'a>> {
    let with_port = services.iter().filter(|service| service.spec.port.is_some());
    let services =
        with_port.map(|service| Candidate { name: service.spec.name.as_str(), serves: &service.spec.serves });
    let remotes =
        remotes.iter().map(|remote| Candidate { name: remote.name().as_str(), serves: &remote.spec().serves });
    services.chain(remotes).collect()
}

/// Waits for `wait`, but no longer than the door is open.
async fn unless_closing<T>(mut closing: watch::Receiver<bool>, wait: impl Future<Output = T>) -> Result<T, ApiError> {
    tokio::select! {
        biased;
        _closed = closing.wait_for(|closing| *closing) => Err(ApiError::stopping()),
        done = wait => Ok(done),
    }
}
