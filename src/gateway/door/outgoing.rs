//! A request's body on its way to a service: what was looked at for the model's name goes first, the rest piece by piece
//! as the client sends it and the service takes it.
//!
//! It stays on the worker's thread from the client's connection to the service's: no channel and no task lies between.

use std::{
    collections::VecDeque,
    fmt,
    pin::Pin,
    task::{Context, Poll, ready},
};

use actix_web::web::Payload;
use bytes::{Bytes, BytesMut};
use futures_util::{Stream, StreamExt};
use hyper::body::{Body, Frame, SizeHint};

use super::{
    loading::wants_stream,
    model::{Progress, Scan, Spotted, splice},
};

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
pub struct Outgoing {
    /// What has come and is not sent yet.
    ahead: VecDeque<Bytes>,
    /// What is still to come; nothing once its end has been seen.
    rest: Option<Payload>,
    /// Bytes that have come.
    taken: u64,
    /// The most that may come.
    most: u64,
    /// Bytes in all, where the client told.
    told: Option<u64>,
    /// Bytes that are still to be sent, where that is known.
    left: Option<u64>,
    /// Whether a model was looked for in it as in JSON.
    is_json: bool,
}

impl Outgoing {
    /// No body at all.
    #[must_use]
    pub fn nothing() -> Self {
        Self { ahead: VecDeque::new(), rest: None, taken: 0, most: 0, told: Some(0), left: Some(0), is_json: false }
    }

    /// What the client sends, which is `told` bytes, where that is known, and `most` at most.
    #[must_use]
    pub fn of(payload: Payload, told: Option<u64>, most: u64) -> Self {
        Self { ahead: VecDeque::new(), rest: Some(payload), taken: 0, most, told, left: told, is_json: false }
    }

    /// Takes in as much as it takes to know which model it names, and keeps that to be sent.
    ///
    /// # Errors
    /// When it turns out to be too large, or the client does not send it to its end.
    pub async fn look(&mut self, mut scan: Scan) -> Result<Option<Spotted>, BodyError> {
        while let Some(payload) = &mut self.rest {
            let next = payload.next().await;
            let Some(piece) = self.take(next)? else { break };
            let progress = scan.feed(&piece);
            self.is_json = scan.is_json();
            self.ahead.push_back(piece);
            match progress {
                Progress::More => {}
                Progress::Found(spotted) => return Ok(Some(spotted)),
                Progress::Nothing => return Ok(None),
            }
        }
        Ok(scan.finish())
    }

    /// Puts another name in the place of one that was found before anything was sent.
    pub fn rename(&mut self, spotted: &Spotted, name: &str) {
        let (ahead, grown) = splice(std::mem::take(&mut self.ahead), spotted, name);
        self.ahead = ahead;
        self.left = self.left.map(|left| left.saturating_add_signed(grown));
    }

    /// Whether it could want its answer as a stream.
    #[must_use]
    pub fn may_want_stream(&self) -> bool {
        self.is_json
    }

    /// Whether its answer is wanted as a stream: `"stream": true` in a JSON body. All of such a body is taken in for that,
    /// which is for those alone who have to wait anyway. Dropping the future loses nothing of the body.
    ///
    /// # Errors
    /// When it turns out to be too large, or the client does not send it to its end.
    pub async fn wants_stream(&mut self) -> Result<bool, BodyError> {
        if !self.is_json {
            return Ok(false);
        }
        self.take_all().await?;
        let whole: Vec<u8> = self.ahead.iter().flatten().copied().collect();
        Ok(wants_stream(&whole))
    }

    /// All of it, for who does not send it on.
    ///
    /// # Errors
    /// When it turns out to be too large, or the client does not send it to its end.
    pub async fn whole(mut self) -> Result<Bytes, BodyError> {
        self.take_all().await?;
        if self.ahead.len() == 1 {
            return Ok(self.ahead.pop_front().unwrap_or_default());
        }
        let mut whole = BytesMut::with_capacity(self.ahead.iter().map(Bytes::len).sum());
        // Each piece is let go of as soon as it is copied.
        for piece in self.ahead.drain(..) {
            whole.extend_from_slice(&piece);
        }
        Ok(whole.freeze())
    }

    async fn take_all(&mut self) -> Result<(), BodyError> {
        while let Some(payload) = &mut self.rest {
            let next = payload.next().await;
            let Some(piece) = self.take(next)? else { break };
            self.ahead.push_back(piece);
        }
        Ok(())
    }

    /// Bytes that are still to be sent, where that is known.
    #[must_use]
    pub fn length(&self) -> Option<u64> {
        self.left
    }

    /// Counts what has come. `None` at the end.
    fn take(
        &mut self,
        next: Option<Result<Bytes, actix_web::error::PayloadError>>,
    ) -> Result<Option<Bytes>, BodyError> {
        let Some(piece) = next else {
            self.rest = None;
            return Ok(None);
        };
        let piece = piece.map_err(|error| BodyError::Broken(error.to_string()))?;
        self.taken = self.taken.saturating_add(piece.len() as u64);
        if self.taken > self.most {
            return Err(BodyError::TooLarge(self.most));
        }
        // The end of a body whose length was told need not be waited for.
        if self.told == Some(self.taken) {
            self.rest = None;
        }
        Ok(Some(piece))
    }

    fn send(&mut self, piece: Bytes) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        self.left = self.left.map(|left| left.saturating_sub(piece.len() as u64));
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }
}

impl Body for Outgoing {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        if let Some(piece) = self.ahead.pop_front() {
            return self.send(piece);
        }
        let Some(payload) = &mut self.rest else { return Poll::Ready(None) };
        let next = ready!(Pin::new(payload).poll_next(cx));
        match self.take(next) {
            Ok(Some(piece)) => self.send(piece),
            Ok(None) => Poll::Ready(None),
            Err(error) => Poll::Ready(Some(Err(error))),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.ahead.is_empty() && self.rest.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        self.left.map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}

impl fmt::Debug for Outgoing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { ahead, rest, taken, most, told, left, is_json } = self;
        f.debug_struct("Outgoing")
            .field("ahead", &ahead.len())
            .field("ends_here", &rest.is_none())
            .field("taken", taken)
            .field("most", most)
            .field("told", told)
            .field("left", left)
            .field("is_json", is_json)
            .finish()
    }
}
