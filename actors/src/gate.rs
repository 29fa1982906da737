//! The gate of one service: who may use it now, how many do, and who objects to its being offloaded.
//!
//! One atomic word holds all three: the `open` flag, the count of holds, the count of permits. So to enter is one
//! compare-and-swap and no step to an actor, nobody slips in between a closing and the look at who is inside, and a hold
//! that was there first is always seen by an offload.
//!
//! Only the service's supervisor opens and closes it: it is open exactly while the service is ready. A closed gate lets
//! nobody in; those who are in stay in until they leave.
//!
//! Pure: std atomics alone. [`Drained`] works on every executor.

use std::{
    future::Future,
    mem,
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU32, AtomicU64, Ordering},
    },
    task::{Context, Poll, Waker},
    time::Instant,
};

/// The flag, above everything.
const OPEN: u64 = 1 << 63;
/// One hold. Holds have the 31 bits below the flag.
const HOLD: u64 = 1 << 32;
/// The most holds and the most permits that can be counted. A count that has come so far stays there for good: nobody
/// can have so many, but somebody could forget them on purpose.
const MOST_HOLDS: u32 = (1 << 31) - 1;
const MOST_PERMITS: u32 = u32::MAX;

/// A service's gate. Clones are the same gate.
#[derive(Debug, Clone, Default)]
pub struct Gate(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    word: AtomicU64,
    /// How often somebody has entered, ever.
    entries: AtomicU64,
    /// How many wait outside for it to open.
    outside: AtomicU32,
    /// How many other services need this one.
    needed: AtomicU32,
    /// Who waits for the last one to leave.
    waiting: Mutex<Vec<Waker>>,
}

/// The service is held, so it is not offloaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it is held ({holds} of the application's holds are not dropped), and so it stays in memory")]
pub struct Held {
    /// How many holds there are.
    pub holds: u32,
}

/// Who waits for a gate to open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Waiting {
    /// How many.
    pub count: u32,
    /// Since when the first of them waits, where somebody does and that is known.
    pub oldest: Option<Instant>,
    /// The highest of their priorities; 0 for nobody.
    pub priority: i32,
}

/// The right to use a service. Leaves with its drop.
#[derive(Debug)]
#[must_use = "it leaves as soon as it is dropped"]
pub struct Permit(Arc<Shared>);

/// A veto against offloading, until it is dropped.
#[derive(Debug)]
#[must_use = "it ends as soon as it is dropped"]
pub struct Hold(Arc<Shared>);

/// Somebody who waits for the gate to open, until it is dropped.
#[derive(Debug)]
#[must_use = "whoever waits is counted as long as this is kept"]
pub struct Outside(Arc<Shared>);

/// Another service that needs this one, until it is dropped.
#[derive(Debug)]
#[must_use = "it is counted as long as this is kept"]
pub struct Needed(Arc<Shared>);

/// Ready once the gate is closed and nobody is in.
#[derive(Debug)]
#[must_use = "a future does nothing before it is polled"]
pub struct Drained(Arc<Shared>);

impl Gate {
    /// A closed gate with nobody in.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Enters; `None` when it is closed.
    #[must_use]
    pub fn enter(&self) -> Option<Permit> {
        let entered = self.0.change(|word| (is_open(word) && permits(word) < MOST_PERMITS).then(|| word + 1));
        entered.ok().map(|_| {
            self.0.entries.fetch_add(1, Ordering::Relaxed);
            Permit(Arc::clone(&self.0))
        })
    }

    /// Counts as somebody who waits for it to open, until it is dropped.
    pub fn wait_outside(&self) -> Outside {
        self.0.outside.fetch_add(1, Ordering::AcqRel);
        Outside(Arc::clone(&self.0))
    }

    /// How many wait for it to open.
    #[must_use]
    pub fn outside(&self) -> u32 {
        self.0.outside.load(Ordering::Acquire)
    }

    /// Who waits for it to open.
    #[must_use]
    pub fn waiting(&self) -> Waiting {
        Waiting { count: self.outside(), oldest: None, priority: 0 }
    }

    /// Counts as a service that depends on this one and is up, or on its way, until it is dropped.
    pub fn need(&self) -> Needed {
        self.0.needed.fetch_add(1, Ordering::AcqRel);
        Needed(Arc::clone(&self.0))
    }

    /// How many services need this one.
    #[must_use]
    pub fn needed(&self) -> u32 {
        self.0.needed.load(Ordering::Acquire)
    }

    /// How often somebody has entered, ever: whoever looks twice sees whether it was used in between.
    #[must_use]
    pub fn entries(&self) -> u64 {
        self.0.entries.load(Ordering::Relaxed)
    }

    /// Objects to the service's being offloaded. Stopping and restarting it are not hindered.
    pub fn hold(&self) -> Hold {
        // An error means that the count is at its end, where it stays.
        self.0.change(|word| (holds(word) < MOST_HOLDS).then(|| word + HOLD)).ok();
        Hold(Arc::clone(&self.0))
    }

    /// Lets everybody in from now on.
    pub fn open(&self) {
        self.0.word.fetch_or(OPEN, Ordering::AcqRel);
    }

    /// Lets nobody in any more.
    pub fn close(&self) {
        let before = self.0.word.fetch_and(!OPEN, Ordering::AcqRel);
        self.0.tell_if_drained(before & !OPEN);
    }

    /// Closes it if nobody holds the service.
    ///
    /// # Errors
    /// When somebody does; the gate stays as it was.
    pub fn close_unless_held(&self) -> Result<(), Held> {
        let closed = self.0.change(|word| (holds(word) == 0).then_some(word & !OPEN));
        let before = closed.map_err(|word| Held { holds: holds(word) })?;
        self.0.tell_if_drained(before & !OPEN);
        Ok(())
    }

    /// Whether it lets anybody in.
    #[must_use]
    pub fn is_open(&self) -> bool {
        is_open(self.0.word())
    }

    /// How many are in.
    #[must_use]
    pub fn in_flight(&self) -> u32 {
        permits(self.0.word())
    }

    /// How many hold the service.
    #[must_use]
    pub fn holds(&self) -> u32 {
        holds(self.0.word())
    }

    /// Waits until it is closed and nobody is in.
    pub fn drained(&self) -> Drained {
        Drained(Arc::clone(&self.0))
    }
}

impl Shared {
    fn word(&self) -> u64 {
        self.word.load(Ordering::Acquire)
    }

    /// Changes the word as `change` says, which is asked again when another thread was faster. Gives the word before,
    /// and, when `change` refuses, the one that it refused.
    fn change(&self, change: impl Fn(u64) -> Option<u64>) -> Result<u64, u64> {
        self.word.fetch_update(Ordering::AcqRel, Ordering::Acquire, change)
    }

    fn tell_if_drained(&self, word: u64) {
        if is_drained(word) {
            let waiting = mem::take(&mut *self.waiting());
            waiting.into_iter().for_each(Waker::wake);
        }
    }

    /// A panic in a foreign waker leaves the list usable.
    fn waiting(&self) -> MutexGuard<'_, Vec<Waker>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let left = self.0.change(|word| (permits(word) < MOST_PERMITS).then(|| word - 1));
        if let Ok(before) = left {
            self.0.tell_if_drained(before - 1);
        }
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        // An error means that the count is at its end, where it stays.
        self.0.change(|word| (holds(word) < MOST_HOLDS).then(|| word - HOLD)).ok();
    }
}

impl Drop for Outside {
    fn drop(&mut self) {
        self.0.outside.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Drop for Needed {
    fn drop(&mut self) {
        self.0.needed.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Future for Drained {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let shared = &self.0;
        if is_drained(shared.word()) {
            return Poll::Ready(());
        }
        let mut waiting = shared.waiting();
        if !waiting.iter().any(|waker| waker.will_wake(cx.waker())) {
            waiting.push(cx.waker().clone());
        }
        // Looked at again under the lock: whoever left since then has either seen the waker or is seen here.
        if is_drained(shared.word()) { Poll::Ready(()) } else { Poll::Pending }
    }
}

fn is_open(word: u64) -> bool {
    word & OPEN != 0
}

fn holds(word: u64) -> u32 {
    ((word & !OPEN) >> 32) as u32
}

fn permits(word: u64) -> u32 {
    word as u32
}

fn is_drained(word: u64) -> bool {
    !is_open(word) && permits(word) == 0
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use futures_util::FutureExt;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn those_who_wait_outside_and_those_who_ever_came_in_are_counted() {
        let gate = Gate::new();
        let (one, two) = (gate.wait_outside(), gate.wait_outside());
        assert_eq!((gate.outside(), gate.entries()), (2, 0));
        gate.open();
        drop(gate.enter());
        drop((one, two));
        assert_eq!((gate.outside(), gate.entries(), gate.in_flight()), (0, 1, 0));
        let needed = gate.need();
        assert_eq!((gate.needed(), gate.outside()), (1, 0));
        drop(needed);
        assert_eq!(gate.needed(), 0);
    }

    #[test]
    fn a_closed_gate_lets_nobody_in_and_is_drained_with_the_last_one_out() {
        let gate = Gate::new();
        assert!(gate.enter().is_none() && gate.drained().now_or_never().is_some());
        gate.open();
        let (one, two) = (gate.enter().expect("open"), gate.enter().expect("open"));
        assert_eq!((gate.in_flight(), gate.drained().now_or_never()), (2, None));
        gate.close();
        assert!(gate.enter().is_none() && gate.drained().now_or_never().is_none());
        drop(one);
        assert!(gate.drained().now_or_never().is_none());
        drop(two);
        assert!(gate.drained().now_or_never().is_some());
    }

    #[test]
    fn a_hold_hinders_an_offload_and_nothing_else() {
        let gate = Gate::new();
        gate.open();
        let (one, two) = (gate.hold(), gate.hold());
        assert_eq!(gate.close_unless_held(), Err(Held { holds: 2 }));
        assert!(gate.is_open() && gate.in_flight() == 0);
        drop(one);
        gate.close();
        assert_eq!((gate.holds(), gate.is_open()), (1, false));
        gate.open();
        drop(two);
        assert_eq!((gate.close_unless_held(), gate.is_open()), (Ok(()), false));
    }

    #[test]
    fn counts_that_were_run_over_stay_at_their_end() {
        let gate = Gate::new();
        gate.0.word.store(OPEN | (u64::from(MOST_HOLDS) << 32) | u64::from(MOST_PERMITS), Ordering::Release);
        assert!(gate.enter().is_none());
        drop(gate.hold());
        drop(Permit(Arc::clone(&gate.0)));
        assert_eq!((gate.is_open(), gate.holds(), gate.in_flight()), (true, MOST_HOLDS, MOST_PERMITS));
    }

    /// Many threads enter and leave while one opens and closes. After each closing nobody gets in, and the wait for the
    /// last one ends.
    #[test]
    fn nobody_is_inside_a_drained_gate() {
        let gate = Gate::new();
        let (inside, over) = (AtomicUsize::new(0), AtomicUsize::new(0));
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    while over.load(Ordering::Acquire) == 0 {
                        if let Some(permit) = gate.enter() {
                            inside.fetch_add(1, Ordering::AcqRel);
                            std::hint::spin_loop();
                            inside.fetch_sub(1, Ordering::AcqRel);
                            drop(permit);
                        } else {
                            std::thread::yield_now();
                        }
                    }
                });
            }
            for _ in 0..300 {
                gate.open();
                std::thread::yield_now();
                gate.close();
                futures_executor(gate.drained());
                assert_eq!((inside.load(Ordering::Acquire), gate.in_flight()), (0, 0));
            }
            over.store(1, Ordering::Release);
        });
    }

    /// Drives a future on this thread, without any executor: woken or not at all.
    fn futures_executor(future: impl Future<Output = ()>) {
        struct Unpark(std::thread::Thread);
        impl std::task::Wake for Unpark {
            fn wake(self: Arc<Self>) {
                self.0.unpark();
            }
        }
        let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
        let mut future = Box::pin(future);
        while future.as_mut().poll(&mut Context::from_waker(&waker)).is_pending() {
            std::thread::park();
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn the_word_counts_what_is_there(steps in prop::collection::vec(0u8..7, 0..200)) {
            let gate = Gate::new();
            let (mut open, mut permits, mut holds) = (false, Vec::new(), Vec::new());
            for step in steps {
                match step {
                    0 => { gate.open(); open = true }
                    1 => { gate.close(); open = false }
                    2 => {
                        let entered = gate.enter();
                        prop_assert_eq!(entered.is_some(), open);
                        permits.extend(entered);
                    }
                    3 => drop(permits.pop()),
                    4 => holds.push(gate.hold()),
                    5 => drop(holds.pop()),
                    _ => {
                        prop_assert_eq!(gate.close_unless_held().is_ok(), holds.is_empty());
                        open &= !holds.is_empty();
                    }
                }
                prop_assert_eq!((gate.is_open(), gate.in_flight() as usize, gate.holds() as usize),
                    (open, permits.len(), holds.len()));
                let drained = gate.drained().now_or_never().is_some();
                prop_assert_eq!(drained, !open && permits.is_empty());
            }
        }
    }
}
