//! The sender's side of the history.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
};

use actix::{Addr, WeakAddr};
use tokio::sync::{oneshot, watch};

use super::{
    actor::{HistoryStore, Take},
    messages::{HistoryHealth, HistoryState, NotRecorded, Record, RecordAll},
};

/// The most records on their way to the store's thread. Mailboxes have no bound of their own that senders respect.
const MOST_IN_FLIGHT: usize = 10_000;

/// Takes records from anybody and never makes them wait. Clones are the same.
#[derive(Debug, Clone, Default)]
pub struct HistorySink {
    line: Option<Line>,
}

/// The way to the store.
#[derive(Debug, Clone)]
struct Line {
    /// Weak: who looks at the history's health after the end must not keep its thread's executor.
    store: WeakAddr<HistoryStore>,
    health: watch::Receiver<HistoryHealth>,
    counts: Arc<Counts>,
}

/// What sinks and store count together.
#[derive(Debug, Default)]
pub(super) struct Counts {
    in_flight: AtomicUsize,
    dropped: AtomicU64,
    said: AtomicBool,
}

impl Counts {
    /// Records that never reached the store.
    pub(super) fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    pub(super) fn lose(&self, records: u64, why: &str) {
        self.dropped.fetch_add(records, Ordering::Relaxed);
        if !self.said.swap(true, Ordering::Relaxed) {
            tracing::error!(records, "{why}: records of the history are lost");
        }
    }
}

/// Stands for one record on its way; dropped when the store has it.
#[derive(Debug)]
pub(super) struct Ticket(Arc<Counts>);

impl Ticket {
    fn draw(counts: &Arc<Counts>) -> Option<Self> {
        if counts.in_flight.fetch_add(1, Ordering::Relaxed) < MOST_IN_FLIGHT {
            return Some(Self(counts.clone()));
        }
        counts.in_flight.fetch_sub(1, Ordering::Relaxed);
        None
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if self.0.in_flight.fetch_sub(1, Ordering::Relaxed) == 1 {
            // The jam is over; the next one is worth saying again.
            self.0.said.store(false, Ordering::Relaxed);
        }
    }
}

impl HistorySink {
    /// One that forgets everything, for a runtime without a history.
    #[must_use]
    pub fn none() -> Self {
        Self::default()
    }

    pub(super) fn new(store: &Addr<HistoryStore>, health: watch::Receiver<HistoryHealth>, counts: Arc<Counts>) -> Self {
        Self { line: Some(Line { store: store.downgrade(), health, counts }) }
    }

    /// Hands a record over. It is on disk with the next group commit. When the store's thread is so far behind that
    /// 10,000 records are on their way already, this one is dropped and counted.
    pub fn record(&self, record: Record) {
        let Some(line) = &self.line else { return };
        let Some(store) = line.store.upgrade() else {
            return line.counts.lose(1, "the history is closed");
        };
        match Ticket::draw(&line.counts) {
            Some(ticket) => store.do_send(Take { record, ticket }),
            None => line.counts.lose(1, "the history's thread does not keep up"),
        }
    }

    /// Hands records over and waits until they are on disk. They are handed over by the first poll; whoever gives up after
    /// it gives up the waiting only.
    ///
    /// # Errors
    /// When they are not on disk: kept and tried again, partly dropped, or the history is closed.
    pub async fn record_acked(&self, records: Vec<Record>) -> Result<(), NotRecorded> {
        let Some(line) = &self.line else { return Err(NotRecorded::Closed) };
        let Some(store) = line.store.upgrade() else { return Err(NotRecorded::Closed) };
        let (written, answer) = oneshot::channel();
        store.do_send(RecordAll { records, written });
        // Held while it waits, the address would keep the store's thread.
        drop(store);
        answer.await.unwrap_or(Err(NotRecorded::Closed))
    }

    /// Waits until everything that was handed over before is on disk.
    ///
    /// # Errors
    /// As [`record_acked`](Self::record_acked).
    pub async fn flush(&self) -> Result<(), NotRecorded> {
        self.record_acked(Vec::new()).await
    }

    /// How the history fares, without asking it: as it was after the last commit.
    #[must_use]
    pub fn health(&self) -> HistoryHealth {
        match &self.line {
            None => HistoryHealth {
                state: HistoryState::Degraded("there is no history".to_owned()),
                buffered: 0,
                dropped: 0,
            },
            Some(line) => {
                let mut health = line.health.borrow().clone();
                health.dropped += line.counts.dropped();
                health
            }
        }
    }
}
