//! The event bus: what happened, told to everybody who listens, without the teller ever waiting.
//!
//! [`EventBus::emit`] gives an event its id (`epoch-sequence`), keeps it in a ring for those who come back later, and
//! offers it to every subscriber. A subscriber that is too slow finds a [`EventKind::Gap`] with the number of events it
//! lost. What must not be lost goes to the history by its own path as well. The bus also knows which alerts stand, by all
//! that it was told.

mod kind;
mod standing;

use std::{
    collections::VecDeque,
    fmt,
    str::FromStr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use serde::Serialize;
use tokio::sync::broadcast;

use crate::{ids::ServiceName, os::clock, time::Timestamp};

use standing::Standing;

pub use kind::{EventKind, Severity, SwapSeconds};
pub use standing::AlertView;

/// Events kept for subscribers that come back with the id of the last one they saw.
const RING: usize = 4096;
/// Events a live subscriber may lie behind before it gets a gap.
const BEHIND: usize = 1024;

/// `epoch-sequence`: the epoch is the runtime's start in milliseconds since 1970, the sequence begins at 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EventId {
    /// Which runtime.
    pub epoch: u64,
    /// Which event of it.
    pub sequence: u64,
}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.epoch, self.sequence)
    }
}

/// A text that is not `epoch-sequence`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an event id is two whole numbers with a `-` between them")]
pub struct BadEventId;

impl FromStr for EventId {
    type Err = BadEventId;

    fn from_str(text: &str) -> Result<Self, BadEventId> {
        let (epoch, sequence) = text.split_once('-').ok_or(BadEventId)?;
        let number = |t: &str| t.parse().map_err(|_| BadEventId);
        Ok(Self { epoch: number(epoch)?, sequence: number(sequence)? })
    }
}

impl Serialize for EventId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Event {
    /// Its id.
    pub id: EventId,
    /// When.
    pub at: Timestamp,
    /// What.
    #[serde(flatten)]
    pub kind: EventKind,
}

/// Where events are told and heard. Clones are the same bus.
#[derive(Debug, Clone)]
pub struct EventBus {
    inner: Arc<Mutex<Inner>>,
}

#[derive(Debug)]
struct Inner {
    next: EventId,
    ring: VecDeque<Event>,
    live: broadcast::Sender<Event>,
    /// What needs attention, by all that was told.
    standing: Standing,
}

impl EventBus {
    /// A bus whose ids carry `epoch`.
    #[must_use]
    pub fn new(epoch: u64) -> Self {
        let (live, _) = broadcast::channel(BEHIND);
        let next = EventId { epoch, sequence: 1 };
        Self { inner: Arc::new(Mutex::new(Inner { next, ring: VecDeque::new(), live, standing: Standing::default() })) }
    }

    /// The first half of the ids of its events.
    #[must_use]
    pub fn epoch(&self) -> u64 {
        self.lock().next.epoch
    }

    /// Tells everybody. Never waits; from any thread.
    pub fn emit(&self, kind: EventKind) -> Event {
        self.lock().emit(kind)
    }

    /// Tells that an alert is over, if it stands. Never waits; from any thread.
    pub fn clear(&self, alert: &str, service: Option<&ServiceName>) {
        let mut inner = self.lock();
        if inner.standing.has(alert, service) {
            inner.emit(EventKind::AlertCleared { alert: alert.to_owned(), service: service.cloned() });
        }
    }

    /// Tells that all alerts about a service, a worker or a remote are over, since it is no more.
    pub fn forget(&self, service: &ServiceName) {
        let mut inner = self.lock();
        for alert in inner.standing.about(service) {
            inner.emit(EventKind::AlertCleared { alert, service: Some(service.clone()) });
        }
    }

    /// What needs attention, the worst first, and of that the oldest: every alert that was told and is not over.
    #[must_use]
    pub fn standing(&self) -> Vec<AlertView> {
        self.lock().standing.all()
    }

    /// Listens from now on, or from just after `after` if that event is still known. What was lost since is told as a
    /// gap first.
    #[must_use]
    pub fn subscribe(&self, after: Option<EventId>) -> EventStream {
        let inner = self.lock();
        let live = inner.live.subscribe();
        let backlog = after.map(|id| inner.since(id)).unwrap_or_default();
        EventStream { backlog, live, last: inner.next }
    }

    /// The last events about a service that are still known, oldest first, at most `most`; no progress.
    #[must_use]
    pub fn last_about(&self, service: &ServiceName, most: usize) -> Vec<Event> {
        let inner = self.lock();
        let about =
            inner.ring.iter().rev().filter(|event| event.kind.service() == Some(service) && !event.kind.is_passing());
        let mut last: Vec<Event> = about.take(most).cloned().collect();
        last.reverse();
        last
    }

    /// The last events of all that are still known, oldest first, at most `most`; no progress.
    #[must_use]
    pub fn last(&self, most: usize) -> Vec<Event> {
        let inner = self.lock();
        let mut last: Vec<Event> =
            inner.ring.iter().rev().filter(|event| !event.kind.is_passing()).take(most).cloned().collect();
        last.reverse();
        last
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // Nothing below can panic while the lock is held, so a poisoned lock still guards whole data.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn emit(&mut self, kind: EventKind) -> Event {
        let event = Event { id: self.next, at: clock::wall(), kind };
        self.next.sequence += 1;
        self.standing.hear(&event.kind, event.at);
        if self.ring.len() == RING {
            self.ring.pop_front();
        }
        self.ring.push_back(event.clone());
        // An error means that nobody listens, which is fine.
        drop(self.live.send(event.clone()));
        event
    }

    fn since(&self, id: EventId) -> VecDeque<Event> {
        let oldest = self.ring.front().map_or(self.next.sequence, |e| e.id.sequence);
        let missed = if id.epoch == self.next.epoch { oldest.saturating_sub(id.sequence + 1) } else { 0 };
        let mut events: VecDeque<Event> = if id.epoch == self.next.epoch {
            self.ring.iter().filter(|e| e.id.sequence > id.sequence).cloned().collect()
        } else {
            self.ring.clone()
        };
        if missed > 0 || id.epoch != self.next.epoch {
            let id = EventId { sequence: oldest.saturating_sub(1), ..self.next };
            events.push_front(Event { id, at: clock::wall(), kind: EventKind::Gap { missed } });
        }
        events
    }
}

/// One listener's events, in order.
#[derive(Debug)]
pub struct EventStream {
    backlog: VecDeque<Event>,
    live: broadcast::Receiver<Event>,
    last: EventId,
}

impl EventStream {
    /// The next event, or `None` once the bus is gone. Dropping the future loses nothing.
    pub async fn next(&mut self) -> Option<Event> {
        let event = match self.backlog.pop_front() {
            Some(event) => event,
            None => match self.live.recv().await {
                Ok(event) => event,
                Err(broadcast::error::RecvError::Closed) => return None,
                Err(broadcast::error::RecvError::Lagged(missed)) => {
                    Event { id: self.last, at: clock::wall(), kind: EventKind::Gap { missed } }
                }
            },
        };
        self.last = event.id;
        Some(event)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn phase(n: usize) -> EventKind {
        EventKind::RuntimeState { state: n.to_string(), reason: None }
    }

    #[tokio::test]
    async fn a_subscriber_hears_what_is_told_after_it_came() {
        let bus = EventBus::new(7);
        bus.emit(phase(0));
        let mut stream = bus.subscribe(None);
        bus.emit(phase(1));
        let event = stream.next().await.expect("an event");
        assert_eq!((event.id.to_string().as_str(), event.kind), ("7-2", phase(1)));
    }

    #[tokio::test]
    async fn a_subscriber_that_comes_back_gets_what_it_missed() {
        let bus = EventBus::new(7);
        let first = bus.emit(phase(0)).id;
        bus.emit(phase(1));
        let mut stream = bus.subscribe(Some(first));
        assert_eq!(stream.next().await.map(|e| e.kind), Some(phase(1)));
    }

    #[tokio::test]
    async fn one_that_is_too_slow_or_too_late_gets_a_gap() {
        let bus = EventBus::new(7);
        let mut slow = bus.subscribe(None);
        let first = bus.emit(phase(0)).id;
        for n in 0..BEHIND + RING {
            bus.emit(phase(n));
        }
        assert!(matches!(slow.next().await.map(|e| e.kind), Some(EventKind::Gap { missed }) if missed as usize > RING));
        let mut late = bus.subscribe(Some(first));
        assert_eq!(late.next().await.map(|e| e.kind), Some(EventKind::Gap { missed: BEHIND as u64 }));
        let mut earlier_runtime = bus.subscribe(Some(EventId { epoch: 6, sequence: 9 }));
        assert_eq!(earlier_runtime.next().await.map(|e| e.kind), Some(EventKind::Gap { missed: 0 }));
    }

    #[test]
    fn the_last_events_about_a_service_are_its_own_and_in_order() {
        let bus = EventBus::new(7);
        let name = |text: &str| text.parse::<ServiceName>().expect("a name");
        let over = |service: &str| EventKind::AlertCleared { alert: "a".to_owned(), service: Some(name(service)) };
        for service in ["x", "y", "x", "x"] {
            bus.emit(over(service));
        }
        bus.emit(phase(0));
        let last: Vec<u64> = bus.last_about(&name("x"), 2).iter().map(|event| event.id.sequence).collect();
        assert_eq!(last, [3, 4]);
        let last: Vec<u64> = bus.last(2).iter().map(|event| event.id.sequence).collect();
        assert_eq!((last.as_slice(), bus.last(99).len()), ([4, 5].as_slice(), 5));
    }

    #[test]
    fn an_end_is_told_of_what_stands_alone_and_what_is_no_more_needs_no_attention() {
        let bus = EventBus::new(7);
        let (chat, tts): (ServiceName, ServiceName) = ("chat".parse().expect("a name"), "tts".parse().expect("a name"));
        for (alert, service) in [("dirty", &chat), ("job_stuck", &chat), ("dirty", &tts)] {
            let (alert, severity, service) = (alert.to_owned(), Severity::Warning, Some(service.clone()));
            bus.emit(EventKind::AlertRaised { alert, severity, service, message: String::new() });
        }
        bus.clear("dirty", Some(&chat));
        bus.clear("dirty", Some(&chat));
        bus.clear("dirty", None);
        let ends = || bus.last(99).iter().filter(|event| event.kind.name() == "alert.cleared").count();
        assert_eq!((ends(), bus.standing().len()), (1, 2));
        bus.forget(&chat);
        bus.forget(&chat);
        let left: Vec<_> = bus.standing().into_iter().filter_map(|alert| alert.service).collect();
        assert_eq!((ends(), left), (2, vec![tts]));
    }

    #[test]
    fn ids_survive_their_text() {
        let id = EventId { epoch: 12, sequence: 3 };
        assert_eq!(id.to_string().parse(), Ok(id));
        assert_eq!("12".parse::<EventId>(), Err(BadEventId));
    }
}
