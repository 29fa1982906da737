//! Whether a run that the registry names as kept is still that run. Pure.

/// What was seen of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Sight {
    /// The machine has not been started anew since.
    pub same_boot: bool,
    /// The shim lives: pid and start time fit, and it is one of ours by its command line.
    pub shim: bool,
    /// The main process lives: pid and start time fit.
    pub main: bool,
    /// The main process is where the entry says: in its cgroup, or below its shim.
    pub in_place: bool,
    /// Who answers on its socket.
    pub answer: Answer,
    /// Its end was written down.
    pub recorded: bool,
}

/// Who listens on a run's socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Answer {
    Nobody,
    Shim,
    Another,
}

/// What it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// That very run, alive.
    Sound,
    /// It has ended, and is written down.
    Ended,
    /// It has ended, and its shim is clearing up.
    Ending,
    /// Something does not fit. Whatever is left of it is to be ended.
    Doubtful(&'static str),
}

/// Every doubt counts.
pub(super) fn judge(sight: Sight) -> Verdict {
    match sight {
        Sight { same_boot: false, recorded: true, .. } | Sight { shim: false, recorded: true, .. } => Verdict::Ended,
        Sight { same_boot: false, .. } => Verdict::Doubtful("the machine has been started anew since"),
        Sight { shim: false, .. } => Verdict::Doubtful("its shim is gone"),
        Sight { recorded: true, .. } => Verdict::Ending,
        Sight { main: false, .. } => Verdict::Doubtful("its main process is gone"),
        Sight { in_place: false, .. } => Verdict::Doubtful("its main process is not where it should be"),
        Sight { answer: Answer::Nobody, .. } => Verdict::Doubtful("its shim does not answer"),
        Sight { answer: Answer::Another, .. } => Verdict::Doubtful("another process than its shim answers"),
        Sight { answer: Answer::Shim, .. } => Verdict::Sound,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SOUND: Sight =
        Sight { same_boot: true, shim: true, main: true, in_place: true, answer: Answer::Shim, recorded: false };

    #[test]
    fn the_end_is_seen_in_each_of_its_stages() {
        assert_eq!(judge(SOUND), Verdict::Sound);
        assert_eq!(judge(Sight { recorded: true, main: false, ..SOUND }), Verdict::Ending);
        assert_eq!(judge(Sight { recorded: true, main: false, shim: false, ..SOUND }), Verdict::Ended);
        assert_eq!(judge(Sight { recorded: true, same_boot: false, ..SOUND }), Verdict::Ended);
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn only_what_fits_in_every_respect_is_sound(
            same_boot: bool, shim: bool, main: bool, in_place: bool, recorded: bool, answer in 0..3,
        ) {
            let answer = [Answer::Nobody, Answer::Shim, Answer::Another][answer as usize];
            let sight = Sight { same_boot, shim, main, in_place, answer, recorded };
            prop_assert_eq!(judge(sight) == Verdict::Sound, sight == SOUND);
        }
    }
}
