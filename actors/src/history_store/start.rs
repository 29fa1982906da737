//! Brings the history up on a thread of its own, and ends that thread.

use std::{
    fmt, io,
    sync::{Arc, mpsc},
    time::Duration,
};

use actix::{Actor, Addr, Arbiter, Recipient};
use tokio::{sync::watch, task::JoinHandle};

use super::{
    actor::{HistoryStore, Parts},
    bus::{Mark, follow},
    messages::{HistoryHealth, HistoryState},
    retention::Retention,
    sink::{Counts, HistorySink},
    store::Store,
};
use crate::{event::EventBus, os::clock, shutdown_coordinator::messages::StopUnit, spec::HistorySpec};

/// A running history. What holds it ends it with [`end`](Self::end), once its [`stop`](Self::stop) was answered.
pub struct History {
    sink: HistorySink,
    store: Addr<HistoryStore>,
    thread: Arbiter,
    ended: mpsc::Receiver<()>,
    follower: JoinHandle<()>,
}

impl History {
    /// Starts the history's thread, and writes down everything that `bus` tells from now on and still knows. Returns
    /// before the database is open: what is handed over meanwhile waits. A database that cannot be used is no error
    /// here; it is told as an alert.
    ///
    /// To be called within an actix system.
    ///
    /// # Errors
    /// When no thread can be made.
    pub fn start(spec: &HistorySpec, bus: &EventBus) -> io::Result<Self> {
        let thread = Arbiter::try_new()?;
        let (counts, mark) = (Arc::<Counts>::default(), Mark::default());
        let (sender, health) = watch::channel(HistoryHealth { state: HistoryState::Ok, buffered: 0, dropped: 0 });
        let (alive, ended) = mpsc::channel();
        let parts = Parts {
            store: Store::new(spec.path.clone()),
            retention: Retention::new(spec, clock::wall()),
            bus: bus.clone(),
            mark: mark.clone(),
            health: sender,
            counts: counts.clone(),
            alive,
        };
        let store = HistoryStore::start_in_arbiter(&thread.handle(), move |_| HistoryStore::new(parts));
        let sink = HistorySink::new(&store, health, counts.clone());
        // Here and not on the history's thread, which is busy for as long as the disk is.
        let follower = actix_rt::spawn(follow(bus.clone(), sink.clone(), mark, counts));
        Ok(Self { sink, store, thread, ended, follower })
    }

    /// Where records are handed over.
    #[must_use]
    pub fn sink(&self) -> HistorySink {
        self.sink.clone()
    }

    /// What the coordinator tells to stop: it writes what is left and closes the database.
    #[must_use]
    pub fn stop(&self) -> Recipient<StopUnit> {
        self.store.clone().recipient()
    }

    /// The actor itself, for [`RecordAll`](super::messages::RecordAll) and [`GetHealth`](super::messages::GetHealth).
    #[must_use]
    pub fn store(&self) -> Addr<HistoryStore> {
        self.store.clone()
    }

    /// Ends the thread and waits for that, at most `within`. Whether it has ended: a disk that hangs can hold it. What
    /// was not written before, is lost.
    #[must_use]
    pub fn end(self, within: Duration) -> bool {
        self.follower.abort();
        self.thread.stop();
        // Nothing is ever sent: the sender goes with the actor, and the actor with the thread.
        match self.ended.recv_timeout(within) {
            Err(mpsc::RecvTimeoutError::Timeout) => false,
            Ok(()) | Err(mpsc::RecvTimeoutError::Disconnected) => self.thread.join().is_ok(),
        }
    }
}

impl fmt::Debug for History {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("History").field("sink", &self.sink).finish_non_exhaustive()
    }
}

#[cfg(test)]
#[path = "start_tests.rs"]
mod tests;
