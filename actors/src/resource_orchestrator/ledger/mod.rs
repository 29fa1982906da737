//! The books: every lease, every card, and what is left to be given out. Pure.
//!
//! What is free is never more than what was *measured* to be free less what has been promised and not been taken yet. Three
//! things make that harder than a subtraction, and each has its file:
//! - a lease goes through stages in which it holds more or less than its amount ([`Lease`]);
//! - what a driver reports has to be told apart: taken by which run, by strangers, or left over by a run that has ended
//!   ([`CardBook`]);
//! - a plan looks at the memory as it will be when those that are on their way out have gone ([`Lens`]).

mod card;
mod lease;
mod room;

use std::{collections::BTreeMap, sync::Arc, time::Instant};

pub use card::CardBook;
pub use lease::{Lease, Stage};
pub use room::{Claim, Free, Lens};

use crate::{
    ids::{Pid, RunId, ServiceName},
    os::{gpu::Reading, host::HostMemory},
    spec::ResourcesSpec,
};

/// What was measured of one run, apart from the cards.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Figures {
    /// Its processes.
    pub pids: Vec<Pid>,
    /// Their anonymous and shared memory, in bytes.
    pub ram: u64,
}

/// Every lease, every card, the host.
#[derive(Debug)]
pub struct Ledger {
    pub(super) rules: Arc<ResourcesSpec>,
    pub(super) leases: BTreeMap<RunId, Lease>,
    pub(super) cards: Vec<CardBook>,
    pub(super) host: HostMemory,
    /// What others used of the host when the runs were measured last, in bytes.
    pub(super) host_strangers: u64,
    /// Who measures the cards.
    pub(super) backend: &'static str,
    /// When the cards were measured; `None`: never.
    pub(super) read: Option<Instant>,
    /// What is wrong with the driver as a whole: no card is given out then.
    pub(super) problem: Option<String>,
}

impl Ledger {
    /// Nobody holds anything, and no card is known.
    #[must_use]
    pub fn new(rules: Arc<ResourcesSpec>) -> Self {
        Self {
            rules,
            leases: BTreeMap::new(),
            cards: Vec::new(),
            host: HostMemory { total: 0, available: 0 },
            host_strangers: 0,
            backend: "none",
            read: None,
            problem: None,
        }
    }

    /// Takes in what was measured of the cards.
    pub fn read(&mut self, reading: &Reading) {
        self.backend = reading.backend;
        self.read = Some(reading.at);
        self.problem.clone_from(&reading.problem);
        for card in &reading.cards {
            match self.cards.iter_mut().find(|book| book.card.id == card.id) {
                Some(book) => book.card.clone_from(card),
                None => self.cards.push(CardBook::new(card.clone())),
            }
        }
        self.cards.sort_by_key(|book| book.card.index);
        for lease in self.leases.values_mut() {
            lease.settled |= lease.ready.is_some_and(|ready| reading.at > ready);
            if let Stage::Reclaiming { ended: since, measured, .. } | Stage::Dozing { began: since, measured, .. } =
                &mut lease.stage
            {
                *measured |= reading.at > *since;
            }
        }
        self.attribute();
    }

    /// Takes in what was measured of the runs, at the same time as the host.
    pub fn measure(&mut self, figures: &BTreeMap<RunId, Figures>) {
        for (run, Figures { pids, ram }) in figures {
            let Some(lease) = self.leases.get_mut(run).filter(|lease| !lease.has_ended()) else { continue };
            if !pids.is_empty() && lease.stage == Stage::Reserved {
                lease.stage = Stage::Loading;
            }
            lease.pids.clone_from(pids);
            lease.ram = *ram;
            lease.note_peak();
        }
        self.host_strangers = self.ram_pool().strangers;
        self.attribute();
    }

    /// Tells anew whose the used memory of the cards is.
    pub fn attribute(&mut self) {
        for book in &mut self.cards {
            book.attribute(&mut self.leases);
        }
    }

    /// The lease of the service's run that has not ended.
    #[must_use]
    pub fn live(&self, service: &ServiceName) -> Option<&Lease> {
        self.leases.values().find(|lease| lease.service == *service && !lease.has_ended())
    }

    /// What is wrong with cards that were seen once: `GPU-1: fallen off the bus`.
    #[must_use]
    pub fn problems(&self) -> Option<String> {
        if let Some(problem) = &self.problem {
            return Some(problem.clone());
        }
        let lost: Vec<String> = self.cards.iter().filter_map(CardBook::problem).collect();
        (!lost.is_empty()).then(|| lost.join("; "))
    }
}
