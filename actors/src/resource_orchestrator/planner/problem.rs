//! What the planner is asked, and what it answers.

use std::{collections::BTreeMap, time::Duration};

use crate::{
    ids::ServiceName,
    memory::{Amounts, GpuId, Layered, Need, Placement, Stays},
};

/// What may be given out.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Room {
    /// Every card that works, in the order of their indexes.
    pub cards: Vec<CardRoom>,
    /// Host memory.
    pub ram: PoolRoom,
    /// `resources.custom`.
    pub custom: BTreeMap<String, PoolRoom>,
}

/// One card.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CardRoom {
    /// Which.
    pub id: GpuId,
    /// Its memory.
    pub room: PoolRoom,
    /// Whether a lease that is no resident's (one that is loading or on its way out) lies on it.
    pub in_use: bool,
}

/// One pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PoolRoom {
    /// What could be given out if nobody held any of it.
    pub capacity: u64,
    /// What may be given out now.
    pub free: u64,
    /// What programs that are not Greenroom's hold.
    pub strangers: u64,
}

/// Somebody who holds memory.
#[derive(Debug, Clone, PartialEq)]
pub struct Resident {
    /// Who.
    pub service: ServiceName,
    /// What becomes free when it leaves.
    pub gives: Amounts,
    /// What it takes to bring it back.
    pub reload: Duration,
    /// Since it worked last; zero while it works.
    pub idle: Duration,
    /// Higher leaves later.
    pub priority: i32,
    /// Whether it works now: it may leave, but only after its drain.
    pub busy: bool,
    /// Why it does not leave at all, if so.
    pub stays: Option<Stays>,
}

/// Somebody who wants memory.
#[derive(Debug, Clone, PartialEq)]
pub struct Demand {
    /// Who.
    pub service: ServiceName,
    /// What.
    pub need: Need,
    /// The cards that it may use, in the order of their indexes; those that do not work are left out.
    pub gpus: Vec<GpuId>,
    /// Whether it takes all of `gpus` together; otherwise one of them, or the fewest that do.
    pub all_of_them: bool,
    /// Whether others may be pushed out for it.
    pub may_push_out: bool,
    /// Where it ran before: a reload goes nowhere else.
    pub again: Option<Placement>,
    /// Layers that go to cards at the most, where the planner chooses; `None`: as many as there are.
    pub at_most: Option<u32>,
}

impl Demand {
    /// Layers of its model that may go to cards.
    pub(super) fn most_layers(&self, model: Layered) -> u32 {
        self.at_most.map_or(model.layers, |most| most.min(model.layers))
    }
}

/// The answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// Where it goes.
    pub placement: Placement,
    /// Who leaves for it, in this order: those of the lowest priority and least cost first, those who are busy last.
    pub offload: Vec<ServiceName>,
    /// What is lost, in seconds of loading that are likely to come (see the planner's module documentation).
    pub cost: f64,
}
