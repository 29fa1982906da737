//! What a service needs, and where it goes.

use std::collections::BTreeMap;

use super::{Amounts, GpuId, NeedSource};

/// What a service needs while it works. Where it goes is the planner's to say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Need {
    /// GPU memory, and RAM where the two depend on each other.
    pub vram: VramNeed,
    /// Host memory, on top of what [`VramNeed::Layers`] adds.
    pub ram: u64,
    /// Of `resources.custom`.
    pub custom: BTreeMap<String, u64>,
    /// GPU memory that it keeps while it sleeps, where somebody knows.
    pub asleep: Option<u64>,
    /// Where the GPU figure comes from.
    pub vram_source: NeedSource,
    /// Where the host figure comes from.
    pub ram_source: NeedSource,
}

impl Need {
    /// Nothing that is counted.
    #[must_use]
    pub fn nothing() -> Self {
        Self {
            vram: VramNeed::None,
            ram: 0,
            custom: BTreeMap::new(),
            asleep: None,
            vram_source: NeedSource::Nothing,
            ram_source: NeedSource::Nothing,
        }
    }

    /// Whether it is nothing at all.
    #[must_use]
    pub fn is_nothing(&self) -> bool {
        self.vram == VramNeed::None && self.ram == 0 && self.custom.values().all(|amount| *amount == 0)
    }
}

/// GPU memory that is needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VramNeed {
    /// None.
    None,
    /// So many bytes, on one card or spread over several.
    Bytes(u64),
    /// As many layers as fit go to the card, the rest to the host (`gpu_layers = "auto"`).
    Layers(Layered),
    /// Nobody knows: a card to itself.
    WholeCard,
}

/// A model whose layers may lie on either side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Layered {
    /// How many layers there are; at least 1.
    pub layers: u32,
    /// What one layer takes, on either side.
    pub layer: u64,
    /// What the card takes on top of its layers, if it has any.
    pub card: u64,
}

impl Layered {
    /// VRAM with so many layers on the card.
    #[must_use]
    pub fn vram(&self, on_card: u32) -> u64 {
        match on_card.min(self.layers) {
            0 => 0,
            n => self.layer.saturating_mul(u64::from(n)).saturating_add(self.card),
        }
    }

    /// RAM with so many layers on the card.
    #[must_use]
    pub fn ram(&self, on_card: u32) -> u64 {
        self.layer.saturating_mul(u64::from(self.layers - on_card.min(self.layers)))
    }
}

/// What a model takes on either side with some number of layers on the card.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Sides {
    /// GPU memory.
    pub vram: u64,
    /// Host memory.
    pub ram: u64,
}

impl Layered {
    /// The straight line over figures for 0, 1, 2 and so on layers on the card, and the RAM that is needed wherever they
    /// lie. It is never below them, and touches them where layers are alike. A figure for no layer at all counts for RAM
    /// alone: without layers on it, no card is asked for. `None` where there is nothing to draw it through.
    #[must_use]
    pub fn over(sides: &[Sides]) -> Option<(Self, u64)> {
        let (first, last) = (sides.get(1)?, sides.last()?);
        let layers = u32::try_from(sides.len() - 1).ok()?;
        let steps = u64::from(layers - 1);
        let layer = last.vram.saturating_sub(first.vram).div_ceil(steps.max(1));
        let bare = Self { layers, layer, card: 0 };
        let counted = || (0_u32..).zip(sides);
        let card = counted().skip(1).map(|(n, side)| side.vram.saturating_sub(bare.vram(n))).max().unwrap_or(0);
        let ram = counted().map(|(n, side)| side.ram.saturating_sub(bare.ram(n))).max().unwrap_or(0);
        Some((Self { card, ..bare }, ram))
    }
}

/// Where a run goes, and what it may hold there.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Placement {
    /// The cards, in the order of their indexes; empty for none.
    pub gpus: Vec<GpuId>,
    /// Layers on them where the planner chose; otherwise as configured.
    pub gpu_layers: Option<u32>,
    /// What it may hold.
    pub lease: Amounts,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn sides(vram: &[u64], ram: &[u64]) -> Vec<Sides> {
        vram.iter().zip(ram).map(|(vram, ram)| Sides { vram: *vram, ram: *ram }).collect()
    }

    #[test]
    fn a_line_over_layers_that_are_alike_is_exact() {
        let even = sides(&[0, 150, 250, 350], &[330, 230, 130, 30]);
        let (line, ram) = Layered::over(&even).expect("a line");
        assert_eq!((line, ram), (Layered { layers: 3, layer: 100, card: 50 }, 30));
        assert_eq!((1..=3).map(|n| line.vram(n)).collect::<Vec<_>>(), [150, 250, 350]);
        assert_eq!(Layered::over(&even[..1]), None);
        assert_eq!(Layered::over(&[]), None);
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn a_line_is_never_below_what_it_stands_for(
            vram in prop::collection::vec(0_u64..1 << 50, 2..40), ram in prop::collection::vec(0_u64..1 << 50, 40),
        ) {
            let sides = sides(&vram, &ram);
            let (line, ram) = Layered::over(&sides).expect("a line");
            for (n, side) in (0_u32..).zip(&sides) {
                prop_assert!(n == 0 || line.vram(n) >= side.vram);
                prop_assert!(line.ram(n) + ram >= side.ram);
            }
        }
    }

    #[test]
    fn layers_are_on_one_side_or_the_other() {
        let model = Layered { layers: 48, layer: 100, card: 50 };
        assert_eq!((model.vram(0), model.ram(0)), (0, 4800));
        assert_eq!((model.vram(44), model.ram(44)), (4450, 400));
        assert_eq!((model.vram(99), model.ram(99)), (4850, 0));
    }
}
