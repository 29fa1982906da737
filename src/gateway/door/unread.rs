//! What a client still sends when its request has been answered already.
//!
//! Of a body whose length was told, the server reads on for a second and then closes the connection. One that comes in
//! chunks it would read to its end, whenever that comes (`should_close_for_unread_payload` in actix-http,
//! src/h1/dispatcher.rs), and so a body without an end would hold a connection for ever. To the server a body is still in
//! use as long as somebody has it; so here the answer has it, and both are treated alike.

use std::{
    cell::RefCell,
    future::{Ready, ready},
    pin::Pin,
    rc::Rc,
    task::{Context, Poll},
};

use actix_web::{
    Error, HttpMessage,
    body::{BodySize, BoxBody, EitherBody, MessageBody},
    dev::{Payload, Service, ServiceRequest, ServiceResponse, Transform},
    error::PayloadError,
    http::header,
};
use bytes::Bytes;
use futures_util::{
    FutureExt, Stream,
    future::{Either, LocalBoxFuture, Map},
};

/// A body that its reader and the answer have.
type Shared = Rc<RefCell<Payload>>;

/// What is wrapped around the handlers of a door.
#[derive(Debug, Clone, Copy)]
pub struct Unread;

/// The same, around one worker's routes.
#[derive(Debug)]
pub struct Watched<S>(S);

type Outcome<B> = Result<ServiceResponse<B>, Error>;

impl<S, B> Transform<S, ServiceRequest> for Unread
where
    S: Service<ServiceRequest, Response = ServiceResponse<B>, Error = Error>,
    S::Future: 'static,
    B: MessageBody + 'static,
{
    type Response = ServiceResponse<EitherBody<B>>;
    type Error = Error;
    type Transform = Watched<S>;
    type InitError = ();
    type Future = Ready<Result<Watched<S>, ()>>;

    fn new_transform(&self, inner: S) -> Self::Future {
        ready(Ok(Watched(inner)))
    }
}

impl<S, B> Service<ServiceRequest> for Watched<S>
where
    S: Service<ServiceRequest, Response = ServiceResponse<B>, Error = Error>,
    S::Future: 'static,
    B: MessageBody + 'static,
{
    type Response = ServiceResponse<EitherBody<B>>;
    type Error = Error;
    type Future = Either<
        Map<S::Future, fn(Outcome<B>) -> Outcome<EitherBody<B>>>,
        LocalBoxFuture<'static, Outcome<EitherBody<B>>>,
    >;

    fn poll_ready(&self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.0.poll_ready(cx)
    }

    fn call(&self, mut request: ServiceRequest) -> Self::Future {
        if !request.headers().contains_key(header::TRANSFER_ENCODING) {
            return Either::Left(self.0.call(request).map(|answer| Ok(answer?.map_into_left_body())));
        }
        let body: Shared = Rc::new(RefCell::new(request.take_payload()));
        request.set_payload(Payload::Stream { payload: Box::pin(Reader(Rc::clone(&body))) });
        let holding = |answer| EitherBody::right(BoxBody::new(Holding { answer: BoxBody::new(answer), body }));
        let answer = self.0.call(request).map(|answer| Ok(answer?.map_body(|_, answer| holding(answer))));
        Either::Right(answer.boxed_local())
    }
}

/// Whoever reads the body.
struct Reader(Shared);

impl Stream for Reader {
    type Item = Result<Bytes, PayloadError>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        Pin::new(&mut *self.0.borrow_mut()).poll_next(cx)
    }
}

/// An answer that has the body of its request.
struct Holding {
    answer: BoxBody,
    body: Shared,
}

impl MessageBody for Holding {
    type Error = <BoxBody as MessageBody>::Error;

    fn size(&self) -> BodySize {
        self.answer.size()
    }

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Self::Error>>> {
        // A client may well send all of it before it reads the answer: what nobody wants is taken, and forgotten.
        if Rc::strong_count(&self.body) == 1 {
            let mut body = self.body.borrow_mut();
            while let Poll::Ready(Some(Ok(_))) = Pin::new(&mut *body).poll_next(cx) {}
        }
        Pin::new(&mut self.answer).poll_next(cx)
    }
}
