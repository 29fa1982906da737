//! An event stream on its way back. Where it breaks off, its client is told by an event why, and then it ends.

use std::{
    convert::Infallible,
    pin::Pin,
    task::{Context, Poll, ready},
};

use actix_web::body::{BodySize, MessageBody};
use bytes::Bytes;
use futures_util::{FutureExt, future::LocalBoxFuture};
use greenroom_actors::cause::chain;
use hyper::{
    body::{Body, Incoming},
    header::HeaderMap,
};

use super::{
    ending::{Dialect, Tail},
    refusal::broken_off,
    relay::Stay,
};
use crate::{
    gateway::errors::ApiError,
    runtime::{RunEndpoint, RuntimeHandle},
};

/// Finds out why a stream has broken off, of which the connection says this. May take a moment.
pub trait Inquest: 'static {
    /// What to tell the client.
    fn hold(self: Box<Self>, said: String) -> LocalBoxFuture<'static, ApiError>;
}

/// The inquest on a run of a service: how it has ended, and its last words.
#[derive(Debug)]
pub struct OfRun {
    /// Where to ask.
    pub runtime: RuntimeHandle,
    /// Of which run the answer is.
    pub endpoint: RunEndpoint,
}

impl Inquest for OfRun {
    fn hold(self: Box<Self>, said: String) -> LocalBoxFuture<'static, ApiError> {
        async move {
            let exit = self.runtime.last_words(&self.endpoint).await;
            broken_off(&self.endpoint.service, exit.as_ref(), &said)
        }
        .boxed_local()
    }
}

/// The body of an answer that is an event stream. Dropping it ends the request at the service.
pub struct Events {
    stage: Stage,
    tail: Tail,
    dialect: Dialect,
    /// Whether its end is that of its connection, by which alone nobody can tell whether it is whole.
    is_open_ended: bool,
    inquest: Option<Box<dyn Inquest>>,
    stay: Stay,
}

enum Stage {
    Passing(Incoming),
    Asking(LocalBoxFuture<'static, ApiError>),
    Over,
}

impl Events {
    /// The events that come from there, with this head.
    pub fn new(from: Incoming, headers: &HeaderMap, dialect: Dialect, stay: Stay, inquest: impl Inquest) -> Self {
        let is_open_ended = !headers.contains_key("transfer-encoding") && !headers.contains_key("content-length");
        let inquest: Box<dyn Inquest> = Box::new(inquest);
        Self {
            stage: Stage::Passing(from),
            tail: Tail::default(),
            dialect,
            is_open_ended,
            inquest: Some(inquest),
            stay,
        }
    }

    /// The next piece; `None` at the end, which always comes.
    pub fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        loop {
            match &mut self.stage {
                Stage::Passing(from) => match ready!(Pin::new(from).poll_frame(cx)) {
                    Some(Ok(frame)) => {
                        // Trailers concern this connection alone.
                        if let Ok(piece) = frame.into_data() {
                            self.stay.moves();
                            self.tail.saw(&piece);
                            return Poll::Ready(Some(piece));
                        }
                    }
                    None if !self.is_open_ended || self.tail.is_between() => self.stage = Stage::Over,
                    None => self.ask("it ended within an event".to_owned()),
                    Some(Err(error)) => self.ask(chain(&error)),
                },
                Stage::Asking(inquest) => {
                    let error = ready!(inquest.poll_unpin(cx));
                    self.stage = Stage::Over;
                    let told = format!("{}{}", self.tail.gap(), self.dialect.event(&error));
                    return Poll::Ready(Some(told.into()));
                }
                Stage::Over => return Poll::Ready(None),
            }
        }
    }

    fn ask(&mut self, said: String) {
        self.stay.leave_service();
        self.stage = match self.inquest.take() {
            Some(inquest) if !self.tail.is_over() => Stage::Asking(inquest.hold(said)),
            _ => Stage::Over,
        };
    }
}

impl MessageBody for Events {
    type Error = Infallible;

    fn size(&self) -> BodySize {
        BodySize::Stream
    }

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Infallible>>> {
        self.poll_piece(cx).map(|piece| piece.map(Ok))
    }
}
