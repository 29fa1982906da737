//! What a driver says of the cards: the truth, but only when it is asked.

use std::sync::Arc;

use super::{
    given::ms,
    world::{Due, TrueCard, World},
};
use crate::{
    ids::Pid,
    os::gpu::{Card, CardState, Reading},
    resource_orchestrator::{admission::Event, ledger::Figures},
};

impl World {
    /// The driver's view, and that of the processes, now and from now on.
    pub fn look(&mut self) {
        self.glance();
        let pace = if self.machine.is_pressed() { ms(30) } else { ms(200) };
        self.later(pace, Due::Look);
    }

    /// The same once.
    pub fn glance(&mut self) {
        let now = self.now;
        self.sequence += 1;
        for card in &mut self.cards {
            card.lagging.retain(|(_, until)| *until > now);
        }
        self.measure();
        let cards = (0..).zip(&self.cards).map(|(index, card)| self.card(index, card)).collect();
        self.strangers_read = self.cards.iter().map(|card| (card.id.clone(), card.strangers)).collect();
        self.lost_read = self.cards.iter().filter(|card| card.lost).map(|card| card.id.clone()).collect();
        let reading = Reading { sequence: self.sequence, at: now, backend: "made up", cards, problem: None };
        self.step(Event::Read(Arc::new(reading)));
    }

    /// What the runs hold.
    pub fn measure(&mut self) {
        let figures = self.services.values().filter(|one| !one.vram.is_empty() || one.ram > 0);
        let figures = figures.filter_map(|one| Some((one.run?, Figures { pids: vec![one.pid], ram: one.ram })));
        let figures = figures.collect();
        self.step(Event::Measured(figures));
    }

    pub fn card(&self, index: u32, card: &TrueCard) -> Card {
        let on_it = self.services.values().filter_map(|one| Some((one.pid, *one.vram.get(&card.id)?)));
        let processes: Vec<(Pid, u64)> = on_it.filter(|(_, bytes)| *bytes > 0).collect();
        let used = self.used(card);
        Card {
            id: card.id.clone(),
            index,
            name: card.id.to_string(),
            total: card.total,
            used: card.measured.then_some(used),
            processes: match card.measured {
                true => processes.into_iter().map(|(pid, bytes)| (pid, self.names.then_some(bytes))).collect(),
                false => Vec::new(),
            },
            utilization: None,
            temperature: None,
            state: if card.lost { CardState::Lost("it fell off".to_owned()) } else { CardState::Works },
        }
    }

    /// What is truly used of a card.
    pub fn used(&self, card: &TrueCard) -> u64 {
        let ours: u64 = self.services.values().filter_map(|one| one.vram.get(&card.id)).sum();
        let lagging: u64 = card.lagging.iter().filter(|(_, until)| *until > self.now).map(|(bytes, _)| bytes).sum();
        ours + card.strangers + lagging
    }
}
