//! What all clones of a gate share: the word, the limit, the line.

use std::{
    mem,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU32, AtomicU64, Ordering},
    },
    task::Waker,
};

use super::{
    line::Line,
    word::{self, LINE, MOST_PERMITS, is_drained},
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
    /// How many other services need this one.
    pub needed: AtomicU32,
    /// The flag [`LINE`] is changed under its lock alone, and stands whenever that is free and somebody is in it. Nobody is
    /// woken, and no waker dropped, under the lock: either may run anything, this gate's own methods included.
    line: Mutex<Waiters>,
    /// Who waits for the last one to leave.
    drained: Mutex<Vec<Waker>>,
}

impl Default for Shared {
    fn default() -> Self {
        Self {
            word: AtomicU64::default(),
            limit: AtomicU32::new(MOST_PERMITS),
            entries: AtomicU64::default(),
            needed: AtomicU32::default(),
            line: Mutex::default(),
            drained: Mutex::default(),
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

    /// Wakes those who wait for the last one to leave, if `word` says that he has.
    pub fn tell_if_drained(&self, word: u64) {
        if is_drained(word) {
            let waiting = mem::take(&mut *self.drained());
            waiting.into_iter().for_each(Waker::wake);
        }
    }

    /// A panic in a foreign waker leaves the list usable.
    pub fn drained(&self) -> MutexGuard<'_, Vec<Waker>> {
        self.drained.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn line(&self) -> MutexGuard<'_, Waiters> {
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
