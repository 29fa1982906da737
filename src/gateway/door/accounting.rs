//! Carries the account of a request from the handler that opens it to the end of the answer.
//!
//! A handler of model traffic opens a [`Tab`] first thing, hands it to whoever has something to write into it, and makes
//! the answer with [`Tab::answer`]: the account then goes with the body, which counts its bytes and closes it. Where the
//! client leaves while a handler still waits, it is closed with the handler's future.

use std::{
    cell::RefCell,
    pin::Pin,
    rc::Rc,
    sync::Arc,
    task::{Context, Poll, ready as when_ready},
};

use actix_web::{
    HttpResponse, ResponseError,
    body::{BodySize, BoxBody, MessageBody},
};
use bytes::Bytes;

use super::account::Account;
use crate::{gateway::errors::ApiError, runtime::metrics::Metrics};

/// A hand on an account. The last one to let go of it closes it.
#[derive(Debug, Clone)]
pub struct Tab(Rc<RefCell<Account>>);

impl Tab {
    /// Opens the account of a request for a model.
    pub fn open(metrics: &Arc<Metrics>) -> Self {
        Self(Rc::new(RefCell::new(Account::open(metrics))))
    }

    /// Writes something into it.
    pub fn note(&self, write: impl FnOnce(&mut Account)) {
        write(&mut self.0.borrow_mut());
    }

    /// The answer to the client, with the account in it.
    pub fn answer(self, outcome: Result<HttpResponse, ApiError>) -> HttpResponse {
        let answer = match outcome {
            Ok(answer) => {
                self.note(|account| account.answered(answer.status().as_u16()));
                answer
            }
            Err(error) => {
                self.note(|account| account.refused(&error));
                error.error_response()
            }
        };
        if matches!(answer.body().size(), BodySize::None | BodySize::Sized(0)) {
            // It is never asked for a piece.
            self.note(Account::is_whole);
        }
        answer.map_body(|_, body| BoxBody::new(Counted { body, tab: self }))
    }
}

/// A body whose bytes are counted.
struct Counted {
    body: BoxBody,
    tab: Tab,
}

impl MessageBody for Counted {
    type Error = <BoxBody as MessageBody>::Error;

    fn size(&self) -> BodySize {
        self.body.size()
    }

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Self::Error>>> {
        let piece = when_ready!(Pin::new(&mut self.body).poll_next(cx));
        match &piece {
            Some(Ok(piece)) => self.tab.note(|account| account.sent(piece.len())),
            Some(Err(_)) => {}
            None => self.tab.note(Account::is_whole),
        }
        Poll::Ready(piece)
    }
}
