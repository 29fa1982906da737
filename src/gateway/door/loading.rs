//! What a streaming client is told while the model is on its way that it has asked for, so that it does not give up.
//!
//! A wait that takes longer than [`PATIENCE`] gets its head at once (200, an event stream), and comments from then on: events
//! that no client shows. What comes of the wait follows in the same stream: the service's own events, or an error as one.

use std::{
    convert::Infallible,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use actix_web::{
    HttpResponse,
    body::{BodySize, MessageBody},
};
use bytes::Bytes;
use futures_util::{FutureExt, future::LocalBoxFuture};
use greenroom_actors::state::{ServiceState, ServiceStatus};
use hyper::{
    Response,
    body::{Body, Incoming},
};
use serde::Deserialize;
use tokio::{
    sync::watch,
    time::{Sleep, sleep},
};

use super::{
    ending::Dialect,
    events::{Events, OfRun},
    overheard::Ear,
    refusal::answered_otherwise,
    relay::{Asked, Stay, is_plain_events, to_the_end_of_the_connection},
};
use crate::gateway::errors::ApiError;

/// How long a wait is silent. A refusal that comes sooner keeps its own status.
pub const PATIENCE: Duration = Duration::from_secs(2);
/// Pause between two comments.
const EVERY: Duration = Duration::from_secs(4);
/// Of an answer that is no event stream, what is told of it.
const MOST_TOLD: usize = 16 * 1024;

/// An answer that has come, and what lasts as long as it.
#[derive(Debug)]
pub struct Fetched {
    /// Its head, and where its body comes from.
    pub answer: Response<Incoming>,
    /// The permit.
    pub stay: Stay,
    /// Whom to ask why it broke off.
    pub inquest: OfRun,
    /// Who listens to it, where it is an error.
    pub ear: Option<Box<Ear>>,
}

/// A request on its way: it waits for its model, is sent, and gets its answer. Dropping it gives it up.
pub type Errand = LocalBoxFuture<'static, Result<Fetched, ApiError>>;

/// Whether a request asks for its answer as a stream: `"stream": true` in a JSON body.
#[must_use]
pub fn wants_stream(body: &[u8]) -> bool {
    #[derive(Deserialize)]
    struct Wish {
        #[serde(default)]
        stream: bool,
    }
    serde_json::from_slice::<Wish>(body).is_ok_and(|wish| wish.stream)
}

/// The answer to one who has waited for long enough to be told about it.
#[must_use]
pub fn telling(errand: Errand, status: watch::Receiver<ServiceStatus>, asked: Asked) -> HttpResponse {
    let body = Telling {
        stage: Stage::Waiting(errand),
        status,
        // The first comment comes with the head.
        next: Box::pin(sleep(Duration::ZERO)),
        dialect: asked.dialect,
    };
    let mut response = HttpResponse::Ok()
        .content_type("text/event-stream")
        .insert_header(("Cache-Control", "no-cache"))
        // For an nginx in front of this door.
        .insert_header(("X-Accel-Buffering", "no"))
        .body(body);
    if !asked.takes_chunks {
        to_the_end_of_the_connection(&mut response);
    }
    response
}

/// The body of such an answer.
struct Telling {
    stage: Stage,
    status: watch::Receiver<ServiceStatus>,
    next: Pin<Box<Sleep>>,
    dialect: Dialect,
}

enum Stage {
    Waiting(Errand),
    /// The service has answered something else.
    Reading(LocalBoxFuture<'static, ApiError>),
    Passing(Box<Events>),
    Over,
}

impl Telling {
    /// The next piece; `None` at the end.
    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        loop {
            match &mut self.stage {
                Stage::Waiting(errand) => match errand.poll_unpin(cx) {
                    Poll::Ready(Ok(fetched)) => self.stage = self.begun(fetched),
                    Poll::Ready(Err(error)) => return self.refused(&error),
                    Poll::Pending => {
                        ready!(self.next.as_mut().poll(cx));
                        self.next.set(sleep(EVERY));
                        return Poll::Ready(Some(comment(&self.status.borrow()).into()));
                    }
                },
                Stage::Reading(reading) => {
                    let error = ready!(reading.poll_unpin(cx));
                    return self.refused(&error);
                }
                Stage::Passing(events) => return events.poll_piece(cx),
                Stage::Over => return Poll::Ready(None),
            }
        }
    }

    fn begun(&self, Fetched { answer, stay, inquest, mut ear }: Fetched) -> Stage {
        let (head, from) = answer.into_parts();
        if head.status == hyper::StatusCode::OK && is_plain_events(&head.headers) {
            return Stage::Passing(Box::new(Events::new(from, &head.headers, self.dialect, stay, inquest)));
        }
        let read = async move {
            let text = read_some(from).await;
            if let Some(ear) = &mut ear {
                ear.hear(text.as_bytes());
            }
            drop((stay, ear));
            answered_otherwise(head.status.as_u16(), &text)
        };
        Stage::Reading(read.boxed_local())
    }

    fn refused(&mut self, error: &ApiError) -> Poll<Option<Bytes>> {
        self.stage = Stage::Over;
        Poll::Ready(Some(self.dialect.event(error).into()))
    }
}

impl MessageBody for Telling {
    type Error = Infallible;

    fn size(&self) -> BodySize {
        BodySize::Stream
    }

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Infallible>>> {
        self.poll_piece(cx).map(|piece| piece.map(Ok))
    }
}

/// The beginning of a body as text. One that breaks off is as long as it came.
async fn read_some(mut from: Incoming) -> String {
    let mut all = Vec::new();
    while all.len() < MOST_TOLD
        && let Some(Ok(frame)) = std::future::poll_fn(|cx| Pin::new(&mut from).poll_frame(cx)).await
    {
        if let Ok(piece) = frame.into_data() {
            all.extend_from_slice(&piece);
        }
    }
    all.truncate(MOST_TOLD);
    String::from_utf8_lossy(&all).into_owned()
}

/// How it stands with a service, as a comment of an event stream.
fn comment(now: &ServiceStatus) -> String {
    use ServiceState as S;
    let name = &now.name;
    let why = now.reason.as_deref().map(|reason| format!(": {reason}")).unwrap_or_default();
    let text = match (now.state, &now.load) {
        (S::Spawning | S::Starting, Some(load)) => {
            let part = if load.total > 1 { format!(" {}/{}", load.done, load.total) } else { String::new() };
            let left = load.eta.filter(|eta| *eta > 0.0).map(|eta| format!(", about {}s left", eta.ceil()));
            format!("{name} is loading: {}{part}{}", load.phase, left.unwrap_or_default())
        }
        (S::Spawning | S::Starting, None) => format!("{name} is loading"),
        (S::Reserved, _) => format!("{name} waits for memory{why}"),
        (S::Draining | S::Stopping | S::Killing | S::Reclaiming, _) => {
            format!("{name} is on its way out, and comes back after that")
        }
        (S::Backoff, _) => format!("{name} is started again after a pause{why}"),
        (S::Ready, _) => format!("{name} is ready"),
        (S::Unready, _) => format!("{name} does not answer at the moment{why}"),
        (S::Stopped | S::Offloaded | S::Sleeping | S::Completed | S::Failed | S::Quarantined | S::Stuck, _) => {
            format!("{name} is {}{why}", now.state.name())
        }
    };
    // A line end would end the comment.
    format!(": {}\n\n", text.replace(['\r', '\n'], " "))
}

#[cfg(test)]
mod tests {
    use greenroom_actors::{
        state::{Disposition, LoadProgress},
        time::Timestamp,
    };

    use super::*;

    #[test]
    fn a_stream_is_wanted_by_a_body_that_says_so() {
        for yes in [r#"{"stream":true}"#, r#"{"messages":[{"stream":false}],"model":"x","stream":true}"#] {
            assert!(wants_stream(yes.as_bytes()), "{yes}");
        }
        for no in ["", "{}", r#"{"stream":false}"#, r#"{"stream":"true"}"#, r#"{"a":{"stream":true}}"#, "stream"] {
            assert!(!wants_stream(no.as_bytes()), "{no}");
        }
    }

    #[test]
    fn a_comment_says_how_the_load_gets_on_in_one_line() {
        let name = "chat".parse().expect("a name");
        let status = ServiceStatus {
            state: ServiceState::Starting,
            ..ServiceStatus::initial(name, Disposition::OnDemand, Timestamp::from_micros(0))
        };
        let load = |phase: &str, done, total, eta| Some(LoadProgress { phase: phase.to_owned(), done, total, eta });
        let told = |load, state, reason: Option<&str>| {
            comment(&ServiceStatus { load, state, reason: reason.map(str::to_owned), ..status.clone() })
        };
        let starting = ServiceState::Starting;
        assert_eq!(
            told(load("weights", 2, 4, Some(2.1)), starting, None),
            ": chat is loading: weights 2/4, about 3s left\n\n"
        );
        assert_eq!(told(load("graphs", 0, 1, None), starting, None), ": chat is loading: graphs\n\n");
        assert_eq!(told(None, starting, None), ": chat is loading\n\n");
        let reserved = told(None, ServiceState::Reserved, Some("waits for\r\nimage to leave"));
        assert_eq!(reserved, ": chat waits for memory: waits for  image to leave\n\n");
        for state in ServiceState::ALL {
            let told = told(None, state, Some("x"));
            assert!(told.starts_with(": chat ") && told.trim_end().lines().count() == 1, "{told}");
        }
    }
}
