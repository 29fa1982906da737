//! What runs were measured to hold, turned into what the next one needs.

use crate::memory::Layered;

/// What a run held at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peak {
    /// Layers on the card, where the planner chose.
    pub layers: Option<u32>,
    /// Bytes on all cards together; `None` where nobody measured.
    pub vram: Option<u64>,
    /// Bytes of host memory.
    pub ram: u64,
}

impl Peak {
    /// The larger of each figure.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        Self { layers: self.layers, vram: self.vram.max(other.vram), ram: self.ram.max(other.ram) }
    }

    /// Whether this is what the program takes when nobody uses it, by what it is known to take: less than half of that. A
    /// program that loads its models with the first request looks like this until one comes. The same command and file
    /// hardly ever need so much less than before, so nothing is lost by not believing it.
    #[must_use]
    pub fn is_idle_beside(&self, known: &Self) -> bool {
        match (self.vram, known.vram) {
            (Some(held), Some(known)) if known > 0 => held < known / 2,
            _ => self.ram < known.ram / 2,
        }
    }

    /// Whether any figure is above the other's.
    #[must_use]
    pub fn exceeds(&self, other: &Self) -> bool {
        self.vram > other.vram || self.ram > other.ram
    }
}

/// The margin is one part in this many. Runs of the same command differ by some per cent: a longer prompt fills a
/// compute buffer, drivers give memory out in pieces of 2 MiB and allocators keep some.
const MARGIN: u64 = 25;

/// With the margin, never more than 4 % above what was measured.
#[must_use]
pub fn with_margin(peak: u64) -> u64 {
    peak.saturating_add(peak / MARGIN)
}

/// The most that these runs held, without a margin; `None` without runs. For programs whose memory does not depend on
/// where the planner puts it.
#[must_use]
pub fn most(peaks: &[Peak]) -> Option<Peak> {
    peaks.iter().copied().reduce(Peak::or)
}

/// What a model takes whose layers may lie on either side, by these runs, without a margin: the layers, and the RAM that
/// it takes wherever they lie. `None` if none of them had layers on the card and was measured there.
///
/// Every run that is taken in fits into what comes back. With one placement known, memory is shared out evenly over the
/// layers; with two, the line through both tells what a layer takes and what the card takes besides.
#[must_use]
pub fn line(peaks: &[Peak], layers: u32) -> Option<(Layered, u64)> {
    let placed = |peak: &Peak| peak.layers.unwrap_or(layers).min(layers);
    let points: Vec<(u32, u64)> =
        peaks.iter().filter_map(|peak| Some((placed(peak), peak.vram?))).filter(|(n, _)| *n > 0).collect();
    let highest = |n: u32| points.iter().filter(|point| point.0 == n).map(|point| point.1).max();
    let (fewest, most) = (points.iter().map(|p| p.0).min()?, points.iter().map(|p| p.0).max()?);
    let (few_bytes, most_bytes) = (highest(fewest)?, highest(most)?);
    let even = most_bytes.div_ceil(u64::from(most));
    let layer = match (most_bytes.checked_sub(few_bytes), most - fewest) {
        (Some(difference), between @ 1..) => difference.div_ceil(u64::from(between)).min(even),
        _ => even,
    };
    let bare = Layered { layers, layer, card: 0 };
    let card = points.iter().map(|(n, bytes)| bytes.saturating_sub(bare.vram(*n))).max().unwrap_or(0);
    let ram = peaks.iter().map(|peak| peak.ram.saturating_sub(bare.ram(placed(peak)))).max().unwrap_or(0);
    Some((Layered { layers, layer, card }, ram))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn peak(layers: u32, vram: u64, ram: u64) -> Peak {
        Peak { layers: Some(layers), vram: Some(vram), ram }
    }

    #[test]
    fn one_placement_is_shared_out_evenly() {
        let (model, ram) = line(&[peak(40, 4000, 900)], 48).expect("a line");
        assert_eq!((model, ram), (Layered { layers: 48, layer: 100, card: 0 }, 100));
    }

    #[test]
    fn two_placements_tell_what_the_card_takes_besides() {
        let (model, ram) = line(&[peak(48, 5300, 50), peak(10, 1500, 3850)], 48).expect("a line");
        assert_eq!((model, ram), (Layered { layers: 48, layer: 100, card: 500 }, 50));
    }

    #[test]
    fn runs_without_a_measured_card_tell_nothing_about_layers() {
        assert_eq!(line(&[], 48), None);
        assert_eq!(line(&[peak(0, 30, 4800)], 48), None);
        assert_eq!(line(&[Peak { layers: Some(48), vram: None, ram: 5 }], 48), None);
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn the_margin_is_never_below_the_peak_nor_five_per_cent_above(bytes in 0..u64::MAX / 2) {
            let need = with_margin(bytes);
            prop_assert!(need >= bytes);
            prop_assert!(u128::from(need) * 100 <= u128::from(bytes) * 105);
        }

        #[test]
        fn every_run_that_was_measured_would_fit_again(
            runs in prop::collection::vec((prop::option::of(0_u32..60), 0_u64..1 << 40, 0_u64..1 << 40), 1..6),
            layers in 1_u32..50,
        ) {
            let peaks: Vec<Peak> = runs.iter().map(|&(layers, vram, ram)| Peak { layers, vram: Some(vram), ram }).collect();
            if let Some((model, ram)) = line(&peaks, layers) {
                for peak in &peaks {
                    let on_card = peak.layers.unwrap_or(layers).min(layers);
                    prop_assert!(on_card == 0 || Some(model.vram(on_card)) >= peak.vram);
                    prop_assert!(model.ram(on_card) + ram >= peak.ram);
                }
            } else {
                prop_assert!(peaks.iter().all(|peak| peak.layers == Some(0)));
            }
        }
    }
}
