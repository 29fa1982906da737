//! What `run` says of memory at its start: the cards, and which services fit together. Pure.
//!
//! An outlook and not the planner: services are put side by side in the order of the configuration, each where it finds
//! room first. What a load would do at a moment is `greenroom plan`'s to say.

use std::collections::BTreeMap;

use greenroom_actors::{
    ids::ServiceName,
    memory::GpuId,
    resource_orchestrator::view::{CardView, MemorySnapshot, NeedView},
};

use crate::runtime::told::size;

/// `GPU 0` and the rest of the line, card by card, then RAM.
#[must_use]
pub fn pools(memory: &MemorySnapshot) -> Vec<(String, String)> {
    let card = |card: &CardView| {
        let state = if card.state == "works" { String::new() } else { format!(", {}", card.state) };
        let room = format!("{} of {} may be given out", size(card.capacity), size(card.total));
        (format!("GPU {}", card.index), format!("{} ({}){state}: {room}", card.name, card.id))
    };
    let mut lines: Vec<(String, String)> = memory.cards.iter().map(card).collect();
    lines.extend(memory.problem.as_ref().map(|problem| ("GPUs".to_owned(), problem.clone())));
    if memory.ram.capacity > 0 {
        lines.push(("RAM".to_owned(), format!("{} may be given out", size(memory.ram.capacity))));
    }
    lines
}

/// Which of these services fit together; nothing where none of them needs memory that is counted.
#[must_use]
pub fn together<'a>(services: impl IntoIterator<Item = &'a ServiceName>, memory: &MemorySnapshot) -> Option<String> {
    let mut room = Room::whole(memory);
    let (mut fit, mut beside, mut never) = (Vec::new(), Vec::new(), Vec::new());
    for name in services {
        let Some(need) = memory.needs.get(name).filter(|need| need.vram != Some(0) || need.ram > 0) else { continue };
        match () {
            () if room.take(need) => fit.push(name.as_str()),
            () if Room::whole(memory).take(need) => beside.push(name.as_str()),
            () => never.push(name.as_str()),
        }
    }
    let mut said = Vec::new();
    match fit.as_slice() {
        [] => {}
        [one] if beside.is_empty() => said.push(format!("there is room for {one}")),
        [one] => said.push(format!("{one} fits")),
        several => said.push(format!("{} fit together", listed(several))),
    }
    if !beside.is_empty() {
        let them = if fit.len() == 1 { "it" } else { "them" };
        said.push(format!("{} only where others leave, not beside {them}", listed(&beside)));
    }
    if !never.is_empty() {
        let verb = if never.len() == 1 { "does" } else { "do" };
        said.push(format!("{} {verb} not fit as configured: greenroom why {}", listed(&never), never[0]));
    }
    (!said.is_empty()).then(|| said.join("; "))
}

fn listed(names: &[&str]) -> String {
    match names {
        [] => String::new(),
        [one] => (*one).to_owned(),
        [rest @ .., last] => format!("{} and {last}", rest.join(", ")),
    }
}

/// What is left to be given out.
struct Room {
    cards: BTreeMap<GpuId, (u64, u64)>,
    ram: u64,
}

impl Room {
    /// As if nobody held anything.
    fn whole(memory: &MemorySnapshot) -> Self {
        let cards = memory.cards.iter().filter(|card| card.state == "works");
        let cards = cards.map(|card| (card.id.clone(), (card.capacity, card.capacity))).collect();
        Self { cards, ram: memory.ram.capacity }
    }

    /// Takes what is needed if it is there: from one card, from several, or with layers in RAM.
    fn take(&mut self, need: &NeedView) -> bool {
        let Some(ram) = self.ram.checked_sub(need.ram) else { return false };
        let taken = match need.vram {
            Some(0) => true,
            Some(bytes) => self.take_vram(bytes),
            None => {
                let empty = self.cards.values_mut().find(|(left, whole)| left == whole && *whole > 0);
                empty.map(|(left, _)| *left = 0).is_some()
            }
        };
        if taken {
            self.ram = ram;
        }
        taken
    }

    fn take_vram(&mut self, bytes: u64) -> bool {
        if let Some((left, _)) = self.cards.values_mut().find(|(left, _)| *left >= bytes) {
            *left -= bytes;
            return true;
        }
        let all = self.cards.values().fold(0u64, |sum, (left, _)| sum.saturating_add(*left));
        if all < bytes {
            return false;
        }
        let mut missing = bytes;
        for (left, _) in self.cards.values_mut() {
            let part = missing.min(*left);
            *left -= part;
            missing -= part;
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use greenroom_actors::{memory::NeedSource, resource_orchestrator::view::PoolView};

    use super::*;

    fn name(text: &str) -> ServiceName {
        text.parse().expect("a name")
    }

    fn memory(cards: &[u64], needs: &[(&str, Option<u64>, u64)]) -> MemorySnapshot {
        let card = |(n, capacity): (usize, &u64)| CardView {
            id: GpuId(format!("GPU-{n}")),
            index: u32::try_from(n).expect("few"),
            name: "RTX".to_owned(),
            state: "works".to_owned(),
            problem: None,
            total: 8 << 30,
            used: None,
            services: BTreeMap::new(),
            strangers: 0,
            free: *capacity,
            capacity: *capacity,
            utilization: None,
            temperature: None,
        };
        let (source, ram_source) = (NeedSource::User, NeedSource::User);
        let need = |(who, vram, ram): &(&str, Option<u64>, u64)| {
            (name(who), NeedView { source, vram: *vram, ram: *ram, ram_source, layers: None })
        };
        MemorySnapshot {
            cards: cards.iter().enumerate().map(card).collect(),
            ram: PoolView { capacity: 100, free: 100 },
            needs: needs.iter().map(need).collect(),
            ..MemorySnapshot::default()
        }
    }

    fn said(cards: &[u64], needs: &[(&str, Option<u64>, u64)]) -> Option<String> {
        let names: Vec<ServiceName> = needs.iter().map(|(who, ..)| name(who)).collect();
        together(&names, &memory(cards, needs))
    }

    #[test]
    fn it_says_who_fits_beside_whom() {
        let both = said(&[10], &[("a", Some(4), 0), ("b", Some(6), 50)]);
        assert_eq!(both.as_deref(), Some("a and b fit together"));
        let swapped = said(&[10], &[("a", Some(7), 0), ("b", Some(4), 0)]);
        assert_eq!(swapped.as_deref(), Some("a fits; b only where others leave, not beside it"));
        let large = said(&[10], &[("a", Some(7), 0), ("b", Some(11), 0), ("c", Some(1), 101)]);
        assert_eq!(large.as_deref(), Some("there is room for a; b and c do not fit as configured: greenroom why b"));
        assert_eq!(said(&[10], &[("a", Some(0), 0)]), None);
    }

    #[test]
    fn several_cards_are_shared_and_an_unknown_need_takes_one_whole() {
        assert_eq!(said(&[10, 10], &[("a", Some(15), 0)]).as_deref(), Some("there is room for a"));
        let unknown = said(&[10, 10], &[("a", None, 0), ("b", Some(10), 0), ("c", None, 0)]);
        assert_eq!(unknown.as_deref(), Some("a and b fit together; c only where others leave, not beside them"));
    }

    #[test]
    fn pools_are_named_with_what_may_be_given_out() {
        let mut memory = memory(&[7 << 30], &[]);
        memory.cards[0].state = "lost".to_owned();
        assert_eq!(
            pools(&memory),
            [
                ("GPU 0".to_owned(), "RTX (GPU-0), lost: 7GiB of 8GiB may be given out".to_owned()),
                ("RAM".to_owned(), "100B may be given out".to_owned()),
            ]
        );
    }
}
