//! The one word of a gate: what stands where in it, and what may become of it.

/// Whether the gate is open.
pub(super) const OPEN: u64 = 1 << 63;
/// Whether somebody stands in line.
pub(super) const LINE: u64 = 1 << 62;
/// One who shuts it. They have the 12 bits below the flags, holds the 18 below those, permits the 32 below those.
pub(super) const SHUT: u64 = 1 << 50;
/// One hold.
pub(super) const HOLD: u64 = 1 << 32;
/// The most of each that can be counted. A count that has come so far stays there for good: nobody can have so many, but
/// somebody could forget them on purpose.
pub(super) const MOST_SHUTS: u32 = (1 << 12) - 1;
pub(super) const MOST_HOLDS: u32 = (1 << 18) - 1;
pub(super) const MOST_PERMITS: u32 = u32::MAX;

pub(super) fn is_open(word: u64) -> bool {
    word & OPEN != 0
}

pub(super) fn has_line(word: u64) -> bool {
    word & LINE != 0
}

pub(super) fn shuts(word: u64) -> u32 {
    (word / SHUT) as u32 & MOST_SHUTS
}

pub(super) fn holds(word: u64) -> u32 {
    (word / HOLD) as u32 & MOST_HOLDS
}

pub(super) fn permits(word: u64) -> u32 {
    word as u32
}

pub(super) fn is_drained(word: u64) -> bool {
    !is_open(word) && permits(word) == 0
}

/// Whether nobody is in but as many as shut it. Each of those has a permit as well, so nobody else is in.
pub(super) fn is_left_alone(word: u64) -> bool {
    permits(word) <= shuts(word)
}

/// Whether somebody who waits for one of these may go on.
pub(super) fn is_quiet(word: u64) -> bool {
    is_drained(word) || (shuts(word) > 0 && is_left_alone(word))
}

/// Whether it lets somebody in, given room.
pub(super) fn admits(word: u64) -> bool {
    is_open(word) && shuts(word) == 0
}

/// With one more inside, where there is room for one (`limit` is [`MOST_PERMITS`] at the most); for the first in
/// line.
pub(super) fn let_in(word: u64, limit: u32) -> Option<u64> {
    (admits(word) && permits(word) < limit).then(|| word + 1)
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

/// With one more who shuts it.
pub(super) fn shut(word: u64) -> Option<u64> {
    (shuts(word) < MOST_SHUTS).then(|| word + SHUT)
}

/// With one less who shuts it.
pub(super) fn unshut(word: u64) -> Option<u64> {
    (shuts(word) < MOST_SHUTS).then(|| word - SHUT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_that_were_run_over_stay_at_their_end() {
        let full = u64::MAX;
        assert_eq!((shuts(full), holds(full), permits(full)), (MOST_SHUTS, MOST_HOLDS, MOST_PERMITS));
        assert!(is_open(full) && has_line(full));
        let steps = [let_in(full, u32::MAX), leave(full), hold(full), let_go(full), shut(full), unshut(full)];
        assert_eq!(steps, [None; 6]);
    }

    #[test]
    fn the_counts_do_not_run_into_each_other() {
        let word = OPEN + 2 * SHUT + 3 * HOLD + 4;
        assert_eq!((shuts(word), holds(word), permits(word)), (2, 3, 4));
        assert_eq!((shut(word), unshut(word)), (Some(word + SHUT), Some(word - SHUT)));
        assert_eq!((let_in(word, 9), is_left_alone(word), is_left_alone(word - 2)), (None, false, true));
        assert_eq!((is_quiet(word - 2), is_quiet(OPEN), is_quiet(0)), (true, false, true));
    }

    #[test]
    fn one_who_comes_enters_neither_past_the_limit_nor_past_the_line() {
        assert_eq!([enter(OPEN, 1), enter(OPEN + 1, 1), enter(0, 1)], [Some(OPEN + 1), None, None]);
        assert_eq!((enter(OPEN | LINE, 1), let_in(OPEN | LINE, 1)), (None, Some((OPEN | LINE) + 1)));
    }
}
