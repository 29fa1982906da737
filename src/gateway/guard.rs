//! Who may come in by the gateway: before any route is looked for, and so for each of them.
//!
//! A request is let in if it comes from no strange page (`origin`) and brings a key where one is asked
//! for. To a request of a program that costs a look at some headers, and one allocation where there is a body
//! (`patience`); no future is boxed.

use std::{
    future::{Ready, ready},
    sync::Arc,
    time::Duration,
};

use actix_web::{
    Error, HttpResponse, ResponseError,
    body::EitherBody,
    dev::{Service, ServiceRequest, ServiceResponse, Transform, forward_ready},
    http::{
        Method, StatusCode,
        header::{self, HeaderMap, HeaderName, HeaderValue},
    },
};
use futures_util::future::{Either, LocalBoxFuture, MapOk, TryFutureExt};
use greenroom_actors::spec::GatewaySpec;

use super::{
    door::{X_API_KEY, keys},
    errors::ApiError,
    origin::{Claim, Origins, Verdict},
    patience,
};
use crate::runtime::metrics::{Metrics, Turned};

/// What is asked of every request.
#[derive(Debug, Clone)]
pub struct Guard(Arc<Rules>);

struct Rules {
    keys: Vec<String>,
    origins: Origins,
    /// How long a client may be silent before the first byte of a body.
    patience: Duration,
    /// Where those are counted who are not let in.
    metrics: Arc<Metrics>,
}

/// Without the keys.
impl std::fmt::Debug for Rules {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Rules").field("keys", &self.keys.len()).field("origins", &self.origins).finish()
    }
}

// Names that `http` does not know as its own are made once: a look-up by text would make them anew each time.
static SEC_FETCH_MODE: HeaderName = HeaderName::from_static("sec-fetch-mode");
static SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// What the gateway answers without a key: whether it is up, and whether it is of use yet.
const FREE: &[&str] = &["/health", "/ready"];

/// A GET of the gateway's own that changes something, so that following a link to it is no visit.
const CHANGING_GET: &str = "/unload";

impl Guard {
    /// Of the gateway. At a service's own door the path is one below `/upstream/` by now, so that none is free there.
    #[must_use]
    pub fn of_gateway(spec: &GatewaySpec, metrics: Arc<Metrics>) -> Self {
        let origins = Origins::new(&spec.cors_origins, spec.api_keys.is_empty());
        let patience = spec.header_timeout;
        Self(Arc::new(Rules { keys: spec.api_keys.clone(), origins, patience, metrics }))
    }

    /// Whether these headers bring a key, or none is asked for.
    #[must_use]
    pub fn opens_for(&self, headers: &HeaderMap) -> bool {
        let keys = &self.0.keys;
        if keys.is_empty() {
            return true;
        }
        let text = |name: &HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
        let brought = keys::brought(text(&header::AUTHORIZATION), text(&X_API_KEY));
        brought.is_some_and(|key| keys::is_one_of(keys, &key))
    }

    /// What is to be done with a request.
    fn look_at(&self, request: &ServiceRequest) -> Way {
        let headers = request.headers();
        let claim = claim(request);
        let verdict = self.0.origins.verdict(claim);
        let shared = (verdict == Verdict::Shared).then(|| headers.get(header::ORIGIN).cloned()).flatten();
        let refuse = |why: Turned, refusal: ApiError| {
            self.0.metrics.refused.count(why);
            Way::Answer(refusal.error_response(), shared.clone())
        };
        if is_preflight(request) {
            // It brings no key: a browser asks by itself, before it sends what the page wants to send.
            return match verdict {
                Verdict::Shared => Way::Answer(allowed(headers), shared),
                _ => refuse(Turned::CrossSite, cross_site(claim.origin)),
            };
        }
        match verdict {
            Verdict::CrossSite => return refuse(Turned::CrossSite, cross_site(claim.origin)),
            Verdict::StrangeHost => return refuse(Turned::StrangeHost, strange_host(claim.host)),
            Verdict::Pass | Verdict::Shared => {}
        }
        if !FREE.contains(&request.path()) && !self.opens_for(headers) {
            return refuse(Turned::Unauthorized, unauthorized());
        }
        if *request.method() == Method::CONNECT {
            let message = "CONNECT asks for a tunnel, and there is none through here";
            let refusal = ApiError::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", message);
            return refuse(Turned::MethodNotAllowed, refusal);
        }
        Way::On(shared)
    }
}

/// What becomes of a request; with the origin whose page may read the answer.
enum Way {
    On(Option<HeaderValue>),
    Answer(HttpResponse, Option<HeaderValue>),
}

fn claim(request: &ServiceRequest) -> Claim<'_> {
    // What is not text is what no browser sends, and no origin or host of ours.
    let text = |name: &HeaderName| request.headers().get(name).map(|value| value.to_str().unwrap_or("?"));
    let visits = request.method() == Method::GET && text(&SEC_FETCH_MODE) == Some("navigate");
    Claim {
        // RFC 9112, section 3.2.2: a target with an authority goes before `Host`.
        host: request.uri().authority().map(|authority| authority.as_str()).or_else(|| text(&header::HOST)),
        origin: text(&header::ORIGIN),
        site: text(&SEC_FETCH_SITE),
        is_visit: visits && request.path() != CHANGING_GET,
    }
}

fn is_preflight(request: &ServiceRequest) -> bool {
    *request.method() == Method::OPTIONS
        && request.headers().contains_key(header::ORIGIN)
        && request.headers().contains_key(header::ACCESS_CONTROL_REQUEST_METHOD)
}

/// The answer to the question of a browser whether the page may send what it wants to.
fn allowed(asked: &HeaderMap) -> HttpResponse {
    let mut answer = HttpResponse::NoContent();
    answer.insert_header((header::ACCESS_CONTROL_ALLOW_METHODS, "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"));
    answer.insert_header((header::ACCESS_CONTROL_MAX_AGE, "600"));
    if let Some(headers) = asked.get(header::ACCESS_CONTROL_REQUEST_HEADERS) {
        answer.insert_header((header::ACCESS_CONTROL_ALLOW_HEADERS, headers.clone()));
    }
    // A page of the internet that asks a machine of a private network (W3C, Private Network Access).
    if asked.contains_key("access-control-request-private-network") {
        answer.insert_header(("access-control-allow-private-network", "true"));
    }
    answer.finish()
}

/// 401 `unauthorized`.
fn unauthorized() -> ApiError {
    let message = "a key is needed: Authorization: Bearer KEY, x-api-key: KEY, or KEY as the password of Basic";
    ApiError::new(StatusCode::UNAUTHORIZED, "unauthorized", message)
}

/// 403 `cross_site`.
fn cross_site(origin: Option<&str>) -> ApiError {
    let message = match origin {
        Some(origin) => format!("pages of {origin} may not ask here; gateway.cors_origins names those that may"),
        None => "a page of another site may not ask here; gateway.cors_origins names those that may".to_owned(),
    };
    ApiError::new(StatusCode::FORBIDDEN, "cross_site", message)
}

/// 403 `strange_host`.
fn strange_host(host: Option<&str>) -> ApiError {
    let message = format!(
        "`{}` is not a name that only this machine can have; use its address, set gateway.api_keys, or name it in \
         gateway.cors_origins",
        host.unwrap_or_default()
    );
    ApiError::new(StatusCode::FORBIDDEN, "strange_host", message)
}

/// Lets the page of this origin read an answer, whatever the service behind said of it.
fn share(headers: &mut HeaderMap, origin: HeaderValue) {
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static("*"));
    let is_told = headers.get_all(header::VARY).any(|value| value.as_bytes().eq_ignore_ascii_case(b"origin"));
    if !is_told {
        headers.append(header::VARY, HeaderValue::from_static("Origin"));
    }
}

/// An answer that passes unchanged.
type Plain<F, B> = MapOk<F, fn(ServiceResponse<B>) -> Guarded<B>>;
type Guarded<B> = ServiceResponse<EitherBody<B>>;

impl<S, B> Transform<S, ServiceRequest> for Guard
where
    S: Service<ServiceRequest, Response = ServiceResponse<B>, Error = Error>,
    S::Future: 'static,
    B: 'static,
{
    type Response = Guarded<B>;
    type Error = Error;
    type Transform = Gate<S>;
    type InitError = ();
    type Future = Ready<Result<Self::Transform, ()>>;

    fn new_transform(&self, service: S) -> Self::Future {
        ready(Ok(Gate { guard: self.clone(), service }))
    }
}

/// Routes behind a [`Guard`].
#[derive(Debug)]
pub struct Gate<S> {
    guard: Guard,
    service: S,
}

impl<S, B> Service<ServiceRequest> for Gate<S>
where
    S: Service<ServiceRequest, Response = ServiceResponse<B>, Error = Error>,
    S::Future: 'static,
    B: 'static,
{
    type Response = Guarded<B>;
    type Error = Error;
    type Future = Either<Plain<S::Future, B>, LocalBoxFuture<'static, Result<Guarded<B>, Error>>>;

    forward_ready!(service);

    fn call(&self, mut request: ServiceRequest) -> Self::Future {
        let pass: fn(ServiceResponse<B>) -> Guarded<B> = ServiceResponse::map_into_left_body;
        let way = self.guard.look_at(&request);
        if matches!(way, Way::On(_)) {
            patience::bound(&mut request, self.guard.0.patience);
        }
        match way {
            Way::On(None) => Either::Left(self.service.call(request).map_ok(pass)),
            Way::On(Some(origin)) => {
                let answer = self.service.call(request);
                Either::Right(Box::pin(async move {
                    let mut answer = pass(answer.await?);
                    share(answer.headers_mut(), origin);
                    Ok(answer)
                }))
            }
            Way::Answer(answer, origin) => {
                let mut answer = request.into_response(answer.map_into_right_body());
                if let Some(origin) = origin {
                    share(answer.headers_mut(), origin);
                }
                Either::Right(Box::pin(ready(Ok(answer))))
            }
        }
    }
}
