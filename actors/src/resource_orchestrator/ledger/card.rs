//! Whose the used memory of a card is.
//!
//! `used = what our processes use + what strangers use + what ended runs have left over`, and the driver says the first and
//! the sum. So strangers and what is left over are told apart by time: while nothing is coming back, all that is not ours is
//! strangers'. As soon as a run has ended, or its engine falls asleep, that figure is kept, and what is above it is owed by
//! that run, up to what it had; more than that is strangers' again. A driver that does not list our processes (in some containers, and with MIG) is
//! treated likewise while one of them loads, and until the cards were measured since it was ready.

use std::collections::BTreeMap;

use super::{Lease, Stage};
use crate::{
    ids::RunId,
    memory::GpuId,
    os::gpu::{Card, CardState},
};

/// One card.
#[derive(Debug, Clone)]
pub struct CardBook {
    /// As it was measured last.
    pub card: Card,
    /// What programs that are not ours use.
    pub strangers: u64,
    /// Whether the driver has ever listed one of our processes on it.
    lists: bool,
}

impl CardBook {
    /// A card on which none of our processes was seen.
    #[must_use]
    pub fn new(card: Card) -> Self {
        let strangers = card.used.unwrap_or(0);
        Self { card, strangers, lists: false }
    }

    /// Whether memory of it may be given out.
    #[must_use]
    pub fn works(&self) -> bool {
        self.card.state == CardState::Works
    }

    /// What is wrong with it.
    #[must_use]
    pub fn problem(&self) -> Option<String> {
        match &self.card.state {
            CardState::Works => None,
            CardState::Lost(why) => Some(format!("{} ({}) is lost: {why}", self.card.name, self.card.id)),
        }
    }

    /// Whether its driver says what our processes use.
    #[must_use]
    pub fn lists(&self) -> bool {
        self.lists
    }

    /// So much is not counted as ours any more: strangers' from now on, as far as it is still used when it is measured.
    pub fn disown(&mut self, bytes: u64) {
        self.strangers = self.strangers.saturating_add(bytes);
    }

    /// Says of every lease what it uses of this card, or owes, and how much strangers use.
    pub fn attribute(&mut self, leases: &mut BTreeMap<RunId, Lease>) {
        let id = &self.card.id;
        for lease in leases.values_mut() {
            self.lists |= note_listed(&self.card, lease);
        }
        let Some(used) = self.card.used.filter(|_| self.works()) else { return };
        let ours: u64 = leases.values().map(|lease| lease.used(id)).sum();
        let unlisted_load: u64 = leases
            .values()
            .filter(|lease| !self.lists && !lease.settled && !lease.listed.contains_key(id))
            .filter(|lease| lease.gives_back().is_none())
            .map(|lease| lease.vram(id))
            .sum();
        let given_up = leases.values().filter(|lease| lease.gives_back().is_some());
        let given_up: u64 = given_up.map(|lease| had(lease, id)).sum();

        let not_ours = used.saturating_sub(ours);
        let mut above = not_ours.saturating_sub(self.strangers);
        // Strangers leave at any time; they are seen to come only where nothing of ours can be meant.
        self.strangers = not_ours.min(self.strangers) + above.saturating_sub(unlisted_load + given_up);
        above = above.min(unlisted_load + given_up).saturating_sub(unlisted_load);
        // Who was still there when the cards were measured last had then what it had; what it took after that is to come.
        for is_measured in [false, true] {
            let given_up = leases.values_mut().filter(|lease| lease.gives_back() == Some(is_measured));
            for lease in given_up.rev() {
                let most = if is_measured { had(lease, id) } else { lease.taken(id) - lease.used(id) };
                let owed = above.min(most);
                above -= owed;
                if lease.holds.vram.contains_key(id) || owed > 0 {
                    lease.owed.insert(id.clone(), owed);
                }
            }
        }
    }
}

/// What one that gives memory back had of a card at most beside what it uses: since it was measured last it may have taken
/// more, up to its lease.
fn had(lease: &Lease, id: &GpuId) -> u64 {
    let holds = lease.holds.vram.get(id).copied().unwrap_or(0);
    holds.max(lease.listed.get(id).copied().unwrap_or(0)).saturating_sub(lease.used(id))
}

/// Takes down what the driver lists of this run; says whether it lists anything.
fn note_listed(card: &Card, lease: &mut Lease) -> bool {
    let figures = card.processes.iter().filter(|(pid, _)| lease.pids.contains(pid)).map(|(_, bytes)| *bytes);
    let figures: Vec<Option<u64>> = figures.collect();
    // One figure that is not said makes the sum worthless.
    let sum: Option<u64> = figures.iter().copied().sum();
    match sum.filter(|_| !figures.is_empty()) {
        Some(bytes) => {
            if !lease.has_ended() {
                lease.listed.insert(card.id.clone(), bytes);
                lease.note_peak();
            }
            true
        }
        None => {
            // What an ended run had is kept: that much is to come back.
            if !lease.has_ended() && !matches!(lease.stage, Stage::Resident | Stage::Draining) {
                lease.listed.remove(&card.id);
            }
            false
        }
    }
}
