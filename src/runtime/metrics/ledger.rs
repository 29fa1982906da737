//! Requests on their way into the history: a bounded line, emptied once a second in one batch.
//!
//! The hot path puts a row into a slot and waits for nobody. Under a flood more come than are worth a disk's time: what
//! does not fit is left out, counted, and said once. So the history costs no more than [`LINE`] rows a second, whatever
//! comes in.

use std::{
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering, fence},
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    time::Duration,
};

use greenroom_actors::history_store::{
    HistorySink,
    messages::{Record, RequestRow},
};
use tokio::sync::Notify;

/// Requests that can wait to be written, so also the most of a second. One box with a few models has some hundred.
const LINE: usize = 1024;
/// How long they are gathered.
const GATHER: Duration = Duration::from_secs(1);

/// The line. Anybody puts rows in; one task takes them out.
#[derive(Debug)]
pub struct Ledger {
    epoch: u64,
    /// Requests so far; with the epoch, the key of a row.
    number: AtomicU64,
    entry: SyncSender<RequestRow>,
    /// Taken by whoever writes; never on the hot path.
    exit: Mutex<Receiver<RequestRow>>,
    /// Whether somebody has been woken for what is in the line.
    due: AtomicBool,
    wake: Notify,
    left_out: AtomicU64,
    said: AtomicBool,
}

impl Ledger {
    /// An empty one, for the runtime with this first half of event ids.
    #[must_use]
    pub fn new(epoch: u64) -> Self {
        let (entry, exit) = sync_channel(LINE);
        Self {
            epoch,
            number: AtomicU64::new(0),
            entry,
            exit: Mutex::new(exit),
            due: AtomicBool::new(false),
            wake: Notify::new(),
            left_out: AtomicU64::new(0),
            said: AtomicBool::new(false),
        }
    }

    /// Puts a row in, or leaves it out where the line is full.
    pub fn enter(&self, row: RequestRow) {
        if self.entry.try_send(row).is_err() {
            self.left_out.fetch_add(1, Ordering::Relaxed);
            return;
        }
        // With the one in `write`: either this sees that nobody is on the way, or whoever writes sees the row.
        fence(Ordering::SeqCst);
        // The look first: a swap by every request would make the workers fight for the word.
        if !self.due.load(Ordering::Relaxed) && !self.due.swap(true, Ordering::AcqRel) {
            self.wake.notify_one();
        }
    }

    /// Requests that were not written down because too many came at once.
    #[must_use]
    pub fn left_out(&self) -> u64 {
        self.left_out.load(Ordering::Relaxed)
    }

    /// Writes what comes in, until it is dropped. Nothing is done while nothing comes.
    pub async fn keep(&self, history: HistorySink) {
        loop {
            self.wake.notified().await;
            tokio::time::sleep(GATHER).await;
            self.write(&history).await;
        }
    }

    /// Writes what is in the line now, and waits until it is on disk or the history has it in its own keeping.
    pub async fn write(&self, history: &HistorySink) {
        // Before the line is emptied: who comes after that wakes again.
        self.due.store(false, Ordering::Release);
        fence(Ordering::SeqCst);
        let records = self.take();
        if !records.is_empty() {
            // What cannot be written now waits in the history's own buffer, and the history says so itself.
            drop(history.record_acked(records).await);
        }
        let left_out = self.left_out();
        if left_out > 0 && !self.said.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                left_out,
                "more than {LINE} requests in a second: those beyond are counted and not written to the history"
            );
        }
    }

    fn take(&self) -> Vec<Record> {
        let exit = self.exit.lock().unwrap_or_else(PoisonError::into_inner);
        let numbered = |row| {
            let number = self.number.fetch_add(1, Ordering::Relaxed) + 1;
            Record::Request { epoch: self.epoch, number, row }
        };
        // What comes in meanwhile is for the next time, so that this ends.
        exit.try_iter().take(LINE).map(numbered).collect()
    }
}

#[cfg(test)]
mod tests {
    use greenroom_actors::time::Timestamp;

    use super::*;

    fn row(n: u64) -> RequestRow {
        RequestRow {
            at: Timestamp::from_micros(0),
            model: None,
            service: None,
            code: 200,
            error: None,
            waited: 0.0,
            took: 0.0,
            bytes: n,
            whole: true,
        }
    }

    #[test]
    fn what_comes_in_goes_out_in_its_order_and_numbered() {
        let ledger = Ledger::new(7);
        (0..3).for_each(|n| ledger.enter(row(n)));
        let record = |n| Record::Request { epoch: 7, number: n + 1, row: row(n) };
        assert_eq!(ledger.take(), [record(0), record(1), record(2)]);
        ledger.enter(row(3));
        assert_eq!(ledger.take(), [record(3)]);
        assert_eq!((ledger.take(), ledger.left_out()), (vec![], 0));
    }

    #[test]
    fn what_does_not_fit_is_counted_and_nobody_waits() {
        let ledger = Ledger::new(7);
        (0..LINE as u64 + 5).for_each(|n| ledger.enter(row(n)));
        assert_eq!((ledger.take().len(), ledger.left_out()), (LINE, 5));
        ledger.enter(row(0));
        assert_eq!((ledger.take().len(), ledger.left_out()), (1, 5));
    }

    #[tokio::test]
    async fn one_that_comes_while_others_are_written_wakes_again() {
        let ledger = Ledger::new(7);
        ledger.enter(row(0));
        ledger.wake.notified().await;
        ledger.write(&HistorySink::none()).await;
        ledger.enter(row(1));
        let woken = tokio::time::timeout(Duration::from_secs(30), ledger.wake.notified()).await;
        assert!(woken.is_ok(), "it is written as well");
        assert_eq!(ledger.take().len(), 1);
    }
}
