//! Why there is no place: what is missing, and who holds it.

use super::{
    places::{places, split, together, where_it_was},
    problem::{Demand, Resident},
    share::spread,
    table::{Reach, Staying, Table},
};
use crate::memory::{Holder, Refusal, RefusalKind, Shortage, Stays, VramNeed};

/// Holders of one pool that are named at most, those who hold most.
const NAMED: usize = 16;

/// The refusal of a demand for which there is no place.
pub(super) fn refuse(demand: &Demand, table: &Table, residents: &[Resident]) -> Refusal {
    let refusal = |kind, missing: &[_], holders| {
        let missing = missing.iter().map(|short| told(table, *short)).collect();
        Refusal { service: demand.service.clone(), kind, missing, holders }
    };
    if lacks_cards(demand, table) {
        let problem = if table.ram == 0 { "there is no GPU" } else { "no card that it may use works" };
        return refusal(RefusalKind::NoCard { problem: problem.to_owned() }, &[], Vec::new());
    }
    let capacity = table.capacity();
    if places(demand, table, &capacity).is_empty() {
        return refusal(RefusalKind::TooLarge, &short(demand, table, &capacity), Vec::new());
    }
    let missing = short(demand, table, &table.reach());
    let holders = missing.iter().flat_map(|(pool, _)| holders(table, residents, *pool)).collect();
    refusal(RefusalKind::InTheWay, &missing, holders)
}

/// Whether it needs a card and may use none.
fn lacks_cards(demand: &Demand, table: &Table) -> bool {
    match &demand.again {
        Some(again) => where_it_was(again, demand, table).is_none(),
        // Layers can all lie in RAM.
        None => table.cards.is_empty() && matches!(demand.need.vram, VramNeed::Bytes(1..) | VramNeed::WholeCard),
    }
}

/// The pools that give too little, by number, with what is needed of each.
fn short(demand: &Demand, table: &Table, reach: &Reach) -> Vec<(usize, u64)> {
    let again = demand.again.as_ref().and_then(|again| where_it_was(again, demand, table));
    let (cards, ram) = match (again, demand.need.vram) {
        (Some(again), _) => {
            let cards = match again.settled {
                Some(shares) => again.cards.into_iter().zip(shares).collect(),
                None => alone(table, reach, &again.cards, true),
            };
            (cards, again.ram)
        }
        (None, VramNeed::None) => (Vec::new(), demand.need.ram),
        (None, VramNeed::Bytes(bytes)) => (bytes_on_cards(demand, table, reach, bytes), demand.need.ram),
        (None, VramNeed::WholeCard) => (alone(table, reach, &table.cards, demand.all_of_them), demand.need.ram),
        (None, VramNeed::Layers(model)) => {
            // What does not fit on cards is RAM's to take. If there is too little of it, VRAM would help as well.
            let (layers, _) = split(demand, table, reach, model);
            let ram = demand.need.ram.saturating_add(model.ram(layers));
            let most = demand.most_layers(model);
            let helps = ram > reach.gives[table.ram] && layers < most && !table.cards.is_empty();
            let whole = || bytes_on_cards(demand, table, reach, model.vram(most));
            (if helps { whole() } else { Vec::new() }, ram)
        }
    };
    let other = [(table.ram, ram)].into_iter().chain(table.custom.iter().copied());
    let is_short = |(pool, needed): &(usize, u64)| {
        *needed > reach.gives[*pool]
            || reach.shared.get(*pool).is_some_and(|shared| *shared && demand.need.vram == VramNeed::WholeCard)
    };
    cards.into_iter().chain(other).filter(is_short).collect()
}

/// What is needed of which card if so much has no place: of the one where the least is missing or, if it is too much for
/// any one, of each of the fewest that could hold it.
fn bytes_on_cards(demand: &Demand, table: &Table, reach: &Reach, needed: u64) -> Vec<(usize, u64)> {
    let mut cards = table.cards.clone();
    if together(&cards, &reach.gives) >= u128::from(needed) {
        return Vec::new();
    }
    // A stable order: of those that give the same, the first.
    cards.sort_by_key(|card| std::cmp::Reverse(reach.gives[*card]));
    let capacity: Vec<u64> = table.rooms.iter().map(|room| room.capacity).collect();
    if !demand.all_of_them {
        if let Some(card) = cards.iter().find(|card| capacity[**card] >= needed) {
            return vec![(*card, needed)];
        }
        let enough = |size: &usize| together(&cards[..*size], &capacity) >= u128::from(needed);
        cards.truncate((2..=cards.len()).find(enough).unwrap_or(cards.len()));
    }
    cards.sort_unstable();
    let weights: Vec<u64> = cards.iter().map(|card| capacity[*card]).collect();
    let shares = spread(needed, 0, &weights, &vec![u64::MAX; cards.len()]);
    cards.into_iter().zip(shares).collect()
}

/// What is needed of which card if none is to be had alone: of the one on which least is held, or of all of them.
fn alone(table: &Table, reach: &Reach, cards: &[usize], all_of_them: bool) -> Vec<(usize, u64)> {
    let is_missing = |card: &usize| reach.shared[*card] || reach.gives[*card] == 0;
    let all_but_strangers = |card: usize| {
        let room = &table.rooms[card];
        match room.capacity.saturating_sub(room.strangers) {
            0 => room.capacity.max(1),
            most => most,
        }
    };
    let missing: Vec<(usize, u64)> =
        cards.iter().filter(|card| is_missing(card)).map(|card| (*card, all_but_strangers(*card))).collect();
    match all_of_them {
        true => missing,
        false if missing.len() < cards.len() => Vec::new(),
        false => {
            let lacks = |(card, needed): &(usize, u64)| (needed.saturating_sub(reach.gives[*card]), *card);
            missing.into_iter().min_by_key(lacks).into_iter().collect()
        }
    }
}

fn told(table: &Table, (pool, needed): (usize, u64)) -> Shortage {
    let room = &table.rooms[pool];
    Shortage { pool: table.pools[pool].clone(), needed, free: room.free.min(room.capacity), capacity: room.capacity }
}

/// Those who hold a pool and stay, who holds most first; other programs last.
fn holders(table: &Table, residents: &[Resident], pool: usize) -> Vec<Holder> {
    let holder = |service, amount, why| Holder::new(service, table.pools[pool].clone(), amount, why);
    let stays = |staying: &Staying| {
        let resident = &residents[staying.resident];
        holder(Some(resident.service.clone()), staying.holds[pool], resident.stays.unwrap_or(Stays::NotForThis))
    };
    let mut holders: Vec<Holder> = table.staying.iter().map(stays).filter(|holder| holder.amount > 0).collect();
    holders.sort_by_key(|holder| std::cmp::Reverse(holder.amount));
    holders.truncate(NAMED);
    let strangers = table.rooms[pool].strangers;
    if strangers > 0 {
        holders.push(holder(None, strangers, Stays::Stranger));
    }
    holders
}
