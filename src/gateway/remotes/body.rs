//! A request's body that stays here until the first piece of it is wanted.
//!
//! The connections to remotes are driven by tasks of their own, while a client's payload stays on its thread and in its
//! task: the pieces go through a channel that holds one of them, so that who sends waits for the remote to take it.

use std::{
    future::poll_fn,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
};

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use tokio::sync::{mpsc, oneshot};

use crate::gateway::door::BodyError;

/// A body to be sent. Clones are the same body, of which each piece is sent once.
#[derive(Debug, Clone)]
pub struct Lent(Arc<Mutex<Lending>>);

#[derive(Debug)]
struct Lending {
    /// Tells that the first piece is wanted; gone from then on.
    begin: Option<oneshot::Sender<()>>,
    pieces: mpsc::Receiver<Result<Bytes, BodyError>>,
    size: SizeHint,
    is_empty: bool,
}

impl Lent {
    /// Sends on what `body` gives. Must be called on a worker of the server.
    pub fn new(body: impl Body<Data = Bytes, Error = BodyError> + Unpin + 'static) -> Self {
        let (size, is_empty) = (body.size_hint(), body.is_end_stream());
        let (sender, pieces) = mpsc::channel(1);
        let (begin, begun) = oneshot::channel();
        if !is_empty {
            // It ends with the body, or with whoever reads it.
            drop(actix_rt::spawn(forward(body, sender, begun)));
        }
        Self(Arc::new(Mutex::new(Lending { begin: Some(begin), pieces, size, is_empty })))
    }

    /// Whether a piece of it has been asked for, so that it cannot be sent once more.
    pub fn has_begun(&self) -> bool {
        let lending = self.lending();
        lending.begin.is_none() && !lending.is_empty
    }

    /// Nothing panics while it is locked.
    fn lending(&self) -> MutexGuard<'_, Lending> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn forward(
    mut body: impl Body<Data = Bytes, Error = BodyError> + Unpin,
    to: mpsc::Sender<Result<Bytes, BodyError>>,
    begun: oneshot::Receiver<()>,
) {
    // Not a word of it is asked of the client before somebody wants it. An error: nobody will.
    if begun.await.is_err() {
        return;
    }
    while let Some(frame) = poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await {
        let piece = match frame.map(Frame::into_data) {
            Ok(Ok(piece)) => Ok(piece),
            // Trailers concern the client's connection alone.
            Ok(Err(_trailers)) => continue,
            Err(error) => Err(error),
        };
        let is_last = piece.is_err();
        // Nobody wants the rest of it: the remote has answered, or is gone.
        if to.send(piece).await.is_err() || is_last {
            return;
        }
    }
}

impl Body for Lent {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let mut lending = self.lending();
        if lending.is_empty {
            return Poll::Ready(None);
        }
        if let Some(begin) = lending.begin.take() {
            // An error: the worker is on its way out, which the channel tells as well.
            let _nobody_reads = begin.send(());
        }
        lending.pieces.poll_recv(cx).map(|piece| piece.map(|piece| piece.map(Frame::data)))
    }

    fn is_end_stream(&self) -> bool {
        self.lending().is_empty
    }

    fn size_hint(&self) -> SizeHint {
        self.lending().size
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::{BodyExt, Full};

    use super::*;

    fn body(text: &'static str) -> Lent {
        Lent::new(Full::from(text).map_err(|never: std::convert::Infallible| match never {}))
    }

    async fn next(body: &mut Lent) -> Option<Result<Bytes, BodyError>> {
        let frame = poll_fn(|cx| Pin::new(&mut *body).poll_frame(cx)).await;
        frame.map(|frame| frame.map(|frame| frame.into_data().expect("data")))
    }

    #[actix_web::test]
    async fn a_body_can_be_sent_elsewhere_until_a_piece_of_it_is_wanted() {
        let whole = body("prompt");
        assert_eq!((whole.size_hint().exact(), whole.is_end_stream()), (Some(6), false));
        // What was to be sent to one that nobody could connect to.
        drop(whole.clone());
        assert!(!whole.has_begun());
        let mut again = whole.clone();
        assert_eq!(next(&mut again).await, Some(Ok(Bytes::from_static(b"prompt"))));
        assert!(whole.has_begun());
        assert_eq!(next(&mut again).await, None);
    }

    #[actix_web::test]
    async fn no_body_is_none() {
        let mut none = body("");
        assert!(none.is_end_stream());
        assert_eq!(none.size_hint().exact(), Some(0));
        assert_eq!(next(&mut none).await, None);
        assert!(!none.has_begun(), "there is nothing that could be sent twice");
    }
}
