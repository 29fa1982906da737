//! How long the gateway waits for the body of a request whose client has fallen silent.
//!
//! Only the time counts in which somebody asks for more: while a service is slow to take what has come, nobody does.

use std::{
    future::Future,
    io,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use actix_web::{
    HttpMessage,
    dev::{Payload, ServiceRequest},
    error::PayloadError,
    http::header::{CONTENT_LENGTH, HeaderMap, TRANSFER_ENCODING, UPGRADE},
};
use bytes::Bytes;
use futures_util::Stream;
use tokio::time::Sleep;

/// Silence in the middle of a body after which it is given up.
const SILENCE: Duration = Duration::from_secs(60);

/// Bounds the silence before the first byte of a body by `first`, and between two pieces by a minute. What comes after a
/// change of protocol is no body.
pub fn bound(request: &mut ServiceRequest, first: Duration) {
    if has_body(request.headers()) {
        let body = request.take_payload();
        let patient = Patient { body, limit: first, later: SILENCE, has_looked: false, wait: None };
        request.set_payload(Payload::Stream { payload: Box::pin(patient) });
    }
}

fn has_body(headers: &HeaderMap) -> bool {
    !headers.contains_key(UPGRADE) && (headers.contains_key(CONTENT_LENGTH) || headers.contains_key(TRANSFER_ENCODING))
}

/// A body that ends with an error when nothing of it comes for too long.
struct Patient<S> {
    body: S,
    limit: Duration,
    later: Duration,
    /// Whether it has been asked for once when nothing was there.
    has_looked: bool,
    /// Runs while something is waited for.
    wait: Option<Pin<Box<Sleep>>>,
}

impl<S: Stream<Item = Result<Bytes, PayloadError>> + Unpin> Stream for Patient<S> {
    type Item = Result<Bytes, PayloadError>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        let limit = this.limit;
        if let Poll::Ready(piece) = Pin::new(&mut this.body).poll_next(cx) {
            (this.wait, this.limit) = (None, this.later);
            return Poll::Ready(piece);
        }
        if !std::mem::replace(&mut this.has_looked, true) {
            // A short body comes right behind its head, and is not worth a timer: the server hands on what it has after
            // this first look.
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let wait = this.wait.get_or_insert_with(|| Box::pin(tokio::time::sleep(limit)));
        wait.as_mut().poll(cx).map(|()| {
            let told = format!("the client has sent nothing for {} s", limit.as_secs_f64());
            Some(Err(PayloadError::Io(io::Error::new(io::ErrorKind::TimedOut, told))))
        })
    }
}

#[cfg(test)]
mod tests {
    use futures_util::{StreamExt, stream};

    use super::*;

    const SOON: Duration = Duration::from_millis(30);
    const NEVER: Duration = Duration::from_secs(3600);

    fn patient<S>(body: S, limit: Duration, later: Duration) -> Patient<S> {
        Patient { body, limit, later, has_looked: false, wait: None }
    }

    fn piece() -> Result<Bytes, PayloadError> {
        Ok(Bytes::from_static(b"x"))
    }

    #[tokio::test]
    async fn silence_before_the_first_byte_ends_it() {
        let mut body = patient(stream::pending(), SOON, NEVER);
        let error = body.next().await.expect("an end").expect_err("an error");
        assert!(error.to_string().contains("nothing for 0.03 s"), "{error}");
    }

    #[tokio::test]
    async fn silence_in_the_middle_ends_it_and_a_pause_of_the_reader_does_not() {
        let mut body = patient(stream::iter([piece(), piece()]).chain(stream::pending()), NEVER, SOON);
        assert!(body.next().await.is_some_and(|piece| piece.is_ok()));
        tokio::time::sleep(SOON * 4).await;
        assert!(body.next().await.is_some_and(|piece| piece.is_ok()), "it was there all the time");
        assert!(body.next().await.is_some_and(|piece| piece.is_err()));
    }

    #[tokio::test]
    async fn a_body_that_comes_is_left_alone() {
        let mut body = patient(stream::iter([piece(), piece()]), SOON, SOON);
        assert_eq!((&mut body).count().await, 2);
    }
}
