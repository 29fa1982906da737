//! The question with pools as numbers, so that a search need not compare names.

use std::collections::BTreeMap;

use super::{
    cost,
    problem::{Demand, PoolRoom, Resident, Room},
};
use crate::memory::{Amounts, Pool};

/// Pools by number: the cards of the room in their order, then RAM, then the custom pools that are asked for.
#[derive(Debug)]
pub(super) struct Table {
    /// What each pool is.
    pub(super) pools: Vec<Pool>,
    /// How full it is.
    pub(super) rooms: Vec<PoolRoom>,
    /// Which number RAM has: how many cards there are.
    pub(super) ram: usize,
    /// What is asked for of every custom pool: number and amount.
    pub(super) custom: Vec<(usize, u64)>,
    /// The cards that the demand may use, by number, in order.
    pub(super) cards: Vec<usize>,
    /// Whether a card has a lease on it that is no resident's.
    pub(super) in_use: Vec<bool>,
    /// Everybody who may be pushed out.
    pub(super) leavers: Vec<Leaver>,
    /// Everybody else.
    pub(super) staying: Vec<Staying>,
}

/// Somebody who stays.
#[derive(Debug)]
pub(super) struct Staying {
    /// Where among the residents.
    pub(super) resident: usize,
    /// What it holds, pool by pool.
    pub(super) holds: Vec<u64>,
}

/// Somebody who may be pushed out.
#[derive(Debug)]
pub(super) struct Leaver {
    /// Where among the residents.
    pub(super) resident: usize,
    /// What it gives, pool by pool.
    pub(super) gives: Vec<u64>,
    /// Higher leaves later.
    pub(super) priority: i32,
    /// What it costs, in microseconds; at least 1.
    pub(super) weight: u64,
}

/// How far one could get.
#[derive(Debug)]
pub(super) struct Reach {
    /// What each pool gives.
    pub(super) gives: Vec<u64>,
    /// Whether somebody would be on the card all the same.
    pub(super) shared: Vec<bool>,
}

impl Table {
    pub(super) fn new(demand: &Demand, room: &Room, residents: &[Resident]) -> Self {
        let asked = demand.again.as_ref().map_or(&demand.need.custom, |again| &again.lease.custom);
        let asked: BTreeMap<&String, u64> = asked.iter().filter(|(_, n)| **n > 0).map(|(name, n)| (name, *n)).collect();
        let cards = room.cards.iter().map(|card| (Pool::Vram(card.id.clone()), card.room));
        let custom = asked.keys().map(|name| {
            // A pool that is not there has nothing.
            (Pool::Custom((*name).clone()), room.custom.get(*name).copied().unwrap_or_default())
        });
        let (pools, rooms): (Vec<_>, Vec<_>) = cards.chain([(Pool::Ram, room.ram)]).chain(custom).unzip();
        let ram = room.cards.len();
        let numbers = |amounts: &Amounts| pools.iter().map(|pool| amounts.of(pool)).collect::<Vec<u64>>();
        let mut leavers = Vec::new();
        let mut staying = Vec::new();
        for (at, resident) in residents.iter().enumerate() {
            let gives = numbers(&resident.gives);
            if demand.may_push_out && resident.stays.is_none() {
                let (priority, weight) = (resident.priority, cost::weight(resident));
                leavers.push(Leaver { resident: at, gives, priority, weight });
            } else {
                staying.push(Staying { resident: at, holds: gives });
            }
        }
        Self {
            custom: asked.values().enumerate().map(|(n, amount)| (ram + 1 + n, *amount)).collect(),
            cards: (0..ram).filter(|card| demand.gpus.contains(&room.cards[*card].id)).collect(),
            in_use: room.cards.iter().map(|card| card.in_use).collect(),
            pools,
            rooms,
            ram,
            leavers,
            staying,
        }
    }

    /// With everybody gone who may be pushed out.
    pub(super) fn reach(&self) -> Reach {
        let stays = |card: usize| self.in_use[card] || self.staying.iter().any(|staying| staying.holds[card] > 0);
        Reach { gives: self.with_gone(self.leavers.iter()), shared: (0..self.ram).map(stays).collect() }
    }

    /// As if nobody held anything.
    pub(super) fn capacity(&self) -> Reach {
        Reach { gives: self.rooms.iter().map(|room| room.capacity).collect(), shared: vec![false; self.ram] }
    }

    /// What each pool can give with these gone.
    pub(super) fn with_gone<'a>(&self, gone: impl Iterator<Item = &'a Leaver>) -> Vec<u64> {
        let mut free: Vec<u64> = self.rooms.iter().map(|room| room.free).collect();
        for leaver in gone {
            for (here, gives) in free.iter_mut().zip(&leaver.gives) {
                *here = here.saturating_add(*gives);
            }
        }
        free.iter().zip(&self.rooms).map(|(free, room)| (*free).min(room.capacity)).collect()
    }
}
