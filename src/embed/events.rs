//! Events as a stream that any executor can poll.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use futures_util::{Stream, StreamExt, stream, stream::BoxStream};
use greenroom_actors::event::{Event, EventKind, EventStream};
use tokio::sync::watch;

use crate::runtime::ShutdownReport;

/// Which events are wanted.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Filter {
    services: Vec<String>,
    kinds: Vec<String>,
}

/// The listener was too slow: so many events are lost to it. Those that follow are whole again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{missed} events came too fast and are lost")]
pub struct Lagged {
    /// How many.
    pub missed: u64,
}

/// Events, in order, until the runtime has ended. It does not keep the runtime running.
pub struct Events(BoxStream<'static, Result<Event, Lagged>>);

impl std::fmt::Debug for Events {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Events").finish_non_exhaustive()
    }
}

impl Filter {
    /// Every event.
    #[must_use]
    pub fn all() -> Self {
        Self::default()
    }

    /// Only those about this service, or about another one that was named too.
    #[must_use]
    pub fn service(mut self, name: impl Into<String>) -> Self {
        self.services.push(name.into());
        self
    }

    /// Only those of this kind, such as `service.state`, or of another one that was named too.
    #[must_use]
    pub fn kind(mut self, name: impl Into<String>) -> Self {
        self.kinds.push(name.into());
        self
    }

    /// Whether an event is wanted.
    #[must_use]
    pub fn wants(&self, kind: &EventKind) -> bool {
        let service = kind.service().map(|name| name.as_str());
        let is_of = self.services.is_empty() || self.services.iter().any(|name| Some(name.as_str()) == service);
        is_of && (self.kinds.is_empty() || self.kinds.iter().any(|name| name == kind.name()))
    }
}

impl Events {
    pub(super) fn new(
        events: EventStream,
        filter: Filter,
        ended: watch::Receiver<Option<Arc<ShutdownReport>>>,
    ) -> Self {
        let wanted = stream::unfold((events, ended, filter), |(mut events, mut ended, filter)| async move {
            loop {
                // What has been told is heard before the end.
                let event = tokio::select! {
                    biased;
                    event = events.next() => event,
                    _ = ended.wait_for(Option::is_some) => None,
                };
                let told = match event? {
                    Event { kind: EventKind::Gap { missed }, .. } => Err(Lagged { missed }),
                    event if filter.wants(&event.kind) => Ok(event),
                    _ => continue,
                };
                return Some((told, (events, ended, filter)));
            }
        });
        Self(wanted.boxed())
    }
}

impl Stream for Events {
    type Item = Result<Event, Lagged>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.poll_next_unpin(cx)
    }
}

#[cfg(test)]
mod tests {
    use greenroom_actors::event::EventBus;

    use super::*;
    use crate::embed::block_on;

    fn cleared(service: &str) -> EventKind {
        EventKind::AlertCleared { alert: "a".to_owned(), service: service.parse().ok() }
    }

    fn phase() -> EventKind {
        EventKind::RuntimeState { state: "running".to_owned(), reason: None }
    }

    #[test]
    fn a_filter_takes_what_fits_every_part_of_it() {
        assert!(Filter::all().wants(&phase()) && Filter::all().wants(&cleared("a")));
        let of_two = Filter::all().service("a").service("b");
        assert!(of_two.wants(&cleared("a")) && of_two.wants(&cleared("b")));
        assert!(!of_two.wants(&cleared("c")) && !of_two.wants(&phase()));
        assert!(Filter::all().kind("alert.cleared").wants(&cleared("c")));
        assert!(!of_two.kind("service.state").wants(&cleared("a")));
    }

    #[test]
    fn wanted_events_come_in_order_and_the_stream_ends_with_the_runtime() {
        let bus = EventBus::new(7);
        let (end, ended) = watch::channel(None);
        let mut events = Events::new(bus.subscribe(None), Filter::all().service("b"), ended);
        for service in ["a", "b", "a", "b"] {
            bus.emit(cleared(service));
        }
        drop(end);
        let ids: Vec<u64> =
            block_on(async { events.by_ref().map(|event| event.expect("no gap").id.sequence).collect().await });
        assert_eq!(ids, [2, 4]);
    }

    #[test]
    fn a_slow_listener_is_told_how_much_it_lost() {
        let bus = EventBus::new(7);
        let (_end, ended) = watch::channel(None);
        let mut events = Events::new(bus.subscribe(None), Filter::all().service("nobody"), ended);
        for _ in 0..3000 {
            bus.emit(phase());
        }
        let first = block_on(events.next());
        assert!(matches!(first, Some(Err(Lagged { missed })) if missed > 1000), "{first:?}");
    }
}
