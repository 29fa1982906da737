//! Sends a request to a remote and its answer back.

use std::{
    error::Error,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use actix_web::{
    HttpResponse,
    body::{BodySize, BoxBody, MessageBody},
    dev::RequestHead,
    http::StatusCode,
};
use bytes::Bytes;
use greenroom_actors::{
    cause::chain,
    remote::{InFlight, Look, Remote, Site},
};
use hyper::{
    Method, Request, Response,
    body::{Body, Incoming},
    header::{HeaderValue, TRANSFER_ENCODING},
};

use super::{
    body::Lent,
    client::{Connections, Connector},
    watch::note,
    written,
};
use crate::gateway::{
    door::{Way, body_error, headers_to_service},
    errors::ApiError,
};

/// The connections of one worker to the remotes.
#[derive(Debug, Clone)]
pub struct Messenger(Connections);

/// An answer, and what lasts as long as its body.
#[derive(Debug)]
pub struct Passed {
    /// As it came.
    pub answer: Response<Incoming>,
    /// Where it came from.
    pub site: Arc<Site>,
    /// Keeps the request counted.
    pub in_flight: InFlight,
}

/// A request to be sent.
#[derive(Debug)]
pub struct Letter<'a> {
    /// As the client sent it.
    pub head: &'a RequestHead,
    /// What the remote is asked for, with its query.
    pub path: &'a str,
    /// Where it has come from.
    pub way: Way<'a>,
    /// Its body.
    pub body: Lent,
}

impl Messenger {
    /// With no connections yet. To be made on the worker's own thread.
    #[must_use]
    pub fn new(connector: &Connector) -> Self {
        Self(connector.pool())
    }
}

/// Sends a request on: the same method, headers but for the key, body, and this path. It goes to the next URL where one
/// cannot be connected to, as long as nothing of it was sent.
///
/// # Errors
/// 502 `upstream_closed` where no URL can be asked or the one that was asked gives no answer; what is wrong with the body;
/// or 400 for what cannot be said in HTTP/1.1.
pub async fn pass(messenger: &Messenger, remote: &Arc<Remote>, letter: Letter<'_>) -> Result<Passed, ApiError> {
    let mut tried = Vec::new();
    loop {
        let Some((site, in_flight)) = remote.enter(&tried) else { return Err(closed(written::all_out(remote))) };
        let request = request(&letter, remote, site.url())?;
        let error = match messenger.0.request(request).await {
            Ok(answer) => return Ok(Passed { answer, site, in_flight }),
            Err(error) => error,
        };
        if let Some(refused) = body_error(&error) {
            return Err(refused);
        }
        let (said, nothing_sent) = (chain(&error), error.is_connect() && !letter.body.has_begun());
        note(remote, &site, if error.is_connect() { Look::Refused(said.clone()) } else { Look::Bad(said.clone()) });
        if !nothing_sent {
            let message = format!("the remote `{}` gave no answer at {}: {said}", remote.name(), site.url());
            return Err(closed(message));
        }
        tried.push(site);
    }
}

fn request(letter: &Letter<'_>, remote: &Remote, url: &str) -> Result<Request<Lent>, ApiError> {
    let bad = |why: String| ApiError::bad_param("path", format!("it cannot be passed on: {why}"));
    let method = Method::from_bytes(letter.head.method.as_str().as_bytes()).map_err(|error| bad(error.to_string()))?;
    if method == Method::CONNECT {
        return Err(bad("CONNECT asks for a tunnel".to_owned()));
    }
    let mut headers = written::headers(headers_to_service(&letter.head.headers, &letter.way), remote.spec());
    if letter.body.size_hint().exact().is_none() {
        // Said here, since hyper takes it that a GET has no body.
        headers.insert(TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
    }
    let mut request = Request::new(letter.body.clone());
    *request.method_mut() = method;
    *request.uri_mut() = written::target(url, letter.path).map_err(bad)?;
    *request.headers_mut() = headers;
    Ok(request)
}

/// 502 `upstream_closed`, in the middle of an answer.
pub fn broken_off(remote: &Remote, site: &Site, said: String) -> ApiError {
    let message = format!(
        "the answer is not whole: the connection to the remote `{}` at {} broke off ({said})",
        remote.name(),
        site.url()
    );
    note(remote, site, Look::Bad(said));
    closed(message)
}

fn closed(message: String) -> ApiError {
    ApiError::new(StatusCode::BAD_GATEWAY, "upstream_closed", message)
}

/// A body that keeps its request counted.
struct Counted {
    body: BoxBody,
    _in_flight: InFlight,
}

/// The answer to a client, during which the request counts.
pub fn counted(answer: HttpResponse, in_flight: InFlight) -> HttpResponse {
    answer.map_body(|_, body| BoxBody::new(Counted { body, _in_flight: in_flight }))
}

impl MessageBody for Counted {
    type Error = Box<dyn Error>;

    fn size(&self) -> BodySize {
        self.body.size()
    }

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Self::Error>>> {
        Pin::new(&mut self.body).poll_next(cx)
    }
}
