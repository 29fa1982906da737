//! How long a load will still take, from its pace so far. Pure.

use std::time::Instant;

use crate::{engines::LoadStep, state::LoadProgress};

/// The pace of the phase that a load is in. Each phase has its own: what counted files says nothing about what counts
/// graphs.
#[derive(Debug, Default)]
pub struct Pace {
    phase: Option<Began>,
}

/// What a phase began with.
#[derive(Debug)]
struct Began {
    at: Instant,
    first: LoadStep,
    last: u64,
}

impl Pace {
    /// The progress that `step`, seen at `now`, amounts to.
    pub fn note(&mut self, now: Instant, step: LoadStep) -> LoadProgress {
        let goes_on = |began: &Began| {
            began.first.phase == step.phase && began.first.total == step.total && began.last <= step.done
        };
        let began = match self.phase.take().filter(goes_on) {
            Some(began) => Began { last: step.done, ..began },
            None => Began { at: now, first: step.clone(), last: step.done },
        };
        let eta = eta(&began, now, &step);
        self.phase = Some(began);
        LoadProgress { phase: step.phase, done: step.done, total: step.total, eta }
    }
}

/// Seconds, to a tenth: nobody can say more.
#[allow(clippy::cast_precision_loss, reason = "an estimate")]
fn eta(began: &Began, now: Instant, step: &LoadStep) -> Option<f64> {
    let left = step.total.saturating_sub(step.done) as f64;
    if left == 0.0 {
        return Some(0.0);
    }
    let made = step.done.saturating_sub(began.first.done) as f64;
    let spent = now.saturating_duration_since(began.at).as_secs_f64();
    (made > 0.0 && spent > 0.0).then(|| (left * spent / made * 10.0).round() / 10.0)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;
    use crate::os::clock;

    fn eta(pace: &mut Pace, now: Instant, phase: &str, done: u64, total: u64) -> Option<f64> {
        pace.note(now, LoadStep::new(phase, done, total)).eta
    }

    #[test]
    fn the_rest_takes_as_long_as_what_was_seen_says() {
        let (t, mut pace) = (clock::now(), Pace::default());
        let at = |seconds| t + Duration::from_secs(seconds);
        assert_eq!(eta(&mut pace, at(0), "weights", 1, 4), None);
        assert_eq!(eta(&mut pace, at(2), "weights", 2, 4), Some(4.0));
        assert_eq!(eta(&mut pace, at(8), "weights", 3, 4), Some(4.0));
        assert_eq!(eta(&mut pace, at(9), "weights", 4, 4), Some(0.0));
        assert_eq!(eta(&mut pace, at(9), "graphs", 0, 10), None);
        assert_eq!(eta(&mut pace, at(10), "graphs", 5, 10), Some(1.0));
    }

    #[test]
    fn one_that_begins_anew_has_no_pace_yet() {
        let (t, mut pace) = (clock::now(), Pace::default());
        eta(&mut pace, t, "weights", 0, 10);
        assert_eq!(eta(&mut pace, t + Duration::from_secs(5), "weights", 5, 10), Some(5.0));
        assert_eq!(eta(&mut pace, t + Duration::from_secs(6), "weights", 1, 10), None);
        assert_eq!(eta(&mut pace, t + Duration::from_secs(7), "weights", 2, 20), None);
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn an_estimate_is_a_number_of_seconds_whatever_is_counted(
            steps in prop::collection::vec((0u64..=u64::MAX, 1u64..=u64::MAX, 0u64..100_000), 1..20),
        ) {
            let (mut now, mut pace) = (clock::now(), Pace::default());
            for (done, total, millis) in steps {
                now += Duration::from_millis(millis);
                let progress = pace.note(now, LoadStep::new("weights", done.min(total), total));
                prop_assert!(progress.eta.is_none_or(|eta| eta.is_finite() && eta >= 0.0));
            }
        }
    }
}
