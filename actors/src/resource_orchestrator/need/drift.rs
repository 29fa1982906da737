//! When a run holds more than it was given.

use crate::{
    ids::ServiceName,
    memory::{Amounts, Placement},
    units::ByteSize,
};

/// Beyond the lease by more than one part in this many is worth an alert.
pub const TOLERANCE: u64 = 10;
/// Less than this above the lease troubles nobody, however small the lease is.
const NEGLIGIBLE: u64 = 64 << 20;

/// What is wrong, if it holds more than 10 % above its lease of VRAM or of RAM, in a sentence that says what to do. What
/// was leased nothing of was not estimated at all, and is learned without an alert.
#[must_use]
pub fn told(service: &ServiceName, placement: &Placement, peak: &Amounts) -> Option<String> {
    let lease = &placement.lease;
    let pairs = [("VRAM", peak.total_vram(), lease.total_vram()), ("RAM", peak.ram, lease.ram)];
    let beyond: Vec<String> = pairs
        .into_iter()
        .filter(|(_, held, leased)| *leased > 0 && exceeds(*held, *leased))
        .map(|(what, held, leased)| format!("{} of {what} where {} was expected", ByteSize(held), ByteSize(leased)))
        .collect();
    let told = || {
        format!(
            "{service} holds {}: others may find less memory than was counted on. The next run is expected to need this \
             much, unless the configuration gives a figure of its own (`vram`, `ram`): then correct that.",
            beyond.join(" and ")
        )
    };
    (!beyond.is_empty()).then(told)
}

fn exceeds(held: u64, leased: u64) -> bool {
    let over = held.saturating_sub(leased);
    over > leased / TOLERANCE && over > NEGLIGIBLE
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::GpuId;

    const GIB: u64 = 1 << 30;

    fn amounts(vram: u64, ram: u64) -> Amounts {
        Amounts { vram: [(GpuId("a".to_owned()), vram)].into(), ram, ..Amounts::default() }
    }

    fn judged(lease: Amounts, peak: &Amounts) -> Option<String> {
        let name = "chat".parse().expect("a name");
        told(&name, &Placement { lease, ..Placement::default() }, peak)
    }

    #[test]
    fn more_than_a_tenth_above_the_lease_is_told_with_the_figures() {
        let lease = amounts(4 * GIB, GIB);
        assert_eq!(judged(lease.clone(), &amounts(4 * GIB + 4 * GIB / 10, GIB)), None);
        let told = judged(lease, &amounts(5 * GIB, GIB)).expect("an alert");
        assert!(told.starts_with("chat holds 5GiB of VRAM where 4GiB was expected: "), "{told}");
    }

    #[test]
    fn small_excess_and_what_was_never_estimated_are_no_news() {
        assert_eq!(judged(amounts(0, 6 << 20), &amounts(GIB, 40 << 20)), None);
        assert!(judged(amounts(GIB, 6 << 20), &amounts(GIB, 80 << 20)).is_some());
    }
}
