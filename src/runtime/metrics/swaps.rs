//! Swaps, as the event bus tells them.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use greenroom_actors::{event::EventKind, ids::ServiceName};

use super::{Histogram, Reading};

/// Who left, where somebody did, and who came.
type Pair = (Option<ServiceName>, ServiceName);

/// Counts of swaps. They are rare, so a lock does.
#[derive(Debug, Default)]
pub struct Swaps {
    pairs: Mutex<BTreeMap<Pair, u64>>,
    took: Histogram,
}

impl Swaps {
    /// Takes an event; any other than a swap is passed over.
    pub fn hear(&self, event: &EventKind) {
        let EventKind::SwapDone { service, from, seconds, .. } = event else { return };
        self.took.observe(Duration::try_from_secs_f64(seconds.total).unwrap_or_default());
        let mut pairs = self.pairs.lock().unwrap_or_else(PoisonError::into_inner);
        let nobody = from.is_empty().then_some(None);
        for left in from.iter().cloned().map(Some).chain(nobody) {
            *pairs.entry((left, service.clone())).or_default() += 1;
        }
    }

    /// How often who left for whom. A swap for which several left counts once for each of them; one for which memory had
    /// to come back alone has nobody who left.
    #[must_use]
    pub fn pairs(&self) -> BTreeMap<Pair, u64> {
        self.pairs.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// How long they took.
    #[must_use]
    pub fn took(&self) -> Reading {
        self.took.read()
    }
}

#[cfg(test)]
mod tests {
    use greenroom_actors::{event::SwapSeconds, ids::RunId};

    use super::*;

    #[test]
    fn each_who_left_counts_and_the_swap_counts_once() {
        let name = |text: &str| -> ServiceName { text.parse().expect("a name") };
        let swaps = Swaps::default();
        let swap = |service: &str, from: &[&str]| EventKind::SwapDone {
            service: name(service),
            run_id: RunId::fresh(),
            from: from.iter().map(|other| name(other)).collect(),
            seconds: SwapSeconds { total: 2.0, ..SwapSeconds::default() },
        };
        swaps.hear(&swap("image", &["chat", "tts"]));
        swaps.hear(&swap("image", &["chat"]));
        swaps.hear(&swap("chat", &[]));
        swaps.hear(&EventKind::Gap { missed: 3 });
        let told = swaps.pairs();
        let count = |from: Option<&str>, to: &str| told.get(&(from.map(name), name(to))).copied();
        assert_eq!((count(Some("chat"), "image"), count(Some("tts"), "image")), (Some(2), Some(1)));
        assert_eq!((count(None, "chat"), told.len()), (Some(1), 3));
        assert_eq!((swaps.took().count(), swaps.took().sum), (3, 6.0));
    }
}
