//! A service's answer on its way back: piece by piece, as fast as the client takes it.

use std::{
    error::Error,
    pin::Pin,
    task::{Context, Poll, ready},
};

use actix_web::{
    HttpResponse,
    body::{BodySize, MessageBody},
    http::StatusCode,
};
use bytes::Bytes;
use greenroom_actors::gate::Permit;
use hyper::body::{Body, Incoming};
use tokio::sync::watch;

use super::{headers::to_client, refusal::upstream_closed, upstream::pool::Lent};
use crate::gateway::errors::ApiError;

/// What lasts as long as an answer: the permit, which keeps the run from being offloaded (none for what is not work), the
/// connection that it comes on, and the receiver by which whoever closes the door counts those who are in.
#[derive(Debug)]
pub struct Stay {
    // First, so that the connection of a cut answer is closed before anybody takes the service for idle.
    _lent: Lent,
    _permit: Option<Permit>,
    _guest: watch::Receiver<bool>,
}

impl Stay {
    /// Until this is dropped.
    pub fn new(lent: Lent, permit: Option<Permit>, guest: watch::Receiver<bool>) -> Self {
        Self { _lent: lent, _permit: permit, _guest: guest }
    }
}

/// The body of an answer. Dropping it ends the request at the service.
struct Relay {
    from: Incoming,
    size: BodySize,
    _stay: Stay,
}

/// The answer to give: status, headers and body as they came. `is_head` says that the request was one for the head alone.
///
/// # Errors
/// When the service has answered with a status that is none.
pub fn relay(answer: hyper::Response<Incoming>, is_head: bool, stay: Stay) -> Result<HttpResponse, ApiError> {
    let (head, from) = answer.into_parts();
    let status = StatusCode::from_u16(head.status.as_u16()).map_err(|error| upstream_closed(&error))?;
    let length = head.headers.get("content-length").and_then(|value| value.to_str().ok()?.parse().ok());
    // These two have no body, whatever length they tell (RFC 9110, section 8.6).
    let is_bare = matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED) && !is_head;
    let size = match length {
        _ if is_bare => BodySize::None,
        Some(length) => BodySize::Sized(length),
        None => BodySize::Stream,
    };
    let mut response = HttpResponse::build(status);
    for header in to_client(&head.headers) {
        response.append_header(header);
    }
    Ok(response.body(Relay { from, size, _stay: stay }))
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
                        return Poll::Ready(Some(Ok(piece)));
                    }
                }
                // The connection to the client is cut then, so that nobody takes half an answer for a whole one.
                Err(error) => return Poll::Ready(Some(Err(error.into()))),
            }
        }
    }
}
