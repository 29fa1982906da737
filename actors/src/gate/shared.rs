//! What all clones of a gate share: the word, the limit, the line.

use std::{
    mem,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU32, AtomicU64, Ordering},
    },
    task::{Context, Poll, Waker},
};

use super::{
    line::Line,
    word::{self, LINE, MOST_PERMITS, is_quiet},
};

/// Those in line, with whom to wake when the turn of each has come.
pub(super) type Waiters = Line<Option<Waker>>;

#[derive(Debug)]
pub(super) struct Shared {
    pub word: AtomicU64,
    /// How many may be in. Changed under the line's lock, so that whoever joins sees it.
    pub limit: AtomicU32,
    /// How often somebody has entered, ever.
    pub entries: AtomicU64,
    /// How often anything came out of it, ever: a piece of an answer, or somebody who left.
    pub moves: AtomicU64,
    /// How many other services need this one.
    pub needed: AtomicU32,
    /// The flag [`LINE`] is changed under its lock alone, and stands whenever that is free and somebody is in it. Nobody is
    /// woken, and no waker dropped, under the lock: either may run anything, this gate's own methods included.
    line: Mutex<Waiters>,
    /// Who waits for the last one to leave, or for all but those who shut it.
    quiet: Mutex<Vec<Waker>>,
}

impl Default for Shared {
    fn default() -> Self {
        Self {
            word: AtomicU64::default(),
            limit: AtomicU32::new(MOST_PERMITS),
            entries: AtomicU64::default(),
            moves: AtomicU64::default(),
            needed: AtomicU32::default(),
            line: Mutex::default(),
            quiet: Mutex::default(),
        }
    }
}

impl Shared {
    pub fn word(&self) -> u64 {
        self.word.load(Ordering::Acquire)
    }

    /// Changes the word as `change` says, which is asked again when another thread was faster. Gives the word before,
    /// and, when `change` refuses, the one that it refused.
    pub fn change(&self, change: impl Fn(u64) -> Option<u64>) -> Result<u64, u64> {
        self.word.fetch_update(Ordering::AcqRel, Ordering::Acquire, change)
    }

    /// Goes in by `way`, if that lets anybody in.
    pub fn go_in(&self, way: fn(u64, u32) -> Option<u64>) -> bool {
        let limit = self.limit.load(Ordering::Acquire);
        let entered = self.change(|word| way(word, limit)).is_ok();
        if entered {
            self.entries.fetch_add(1, Ordering::Relaxed);
        }
        entered
    }

    /// Does this with the line, then lets in all whose turn has come by it.
    ///
    /// Nobody is forgotten: whoever joins looks for room after he has set the flag, and whoever makes room looks at the flag
    /// as he makes it. Both are steps of the one word, so one of the two sees the other.
    pub fn with_line<R>(&self, work: impl FnOnce(&mut Waiters) -> R) -> R {
        let mut woken = Vec::new();
        let result = {
            let mut line = self.line();
            let result = work(&mut line);
            if !line.is_empty() {
                self.word.fetch_or(LINE, Ordering::AcqRel);
                self.let_in(&mut line, &mut woken);
            }
            if line.is_empty() {
                self.word.fetch_and(!LINE, Ordering::AcqRel);
            }
            result
        };
        woken.into_iter().for_each(Waker::wake);
        result
    }

    /// Lets in all whose turn has come.
    pub fn advance(&self) {
        self.with_line(|_| ());
    }

    fn let_in(&self, line: &mut Waiters, woken: &mut Vec<Waker>) {
        while !line.is_empty() && self.go_in(word::let_in) {
            woken.extend(line.pop().flatten());
        }
    }

    /// Wakes those who wait for others to leave, if `word` says that those have. Each looks for himself then.
    pub fn tell_if_quiet(&self, word: u64) {
        if is_quiet(word) {
            let waiting = mem::take(&mut *self.quiet());
            waiting.into_iter().for_each(Waker::wake);
        }
    }

    /// Ready once the word `is` as somebody waits for; otherwise he is woken when it is quiet.
    pub fn poll_quiet(&self, is: fn(u64) -> bool, cx: &mut Context<'_>) -> Poll<()> {
        if is(self.word()) {
            return Poll::Ready(());
        }
        let mut waiting = self.quiet();
        if !waiting.iter().any(|waker| waker.will_wake(cx.waker())) {
            waiting.push(cx.waker().clone());
        }
        // Looked at again under the lock: whoever left since then has either seen the waker or is seen here.
        if is(self.word()) { Poll::Ready(()) } else { Poll::Pending }
    }

    /// A panic in a foreign waker leaves the list usable.
    fn quiet(&self) -> MutexGuard<'_, Vec<Waker>> {
        self.quiet.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn line(&self) -> MutexGuard<'_, Waiters> {
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::{
        future::Future,
        sync::{Arc, atomic::AtomicUsize},
        task::{Context, Waker},
        time::Duration,
    };

    use super::*;
    use crate::{
        gate::{Gate, Place, Ticket, Waiting},
        os::clock,
    };

    fn line_up(gate: &Gate, priority: i32) -> Place {
        gate.line_up(Ticket { arrival: clock::now(), priority }, u32::MAX).expect("there is room")
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

    /// Many threads come, stand in line, give up, and leave, while one opens and closes the gate and changes its limit.
    #[test]
    fn everybody_in_line_is_let_in_and_never_too_many() {
        const MOST: u32 = 3;
        const ROUNDS: u32 = 2000;
        let gate = Gate::new();
        gate.limit(Some(MOST));
        let (inside, over) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let enter = |priority| match gate.enter() {
            Some(permit) => permit,
            None => futures_executor(line_up(&gate, priority)),
        };
        std::thread::scope(|scope| {
            let guests: Vec<_> = (0..6)
                .map(|guest| {
                    let (gate, inside, enter) = (&gate, &inside, &enter);
                    scope.spawn(move || {
                        for round in 0..ROUNDS {
                            if round % 5 == guest {
                                // Leaves the line, or the gate if its turn came meanwhile.
                                drop(line_up(gate, 1));
                                continue;
                            }
                            let permit = enter(round as i32 % 3);
                            let in_now = inside.fetch_add(1, Ordering::AcqRel) + 1;
                            assert!(in_now <= MOST as usize, "{in_now} are in");
                            std::hint::spin_loop();
                            inside.fetch_sub(1, Ordering::AcqRel);
                            drop(permit);
                        }
                    })
                })
                .collect();
            scope.spawn(|| {
                let mut round = 0;
                while over.load(Ordering::Acquire) == 0 {
                    round += 1;
                    gate.open();
                    std::thread::yield_now();
                    gate.limit(Some(1 + round % MOST));
                    std::thread::yield_now();
                    gate.close();
                }
                gate.open();
            });
            let all_came_in = guests.into_iter().all(|guest| guest.join().is_ok());
            over.store(1, Ordering::Release);
            assert!(all_came_in);
        });
        assert_eq!((gate.waiting(), gate.in_flight(), gate.enter().is_some()), (Waiting::default(), 0, true));
    }

    /// One makes room at the very moment at which another joins the line, and does nothing after that: whoever is forgotten
    /// then stays forgotten.
    #[test]
    fn who_joins_the_line_as_room_is_made_is_not_forgotten() {
        const ROUNDS: u32 = 20_000;
        for way in ["leaves", "opens", "raises the limit"] {
            let gate = Gate::new();
            let (begun, done) = (AtomicU32::new(0), AtomicU32::new(0));
            std::thread::scope(|scope| {
                let joins = scope.spawn(|| {
                    for round in 1..=ROUNDS {
                        while begun.load(Ordering::Acquire) < round {
                            std::thread::yield_now();
                        }
                        drop(futures_executor(line_up(&gate, 0)));
                        done.store(round, Ordering::Release);
                    }
                });
                for round in 1..=ROUNDS {
                    gate.limit(Some(1));
                    gate.open();
                    let mut inside = gate.enter();
                    if way == "opens" {
                        inside = None;
                        gate.close();
                    }
                    begun.store(round, Ordering::Release);
                    // Another moment each time.
                    (0..round % 64).for_each(|_| std::hint::spin_loop());
                    match way {
                        "leaves" => inside = None,
                        "opens" => gate.open(),
                        _ => gate.limit(Some(2)),
                    }
                    while done.load(Ordering::Acquire) < round && !joins.is_finished() {
                        std::thread::yield_now();
                    }
                    drop(inside);
                }
                assert!(joins.join().is_ok(), "one was forgotten when another {way}");
            });
        }
    }

    /// Many threads enter and leave, and shut the gate and stay in for a while: nobody comes in meanwhile, and nobody is
    /// forgotten when the last of them lets go.
    #[test]
    fn nobody_comes_in_while_somebody_shuts_it_and_everybody_does_after_that() {
        const ROUNDS: usize = 1500;
        let gate = Gate::new();
        gate.open();
        let (inside, shut) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let enter = || gate.enter().unwrap_or_else(|| futures_executor(line_up(&gate, 0)));
        std::thread::scope(|scope| {
            for guest in 0..4 {
                let (gate, inside, shut, enter) = (&gate, &inside, &shut, &enter);
                scope.spawn(move || {
                    for round in 0..ROUNDS {
                        let permit = enter();
                        inside.fetch_add(1, Ordering::AcqRel);
                        if round % 3 == guest % 3 {
                            // From here on he does not count as somebody else.
                            inside.fetch_sub(1, Ordering::AcqRel);
                            let lock = gate.shut();
                            futures_executor(lock.alone());
                            shut.fetch_add(1, Ordering::AcqRel);
                            assert_eq!(inside.load(Ordering::Acquire), 0, "somebody is in with whoever shut it");
                            assert!(gate.enter().is_none());
                            shut.fetch_sub(1, Ordering::AcqRel);
                            drop((permit, lock));
                        } else {
                            assert_eq!(shut.load(Ordering::Acquire), 0, "somebody came in where it was shut");
                            inside.fetch_sub(1, Ordering::AcqRel);
                            drop(permit);
                        }
                    }
                });
            }
        });
        assert_eq!((gate.waiting(), gate.in_flight(), gate.enter().is_some()), (Waiting::default(), 0, true));
    }

    /// Drives a future on this thread, without any executor: woken or not at all.
    fn futures_executor<T>(future: impl Future<Output = T>) -> T {
        /// What is woken at all is woken at once.
        const BOUND: Duration = Duration::from_secs(30);
        struct Unpark(std::thread::Thread);
        impl std::task::Wake for Unpark {
            fn wake(self: Arc<Self>) {
                self.0.unpark();
            }
        }
        let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
        let mut future = Box::pin(future);
        loop {
            match future.as_mut().poll(&mut Context::from_waker(&waker)) {
                std::task::Poll::Ready(value) => return value,
                std::task::Poll::Pending => {
                    let began = clock::now();
                    std::thread::park_timeout(BOUND);
                    assert!(began.elapsed() < BOUND, "nobody has woken it");
                }
            }
        }
    }
}
