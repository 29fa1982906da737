//! The decision.

use super::{
    cost::{self, Price},
    cover::{self, Item, Requirement, Steps},
    places::{Place, places, together},
    problem::{Demand, Plan, Resident, Room},
    refuse::refuse,
    share::spread,
    table::{Leaver, Table},
};
use crate::memory::{Amounts, Placement, Pool, Refusal};

/// Steps of the search for who leaves, all places together: with few leavers, where this is every set of 20 of them at
/// each of 8 places, and with many, where it is about half a millisecond.
const STEPS: Steps = Steps { few: 1 << 24, many: 10_000 };

/// Where a service goes and who leaves for it. See the [module documentation](super) for the rules.
///
/// # Errors
/// The refusal that says what is missing and who holds it: there is no place for it even with everybody gone who may be
/// pushed out.
pub fn plan(demand: &Demand, room: &Room, residents: &[Resident]) -> Result<Plan, Refusal> {
    let table = Table::new(demand, room, residents);
    let places = places(demand, &table, &table.reach());
    let each = |steps: usize| steps / places.len().max(1);
    let steps = Steps { few: each(STEPS.few), many: each(STEPS.many) };
    let choices = places.into_iter().filter_map(|place| Choice::of(place, &table, steps));
    match choices.reduce(Choice::better) {
        Some(choice) => Ok(choice.told(demand, &table, residents)),
        None => Err(refuse(demand, &table, residents)),
    }
}

/// A place, and who leaves for it.
#[derive(Debug)]
struct Choice {
    place: Place,
    /// By number among the leavers.
    leave: Vec<usize>,
    price: Price,
    /// What each pool gives with them gone.
    gives: Vec<u64>,
}

impl Choice {
    /// The cheapest for a place.
    fn of(place: Place, table: &Table, steps: Steps) -> Option<Self> {
        // Who is on a card that it is to have alone leaves in any case.
        let is_on = |leaver: &Leaver| place.alone && place.cards.iter().any(|card| leaver.gives[*card] > 0);
        let (mut leave, others): (Vec<usize>, Vec<usize>) =
            (0..table.leavers.len()).partition(|at| is_on(&table.leavers[*at]));
        let free = table.with_gone(leave.iter().map(|at| &table.leavers[*at]));
        let capacity: Vec<u64> = table.rooms.iter().map(|room| room.capacity).collect();
        let item = |at: &usize| {
            let Leaver { gives, priority, weight, .. } = &table.leavers[*at];
            Item { gives, priority: *priority, weight: *weight }
        };
        let items: Vec<Item<'_>> = others.iter().map(item).collect();
        let found = cover::cheapest(&free, &capacity, &requirements(&place, table), &items, steps)?;
        leave.extend(found.into_iter().map(|at| others[at]));
        let leavers = || leave.iter().map(|at| &table.leavers[*at]);
        let price = Price::of(leavers().map(|leaver| (leaver.priority, leaver.weight)));
        let gives = table.with_gone(leavers());
        Some(Self { place, leave, price, gives })
    }

    /// The cheaper one; of two that cost the same, the one that fits best: it leaves least over, or, where it takes a card
    /// to itself and knows not how much of it, has most. The first one otherwise.
    fn better(self, other: Self) -> Self {
        let fit = |choice: &Self| {
            let there = together(&choice.place.cards, &choice.gives);
            if choice.place.alone { u128::MAX - there } else { there }
        };
        let key = |choice: &Self| (fit(choice), choice.place.cards.clone());
        match other.price.cmp(&self.price).then_with(|| key(&other).cmp(&key(&self))) {
            std::cmp::Ordering::Less => other,
            _ => self,
        }
    }

    fn told(self, demand: &Demand, table: &Table, residents: &[Resident]) -> Plan {
        let mut leavers: Vec<&Resident> = self.leave.iter().map(|at| &residents[table.leavers[*at].resident]).collect();
        leavers.sort_by_key(|resident| {
            (resident.busy, resident.priority, cost::weight(resident), resident.service.clone())
        });
        Plan {
            placement: self.placement(demand, table),
            offload: leavers.into_iter().map(|resident| resident.service.clone()).collect(),
            cost: self.price.seconds(),
        }
    }

    fn placement(&self, demand: &Demand, table: &Table) -> Placement {
        if let (Some(again), false) = (&demand.again, self.place.alone) {
            return again.clone();
        }
        let cards = &self.place.cards;
        let gives: Vec<u64> = cards.iter().map(|card| self.gives[*card]).collect();
        let shares = if self.place.alone {
            gives
        } else if demand.all_of_them {
            let capacity: Vec<u64> = cards.iter().map(|card| table.rooms[*card].capacity).collect();
            spread(self.place.vram, self.place.floor, &capacity, &gives)
        } else {
            spread(self.place.vram, self.place.floor, &gives, &gives)
        };
        let named = |pool: &Pool| match pool {
            Pool::Vram(gpu) => Some(gpu.clone()),
            Pool::Ram | Pool::Custom(_) => None,
        };
        let gpus: Vec<_> = cards.iter().filter_map(|card| named(&table.pools[*card])).collect();
        let custom = match &demand.again {
            Some(again) => again.lease.custom.clone(),
            None => demand.need.custom.clone(),
        };
        let vram = gpus.iter().cloned().zip(shares).filter(|(_, share)| *share > 0).collect();
        Placement { gpus, gpu_layers: self.place.layers, lease: Amounts { vram, ram: self.place.ram, custom } }
    }
}

/// What must be met at a place.
fn requirements(place: &Place, table: &Table) -> Vec<Requirement> {
    let one = |(pool, needed): (usize, u64)| Requirement { pools: vec![pool], needed };
    let mut requirements: Vec<Requirement> = match &place.settled {
        Some(shares) => place.cards.iter().copied().zip(shares.iter().copied()).map(one).collect(),
        None => {
            let together = Requirement { pools: place.cards.clone(), needed: place.vram };
            place.cards.iter().map(|card| one((*card, place.floor))).chain([together]).collect()
        }
    };
    requirements.extend([(table.ram, place.ram)].into_iter().chain(table.custom.iter().copied()).map(one));
    requirements.retain(|requirement| requirement.needed > 0);
    requirements
}
