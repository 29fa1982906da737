//! The planner against one that tries every set of leavers at every place.

use std::{cmp::Reverse, collections::BTreeMap, time::Duration};

use proptest::prelude::*;

use super::{CardRoom, Demand, Plan, PoolRoom, Resident, Room, likely_cost, plan, rules_tests::gpu};
use crate::{
    ids::ServiceName,
    memory::{Amounts, GpuId, Layered, Need, Placement, Pool, RefusalKind, Stays, VramNeed},
};

/// Costs at each priority, the highest first: less is better.
type Price = Vec<(i32, f64)>;

/// A kind of place, the better ones less: in parts, layers lost, cards.
type Kind = (bool, u32, usize);

fn price(leavers: &[&Resident]) -> Price {
    let mut by_priority: BTreeMap<Reverse<i32>, f64> = BTreeMap::new();
    for resident in leavers {
        *by_priority.entry(Reverse(resident.priority)).or_default() += likely_cost(resident);
    }
    by_priority.into_iter().map(|(Reverse(priority), cost)| (priority, cost)).collect()
}

/// What every pool can give with these gone.
fn gives(room: &Room, gone: &[&Resident], pool: &Pool) -> u64 {
    let PoolRoom { capacity, free, .. } = match pool {
        Pool::Vram(id) => room.cards.iter().find(|card| card.id == *id).expect("a card of the room").room,
        Pool::Ram => room.ram,
        Pool::Custom(name) => room.custom.get(name).copied().unwrap_or_default(),
    };
    capacity.min(free + gone.iter().map(|resident| resident.gives.of(pool)).sum::<u64>())
}

/// Every place there is: the cards, the layers on them, what that takes of VRAM together, on each, and of RAM.
#[derive(Debug)]
struct Spot {
    kind: Kind,
    cards: Vec<GpuId>,
    vram: u64,
    each: u64,
    ram: u64,
}

fn spots(demand: &Demand) -> Vec<Spot> {
    let mut spots = Vec::new();
    let all = demand.gpus.len();
    for set in 0..1_u32 << all {
        let cards: Vec<GpuId> = (0..all).filter(|at| set >> at & 1 == 1).map(|at| demand.gpus[at].clone()).collect();
        let count = cards.len();
        if demand.all_of_them && count > 0 && count < all {
            continue;
        }
        let ram = demand.need.ram;
        let spot = |kind, vram, each, ram| Spot { kind, cards: cards.clone(), vram, each, ram };
        match demand.need.vram {
            VramNeed::None if count == 0 => spots.push(spot((false, 0, 0), 0, 0, ram)),
            VramNeed::Bytes(bytes) if count > 0 || (bytes == 0 && all == 0) => {
                spots.push(spot((false, 0, count), bytes, 0, ram));
            }
            VramNeed::WholeCard if count == 1 || (count > 0 && demand.all_of_them) => {
                spots.push(spot((false, 0, count), 0, 1, ram));
            }
            VramNeed::Layers(model) => {
                for layers in 0..=demand.most_layers(model) {
                    let lost = model.layers - layers;
                    let ram = ram + u64::from(lost) * model.layer;
                    let vram = u64::from(layers) * model.layer + count as u64 * model.card;
                    if (layers == 0) == (count == 0) {
                        spots.push(spot((lost > 0, lost, count), vram, model.card, ram));
                    }
                }
            }
            _ => {}
        }
    }
    spots
}

fn fits(demand: &Demand, room: &Room, residents: &[Resident], gone: &[&Resident], spot: &Spot) -> bool {
    let on = |card: &GpuId| gives(room, gone, &Pool::Vram(card.clone()));
    let is_alone = |card: &GpuId| {
        let stays = |resident: &&Resident| !gone.iter().any(|gone| gone.service == resident.service);
        let in_use = room.cards.iter().any(|here| here.id == *card && here.in_use);
        !in_use && residents.iter().filter(stays).all(|resident| resident.gives.of(&Pool::Vram(card.clone())) == 0)
    };
    spot.cards.iter().map(on).sum::<u64>() >= spot.vram
        && spot.cards.iter().all(|card| on(card) >= spot.each)
        && (demand.need.vram != VramNeed::WholeCard || spot.cards.iter().all(is_alone))
        && gives(room, gone, &Pool::Ram) >= spot.ram
        && demand.need.custom.iter().all(|(name, units)| gives(room, gone, &Pool::Custom(name.clone())) >= *units)
}

/// The best there is, by trying everything.
fn oracle(demand: &Demand, room: &Room, residents: &[Resident]) -> Option<(Kind, Price)> {
    let spots = match &demand.again {
        None => spots(demand),
        Some(again) => {
            let works = again.gpus.iter().all(|gpu| demand.gpus.contains(gpu));
            let spot = |gpu: &GpuId| Spot {
                kind: (false, 0, 0),
                cards: vec![gpu.clone()],
                vram: again.lease.vram[gpu],
                each: 0,
                ram: again.lease.ram,
            };
            again.gpus.first().filter(|_| works).map(spot).into_iter().collect()
        }
    };
    let may_leave: Vec<&Resident> =
        residents.iter().filter(|resident| demand.may_push_out && resident.stays.is_none()).collect();
    let mut best: Option<(Kind, Price)> = None;
    for set in 0..1_u32 << may_leave.len() {
        let gone: Vec<&Resident> =
            may_leave.iter().enumerate().filter(|(at, _)| set >> at & 1 == 1).map(|(_, resident)| *resident).collect();
        for spot in &spots {
            let better = |best: &(Kind, Price)| (&spot.kind, &price(&gone)) < (&best.0, &best.1);
            if best.as_ref().is_none_or(better) && fits(demand, room, residents, &gone, spot) {
                best = Some((spot.kind, price(&gone)));
            }
        }
    }
    best
}

fn pool_room() -> impl Strategy<Value = PoolRoom> {
    (0..40_u64, 0..40_u64).prop_map(|(free, held)| PoolRoom { capacity: free + held, free, strangers: held / 2 })
}

fn rooms() -> impl Strategy<Value = Room> {
    let cards = prop::collection::vec((pool_room(), prop::bool::weighted(0.1)), 0..=4);
    (cards, pool_room(), pool_room()).prop_map(|(cards, ram, npu)| Room {
        cards: cards.into_iter().enumerate().map(|(n, (room, in_use))| CardRoom { id: gpu(n), room, in_use }).collect(),
        ram,
        custom: [("npu".to_owned(), npu)].into(),
    })
}

fn amounts() -> impl Strategy<Value = Amounts> {
    // Most hold memory on one card; some on two.
    let card = || (0..4_usize, 0..20_u64);
    (card(), prop::option::weighted(0.3, card()), 0..12_u64, prop_oneof![3 => Just(0), 1 => 0..9_u64]).prop_map(
        |(one, two, ram, npu)| Amounts {
            vram: [one].into_iter().chain(two).map(|(n, bytes)| (gpu(n), bytes)).collect(),
            ram,
            custom: [("npu".to_owned(), npu)].into(),
        },
    )
}

fn resident(number: usize) -> impl Strategy<Value = Resident> {
    let stays = prop::option::weighted(0.15, prop::sample::select(vec![Stays::Pinned, Stays::Busy, Stays::Held]));
    (amounts(), 0..60_u64, 0..2_000_u64, -1..=1, prop::bool::weighted(0.2), stays).prop_map(
        move |(gives, reload, idle, priority, busy, stays)| Resident {
            service: format!("r{number}").parse().expect("a name"),
            gives,
            reload: Duration::from_secs(reload),
            idle: Duration::from_secs(idle),
            priority,
            busy,
            stays,
        },
    )
}

fn residents() -> impl Strategy<Value = Vec<Resident>> {
    (0..=8_usize).prop_flat_map(|count| (0..count).map(resident).collect::<Vec<_>>())
}

fn needs() -> impl Strategy<Value = Need> {
    let vram = prop_oneof![
        1 => Just(VramNeed::None),
        4 => (0..90_u64).prop_map(VramNeed::Bytes),
        2 => Just(VramNeed::WholeCard),
        4 => (1..9_u32, 0..9_u64, 0..9_u64)
            .prop_map(|(layers, layer, card)| VramNeed::Layers(Layered { layers, layer, card })),
    ];
    (vram, prop_oneof![1 => Just(0), 2 => 0..50_u64], prop_oneof![2 => Just(0), 1 => 0..40_u64])
        .prop_map(|(vram, ram, npu)| Need { vram, ram, custom: [("npu".to_owned(), npu)].into(), ..Need::nothing() })
}

fn demands() -> impl Strategy<Value = (Room, Demand)> {
    let again = prop::option::weighted(0.15, (0..4_usize, 0..40_u64, 0..40_u64));
    let flags = (prop::bool::weighted(0.3), prop::bool::weighted(0.8), prop::bool::weighted(0.2));
    let at_most = prop::option::weighted(0.3, 0..9_u32);
    (rooms(), needs(), flags, again, at_most).prop_map(
        |(room, need, (all_of_them, may_push_out, fewer), again, at_most)| {
            let mut gpus: Vec<GpuId> = room.cards.iter().map(|card| card.id.clone()).collect();
            if fewer {
                gpus.pop();
            }
            // Who has a card to itself is tried by rules of its own.
            let again = again.filter(|_| need.vram != VramNeed::WholeCard).map(|(n, bytes, ram)| Placement {
                gpus: vec![gpu(n)],
                gpu_layers: None,
                lease: Amounts { vram: [(gpu(n), bytes)].into(), ram, custom: need.custom.clone() },
            });
            let service = "new".parse().expect("a name");
            (room, Demand { service, need, gpus, all_of_them, may_push_out, again, at_most })
        },
    )
}

/// The same but for rounding of sums.
fn same(one: &Price, two: &Price) -> bool {
    let alike = |((p, a), (q, b)): (&(i32, f64), &(i32, f64))| p == q && (a - b).abs() < 1e-6;
    one.len() == two.len() && one.iter().zip(two).all(alike)
}

fn kind(demand: &Demand, plan: &Plan) -> Kind {
    match (demand.need.vram, plan.placement.gpu_layers, &demand.again) {
        (_, _, Some(_)) => (false, 0, 0),
        (VramNeed::Layers(model), Some(layers), None) => {
            (layers < model.layers, model.layers - layers, plan.placement.gpus.len())
        }
        _ => (false, 0, plan.placement.gpus.len()),
    }
}

/// Whether a plan keeps its word: who leaves may, the lease is covered, and it is what was asked for.
fn is_sound(demand: &Demand, room: &Room, residents: &[Resident], plan: &Plan) {
    let find = |name: &ServiceName| residents.iter().find(|resident| resident.service == *name).expect("a resident");
    let gone: Vec<&Resident> = plan.offload.iter().map(find).collect();
    assert!(gone.iter().all(|resident| resident.stays.is_none()));
    assert!(demand.may_push_out || gone.is_empty());
    let order: Vec<bool> = gone.iter().map(|resident| resident.busy).collect();
    assert!(order.is_sorted(), "busy ones leave last");
    for (pool, amount) in plan.placement.lease.iter().filter(|(_, amount)| *amount > 0) {
        assert!(amount <= gives(room, &gone, &pool), "{pool} is given out twice");
    }
    if let Some(again) = &demand.again {
        assert_eq!(plan.placement, *again);
        return;
    }
    let Placement { gpus, gpu_layers, lease } = &plan.placement;
    assert!(gpus.is_sorted() && gpus.iter().all(|gpu| demand.gpus.contains(gpu)));
    assert!(lease.vram.keys().all(|gpu| gpus.contains(gpu)));
    assert_eq!(lease.custom, demand.need.custom);
    let (vram, ram) = match (demand.need.vram, gpu_layers) {
        (VramNeed::None, None) => (0, 0),
        (VramNeed::Bytes(bytes), None) => (bytes, 0),
        (VramNeed::WholeCard, None) => (gpus.iter().map(|id| gives(room, &gone, &Pool::Vram(id.clone()))).sum(), 0),
        (VramNeed::Layers(model), Some(layers)) => {
            let further = (gpus.len() as u64).saturating_sub(1) * model.card;
            (model.vram(*layers) + further, model.ram(*layers))
        }
        other => panic!("{other:?}"),
    };
    assert_eq!((lease.total_vram(), lease.ram), (vram, demand.need.ram + ram));
}

/// Whether it would do as well with one of them staying.
fn is_more_than_needed(demand: &Demand, room: &Room, residents: &[Resident], plan: &Plan) -> bool {
    (0..plan.offload.len()).any(|kept| {
        let mut fewer: Vec<Resident> = residents.to_vec();
        for resident in &mut fewer {
            let leaves = plan.offload.iter().position(|name| *name == resident.service);
            if leaves.is_none_or(|at| at == kept) {
                resident.stays = Some(Stays::Pinned);
            }
        }
        oracle(demand, room, &fewer).is_some_and(|(found, _)| found <= kind(demand, plan))
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 1_500, ..ProptestConfig::default() })]

    #[test]
    fn it_finds_what_trying_everything_finds((room, demand) in demands(), residents in residents()) {
        let found = plan(&demand, &room, &residents);
        prop_assert_eq!(&found, &plan(&demand, &room, &residents));
        match (found, oracle(&demand, &room, &residents)) {
            (Ok(plan), Some((best_kind, best))) => {
                is_sound(&demand, &room, &residents, &plan);
                prop_assert_eq!(kind(&demand, &plan), best_kind);
                let gone: Vec<&Resident> =
                    residents.iter().filter(|resident| plan.offload.contains(&resident.service)).collect();
                prop_assert!(same(&price(&gone), &best), "{:?} is paid and {:?} would do", price(&gone), best);
                prop_assert!((plan.cost - best.iter().map(|(_, cost)| cost).sum::<f64>()).abs() < 1e-6);
                prop_assert!(!is_more_than_needed(&demand, &room, &residents, &plan));
            }
            (Err(refusal), None) => {
                let is_named = !refusal.missing.is_empty() || matches!(refusal.kind, RefusalKind::NoCard { .. });
                prop_assert!(is_named, "{refusal:?} names nothing");
                let empty = |room: PoolRoom| PoolRoom { free: room.capacity, ..room };
                let cards = room.cards.iter();
                let emptied = Room {
                    cards: cards.map(|c| CardRoom { room: empty(c.room), in_use: false, ..c.clone() }).collect(),
                    ram: empty(room.ram),
                    custom: room.custom.iter().map(|(name, room)| (name.clone(), empty(*room))).collect(),
                };
                let ever = oracle(&demand, &emptied, &[]).is_some();
                prop_assert_eq!(ever, refusal.kind == RefusalKind::InTheWay, "{:?}", refusal);
            }
            (found, best) => prop_assert!(false, "{found:?} and {best:?}"),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 24, ..ProptestConfig::default() })]

    /// Too many for the oracle: what holds all the same.
    #[test]
    fn many_residents_are_planned_soundly(
        (room, demand) in demands(),
        residents in (21..150_usize).prop_flat_map(|count| (0..count).map(resident).collect::<Vec<_>>()),
    ) {
        let Ok(plan) = plan(&demand, &room, &residents) else { return Ok(()) };
        is_sound(&demand, &room, &residents, &plan);
        for kept in &plan.offload {
            let mut fewer = residents.clone();
            for resident in &mut fewer {
                if !plan.offload.contains(&resident.service) || resident.service == *kept {
                    resident.stays = Some(Stays::Pinned);
                }
            }
            if let Ok(other) = super::plan(&demand, &room, &fewer) {
                let elsewhere = other.placement.gpus != plan.placement.gpus;
                prop_assert!(elsewhere || self::kind(&demand, &other) > self::kind(&demand, &plan), "{kept} need not leave");
            }
        }
    }
}
