//! The thread with backends that answer, fail and hang as they are told.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::*;
use crate::{
    memory::GpuId,
    os::gpu::{CardState, Gpus},
};

/// What a loaded machine may take for what is done at once.
const LONG: Duration = Duration::from_secs(20);

/// A driver in the hands of a test.
#[derive(Debug, Default)]
struct Driver {
    used: AtomicU64,
    reads: AtomicU64,
    fails: AtomicBool,
    hangs: AtomicBool,
    watched: Mutex<Vec<Pid>>,
}

struct Backend(Arc<Driver>);

impl Driver {
    fn hang(&self) {
        assert!(clock::wait_until(LONG * 3, || !self.hangs.load(Ordering::Relaxed)), "hangs for ever");
    }

    fn open(self: &Arc<Self>) -> Result<Selected, GpuError> {
        self.hang();
        if self.fails.load(Ordering::Relaxed) {
            return Err(GpuError::Absent { backend: "test", problem: "no driver".to_owned() });
        }
        Ok(Selected { gpus: Box::new(Backend(Arc::clone(self))), passed_over: Vec::new() })
    }

    fn start(self: &Arc<Self>, patience: Duration) -> Result<GpuSampler, GpuError> {
        let driver = Arc::clone(self);
        GpuSampler::begin("test", patience, move || driver.open())
    }
}

impl Gpus for Backend {
    fn name(&self) -> &'static str {
        "test"
    }

    fn watch(&mut self, pids: &[Pid]) {
        *self.0.watched.lock().expect("not poisoned") = pids.to_vec();
    }

    fn read(&mut self) -> Result<Vec<Card>, GpuError> {
        self.0.hang();
        self.0.reads.fetch_add(1, Ordering::Relaxed);
        if self.0.fails.load(Ordering::Relaxed) {
            return Err(GpuError::Failed { backend: "test", problem: "it fell over".to_owned() });
        }
        Ok(vec![Card {
            id: GpuId("GPU-1".to_owned()),
            index: 0,
            name: "a card".to_owned(),
            total: 8,
            used: Some(self.0.used.load(Ordering::Relaxed)),
            processes: Vec::new(),
            utilization: None,
            temperature: None,
            state: CardState::Works,
        }])
    }
}

#[track_caller]
fn wait(what: &str, done: impl FnMut() -> bool) {
    assert!(clock::wait_until(LONG, done), "not in time: {what}");
}

fn used(sampler: &GpuSampler) -> Option<u64> {
    sampler.latest().cards.first().and_then(|card| card.used)
}

#[test]
fn readings_come_at_the_pace_that_is_wished_and_at_once_when_it_changes() {
    let driver = Arc::new(Driver::default());
    let sampler = driver.start(LONG).expect("it opens");
    assert_eq!((used(&sampler), sampler.problem()), (Some(0), None));
    sampler.pace(Duration::from_secs(3600));
    wait("the reading of the change", || driver.reads.load(Ordering::Relaxed) >= 2);
    driver.used.store(5, Ordering::Relaxed);
    sampler.watch_pids(vec![Pid(7)]);
    sampler.pace(Duration::from_millis(1));
    wait("the new figure", || used(&sampler) == Some(5));
    wait("the processes", || *driver.watched.lock().expect("not poisoned") == [Pid(7)]);
    let readings = sampler.readings();
    wait("many readings", || readings.borrow().sequence > 10);
    sampler.end(LONG).expect("the thread ends");
    let after = driver.reads.load(Ordering::Relaxed);
    assert_eq!(readings.borrow().sequence, after, "nobody reads after the end");
}

#[test]
fn a_reading_that_is_wished_now_begins_after_the_wish() {
    let driver = Arc::new(Driver::default());
    let sampler = driver.start(LONG).expect("it opens");
    sampler.pace(Duration::from_secs(3600));
    wait("the reading of the change", || driver.reads.load(Ordering::Relaxed) == 2 && used(&sampler) == Some(0));
    driver.used.store(5, Ordering::Relaxed);
    sampler.read_now();
    wait("a reading between two that are due", || used(&sampler) == Some(5));
    // The next one is under way: what it will say may be old already.
    driver.hangs.store(true, Ordering::Relaxed);
    sampler.read_now();
    wait("the driver is asked", || sampler.desk.orders().asked_at.is_some());
    sampler.read_now();
    driver.hangs.store(false, Ordering::Relaxed);
    wait("that one and another", || driver.reads.load(Ordering::Relaxed) == 5);
    sampler.end(LONG).expect("the thread ends");
}

#[test]
fn what_cannot_be_opened_is_an_error_and_leaves_no_thread() {
    let driver = Arc::new(Driver::default());
    driver.fails.store(true, Ordering::Relaxed);
    let error = driver.start(LONG).expect_err("no driver");
    assert_eq!(error.to_string(), "test: no driver");
    wait("the thread ends", || Arc::strong_count(&driver) == 1);
}

#[test]
fn a_driver_that_fails_loses_its_cards_and_comes_back() {
    let driver = Arc::new(Driver::default());
    let sampler = driver.start(LONG).expect("it opens");
    sampler.pace(Duration::from_millis(1));
    driver.fails.store(true, Ordering::Relaxed);
    wait("the problem", || sampler.problem().as_deref() == Some("test: it fell over"));
    assert!(matches!(sampler.latest().cards[0].state, CardState::Lost(_)));
    driver.fails.store(false, Ordering::Relaxed);
    wait("the card is back", || sampler.problem().is_none() && used(&sampler) == Some(0));
    sampler.end(LONG).expect("the thread ends");
}

#[test]
fn nobody_waits_for_a_driver_that_hangs_when_it_is_opened() {
    let driver = Arc::new(Driver::default());
    driver.hangs.store(true, Ordering::Relaxed);
    let began = clock::now();
    let sampler = driver.start(Duration::from_millis(20)).expect("it goes on without");
    assert!(began.elapsed() < LONG);
    assert!(sampler.problem().is_some_and(|problem| problem.contains("has not answered")), "{:?}", sampler.problem());
    assert!(sampler.latest().cards.is_empty());
    driver.hangs.store(false, Ordering::Relaxed);
    wait("the first reading", || used(&sampler) == Some(0) && sampler.problem().is_none());
    sampler.end(LONG).expect("the thread ends");
}

#[test]
fn a_driver_that_was_late_and_not_there_is_asked_again() {
    let driver = Arc::new(Driver::default());
    driver.hangs.store(true, Ordering::Relaxed);
    driver.fails.store(true, Ordering::Relaxed);
    let sampler = driver.start(Duration::from_millis(20)).expect("it goes on without");
    driver.hangs.store(false, Ordering::Relaxed);
    wait("the reason", || sampler.problem().as_deref() == Some("test: no driver"));
    driver.fails.store(false, Ordering::Relaxed);
    wait("the first reading", || used(&sampler) == Some(0) && sampler.problem().is_none());
    sampler.end(LONG).expect("the thread ends");
}

#[test]
fn a_thread_that_is_stuck_is_told_and_ends_when_it_can() {
    let driver = Arc::new(Driver::default());
    let sampler = driver.start(LONG).expect("it opens");
    driver.hangs.store(true, Ordering::Relaxed);
    sampler.pace(Duration::from_millis(1));
    wait("the driver is asked", || sampler.desk.orders().asked_at.is_some());
    assert_eq!(used(&sampler), Some(0), "readers see the last reading");
    // Nobody waits six seconds here: it is as if the driver had been asked earlier.
    sampler.desk.orders().asked_at = clock::now().checked_sub(Duration::from_secs(6));
    assert_eq!(sampler.problem().as_deref(), Some("the driver has not answered for 6 s"));
    assert_eq!(sampler.end(Duration::from_millis(20)), Err(GpuError::Stuck { backend: "test" }));
    driver.hangs.store(false, Ordering::Relaxed);
    wait("the thread ends", || Arc::strong_count(&driver) == 1);
}

#[test]
fn what_never_changes_needs_no_thread() {
    let spec = ResourcesSpec { backend: GpuBackend::None, ..ResourcesSpec::default() };
    let sampler = GpuSampler::start(&spec).expect("no cards");
    assert!(sampler.thread.is_none() && sampler.problem().is_none());
    assert_eq!((sampler.latest().backend, sampler.latest().sequence), ("none", 1));
    sampler.pace(Duration::from_millis(1));
    sampler.end(Duration::ZERO).expect("nothing to end");
}
