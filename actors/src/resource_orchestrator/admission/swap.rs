//! Where the time of a swap went.

use std::time::{Duration, Instant};

use crate::{event::SwapSeconds, ids::ServiceName};

/// The moments of one admission, in their order.
#[derive(Debug, Clone, PartialEq)]
pub struct Course {
    /// When it was wished.
    pub asked: Instant,
    /// When the plan was made.
    pub planned: Option<Instant>,
    /// When the last of those who left was idle.
    pub idle: Option<Instant>,
    /// When the last of them had ended, or slept.
    pub ended: Option<Instant>,
    /// When it was granted.
    pub granted: Option<Instant>,
    /// Who left for it.
    pub from: Vec<ServiceName>,
    /// Whether it had to wait.
    pub waited: bool,
}

impl Course {
    /// The beginning.
    #[must_use]
    pub fn new(asked: Instant) -> Self {
        Self { asked, planned: None, idle: None, ended: None, granted: None, from: Vec::new(), waited: false }
    }

    /// The seconds of each part. A moment that never came, or that came out of order (of several who left, one may be
    /// drained while another has ended), counts as that before it; so the parts add up to the total.
    #[must_use]
    pub fn seconds(&self, ready: Instant) -> SwapSeconds {
        let mut last = self.asked;
        let mut part = |moment: Option<Instant>| {
            let moment = moment.unwrap_or(last).clamp(last, ready.max(last));
            let part = moment.saturating_duration_since(last);
            last = moment;
            part.as_secs_f64()
        };
        let (queue, drain, stop) = (part(self.planned), part(self.idle), part(self.ended));
        let (reclaim, load) = (part(self.granted), part(Some(ready)));
        SwapSeconds { queue, drain, stop, reclaim, load, total: queue + drain + stop + reclaim + load }
    }
}

/// What it took from the grant to ready, or, before that was ever seen, what it may take: so many bytes at 1 GB/s, about what
/// a SATA or a slow NVMe disk reads, and a second to begin.
pub(super) fn load_time(measured: Option<Duration>, bytes: u64) -> Duration {
    measured.unwrap_or_else(|| Duration::from_millis(bytes / 1_000_000) + Duration::from_secs(1))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn the_parts_follow_one_another_and_add_up(moments in proptest::collection::vec(proptest::option::of(0u64..5000), 4), ready in 0u64..6000) {
            let asked = crate::os::clock::now();
            let at = |n: usize| moments[n].map(|ms| asked + Duration::from_millis(ms));
            let course = Course { planned: at(0), idle: at(1), ended: at(2), granted: at(3), ..Course::new(asked) };
            let s = course.seconds(asked + Duration::from_millis(ready));
            for part in [s.queue, s.drain, s.stop, s.reclaim, s.load] {
                prop_assert!(part >= 0.0);
            }
            prop_assert!((s.total - ready as f64 / 1000.0).abs() < 1e-6, "{s:?}");
        }
    }

    #[test]
    fn before_it_was_measured_a_load_is_guessed_by_its_size() {
        assert_eq!(load_time(None, 7_000_000_000), Duration::from_secs(8));
        assert_eq!(load_time(Some(Duration::from_millis(300)), 7_000_000_000), Duration::from_millis(300));
    }
}
