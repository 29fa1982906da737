//! The need of one service: whose figure counts, and the estimate by file size.

use super::learned::{Peak, line, most, with_margin};
use crate::{
    engines::{ModelFacts, NeedHint},
    estimate::{files::ModelFile, found::Found},
    memory::{Layered, Need, NeedSource, Sides, VramNeed},
    spec::{Figure, GpuChoice, GpuLayers, ServiceSpec},
    template::Part,
};

/// What a model file says, and what else is loaded.
#[derive(Debug, Clone, Copy, Default)]
pub struct Contents<'a> {
    /// What its headers say.
    pub found: Option<&'a Found>,
    /// Bytes of the further files that the command names, in their order.
    pub companions: &'a [u64],
}

/// What is known of a service.
#[derive(Debug, Clone, Copy)]
pub struct Facts<'a> {
    /// Its configuration.
    pub spec: &'a ServiceSpec,
    /// Its model file, if there is one.
    pub model: Option<ModelFile>,
    /// What was found in it, and beside it.
    pub contents: Contents<'a>,
    /// What can be given out of each card; `None` while nobody has said.
    pub cards: Option<&'a [u64]>,
    /// What can be given out of RAM; `None` while nobody has said.
    pub ram: Option<u64>,
}

impl Facts<'_> {
    /// Whether it may use a card, and there is one. A card that it names is taken to be there: without it the service
    /// is refused, and does not run on the host unasked.
    #[must_use]
    pub fn on_card(&self) -> bool {
        match self.spec.memory.gpu {
            GpuChoice::None => false,
            GpuChoice::These(_) => true,
            GpuChoice::Any => self.cards.is_none_or(|cards| !cards.is_empty()),
        }
    }

    /// Of VRAM, with a margin, as far as that fits where it has run: on one card, or on all of them.
    fn vram_with_margin(&self, peak: u64) -> u64 {
        let cards = self.cards.unwrap_or_default();
        let one = cards.iter().copied().filter(|card| *card >= peak).max();
        let all = cards.iter().fold(0, |sum: u64, card| sum.saturating_add(*card));
        clipped(peak, one.or((all >= peak).then_some(all)))
    }

    fn ram_with_margin(&self, peak: u64) -> u64 {
        clipped(peak, self.ram.filter(|ram| *ram >= peak))
    }
}

/// The margin makes nothing too large that has run.
fn clipped(peak: u64, capacity: Option<u64>) -> u64 {
    with_margin(peak).min(capacity.unwrap_or(u64::MAX))
}

/// Whether its memory is managed at all: a program of which nothing is known and nothing is said is not.
#[must_use]
pub fn takes_part(spec: &ServiceSpec) -> bool {
    let memory = &spec.memory;
    !spec.engine.is_generic()
        || spec.model_file.is_some()
        || memory.vram != Figure::Auto
        || memory.ram != Figure::Auto
        || memory.needs.values().any(|amount| *amount > 0)
        || memory.gpu != GpuChoice::Any
}

/// What it needs, by what the user says, else by what earlier runs held, else by its engine and file.
#[must_use]
pub fn need(facts: &Facts<'_>, peaks: &[Peak]) -> Need {
    let memory = &facts.spec.memory;
    if !takes_part(facts.spec) {
        return Need::nothing();
    }
    let mut figures = estimate(facts);
    if let Figure::Known { peak, .. } = memory.vram
        && facts.on_card()
    {
        figures.vram = some_bytes(peak.0);
        figures.vram_source = NeedSource::User;
    }
    calibrate(&mut figures, facts, peaks);
    if let Figure::Known { peak, .. } = memory.ram {
        (figures.ram, figures.ram_source) = (peak.0, NeedSource::User);
    }
    let asleep = match memory.vram {
        Figure::Known { idle: Some(idle), .. } if facts.on_card() => Some(idle.0),
        Figure::Known { .. } | Figure::Auto => None,
    };
    let Figures { vram, ram, vram_source, ram_source } = figures;
    Need { vram, ram, custom: memory.needs.clone(), asleep, vram_source, ram_source }
}

/// VRAM, RAM and where they come from.
#[derive(Debug, Clone, Copy)]
struct Figures {
    vram: VramNeed,
    ram: u64,
    vram_source: NeedSource,
    ram_source: NeedSource,
}

impl Figures {
    fn of(vram: VramNeed, ram: u64, source: NeedSource) -> Self {
        let vram_source = if vram == VramNeed::None { NeedSource::Nothing } else { source };
        Self { vram, ram, vram_source, ram_source: source }
    }
}

/// Puts what was measured in the place of what was estimated. What the user says of VRAM stays.
fn calibrate(figures: &mut Figures, facts: &Facts<'_>, peaks: &[Peak]) {
    if let VramNeed::Layers(Layered { layers, .. }) = figures.vram {
        // Both sides share one figure for a layer: they are learned together or not at all.
        if let Some((model, ram)) = line(peaks, layers) {
            let layer = facts.vram_with_margin(model.layer.saturating_mul(layers.into())).div_ceil(layers.into());
            let card = with_margin(model.card);
            let ram = facts.ram_with_margin(ram);
            *figures = Figures::of(VramNeed::Layers(Layered { layers, layer, card }), ram, NeedSource::Calibrated);
        }
        return;
    }
    let Some(peak) = most(peaks) else { return };
    (figures.ram, figures.ram_source) = (facts.ram_with_margin(peak.ram), NeedSource::Calibrated);
    if let Some(vram) = peak.vram
        && facts.on_card()
        && figures.vram_source != NeedSource::User
    {
        figures.vram = some_bytes(facts.vram_with_margin(vram));
        figures.vram_source = NeedSource::Calibrated;
    }
}

fn some_bytes(bytes: u64) -> VramNeed {
    if bytes == 0 { VramNeed::None } else { VramNeed::Bytes(bytes) }
}

/// What its engine and its file tell.
fn estimate(facts: &Facts<'_>) -> Figures {
    let (spec, card) = (facts.spec, facts.on_card());
    let texts = spec.arguments();
    let arguments: Vec<&str> = texts.iter().map(String::as_str).collect();
    let values: Vec<(&str, String)> = spec.env.iter().map(|(name, value)| (name.as_str(), value.plain())).collect();
    let environment: Vec<(&str, &str)> = values.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let (size, layers) = (facts.model.map(|model| model.size), facts.model.and_then(|model| model.layers));
    let Contents { found, companions } = facts.contents;
    let (arguments, environment) = (arguments.as_slice(), environment.as_slice());
    let hint = spec.engine.need(&ModelFacts { arguments, environment, size, layers, found, companions, card });
    let unknown = || Figures::of(if card { VramNeed::WholeCard } else { VramNeed::None }, 0, NeedSource::Unknown);
    match (hint, facts.model) {
        // A card that is named is a hint that it uses one.
        (NeedHint::Nothing, _) if matches!(spec.memory.gpu, GpuChoice::These(_)) => unknown(),
        (NeedHint::Nothing, _) => Figures::of(VramNeed::None, 0, NeedSource::Nothing),
        (NeedHint::Figures { vram, ram }, _) => {
            Figures::of(if card { some_bytes(vram) } else { VramNeed::None }, ram, NeedSource::Engine)
        }
        (NeedHint::Split { sides, on_card }, _) => by_sides(facts, &sides, on_card),
        (NeedHint::Unknown, _) | (NeedHint::ByFile | NeedHint::Layers(_), None) => unknown(),
        (NeedHint::ByFile | NeedHint::Layers(_), Some(_)) if !card => by_file(facts, Some(0)),
        (NeedHint::ByFile, Some(_)) => match spec.gpu_layers {
            GpuLayers::Count(n) => by_file(facts, Some(n)),
            GpuLayers::All => by_file(facts, None),
            GpuLayers::Auto => free(facts).unwrap_or_else(|| by_file(facts, None)),
        },
        (NeedHint::Layers(n), Some(_)) => by_file(facts, Some(n)),
    }
}

/// The size of the file and a fifth: context and compute buffers of usual settings come to about that.
fn weight(model: &ModelFile) -> u64 {
    model.size.saturating_add(model.size.div_ceil(5))
}

/// With so many layers on the card, or all of them. Of a model whose layers nobody knows, any is as good as all: a card
/// that is counted as too full delays, one that is not fails.
fn by_file(facts: &Facts<'_>, on_card: Option<u32>) -> Figures {
    let Some(model) = &facts.model else { return Figures::of(VramNeed::None, 0, NeedSource::Unknown) };
    let total = weight(model);
    let vram = match (on_card, model.layers) {
        (Some(0), _) => 0,
        (None, _) | (Some(_), None) => total,
        (Some(n), Some(layers)) => share(total, n.min(layers), layers),
    };
    Figures::of(some_bytes(vram), total - vram, NeedSource::FileSize)
}

/// `total` x `part` / `whole`.
fn share(total: u64, part: u32, whole: u32) -> u64 {
    let share = u128::from(total) * u128::from(part) / u128::from(whole.max(1));
    u64::try_from(share).unwrap_or(u64::MAX).min(total)
}

/// Whether its command, or its environment, is told how many layers go to the card.
fn takes_layers(spec: &ServiceSpec) -> bool {
    spec.command.iter().chain(spec.env.values()).any(|template| template.uses(&Part::GpuLayers))
}

/// Where an engine says what each number of layers on the card comes to.
fn by_sides(facts: &Facts<'_>, sides: &[Sides], on_card: Option<u32>) -> Figures {
    let of = |side: Sides| Figures::of(some_bytes(side.vram), side.ram, NeedSource::Estimate);
    let last = || sides.last().copied().unwrap_or_default();
    let with = |n: u32| of(sides.get(n as usize).copied().unwrap_or_else(last));
    if !facts.on_card() {
        return with(0);
    }
    match (on_card, facts.spec.gpu_layers) {
        (Some(n), _) | (None, GpuLayers::Count(n)) => with(n),
        (None, GpuLayers::Auto) if takes_layers(facts.spec) => Layered::over(sides).map_or_else(
            || of(last()),
            |(layered, ram)| Figures::of(VramNeed::Layers(layered), ram, NeedSource::Estimate),
        ),
        (None, GpuLayers::All | GpuLayers::Auto) => of(last()),
    }
}

/// Where the planner may choose how many layers go to the card: `auto`, a command that takes the number, and a model that
/// tells how many there are.
fn free(facts: &Facts<'_>) -> Option<Figures> {
    let model = facts.model.as_ref()?;
    let layers = model.layers?;
    if !takes_layers(facts.spec) {
        return None;
    }
    let layer = weight(model).div_ceil(layers.into());
    Some(Figures::of(VramNeed::Layers(Layered { layers, layer, card: 0 }), 0, NeedSource::FileSize))
}

#[cfg(test)]
#[path = "figure_tests.rs"]
pub(super) mod tests;
