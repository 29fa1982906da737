//! The thread that measures, and what can be asked of it without ever waiting for it.
//!
//! The backend is opened, asked and closed on that thread, because each of these can hang in a driver for ever. Everybody
//! else sees the last reading, and whether the driver owes an answer. Where nothing can change (declared cards, none)
//! there is one reading and no thread.

use std::{
    io,
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        mpsc::{self, RecvTimeoutError, SyncSender},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use tokio::sync::watch;

use super::{
    Card, GpuError, Reading, problem_of,
    select::{Selected, select},
};
use crate::{
    ids::Pid,
    os::clock,
    spec::{GpuBackend, ResourcesSpec},
};

/// The thread's name, by which the audit tells it.
pub const THREAD: &str = "gpu";
/// How long a start waits for the first reading.
pub const PATIENCE: Duration = Duration::from_secs(3);
/// Between two readings until somebody wishes another pace.
pub const FIRST_PACE: Duration = Duration::from_secs(1);
/// Between two tries to open a backend that was not there when it at last answered.
const REOPEN: Duration = Duration::from_secs(1);

/// What measures the cards.
#[derive(Debug)]
pub struct GpuSampler {
    readings: watch::Receiver<Arc<Reading>>,
    desk: Arc<Desk>,
    thread: Option<JoinHandle<()>>,
}

/// What is wished of the thread, and what it is at.
#[derive(Debug)]
struct Desk {
    orders: Mutex<Orders>,
    bell: Condvar,
}

#[derive(Debug)]
struct Orders {
    pace: Duration,
    watched: Arc<[Pid]>,
    /// A reading is wished now.
    now: bool,
    end: bool,
    /// Since when the driver owes an answer.
    asked_at: Option<Instant>,
}

impl Desk {
    /// Nothing panics while it is held, and no call into a driver happens.
    fn orders(&self) -> MutexGuard<'_, Orders> {
        self.orders.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn order(&self, change: impl FnOnce(&mut Orders)) {
        change(&mut self.orders());
        self.bell.notify_all();
    }

    /// Notes that the driver is asked, and that it has answered. Gives the moment of the question with the answer.
    fn asking<T>(&self, ask: impl FnOnce() -> T) -> (Instant, T) {
        let asked_at = clock::now();
        self.orders().asked_at = Some(asked_at);
        let answer = ask();
        self.orders().asked_at = None;
        (asked_at, answer)
    }

    /// Waits until the next reading is due, but for `least`. `false`: the end is wished.
    fn rest(&self, least: Duration) -> bool {
        let began = clock::now();
        let mut orders = self.orders();
        loop {
            if orders.end {
                return false;
            }
            let left = orders.pace.max(least).saturating_sub(clock::now().saturating_duration_since(began));
            if left.is_zero() || (orders.now && least.is_zero()) {
                orders.now = false;
                return true;
            }
            orders = self.bell.wait_timeout(orders, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

impl GpuSampler {
    /// Begins to measure. Blocks until the first reading is there, 3 s at most: then it goes on without one, and
    /// [`Self::problem`] says that the driver has not answered.
    ///
    /// # Errors
    /// When a backend was asked for by name and is not there or does not work, or there can be no thread.
    pub fn start(spec: &ResourcesSpec) -> Result<Self, GpuError> {
        let backend = match spec.backend {
            GpuBackend::Auto => "auto",
            GpuBackend::Nvml => "nvml",
            GpuBackend::Amdgpu => "amdgpu",
            GpuBackend::Declared | GpuBackend::None => return Self::fixed(select(spec)?),
        };
        let spec = spec.clone();
        Self::begin(backend, PATIENCE, move || select(&spec))
    }

    /// One reading for good.
    fn fixed(mut selected: Selected) -> Result<Self, GpuError> {
        let backend = selected.gpus.name();
        let now = clock::now();
        let reading = Reading::none_yet(backend, now).next(backend, selected.gpus.read(), now);
        let orders = Orders { pace: FIRST_PACE, watched: Arc::default(), now: false, end: false, asked_at: None };
        let desk = Arc::new(Desk { orders: Mutex::new(orders), bell: Condvar::new() });
        Ok(Self { readings: watch::Sender::new(Arc::new(reading)).subscribe(), desk, thread: None })
    }

    /// With any way of opening a backend, which happens on the thread.
    fn begin(
        backend: &'static str,
        patience: Duration,
        open: impl Fn() -> Result<Selected, GpuError> + Send + 'static,
    ) -> Result<Self, GpuError> {
        let now = clock::now();
        let sender = watch::Sender::new(Arc::new(Reading::none_yet(backend, now)));
        let orders = Orders { pace: FIRST_PACE, watched: Arc::default(), now: false, end: false, asked_at: Some(now) };
        let desk = Arc::new(Desk { orders: Mutex::new(orders), bell: Condvar::new() });
        let (tell, first) = mpsc::sync_channel(0);
        let readings = sender.subscribe();
        let worker = Worker { backend, desk: Arc::clone(&desk), readings: sender };
        let thread = thread::Builder::new().name(THREAD.to_owned()).spawn(move || worker.live(open, &tell));
        let no_thread =
            |error: io::Error| GpuError::Failed { backend, problem: format!("no thread to measure on: {error}") };
        let sampler = Self { readings, desk, thread: Some(thread.map_err(no_thread)?) };
        match first.recv_timeout(patience) {
            Ok(Ok(())) => {}
            Ok(Err(error)) => return Err(error),
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
                let late = format!("the driver has not answered for {} s", patience.as_secs());
                tracing::warn!(backend, "{late}; going on without it");
            }
        }
        Ok(sampler)
    }

    /// Every reading as it comes.
    #[must_use]
    pub fn readings(&self) -> watch::Receiver<Arc<Reading>> {
        self.readings.clone()
    }

    /// The last reading.
    #[must_use]
    pub fn latest(&self) -> Arc<Reading> {
        Arc::clone(&self.readings.borrow())
    }

    /// What is wrong with the driver as a whole: what it said last, or that it does not answer. Never waits for it.
    #[must_use]
    pub fn problem(&self) -> Option<String> {
        let latest = self.latest();
        let asked_at = self.desk.orders().asked_at;
        let owed = asked_at.map(|at| clock::now().saturating_duration_since(at)).unwrap_or_default();
        // Without a first reading nothing is known, so there is no grace either.
        let unmeasured =
            || (latest.sequence == 0).then(|| format!("the driver has not answered for {} s", owed.as_secs()));
        problem_of(owed).or_else(unmeasured).or_else(|| latest.problem.clone())
    }

    /// Sets the time between two readings, and takes one now.
    pub fn pace(&self, pace: Duration) {
        self.desk.order(|orders| (orders.pace, orders.now) = (pace, true));
    }

    /// Takes a reading as soon as the driver is free, and never one that was begun before: what is under way is followed by
    /// another.
    pub fn read_now(&self) {
        self.desk.order(|orders| orders.now = true);
    }

    /// Whose use is of interest, where the backend has to be told (amdgpu).
    pub fn watch_pids(&self, pids: Vec<Pid>) {
        self.desk.order(|orders| orders.watched = pids.into());
    }

    /// Ends the thread. Blocks, `bound` at most.
    ///
    /// # Errors
    /// [`GpuError::Stuck`] when it has not come back from the driver by then. It ends by itself when it does, and the
    /// process can end without it.
    pub fn end(mut self, bound: Duration) -> Result<(), GpuError> {
        self.desk.order(|orders| orders.end = true);
        let Some(thread) = self.thread.take() else { return Ok(()) };
        if !clock::wait_until(bound, || thread.is_finished()) {
            return Err(GpuError::Stuck { backend: self.latest().backend });
        }
        // A panic in it has been reported by the panic hook.
        drop(thread.join());
        Ok(())
    }
}

impl Drop for GpuSampler {
    /// The thread is asked to end, and not waited for.
    fn drop(&mut self) {
        self.desk.order(|orders| orders.end = true);
    }
}

/// The thread's side.
struct Worker {
    backend: &'static str,
    desk: Arc<Desk>,
    readings: watch::Sender<Arc<Reading>>,
}

impl Worker {
    fn live(self, open: impl Fn() -> Result<Selected, GpuError>, tell: &SyncSender<Result<(), GpuError>>) {
        let mut selected = loop {
            match self.desk.asking(&open) {
                (_, Ok(selected)) => break selected,
                (asked_at, Err(error)) => {
                    // Whoever waits for the start hears of it and does without this thread.
                    if tell.send(Err(error.clone())).is_ok() {
                        return;
                    }
                    self.publish(self.backend, asked_at, Err(error), None);
                    if !self.desk.rest(REOPEN) {
                        return;
                    }
                }
            }
        };
        let (backend, problem) = (selected.gpus.name(), selected.problem());
        loop {
            let watched = Arc::clone(&self.desk.orders().watched);
            selected.gpus.watch(&watched);
            let (asked_at, answer) = self.desk.asking(|| selected.gpus.read());
            self.publish(backend, asked_at, answer, problem.as_ref());
            // Only the first time is somebody there to hear it.
            tell.send(Ok(())).ok();
            if !selected.gpus.changes() || !self.desk.rest(Duration::ZERO) {
                return;
            }
        }
    }

    fn publish(
        &self,
        backend: &'static str,
        asked_at: Instant,
        answer: Result<Vec<Card>, GpuError>,
        standing: Option<&String>,
    ) {
        let last = Arc::clone(&self.readings.borrow());
        let mut reading = last.next(backend, answer, asked_at);
        reading.problem = reading.problem.or_else(|| standing.cloned());
        self.readings.send_replace(Arc::new(reading));
    }
}

#[cfg(test)]
#[path = "sampler_tests.rs"]
mod tests;
