//! Whether a clean-up is needed. Pure.

use crate::spec::CleanupWhen;

/// How much of something is in use, and how much there is, in bytes; `None` where nobody measures.
pub(super) type InUse = Option<(u64, u64)>;

/// Whether `when` is so. What is not known might be full, and too much cleaning harms less than too little.
pub(super) fn is_needed(when: CleanupWhen, in_use: &[InUse]) -> bool {
    let share = match when {
        CleanupWhen::Always => return true,
        CleanupWhen::Vram(share) | CleanupWhen::Ram(share) => share,
    };
    in_use.iter().any(|of| of.is_none_or(|(used, total)| total > 0 && used as f64 / total as f64 > share))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_that_is_fuller_than_it_may_be_or_unknown_is_enough() {
        for (in_use, expected) in [
            (vec![Some((81, 100))], true),
            (vec![Some((80, 100))], false),
            (vec![Some((10, 100)), Some((90, 100))], true),
            (vec![None], true),
            (vec![Some((0, 0))], false),
            (vec![], false),
        ] {
            assert_eq!(is_needed(CleanupWhen::Vram(0.8), &in_use), expected, "{in_use:?}");
            assert_eq!(is_needed(CleanupWhen::Ram(0.8), &in_use), expected, "{in_use:?}");
            assert!(is_needed(CleanupWhen::Always, &in_use));
        }
    }
}
