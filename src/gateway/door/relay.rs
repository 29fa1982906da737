//! A service's answer on its way back: piece by piece, as fast as the client takes it.

use std::{
    error::Error,
    pin::Pin,
    task::{Context, Poll, ready},
};

use actix_web::{
    HttpResponse,
    body::{BodySize, BoxBody, MessageBody},
    dev::RequestHead,
    http::{Method, StatusCode, Version},
};
use bytes::Bytes;
use greenroom_actors::gate::Permit;
use hyper::{
    body::{Body, Incoming},
    header::HeaderMap,
};
use tokio::sync::watch;

use super::{
    ending::Dialect,
    events::{Events, Inquest},
    headers::to_client,
    refusal::upstream_closed,
    upstream::pool::Lent,
};
use crate::gateway::errors::ApiError;

/// What lasts as long as an answer: the permit, which keeps the run from being offloaded (none for what is not work), the
/// connection that it comes on, and the receiver by which whoever closes the door counts those who are in.
#[derive(Debug)]
pub struct Stay {
    // First, so that the connection of a cut answer is closed before anybody takes the service for idle. `None` where it
    // is not one of the pool's.
    _lent: Option<Lent>,
    permit: Option<Permit>,
    _guest: watch::Receiver<bool>,
}

impl Stay {
    /// Until this is dropped.
    pub fn new(lent: Option<Lent>, permit: Option<Permit>, guest: watch::Receiver<bool>) -> Self {
        Self { _lent: lent, permit, _guest: guest }
    }

    /// A piece of the answer has come.
    pub fn moves(&self) {
        if let Some(permit) = &self.permit {
            permit.moves();
        }
    }

    /// The service works for this one no more; the door still waits.
    pub fn leave_service(&mut self) {
        self.permit = None;
    }
}

/// What of a request shapes its answer.
#[derive(Debug, Clone, Copy)]
pub struct Asked {
    /// It wants the head alone.
    pub is_head: bool,
    /// Its connection takes pieces with their lengths (HTTP/1.1), and can be used again after them.
    pub takes_chunks: bool,
    /// How it is told of an error in an event stream.
    pub dialect: Dialect,
}

impl Asked {
    /// By a request for this path of a service.
    #[must_use]
    pub fn by(request: &RequestHead, path: &str) -> Self {
        Self {
            is_head: request.method == Method::HEAD,
            takes_chunks: request.version >= Version::HTTP_11,
            dialect: Dialect::of(path),
        }
    }
}

/// The body of an answer. Dropping it ends the request at the service.
struct Relay {
    from: Incoming,
    size: BodySize,
    stay: Stay,
}

/// The answer to give: status, headers and body as they came. `inquest` is asked only when an event stream breaks off.
///
/// # Errors
/// When the service has answered with a status that is none.
pub fn relay(
    answer: hyper::Response<Incoming>,
    asked: Asked,
    stay: Stay,
    inquest: impl Inquest,
) -> Result<HttpResponse, ApiError> {
    let (head, from) = answer.into_parts();
    let status = StatusCode::from_u16(head.status.as_u16()).map_err(|error| upstream_closed(&error))?;
    let length = told_length(&head.headers);
    // These two have no body, whatever length they tell (RFC 9110, section 8.6).
    let is_bare = matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED) && !asked.is_head;
    let size = match length {
        _ if is_bare => BodySize::None,
        Some(length) => BodySize::Sized(length),
        None => BodySize::Stream,
    };
    let mut response = HttpResponse::build(status);
    for header in to_client(&head.headers) {
        response.append_header(header);
    }
    // Only what has no end of its own can be given another one.
    let body = if size == BodySize::Stream && is_plain_events(&head.headers) {
        BoxBody::new(Events::new(from, &head.headers, asked.dialect, stay, inquest))
    } else {
        BoxBody::new(Relay { from, size, stay })
    };
    let mut response = response.body(body);
    if size == BodySize::Stream && !asked.takes_chunks {
        to_the_end_of_the_connection(&mut response);
    }
    Ok(response)
}

/// The end of this answer is that of its connection.
pub fn to_the_end_of_the_connection(response: &mut HttpResponse) {
    let head = response.head_mut();
    head.no_chunking(true);
    head.set_connection_type(actix_web::http::ConnectionType::Close);
}

/// The length that the head of an answer tells.
fn told_length(headers: &HeaderMap) -> Option<u64> {
    headers.get("content-length").and_then(|value| value.to_str().ok()?.parse().ok())
}

/// Whether this is an event stream to which events can be added: one that is not compressed.
#[must_use]
pub fn is_plain_events(headers: &HeaderMap) -> bool {
    let text = |name| headers.get(name).map(|value| String::from_utf8_lossy(value.as_bytes()).to_ascii_lowercase());
    let is_plain = text("content-encoding").is_none_or(|how| how == "identity");
    let kind = text("content-type").unwrap_or_default();
    is_plain && kind.split(';').next().is_some_and(|kind| kind.trim() == "text/event-stream")
}

impl MessageBody for Relay {
    type Error = Box<dyn Error>;

    fn size(&self) -> BodySize {
        self.size
    }

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Self::Error>>> {
        loop {
            let Some(frame) = ready!(Pin::new(&mut self.from).poll_frame(cx)) else { return Poll::Ready(None) };
            match frame {
                // Trailers concern this connection alone.
                Ok(frame) => {
                    if let Ok(piece) = frame.into_data() {
                        self.stay.moves();
                        return Poll::Ready(Some(Ok(piece)));
                    }
                }
                // The connection to the client is cut then, so that nobody takes half an answer for a whole one.
                Err(error) => return Poll::Ready(Some(Err(error.into()))),
            }
        }
    }
}
