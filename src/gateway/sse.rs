//! Events as a stream of server-sent events.
//!
//! Each event carries its id, so that a client which comes back with `Last-Event-ID` goes on where it was. A comment
//! every [`HEARTBEAT`] lets both sides notice that the other has gone.

use std::{convert::Infallible, time::Duration};

use bytes::Bytes;
use futures_util::{FutureExt, Stream, stream};
use greenroom_actors::event::{Event, EventStream};
use tokio::sync::watch;

/// Pause after which a comment is sent on a quiet stream. Proxies give up on silence after 30 s and more.
const HEARTBEAT: Duration = Duration::from_secs(15);

/// One event on the wire.
#[must_use]
pub fn frame(event: &Event) -> Bytes {
    // Serialising cannot fail: every map key is a string.
    let data = serde_json::to_string(event).unwrap_or_default();
    format!("id: {}\nevent: {}\ndata: {data}\n\n", event.id, event.kind.name()).into()
}

/// Where a stream is in its life.
enum Phase {
    Opening,
    Open,
}

/// The stream of `events` until the server closes; with `follow` off it ends where waiting would begin.
pub fn stream(
    events: EventStream,
    closing: watch::Receiver<bool>,
    follow: bool,
) -> impl Stream<Item = Result<Bytes, Infallible>> {
    stream::unfold((events, closing, Phase::Opening), move |(mut events, mut closing, phase)| async move {
        let chunk = match phase {
            // Headers go out with the first bytes: whoever follows knows at once that it listens.
            Phase::Opening => Some(Bytes::from_static(b": listening\n\n")),
            Phase::Open if !follow => events.next().now_or_never().flatten().map(|e| frame(&e)),
            Phase::Open => tokio::select! {
                biased;
                event = events.next() => event.map(|e| frame(&e)),
                // Also when the server is gone.
                _closed = closing.wait_for(|closing| *closing) => None,
                () = tokio::time::sleep(HEARTBEAT) => Some(Bytes::from_static(b": still here\n\n")),
            },
        };
        chunk.map(|chunk| (Ok(chunk), (events, closing, Phase::Open)))
    })
}

#[cfg(test)]
mod tests {
    use futures_util::StreamExt;
    use greenroom_actors::event::{EventBus, EventId, EventKind};

    use super::*;

    #[tokio::test]
    async fn a_stream_tells_each_event_with_its_id_and_ends_with_the_server() {
        let bus = EventBus::new(7);
        let (close, closing) = watch::channel(false);
        let mut lines = Box::pin(stream(bus.subscribe(None), closing, true));
        assert_eq!(lines.next().await, Some(Ok(Bytes::from_static(b": listening\n\n"))));
        bus.emit(EventKind::RuntimeState { state: "running".to_owned(), reason: None });
        let told = lines.next().await.expect("a chunk").expect("no error");
        let told = String::from_utf8(told.to_vec()).expect("text");
        assert!(told.starts_with("id: 7-1\nevent: runtime.state\ndata: {\"id\":\"7-1\""), "{told}");
        assert!(told.ends_with("}\n\n"), "{told}");
        close.send(true).expect("somebody listens");
        assert_eq!(lines.next().await, None);
    }

    #[tokio::test]
    async fn without_following_it_ends_after_what_is_known() {
        let bus = EventBus::new(7);
        for n in 0..3 {
            bus.emit(EventKind::RuntimeState { state: n.to_string(), reason: None });
        }
        let (_close, closing) = watch::channel(false);
        let after = EventId { epoch: 7, sequence: 1 };
        let chunks: Vec<_> = stream(bus.subscribe(Some(after)), closing, false).collect().await;
        assert_eq!(chunks.len(), 3, "the opening and two events");
    }
}
