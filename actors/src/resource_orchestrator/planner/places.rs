//! Which places come into question, kind by kind.

use std::ops::RangeInclusive;

use super::{
    problem::Demand,
    table::{Reach, Table},
};
use crate::memory::{GpuId, Layered, Placement, Pool, VramNeed};

/// Of how many cards at most combinations are tried: those that can give most. There are 252 of 5 out of 10.
const COMBINED: usize = 10;

/// A place with what it takes there.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Place {
    /// Cards by number, in order.
    pub(super) cards: Vec<usize>,
    /// VRAM of all of them together.
    pub(super) vram: u64,
    /// VRAM of each of them at least.
    pub(super) floor: u64,
    /// How much of every card, where that is settled.
    pub(super) settled: Option<Vec<u64>>,
    /// Whether it has these cards to itself, and all of what is free there.
    pub(super) alone: bool,
    /// Layers on the cards, where the planner chooses.
    pub(super) layers: Option<u32>,
    /// Host memory.
    pub(super) ram: u64,
}

impl Place {
    /// Whether there is enough for it.
    pub(super) fn fits(&self, table: &Table, reach: &Reach) -> bool {
        let gives = &reach.gives;
        let cards = match &self.settled {
            Some(shares) => self.cards.iter().zip(shares).all(|(card, share)| *share <= gives[*card]),
            None => {
                together(&self.cards, gives) >= u128::from(self.vram)
                    && self.cards.iter().all(|card| gives[*card] >= self.floor)
            }
        };
        cards
            && !(self.alone && self.cards.iter().any(|card| reach.shared[*card]))
            && self.ram <= gives[table.ram]
            && table.custom.iter().all(|(pool, amount)| *amount <= gives[*pool])
    }
}

/// What these cards give together.
pub(super) fn together(cards: &[usize], gives: &[u64]) -> u128 {
    cards.iter().map(|card| u128::from(gives[*card])).sum()
}

/// All places of the first kind of which any fits; none: nothing fits.
pub(super) fn places(demand: &Demand, table: &Table, reach: &Reach) -> Vec<Place> {
    let fitting = |places: Vec<Place>| places.into_iter().filter(|place| place.fits(table, reach)).collect::<Vec<_>>();
    let ram = demand.need.ram;
    if let Some(again) = &demand.again {
        return fitting(where_it_was(again, demand, table).into_iter().collect());
    }
    match demand.need.vram {
        VramNeed::Bytes(vram) if vram > 0 || !table.cards.is_empty() => {
            first_kind(demand, table, reach, |cards| Place { cards, vram, ram, ..Place::default() })
        }
        VramNeed::None | VramNeed::Bytes(_) => fitting(vec![Place { ram, ..Place::default() }]),
        VramNeed::WholeCard => {
            let sets = if demand.all_of_them { vec![table.cards.clone()] } else { singles(&table.cards) };
            let alone = |cards| Place { cards, floor: 1, alone: true, ram, ..Place::default() };
            fitting(sets.into_iter().filter(|cards| !cards.is_empty()).map(alone).collect())
        }
        VramNeed::Layers(model) => {
            let most = demand.most_layers(model);
            let whole = match most {
                0 => Vec::new(),
                _ => first_kind(demand, table, reach, |cards| with_layers(model, most, cards, ram)),
            };
            if whole.is_empty() { partial(demand, table, reach, model) } else { whole }
        }
    }
}

/// The place where it was; `None`: a card of it is not to be had. Who has a card to itself takes what is free there now.
pub(super) fn where_it_was(again: &Placement, demand: &Demand, table: &Table) -> Option<Place> {
    let is_pool = |pool: &Pool, gpu: &GpuId| matches!(pool, Pool::Vram(id) if id == gpu);
    let number = |gpu: &GpuId| table.cards.iter().copied().find(|card| is_pool(&table.pools[*card], gpu));
    let mut gpus = again.gpus.clone();
    gpus.extend(again.lease.vram.keys().filter(|gpu| !again.gpus.contains(gpu)).cloned());
    let cards = gpus.iter().map(number).collect::<Option<Vec<usize>>>()?;
    let shares = gpus.iter().map(|gpu| again.lease.vram.get(gpu).copied().unwrap_or(0)).collect();
    let alone = demand.need.vram == VramNeed::WholeCard && !cards.is_empty();
    Some(Place {
        cards,
        floor: u64::from(alone),
        settled: (!alone).then_some(shares),
        alone,
        layers: again.gpu_layers,
        ram: again.lease.ram,
        ..Place::default()
    })
}

/// The fitting places on one card; if there are none, those on two, and so on.
fn first_kind(demand: &Demand, table: &Table, reach: &Reach, place: impl Fn(Vec<usize>) -> Place) -> Vec<Place> {
    let kind = |size| -> Vec<Place> {
        sets(table, reach, size).into_iter().map(&place).filter(|place| place.fits(table, reach)).collect()
    };
    sizes(demand, table).map(kind).find(|kind| !kind.is_empty()).unwrap_or_default()
}

/// With as many layers on cards as fit, and that on the fewest cards. With one layer fewer there is more to be held in
/// RAM: so if this does not fit, nothing does.
fn partial(demand: &Demand, table: &Table, reach: &Reach, model: Layered) -> Vec<Place> {
    let ram = demand.need.ram;
    let places = match split(demand, table, reach, model) {
        (0, _) => vec![with_layers(model, 0, Vec::new(), ram)],
        (layers, size) => {
            sets(table, reach, size).into_iter().map(|cards| with_layers(model, layers, cards, ram)).collect()
        }
    };
    places.into_iter().filter(|place| place.fits(table, reach)).collect()
}

/// How many layers fit on cards at the most, and on how many cards at the least.
pub(super) fn split(demand: &Demand, table: &Table, reach: &Reach, model: Layered) -> (u32, usize) {
    let most = demand.most_layers(model);
    let best = sizes(demand, table).map(|size| (most_layers(table, reach, model, size).min(most), size));
    // Only more layers are worth more cards.
    best.reduce(|best, next| if next.0 > best.0 { next } else { best }).unwrap_or_default()
}

/// Of how many cards a place may be.
fn sizes(demand: &Demand, table: &Table) -> RangeInclusive<usize> {
    let all = table.cards.len();
    if demand.all_of_them { all.max(1)..=all } else { 1..=all }
}

/// How many layers so many cards hold, those that can give most.
fn most_layers(table: &Table, reach: &Reach, model: Layered, size: usize) -> u32 {
    let cards = roomiest(table, reach, size);
    if cards.is_empty() || cards.iter().any(|card| reach.gives[*card] < model.card) {
        return 0;
    }
    let gives = together(&cards, &reach.gives) - u128::from(model.card) * cards.len() as u128;
    let layers = gives.checked_div(u128::from(model.layer)).unwrap_or(u128::MAX);
    u32::try_from(layers).unwrap_or(u32::MAX).min(model.layers)
}

/// With so many layers on these cards. What a card takes on top of its layers (the driver's context, buffers), each of
/// them takes.
fn with_layers(model: Layered, layers: u32, cards: Vec<usize>, ram: u64) -> Place {
    let further = (cards.len() as u64).saturating_sub(1);
    Place {
        vram: model.vram(layers).saturating_add(model.card.saturating_mul(further)),
        floor: if cards.is_empty() { 0 } else { model.card },
        cards,
        layers: Some(layers),
        ram: ram.saturating_add(model.ram(layers)),
        ..Place::default()
    }
}

fn singles(cards: &[usize]) -> Vec<Vec<usize>> {
    cards.iter().map(|card| vec![*card]).collect()
}

/// Sets of so many cards, each set in order.
fn sets(table: &Table, reach: &Reach, size: usize) -> Vec<Vec<usize>> {
    if size == 1 || size == table.cards.len() {
        return if size == 1 { singles(&table.cards) } else { vec![table.cards.clone()] };
    }
    let mut cards = roomiest(table, reach, size.max(COMBINED));
    cards.sort_unstable();
    let mut sets: Vec<Vec<usize>> = vec![Vec::new()];
    for place in 0..size {
        // Room is left for those that are still to come.
        let last = cards.len() + place + 1 - size;
        let longer = |set: Vec<usize>| {
            let from = set.last().map_or(0, |last| cards.partition_point(|card| card <= last));
            cards[from..last].iter().map(move |card| [&set[..], &[*card]].concat()).collect::<Vec<_>>()
        };
        sets = sets.into_iter().flat_map(longer).collect();
    }
    sets
}

/// So many cards, or all: those that can give most, most first.
fn roomiest(table: &Table, reach: &Reach, size: usize) -> Vec<usize> {
    let mut cards = table.cards.clone();
    cards.sort_by_key(|card| std::cmp::Reverse(reach.gives[*card]));
    cards.truncate(size);
    cards
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resource_orchestrator::planner::Room;

    #[test]
    fn sets_are_complete_and_bounded() {
        let demand = super::super::rules_tests::demand(VramNeed::None);
        let mut table = Table::new(&demand, &Room::default(), &[]);
        table.cards = vec![0, 1, 2, 3];
        let reach = Reach { gives: (0..40).collect(), shared: vec![false; 40] };
        assert_eq!(sets(&table, &reach, 3), [[0, 1, 2], [0, 1, 3], [0, 2, 3], [1, 2, 3]]);
        assert_eq!(sets(&table, &reach, 1).len(), 4);
        assert_eq!(sets(&table, &reach, 4), [[0, 1, 2, 3]]);
        table.cards = (0..40).collect();
        let five = sets(&table, &reach, 5);
        assert_eq!(five.len(), 252);
        assert!(five.iter().flatten().all(|card| *card >= 30));
        assert_eq!(sets(&table, &reach, 12).len(), 1);
    }
}
