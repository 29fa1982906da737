//! Whether and when a service is started again after its run ended. Pure.
//!
//! What is counted is *consecutive failures without enough health in between*, not restarts per window: an engine that
//! crashes some seconds after each start, with a doubling wait, never fills a window and would loop for ever.

use std::time::Duration;

use crate::{
    spec::{FailureClass, RestartPolicy, RestartSpec},
    units::DurationRange,
};

/// The exit status by which a program (and `docker run`) says that it could not be started at all.
pub const CANNOT_START: i32 = 125;

/// How far the wait before a restart strays to either side, as a share: keeps services that failed together from
/// coming back together.
const JITTER: f64 = 0.1;

/// How a run ended, as far as the policy cares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RunEnd {
    /// By itself, with status 0.
    Clean,
    /// In any other way that nobody had asked for.
    Failure {
        /// The class of the failure.
        class: FailureClass,
        /// The exit status, if there was one.
        code: Option<i32>,
    },
}

/// What to do now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Start it again after this long; zero means at once.
    Restart(Duration),
    /// It has done what it was there for.
    Complete,
    /// Leave it.
    GiveUp(GiveUp),
}

/// Why a service is left as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GiveUp {
    /// `restart.max` failures in a row.
    TooMany(u32),
    /// Trying again cannot help.
    Permanent,
    /// `restart.policy = "never"`.
    Policy,
}

/// Judges the end of a run. `failures` counts the failures in a row, this end included; `chance` lies in `0.0..=1.0` and
/// spreads the wait.
#[must_use]
pub fn judge(spec: &RestartSpec, end: RunEnd, failures: u32, chance: f64) -> Verdict {
    match (end, spec.policy) {
        (RunEnd::Clean, RestartPolicy::OnFailure | RestartPolicy::Never) => return Verdict::Complete,
        (RunEnd::Failure { class, code }, _) if class.is_permanent() || code == Some(CANNOT_START) => {
            return Verdict::GiveUp(GiveUp::Permanent);
        }
        (RunEnd::Failure { .. }, RestartPolicy::Never) => return Verdict::GiveUp(GiveUp::Policy),
        (RunEnd::Clean, RestartPolicy::Always)
        | (RunEnd::Failure { .. }, RestartPolicy::Always | RestartPolicy::OnFailure) => {}
    }
    if failures >= spec.max {
        Verdict::GiveUp(GiveUp::TooMany(failures))
    } else {
        Verdict::Restart(wait(spec.backoff, failures, chance))
    }
}

/// The wait before the restart that follows the `failures`-th failure in a row: none after the first, then `min`,
/// doubling to `max`, give or take a tenth.
#[must_use]
pub fn wait(range: DurationRange, failures: u32, chance: f64) -> Duration {
    let Some(doublings) = failures.checked_sub(2) else { return Duration::ZERO };
    let factor = 1u32.checked_shl(doublings).unwrap_or(u32::MAX);
    let plain = range.min.saturating_mul(factor).min(range.max);
    plain.mul_f64(1.0 + JITTER * (2.0 * chance.clamp(0.0, 1.0) - 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SECOND: Duration = Duration::from_secs(1);
    const CRASH: RunEnd = RunEnd::Failure { class: FailureClass::Exit, code: Some(1) };

    fn spec(policy: RestartPolicy) -> RestartSpec {
        let backoff = DurationRange { min: SECOND, max: 60 * SECOND };
        RestartSpec { policy, max: 5, backoff, reset_after: 600 * SECOND }
    }

    #[test]
    fn the_first_restart_is_immediate_and_the_wait_doubles_to_its_limit() {
        let spec = spec(RestartPolicy::OnFailure);
        let waits: Vec<_> = (1..5).map(|n| judge(&spec, CRASH, n, 0.5)).collect();
        let expected = [0, 1, 2, 4].map(|s| Verdict::Restart(s * SECOND));
        assert_eq!(waits, expected);
        assert_eq!(wait(spec.backoff, 40, 0.5), 60 * SECOND);
        assert_eq!(wait(spec.backoff, 2, 1.0), SECOND.mul_f64(1.1));
    }

    #[test]
    fn it_gives_up_at_the_maximum_and_at_once_where_trying_again_cannot_help() {
        let spec = spec(RestartPolicy::OnFailure);
        assert_eq!(judge(&spec, CRASH, 5, 0.5), Verdict::GiveUp(GiveUp::TooMany(5)));
        let lost = RunEnd::Failure { class: FailureClass::MissingLibrary, code: Some(127) };
        assert_eq!(judge(&spec, lost, 1, 0.5), Verdict::GiveUp(GiveUp::Permanent));
        let refused = RunEnd::Failure { class: FailureClass::Exit, code: Some(CANNOT_START) };
        assert_eq!(judge(&spec, refused, 1, 0.5), Verdict::GiveUp(GiveUp::Permanent));
    }

    #[test]
    fn a_clean_end_completes_unless_the_policy_says_always() {
        assert_eq!(judge(&spec(RestartPolicy::OnFailure), RunEnd::Clean, 1, 0.5), Verdict::Complete);
        assert_eq!(judge(&spec(RestartPolicy::Never), RunEnd::Clean, 1, 0.5), Verdict::Complete);
        assert_eq!(judge(&spec(RestartPolicy::Always), RunEnd::Clean, 1, 0.5), Verdict::Restart(Duration::ZERO));
        assert_eq!(judge(&spec(RestartPolicy::Always), RunEnd::Clean, 5, 0.5), Verdict::GiveUp(GiveUp::TooMany(5)));
        assert_eq!(judge(&spec(RestartPolicy::Never), CRASH, 1, 0.5), Verdict::GiveUp(GiveUp::Policy));
    }

    proptest! {
        #[test]
        fn every_wait_stays_within_a_tenth_of_its_range(failures in 2u32..1000, chance in 0.0f64..=1.0, min in 1u64..5_000) {
            let range = DurationRange { min: Duration::from_millis(min), max: Duration::from_millis(60_000) };
            let wait = wait(range, failures, chance);
            prop_assert!(wait >= range.min.mul_f64(0.9 - 1e-9) && wait <= range.max.mul_f64(1.1 + 1e-9));
        }
    }
}
