//! What must hold at every moment.

use std::time::Duration;

use super::{
    given::ms,
    world::{Doing, Service, World},
};
use crate::{ids::ServiceName, memory::GpuId};

impl World {
    /// Nothing is promised that is not there: what is truly used (strangers as they were when the driver was asked last) and
    /// what every lease may still take fit, on each card, in RAM and in the other pools.
    pub fn check_room(&self, newcomer: &ServiceName) {
        let promised = |gpu: &GpuId| -> u64 {
            let promised = self.services.values().map(|one| {
                let may = one.placement.lease.vram.get(gpu).copied().unwrap_or(0);
                may.saturating_sub(one.vram.get(gpu).copied().unwrap_or(0))
            });
            promised.sum()
        };
        let touched = &self.services[newcomer].placement.lease;
        for card in self.cards.iter().filter(|card| touched.vram.get(&card.id).is_some_and(|amount| *amount > 0)) {
            let unseen = card.strangers.saturating_sub(self.strangers_read[&card.id]);
            let used = self.used(card) - unseen;
            let visible = if card.measured { used } else { self.used(card) - card.strangers };
            let lagging: u64 = card.lagging.iter().map(|(bytes, _)| bytes).sum();
            // Nobody sees what lags behind on a card without a driver.
            let visible = if card.measured { visible } else { visible.saturating_sub(lagging) };
            assert!(
                visible + promised(&card.id) <= card.total,
                "{newcomer}: {} is promised {} and {visible} of {} is used\n{}",
                card.id,
                promised(&card.id),
                card.total,
                self.books(&card.id)
            );
            assert!(!self.lost_read.contains(&card.id), "{newcomer} was placed on a lost card\n{}", self.story());
        }
        if touched.ram > 0 {
            let ram: u64 = self.services.values().map(|one| one.placement.lease.ram.max(one.ram)).sum();
            assert!(
                ram + self.ram_strangers <= self.ram_total,
                "{newcomer}: {ram} of RAM is promised, and others use {} of {}\n{}",
                self.ram_strangers,
                self.ram_total,
                self.ram_books()
            );
        }
        for (pool, capacity) in &self.custom {
            let held: u64 = self.services.values().filter_map(|one| one.placement.lease.custom.get(pool)).sum();
            assert!(held <= *capacity, "{newcomer}: {held} of {capacity} of {pool}\n{}", self.story());
        }
    }

    /// What is truly so of a card, what the books say of it, and the story.
    pub fn books(&self, gpu: &GpuId) -> String {
        let card = self.cards.iter().find(|card| card.id == *gpu).expect("a card");
        let here = self.services.values().filter_map(|one| {
            let (may, has) = (one.placement.lease.vram.get(gpu)?, one.vram.get(gpu));
            Some(format!("{} {:?} may {may} has {has:?}", one.spec.name, one.doing))
        });
        let here: Vec<String> = here.collect();
        let leases = self.machine.leases().filter(|lease| lease.vram(gpu) > 0);
        let leases: Vec<String> = leases
            .map(|l| {
                format!("{} {:?} vram {} taken {} listed {:?}", l.service, l.stage, l.vram(gpu), l.taken(gpu), l.listed)
            })
            .collect();
        let shown = self.machine.snapshot(self.now);
        let shown = shown.cards.iter().find(|card| card.id == *gpu);
        format!("{card:#?}\n{}\n{}\n{shown:#?}\n{}", here.join("\n"), leases.join("\n"), self.story())
    }

    /// Who truly has how much RAM, what the books say of it, and the story.
    fn ram_books(&self) -> String {
        let here = self.services.values().filter(|one| one.placement.lease.ram.max(one.ram) > 0);
        let here: Vec<String> = here
            .map(|one| format!("{} {:?} may {} has {}", one.spec.name, one.doing, one.placement.lease.ram, one.ram))
            .collect();
        let leases: Vec<String> = self
            .machine
            .leases()
            .map(|l| format!("{} {:?} holds {} measured {}", l.service, l.stage, l.holds.ram, l.ram))
            .collect();
        format!("{}\n\n{}\n{}", here.join("\n"), leases.join("\n"), self.story())
    }

    /// Nobody is asked to leave on whom somebody depends who is up.
    pub fn check_needed(&self, leaver: &ServiceName) {
        let needs = |one: &&Service| one.spec.depends_on.iter().any(|dependency| dependency.service == *leaver);
        let rests = |one: &Service| matches!(one.doing, Doing::Nothing | Doing::Asks { .. } | Doing::Sleeps);
        let user = self.services.values().filter(needs).find(|one| !rests(one)).map(|one| &one.spec.name);
        assert_eq!(user, None, "{leaver} is needed and is to leave\n{}", self.story());
    }

    /// Nobody who is in use is asked to leave for somebody whose turn has not come, nor while those are in its line who came
    /// before, within the time of a drain.
    pub fn check_fair(&self, leaver: &ServiceName, reason: &str) {
        let Some(asker) = reason.strip_prefix("makes room for ") else { return };
        let asker = &self.services[&asker.parse().expect("a name")];
        let Doing::Asks { since, .. } = asker.doing else { panic!("{reason}: {:?}\n{}", asker.doing, self.story()) };
        let arrival = asker.line.first().map_or(since, |first| since.min(*first));
        let due = arrival + self.fairness;
        let one = &self.services[leaver];
        let said = || format!("{leaver} {reason}, which came {:?} ago\n{}", self.now - arrival, self.story());
        assert!(one.usage.in_flight == 0 || due <= self.now, "in use: {}", said());
        let before = one.usage.open && one.line.first().is_some_and(|first| *first < arrival);
        assert!(!before || due + one.spec.memory.offload.drain <= self.now, "cuts off its line: {}", said());
    }

    /// Nobody waits for ever: the bound is that of everybody there is, each once, and the fairness.
    pub fn check_waits(&self) {
        let bound = |one: &Service| {
            let line = one.slots.map_or(Duration::ZERO, |_| one.spec.memory.offload.drain);
            line + one.spec.memory.offload.drain + one.spec.stop.grace + one.spec.ready.timeout + ms(3000) + ms(2000)
        };
        let bound: Duration = self.services.values().map(bound).sum::<Duration>() + ms(2000) + self.fairness;
        for one in self.services.values() {
            let is_full = one.usage.open && one.slots.is_some_and(|slots| one.usage.in_flight >= slots);
            // While it is full it waits for nobody but those who are in.
            let Some(first) = one.line.first().filter(|_| !is_full) else { continue };
            let since = if one.slots.is_some() { one.closed.max(*first) } else { *first };
            let waited = self.now - since;
            assert!(waited <= bound, "somebody waits {waited:?} for {}\n{}", one.spec.name, self.story());
        }
        for one in self.services.values() {
            if let Doing::Asks { since, .. } = one.doing {
                let waited = self.now - since;
                assert!(waited <= bound, "{} waits for {waited:?}\n{}", one.spec.name, self.story());
            }
        }
    }

    pub fn story(&self) -> String {
        let from = self.trace.len().saturating_sub(120);
        self.trace[from..].join("\n")
    }
}
