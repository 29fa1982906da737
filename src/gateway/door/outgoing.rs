//! A request's body on its way to a service: whole, or piece by piece as the client sends it.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use actix_web::web::{BytesMut, Payload};
use bytes::Bytes;
use futures_util::StreamExt;
use hyper::body::{Body, Frame, SizeHint};
use tokio::sync::mpsc;

/// Why a body cannot be had.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BodyError {
    /// It is larger than `gateway.max_body`.
    #[error("the body is larger than gateway.max_body, which is {0} bytes")]
    TooLarge(u64),
    /// The client did not send all of it.
    #[error("the body was not sent to its end: {0}")]
    Broken(String),
}

/// A body to be sent.
#[derive(Debug)]
pub enum Outgoing {
    /// All of it, or nothing more of it.
    Whole(Bytes),
    /// What comes from the client, one piece at a time: who sends waits for the service to take it.
    Pieces(mpsc::Receiver<Result<Bytes, BodyError>>),
}

/// Takes in a whole body.
///
/// # Errors
/// When it is larger than `most` bytes or the client does not send it to its end.
pub async fn collect(mut payload: Payload, most: u64) -> Result<Bytes, BodyError> {
    let mut body = BytesMut::new();
    while let Some(piece) = payload.next().await {
        let piece = piece.map_err(|error| BodyError::Broken(error.to_string()))?;
        if (body.len() as u64).saturating_add(piece.len() as u64) > most {
            return Err(BodyError::TooLarge(most));
        }
        body.extend_from_slice(&piece);
    }
    Ok(body.freeze())
}

impl Outgoing {
    /// All of it, where it is here as a whole.
    #[must_use]
    pub fn whole(&self) -> Option<Bytes> {
        match self {
            Self::Whole(body) => Some(body.clone()),
            Self::Pieces(_) => None,
        }
    }

    /// The same body once more, where it is here as a whole.
    #[must_use]
    pub fn again(&self) -> Option<Self> {
        match self {
            Self::Whole(body) => Some(Self::Whole(body.clone())),
            Self::Pieces(_) => None,
        }
    }

    /// Sends on what the client sends, up to `most` bytes. Must be called on a worker of the server, whose payloads stay
    /// on their thread.
    pub fn forward(mut payload: Payload, most: u64) -> Self {
        let (pieces, body) = mpsc::channel(1);
        let forward = async move {
            let mut sent = 0_u64;
            while let Some(piece) = payload.next().await {
                let piece = piece.map_err(|error| BodyError::Broken(error.to_string()));
                sent = sent.saturating_add(piece.as_ref().map_or(0, |piece| piece.len() as u64));
                let piece = if sent > most { Err(BodyError::TooLarge(most)) } else { piece };
                let is_last = piece.is_err();
                // Nobody wants the rest of it: the service has answered, or is gone.
                if pieces.send(piece).await.is_err() || is_last {
                    return;
                }
            }
        };
        // It ends with the body, or with whoever reads it.
        drop(actix_rt::spawn(forward));
        Self::Pieces(body)
    }
}

impl Body for Outgoing {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match self.get_mut() {
            Self::Whole(body) if body.is_empty() => Poll::Ready(None),
            Self::Whole(body) => Poll::Ready(Some(Ok(Frame::data(std::mem::take(body))))),
            Self::Pieces(pieces) => pieces.poll_recv(cx).map(|piece| piece.map(|piece| piece.map(Frame::data))),
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self, Self::Whole(body) if body.is_empty())
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(body) => SizeHint::with_exact(body.len() as u64),
            Self::Pieces(_) => SizeHint::default(),
        }
    }
}
