//! The one word of a gate: what stands where in it, and what may become of it.

/// Whether the gate is open.
pub(super) const OPEN: u64 = 1 << 63;
/// Whether somebody stands in line.
pub(super) const LINE: u64 = 1 << 62;
/// One hold. Holds have the 30 bits below the flags, permits the 32 below those.
pub(super) const HOLD: u64 = 1 << 32;
/// The most holds and the most permits that can be counted. A count that has come so far stays there for good: nobody
/// can have so many, but somebody could forget them on purpose.
pub(super) const MOST_HOLDS: u32 = (1 << 30) - 1;
pub(super) const MOST_PERMITS: u32 = u32::MAX;

pub(super) fn is_open(word: u64) -> bool {
    word & OPEN != 0
}

pub(super) fn has_line(word: u64) -> bool {
    word & LINE != 0
}

pub(super) fn holds(word: u64) -> u32 {
    ((word & !(OPEN | LINE)) >> 32) as u32
}

pub(super) fn permits(word: u64) -> u32 {
    word as u32
}

pub(super) fn is_drained(word: u64) -> bool {
    !is_open(word) && permits(word) == 0
}

/// With one more inside, where there is room for one (`limit` is [`MOST_PERMITS`] at the most); for the first in
/// line.
pub(super) fn let_in(word: u64, limit: u32) -> Option<u64> {
    (is_open(word) && permits(word) < limit).then(|| word + 1)
}

/// The same for somebody who has just come: not before those in line.
pub(super) fn enter(word: u64, limit: u32) -> Option<u64> {
    if has_line(word) { None } else { let_in(word, limit) }
}

/// With one less inside.
pub(super) fn leave(word: u64) -> Option<u64> {
    (permits(word) < MOST_PERMITS).then(|| word - 1)
}

/// With one more hold.
pub(super) fn hold(word: u64) -> Option<u64> {
    (holds(word) < MOST_HOLDS).then(|| word + HOLD)
}

/// With one hold less.
pub(super) fn let_go(word: u64) -> Option<u64> {
    (holds(word) < MOST_HOLDS).then(|| word - HOLD)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_that_were_run_over_stay_at_their_end() {
        let full = OPEN | LINE | (u64::from(MOST_HOLDS) << 32) | u64::from(MOST_PERMITS);
        assert_eq!((holds(full), permits(full), is_open(full), has_line(full)), (MOST_HOLDS, MOST_PERMITS, true, true));
        assert_eq!([let_in(full, u32::MAX), leave(full), hold(full), let_go(full)], [None; 4]);
    }

    #[test]
    fn one_who_comes_enters_neither_past_the_limit_nor_past_the_line() {
        assert_eq!([enter(OPEN, 1), enter(OPEN + 1, 1), enter(0, 1)], [Some(OPEN + 1), None, None]);
        assert_eq!((enter(OPEN | LINE, 1), let_in(OPEN | LINE, 1)), (None, Some((OPEN | LINE) + 1)));
    }
}
