//! Carries the account of a request from the handler that opens it to the end of the answer.
//!
//! A handler of model traffic calls [`open`] first thing; the account then lies in the request's extensions, where
//! [`note`] finds it. [`Accounting`] is wrapped around all handlers: it reads the status off the answer, counts the bytes
//! of its body, and closes the account with it. A request for which no account was opened passes untouched. Where the
//! client leaves while a handler still waits, the account goes with the request.

use std::{
    cell::RefCell,
    future::{Ready, ready},
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, ready as when_ready},
};

use actix_web::{
    Error, HttpMessage, HttpRequest,
    body::{BodySize, BoxBody, MessageBody},
    dev::{Service, ServiceRequest, ServiceResponse, Transform},
};
use bytes::Bytes;
use futures_util::{FutureExt, future::Map};

use super::account::Account;
use crate::{gateway::errors::ApiError, runtime::RuntimeHandle};

/// An account in a request's extensions. The last one to let go of it closes it.
type Tab = Rc<RefCell<Account>>;

/// Opens the account of a request for a model.
pub fn open(request: &HttpRequest, runtime: &RuntimeHandle) {
    let tab: Tab = Rc::new(RefCell::new(Account::open(runtime.metrics())));
    request.extensions_mut().insert(tab);
}

/// Writes something into a request's account, if it has one.
pub fn note(request: &HttpRequest, write: impl FnOnce(&mut Account)) {
    if let Some(tab) = request.extensions().get::<Tab>() {
        write(&mut tab.borrow_mut());
    }
}

/// What is wrapped around the handlers of a door.
#[derive(Debug, Clone, Copy)]
pub struct Accounting;

/// A service with its accounts kept.
#[derive(Debug)]
pub struct Kept<S>(S);

impl<S> Transform<S, ServiceRequest> for Accounting
where
    S: Service<ServiceRequest, Response = ServiceResponse<BoxBody>, Error = Error>,
{
    type Response = ServiceResponse<BoxBody>;
    type Error = Error;
    type Transform = Kept<S>;
    type InitError = ();
    type Future = Ready<Result<Kept<S>, ()>>;

    fn new_transform(&self, service: S) -> Self::Future {
        ready(Ok(Kept(service)))
    }
}

/// What a service has made of a request.
type Outcome = Result<ServiceResponse<BoxBody>, Error>;

impl<S> Service<ServiceRequest> for Kept<S>
where
    S: Service<ServiceRequest, Response = ServiceResponse<BoxBody>, Error = Error>,
{
    type Response = ServiceResponse<BoxBody>;
    type Error = Error;
    type Future = Map<S::Future, fn(Outcome) -> Outcome>;

    fn poll_ready(&self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.0.poll_ready(cx)
    }

    fn call(&self, request: ServiceRequest) -> Self::Future {
        self.0.call(request).map(answered)
    }
}

/// Writes the status into the account, and goes on with it in the body.
fn answered(outcome: Outcome) -> Outcome {
    let answer = outcome?;
    // It stays with the request as well: one who is told about a wait is let in only after his answer has begun.
    let Some(tab) = answer.request().extensions().get::<Tab>().cloned() else { return Ok(answer) };
    {
        let mut account = tab.borrow_mut();
        match answer.response().error().and_then(Error::as_error::<ApiError>) {
            Some(error) => account.refused(error),
            None => account.answered(answer.status().as_u16()),
        }
        if matches!(answer.response().body().size(), BodySize::None | BodySize::Sized(0)) {
            // It is never asked for a piece.
            account.is_whole();
        }
    }
    Ok(answer.map_body(|_, body| BoxBody::new(Counted { body, tab })))
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
            Some(Ok(piece)) => self.tab.borrow_mut().sent(piece.len()),
            Some(Err(_)) => {}
            None => self.tab.borrow_mut().is_whole(),
        }
        Poll::Ready(piece)
    }
}
