//! Every event of the bus goes into the history, but for what is of interest only while it is news.
//!
//! The bus keeps its last events for those who fall behind, so a gap is filled by subscribing again from the last event
//! that was written. Only what even the bus has forgotten is lost, and counted.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use futures_util::FutureExt as _;

use super::{
    messages::{NotRecorded, Record},
    sink::{Counts, HistorySink},
};
use crate::event::{Event, EventBus, EventId, EventKind, EventStream};

/// Events that one step hands over at most.
const STEP: usize = 512;

/// How far the bus has been written down: the sequence of the last event. Shared by the follower and the store, which
/// reads the rest when it closes.
#[derive(Debug, Clone, Default)]
pub(super) struct Mark(Arc<AtomicU64>);

impl Mark {
    fn id(&self, bus: &EventBus) -> EventId {
        EventId { epoch: bus.epoch(), sequence: self.0.load(Ordering::Acquire) }
    }

    fn set(&self, id: EventId) {
        self.0.fetch_max(id.sequence, Ordering::AcqRel);
    }
}

/// Writes down what happens on the bus until the history is closed.
pub(super) async fn follow(bus: EventBus, sink: HistorySink, mark: Mark, counts: Arc<Counts>) {
    let (mut stream, mut first) = subscribe(&bus, &mark, &counts);
    loop {
        let event = match first.take() {
            Some(event) => event,
            None => match stream.next().await {
                Some(event) => event,
                None => return,
            },
        };
        let mut gap = is_gap(&event);
        if !gap {
            let mut step = vec![event];
            gap = waiting(&mut stream, &mut step);
            let last = step.last().map(|event| event.id);
            let records: Vec<Record> = step.into_iter().filter(is_kept).map(Record::Event).collect();
            if !records.is_empty() && sink.record_acked(records).await == Err(NotRecorded::Closed) {
                return;
            }
            if let Some(last) = last {
                mark.set(last);
            }
        }
        if gap {
            (stream, first) = subscribe(&bus, &mark, &counts);
        }
    }
}

/// Listens from the mark on. Comes with the first event if there is one already. A gap right at the beginning is one
/// that nobody can fill: it is counted and left out.
fn subscribe(bus: &EventBus, mark: &Mark, counts: &Counts) -> (EventStream, Option<Event>) {
    let mut stream = bus.subscribe(Some(mark.id(bus)));
    let first = match stream.next().now_or_never().flatten() {
        Some(Event { kind: EventKind::Gap { missed }, .. }) => {
            counts.lose(missed, "events came faster than they could be written");
            None
        }
        other => other,
    };
    (stream, first)
}

/// What the follower has not come to yet.
pub(super) fn rest(bus: &EventBus, mark: &Mark) -> Vec<Event> {
    let mut stream = bus.subscribe(Some(mark.id(bus)));
    let mut rest = Vec::new();
    while let Some(Some(event)) = stream.next().now_or_never() {
        if !is_gap(&event) {
            mark.set(event.id);
            rest.extend(Some(event).filter(is_kept));
        }
    }
    rest
}

/// Adds what can be had without waiting. Whether a gap ended it.
fn waiting(stream: &mut EventStream, step: &mut Vec<Event>) -> bool {
    while step.len() < STEP {
        match stream.next().now_or_never() {
            Some(Some(event)) if is_gap(&event) => return true,
            Some(Some(event)) => step.push(event),
            Some(None) | None => return false,
        }
    }
    false
}

fn is_kept(event: &Event) -> bool {
    !event.kind.is_passing()
}

fn is_gap(event: &Event) -> bool {
    matches!(event.kind, EventKind::Gap { .. })
}
