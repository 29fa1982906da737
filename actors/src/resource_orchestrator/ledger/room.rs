//! What may be given out.
//!
//! Of a measured card the least of two: what its books say (its share, less strangers, less every lease or what it has taken
//! beyond it), and what the driver says (what is unused, less what has been promised and not been taken yet). Of a declared
//! card the books alone. Of the host likewise: the share, less what others used when the runs were measured last, less the
//! leases; and what is available less what is promised. What a run has let go of since it was measured is available, and
//! is still promised to it: of that the books alone know.

use std::collections::BTreeMap;

use super::{CardBook, Lease, Ledger};
use crate::{
    ids::{RunId, ServiceName},
    memory::{Amounts, GpuId, Pool},
    resource_orchestrator::planner::{CardRoom, PoolRoom, Room},
};

/// Memory that is kept for somebody who waits.
#[derive(Debug, Clone, PartialEq)]
pub struct Claim {
    /// Who.
    pub service: ServiceName,
    /// How much.
    pub amounts: Amounts,
}

/// From which side the books are looked at.
#[derive(Debug, Clone, Copy, Default)]
pub struct Lens<'a> {
    /// As they will be when those have gone who are on their way out, or promised to somebody who waits.
    pub later: bool,
    /// Without what this run holds: it sleeps, and asks for all that it will hold.
    pub own: Option<RunId>,
    /// Less what is kept for those who came before.
    pub claims: &'a [Claim],
}

impl Lens<'_> {
    fn is_gone(&self, lease: &Lease) -> bool {
        self.own == Some(lease.run) || (self.later && lease.is_taken())
    }

    /// What a lease that is gone still holds of a card.
    fn kept(&self, lease: &Lease, gpu: &GpuId) -> u64 {
        if self.own == Some(lease.run) { 0 } else { lease.vram_kept(gpu) }
    }

    fn claimed(&self, pool: &Pool) -> i128 {
        self.claims.iter().map(|claim| i128::from(claim.amounts.of(pool))).sum()
    }
}

/// What is free, and by how much some pools are overdrawn: so much less is to be had from those who leave.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Free {
    /// For the planner.
    pub room: Room,
    /// What is missing to zero, pool by pool.
    pub overdrawn: Amounts,
}

impl Free {
    /// Of each pool the smaller part.
    #[must_use]
    pub fn at_most(mut self, other: &Self) -> Self {
        let lower = |mine: &mut PoolRoom, other: &PoolRoom| mine.free = mine.free.min(other.free);
        for (mine, other) in self.room.cards.iter_mut().zip(&other.room.cards) {
            lower(&mut mine.room, &other.room);
        }
        lower(&mut self.room.ram, &other.room.ram);
        for (mine, other) in self.room.custom.values_mut().zip(other.room.custom.values()) {
            lower(mine, other);
        }
        self
    }
}

impl Ledger {
    /// What may be given out.
    #[must_use]
    pub fn free(&self, lens: Lens<'_>) -> Free {
        let mut overdrawn = Amounts::default();
        let cards = self.working().map(|book| {
            let (free, missing) = split(self.vram_free(book, lens));
            let id = book.card.id.clone();
            overdrawn.vram.insert(id.clone(), missing);
            let room = PoolRoom { capacity: self.vram_capacity(book), free, strangers: book.strangers };
            CardRoom { in_use: self.is_in_use(book, lens), id, room }
        });
        let cards = cards.collect();

        let (free, missing) = split(self.ram_free(lens));
        overdrawn.ram = missing;
        let room = Room { cards, ram: PoolRoom { free, ..self.ram_pool() }, custom: self.custom_free(lens) };
        Free { room, overdrawn }
    }

    /// The cards of which memory may be given out.
    pub fn working(&self) -> impl Iterator<Item = &CardBook> {
        self.cards.iter().filter(|book| self.problem.is_none() && book.works())
    }

    /// The most that is ever given out of a card.
    #[must_use]
    pub fn vram_capacity(&self, book: &CardBook) -> u64 {
        let total = book.card.total;
        total.saturating_sub(self.rules.vram_reserve.0).min(self.rules.vram_limit.of(total))
    }

    fn vram_free(&self, book: &CardBook, lens: Lens<'_>) -> i128 {
        let (id, card) = (&book.card.id, &book.card);
        let wide = i128::from;
        let total = wide(card.total) - wide(self.rules.vram_reserve.0);
        let (mut ours, mut used, mut to_come) = (0, wide(card.used.unwrap_or(0)), 0);
        for lease in self.leases.values() {
            if lens.is_gone(lease) {
                let kept = wide(lens.kept(lease, id));
                ours += kept;
                used -= (wide(lease.taken(id)) - kept).max(0);
            } else {
                ours += wide(lease.vram(id));
                to_come += wide(lease.vram_to_come(id));
            }
        }
        let limit = wide(self.rules.vram_limit.of(card.total));
        let by_books = (total - wide(book.strangers)).min(limit) - ours;
        let by_driver = card.used.map_or(by_books, |_| total - used - to_come);
        by_books.min(by_driver) - lens.claimed(&Pool::Vram(id.clone()))
    }

    /// Whether something of ours is on the card that no plan can send away: it is on its way out already, or promised.
    fn is_in_use(&self, book: &CardBook, lens: Lens<'_>) -> bool {
        let id = &book.card.id;
        self.leases.values().any(|lease| !lens.is_gone(lease) && lease.is_taken() && lease.vram(id) > 0)
    }

    /// The host's memory, without what is free of it.
    #[must_use]
    pub fn ram_pool(&self) -> PoolRoom {
        let ours: u64 = self.leases.values().filter(|lease| !lease.has_ended()).map(|lease| lease.ram).sum();
        let used = self.host.total.saturating_sub(self.host.available);
        let capacity = self.host.total.saturating_sub(self.rules.ram_reserve.0);
        let capacity = capacity.min(self.rules.ram_limit.of(self.host.total));
        PoolRoom { capacity, free: 0, strangers: used.saturating_sub(ours) }
    }

    fn ram_free(&self, lens: Lens<'_>) -> i128 {
        let wide = i128::from;
        let mut available = wide(self.host.available) - wide(self.rules.ram_reserve.0);
        let is_measured = self.leases.values().any(|lease| !lease.has_ended() && lease.ram > 0);
        let strangers = if is_measured { self.host_strangers } else { 0 };
        let unused = wide(self.host.total) - wide(self.rules.ram_reserve.0) - wide(strangers);
        let mut share = wide(self.rules.ram_limit.of(self.host.total)).min(unused);
        for lease in self.leases.values().filter(|lease| !lease.has_ended()) {
            // Who sleeps keeps its host memory, or takes more of it.
            let stays = !lens.is_gone(lease) || (lens.own != Some(lease.run) && lease.leaves_asleep());
            if stays {
                share -= wide(lease.host());
                available -= wide(lease.host() - lease.ram);
            } else {
                available += wide(lease.ram);
            }
        }
        share.min(available) - lens.claimed(&Pool::Ram)
    }

    fn custom_free(&self, lens: Lens<'_>) -> BTreeMap<String, PoolRoom> {
        let pools = self.rules.custom.iter().map(|(name, capacity)| {
            let pool = Pool::Custom(name.clone());
            let leases = self.leases.values().filter(|lease| !lease.has_ended());
            let stay =
                leases.filter(|lease| !lens.is_gone(lease) || (lens.own != Some(lease.run) && lease.leaves_asleep()));
            let held: i128 = stay.map(|lease| i128::from(lease.holds.of(&pool))).sum();
            let (free, _) = split(i128::from(*capacity) - held - lens.claimed(&pool));
            (name.clone(), PoolRoom { capacity: *capacity, free, strangers: 0 })
        });
        pools.collect()
    }
}

/// What is free, and what is missing to zero.
fn split(free: i128) -> (u64, u64) {
    let size = |amount: i128| u64::try_from(amount.max(0)).unwrap_or(u64::MAX);
    (size(free), size(-free))
}
