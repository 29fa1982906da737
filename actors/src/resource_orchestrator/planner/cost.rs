//! What it costs that somebody leaves.

use std::time::Duration;

use super::problem::Resident;

/// Idle for so long, a service is half as likely to be used soon as one that has just been used. Five minutes: people who
/// talk to a model come back within minutes or after a long time.
const HALF_AS_LIKELY: Duration = Duration::from_secs(300);

/// What the drain of one that works costs on top: about what a long answer or an image takes to be finished.
const DRAIN: Duration = Duration::from_secs(30);

/// In microseconds, at least 1: whole numbers add up to the same sum in any order, and nobody leaves for nothing.
pub(super) fn weight(resident: &Resident) -> u64 {
    let drain = if resident.busy { DRAIN } else { Duration::ZERO };
    let idle = if resident.busy { Duration::ZERO } else { resident.idle };
    let seconds_lost = resident.reload.saturating_add(drain).as_micros();
    let half = HALF_AS_LIKELY.as_micros();
    let likely = seconds_lost.saturating_mul(half) / half.saturating_add(idle.as_micros());
    u64::try_from(likely).unwrap_or(u64::MAX).max(1)
}

/// What is lost when it leaves: seconds of loading that are likely to come, more than zero. See the module documentation
/// of the planner for the formula.
#[must_use]
pub fn likely_cost(resident: &Resident) -> f64 {
    seconds(u128::from(weight(resident)))
}

#[allow(clippy::cast_precision_loss, reason = "for people and for comparison with a tolerance")]
pub(super) fn seconds(micros: u128) -> f64 {
    micros as f64 / 1e6
}

/// What a set of leavers costs: by priority, the highest first, each with the sum of what is lost there. Its order is
/// that of the planner: less is better. No sum is zero, so to spare a priority altogether is less than any cost there.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(super) struct Price(Vec<(i32, u128)>);

impl Price {
    /// Of those with these priorities and weights.
    pub(super) fn of(leavers: impl Iterator<Item = (i32, u64)>) -> Self {
        let mut leavers: Vec<_> = leavers.map(|(priority, weight)| (priority, u128::from(weight))).collect();
        leavers.sort_unstable_by_key(|(priority, _)| std::cmp::Reverse(*priority));
        leavers.dedup_by(|later, sum| {
            let same = later.0 == sum.0;
            sum.1 += if same { later.1 } else { 0 };
            same
        });
        Self(leavers)
    }

    /// Everything together, in seconds.
    pub(super) fn seconds(&self) -> f64 {
        seconds(self.0.iter().map(|(_, sum)| sum).sum())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::Amounts;

    fn resident(reload: u64, idle: u64, busy: bool) -> Resident {
        Resident {
            service: "chat".parse().expect("a name"),
            gives: Amounts::default(),
            reload: Duration::from_secs(reload),
            idle: Duration::from_secs(idle),
            priority: 0,
            busy,
            stays: None,
        }
    }

    #[test]
    fn it_falls_with_idle_time_and_rises_with_work() {
        assert!((likely_cost(&resident(12, 0, false)) - 12.0).abs() < 1e-9);
        assert!((likely_cost(&resident(12, 300, false)) - 6.0).abs() < 1e-9);
        assert!((likely_cost(&resident(12, 2_700, false)) - 1.2).abs() < 1e-9);
        assert!((likely_cost(&resident(12, 0, true)) - 42.0).abs() < 1e-9);
        assert!(likely_cost(&resident(0, 1 << 40, false)) > 0.0);
        let longest = Resident { reload: Duration::MAX, idle: Duration::MAX, ..resident(0, 0, false) };
        assert!(likely_cost(&longest).is_finite());
    }

    #[test]
    fn a_higher_priority_outweighs_any_cost_below_it() {
        let price = |leavers: &[(i32, u64)]| Price::of(leavers.iter().copied());
        assert!(price(&[(0, 1_000_000), (-3, 7)]) < price(&[(1, 1)]));
        assert!(price(&[(1, 2)]) < price(&[(1, 1), (1, 2)]));
        assert!(price(&[(1, 3)]) < price(&[(1, 3), (0, 1)]));
        assert_eq!(price(&[(0, 5), (1, 3)]), price(&[(1, 1), (0, 5), (1, 2)]));
        assert!((price(&[(0, 500_000), (9, 1_500_000)]).seconds() - 2.0).abs() < 1e-9);
    }
}
