//! How often something took how long: counts by upper bound, added to from any thread. Pure: std atomics alone.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

/// Upper bounds in seconds: from an answer at once to the longest load.
const BOUNDS: [f64; 16] =
    [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0];

/// The counts.
#[derive(Debug, Default)]
pub struct Histogram {
    /// One for each bound, and one for what is above them all.
    counts: [AtomicU64; BOUNDS.len() + 1],
    /// Microseconds of all together.
    sum: AtomicU64,
}

/// The counts at one moment.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Reading {
    /// Upper bound in seconds, and how many took no longer; the last one is infinite, and is all.
    pub buckets: Vec<(f64, u64)>,
    /// Seconds of all together.
    pub sum: f64,
}

impl Reading {
    /// How many there were.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.buckets.last().map_or(0, |(_, count)| *count)
    }
}

impl Histogram {
    /// One took this long.
    pub fn observe(&self, took: Duration) {
        let seconds = took.as_secs_f64();
        let place = BOUNDS.iter().position(|bound| seconds <= *bound).unwrap_or(BOUNDS.len());
        if let Some(count) = self.counts.get(place) {
            count.fetch_add(1, Ordering::Relaxed);
        }
        self.sum.fetch_add(u64::try_from(took.as_micros()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// The counts. What is added meanwhile may be in the sum and not in them, or the other way round.
    #[must_use]
    pub fn read(&self) -> Reading {
        let bounds = BOUNDS.into_iter().chain([f64::INFINITY]);
        let mut all = 0;
        let buckets = bounds.zip(&self.counts).map(|(bound, count)| {
            all += count.load(Ordering::Relaxed);
            (bound, all)
        });
        let buckets = buckets.collect();
        Reading { buckets, sum: Duration::from_micros(self.sum.load(Ordering::Relaxed)).as_secs_f64() }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn one_on_a_bound_belongs_below_it_and_one_above_all_is_counted() {
        let histogram = Histogram::default();
        assert_eq!(histogram.read().count(), 0);
        histogram.observe(Duration::from_millis(10));
        histogram.observe(Duration::from_secs(3600));
        let reading = histogram.read();
        let at = |bound: f64| reading.buckets.iter().find(|(b, _)| *b == bound).map(|(_, count)| *count);
        assert_eq!((at(0.005), at(0.01), at(300.0), at(f64::INFINITY)), (Some(0), Some(1), Some(1), Some(2)));
        assert!((reading.sum - 3600.01).abs() < 1e-6);
    }

    proptest! {
        #[test]
        fn every_bucket_holds_those_that_took_no_longer(micros in prop::collection::vec(0_u64..1_000_000_000, 0..50)) {
            let histogram = Histogram::default();
            micros.iter().for_each(|took| histogram.observe(Duration::from_micros(*took)));
            for (bound, count) in histogram.read().buckets {
                let within = micros.iter().filter(|took| Duration::from_micros(**took).as_secs_f64() <= bound).count();
                prop_assert_eq!(count, within as u64);
            }
        }
    }
}
