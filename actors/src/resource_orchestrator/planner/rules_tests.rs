//! The rules, one by one.

use std::{collections::BTreeMap, time::Duration};

use super::{CardRoom, Demand, Plan, PoolRoom, Resident, Room, explain, plan};
use crate::{
    ids::ServiceName,
    memory::{Amounts, GpuId, Layered, Need, NeedSource, Placement, Pool, Refusal, RefusalKind, Stays, VramNeed},
};

const GIB: u64 = 1 << 30;
const MIB: u64 = 1 << 20;

fn name(text: &str) -> ServiceName {
    text.parse().expect("a name")
}

pub(super) fn gpu(index: usize) -> GpuId {
    GpuId(format!("GPU-{index}"))
}

/// Everything of which is free.
fn cards(sizes: &[u64]) -> Room {
    let card = |(index, size): (usize, &u64)| CardRoom {
        id: gpu(index),
        room: PoolRoom { capacity: *size, free: *size, strangers: 0 },
        in_use: false,
    };
    Room {
        cards: sizes.iter().enumerate().map(card).collect(),
        ram: PoolRoom { capacity: 64 * GIB, free: 64 * GIB, strangers: 0 },
        custom: BTreeMap::new(),
    }
}

/// One that wants this on any of four cards, by pushing out others.
pub(super) fn demand(vram: VramNeed) -> Demand {
    Demand {
        service: name("new"),
        need: Need { vram, vram_source: NeedSource::User, ..Need::nothing() },
        gpus: (0..4).map(gpu).collect(),
        all_of_them: false,
        may_push_out: true,
        again: None,
        at_most: None,
    }
}

fn resident(service: &str, vram: &[(usize, u64)], ram: u64) -> Resident {
    let vram = vram.iter().map(|(index, bytes)| (gpu(*index), *bytes)).collect();
    Resident {
        service: name(service),
        gives: Amounts { vram, ram, custom: BTreeMap::new() },
        reload: Duration::from_secs(10),
        idle: Duration::ZERO,
        priority: 0,
        busy: false,
        stays: None,
    }
}

/// Takes what they hold out of what is free.
fn with(mut room: Room, residents: &[Resident]) -> Room {
    for Resident { gives, .. } in residents {
        for card in &mut room.cards {
            card.room.free -= gives.of(&Pool::Vram(card.id.clone()));
        }
        room.ram.free -= gives.ram;
    }
    room
}

fn planned(demand: &Demand, room: &Room, residents: &[Resident]) -> Plan {
    plan(demand, room, residents).unwrap_or_else(|refusal| panic!("{refusal}"))
}

fn refused(demand: &Demand, room: &Room, residents: &[Resident]) -> Refusal {
    plan(demand, room, residents).expect_err("there is no way")
}

fn vram(plan: &Plan) -> Vec<(usize, u64)> {
    let index = |gpu: &GpuId| gpu.0.trim_start_matches("GPU-").parse().expect("an index");
    plan.placement.lease.vram.iter().map(|(gpu, bytes)| (index(gpu), *bytes)).collect()
}

fn who(plan: &Plan) -> Vec<&str> {
    plan.offload.iter().map(ServiceName::as_str).collect()
}

#[test]
fn the_card_that_it_fills_best() {
    let room = cards(&[24 * GIB, 8 * GIB, 8 * GIB]);
    let plan = planned(&demand(VramNeed::Bytes(7 * GIB)), &room, &[]);
    assert_eq!((vram(&plan), who(&plan)), (vec![(1, 7 * GIB)], vec![]));
    assert_eq!(plan.placement.gpus, [gpu(1)]);
}

#[test]
fn room_that_is_there_comes_before_room_that_is_made() {
    let chat = [resident("chat", &[(1, 6 * GIB)], 0)];
    let room = with(cards(&[24 * GIB, 8 * GIB]), &chat);
    let plan = planned(&demand(VramNeed::Bytes(7 * GIB)), &room, &chat);
    assert_eq!((vram(&plan), who(&plan)), (vec![(0, 7 * GIB)], vec![]));
}

#[test]
fn one_card_comes_before_several_and_fewer_before_more() {
    let chat = [resident("chat", &[(0, 5 * GIB)], 0)];
    let room = with(cards(&[8 * GIB, 4 * GIB, 4 * GIB]), &chat);
    assert_eq!(who(&planned(&demand(VramNeed::Bytes(7 * GIB)), &room, &chat)), ["chat"]);
    // Eleven fit on two of them at most if chat leaves, on three if it stays.
    let plan = planned(&demand(VramNeed::Bytes(11 * GIB)), &room, &chat);
    assert_eq!((plan.placement.gpus.len(), who(&plan)), (2, vec!["chat"]));
}

#[test]
fn several_share_in_proportion_to_what_is_free() {
    let room = cards(&[8 * GIB, 4 * GIB]);
    let plan = planned(&demand(VramNeed::Bytes(9 * GIB)), &room, &[]);
    assert_eq!(vram(&plan), [(0, 6 * GIB), (1, 3 * GIB)]);
}

#[test]
fn all_of_them_share_in_proportion_to_their_size() {
    let held = [resident("held", &[(0, 7 * GIB)], 0)];
    let room = with(cards(&[8 * GIB, 8 * GIB]), &held);
    let both = Demand { all_of_them: true, may_push_out: false, ..demand(VramNeed::Bytes(6 * GIB)) };
    assert_eq!(vram(&planned(&both, &room, &held)), [(0, GIB), (1, 5 * GIB)]);
    assert_eq!(vram(&planned(&both, &cards(&[8 * GIB, 8 * GIB]), &[])), [(0, 3 * GIB), (1, 3 * GIB)]);
}

/// A language model of 7.7 GB with 48 layers on a card of 8 GB of which 512 MiB are never given out.
fn incident() -> (Demand, Room) {
    let model = Layered { layers: 48, layer: 160_000_000, card: 20_000_000 };
    let need = Need { ram: 100_000_000, ..demand(VramNeed::Layers(model)).need };
    (Demand { need, ..demand(VramNeed::None) }, cards(&[8_000_000_000 - 512 * MIB]))
}

#[test]
fn i7_as_many_layers_as_fit_and_the_image_pushes_them_out() {
    let (chat, room) = incident();
    let first = planned(&chat, &room, &[]);
    assert_eq!(first.placement.gpu_layers, Some(46));
    assert_eq!(vram(&first), [(0, 46 * 160_000_000 + 20_000_000)]);
    assert_eq!(first.placement.lease.ram, 2 * 160_000_000 + 100_000_000);

    let mut holds = resident("chat", &[], 0);
    holds.gives = first.placement.lease.clone();
    let room_with = with(room.clone(), std::slice::from_ref(&holds));
    let image = planned(&demand(VramNeed::Bytes(3_520_000_000)), &room_with, std::slice::from_ref(&holds));
    assert_eq!(who(&image), ["chat"]);

    let again = Demand { again: Some(first.placement.clone()), may_push_out: false, ..chat };
    assert_eq!(planned(&again, &room, &[]).placement, first.placement);
    let image_holds = [resident("image", &[(0, 3_520_000_000)], 0)];
    let refusal = refused(&again, &with(room, &image_holds), &image_holds);
    assert_eq!(refusal.kind, RefusalKind::InTheWay);
    assert_eq!(refusal.holders[0].why, Stays::NotForThis);
}

#[test]
fn i7_forty_four_of_forty_eight() {
    // 7.06 GB of VRAM for 44 layers and 0.64 GB of RAM for the other four, as measured there.
    let model = Layered { layers: 48, layer: 160_000_000, card: 20_000_000 };
    let plan = planned(&demand(VramNeed::Layers(model)), &cards(&[7_100_000_000]), &[]);
    assert_eq!((plan.placement.gpu_layers, vram(&plan)), (Some(44), vec![(0, 7_060_000_000)]));
    assert_eq!(plan.placement.lease.ram, 640_000_000);
}

#[test]
fn whole_with_somebody_leaving_comes_before_partial_with_nobody() {
    let model = Layered { layers: 10, layer: GIB / 2, card: 0 };
    let image = [resident("image", &[(0, 4 * GIB)], 0)];
    let room = with(cards(&[8 * GIB]), &image);
    let plan = planned(&demand(VramNeed::Layers(model)), &room, &image);
    assert_eq!((plan.placement.gpu_layers, who(&plan)), (Some(10), vec!["image"]));
    let eager = Demand { may_push_out: false, ..demand(VramNeed::Layers(model)) };
    let plan = planned(&eager, &room, &image);
    assert_eq!((plan.placement.gpu_layers, who(&plan)), (Some(8), vec![]));
}

#[test]
fn layers_go_to_more_cards_only_if_more_of_them_fit() {
    let model = Layered { layers: 100, layer: GIB, card: GIB };
    let mut room = cards(&[8 * GIB, 6 * GIB, GIB]);
    room.ram = PoolRoom { capacity: 128 * GIB, free: 128 * GIB, strangers: 0 };
    let plan = planned(&demand(VramNeed::Layers(model)), &room, &[]);
    assert_eq!((plan.placement.gpu_layers, plan.placement.lease.ram), (Some(12), 88 * GIB));
    // Each card has a context of its own.
    assert_eq!(vram(&plan), [(0, 8 * GIB), (1, 6 * GIB)]);
}

#[test]
fn without_a_card_layers_go_to_ram_and_bytes_nowhere() {
    let model = Layered { layers: 10, layer: GIB, card: GIB };
    let nowhere = |vram| Demand { gpus: Vec::new(), ..demand(vram) };
    let plan = planned(&nowhere(VramNeed::Layers(model)), &cards(&[]), &[]);
    assert_eq!((plan.placement.gpu_layers, plan.placement.lease.ram), (Some(0), 10 * GIB));
    assert!(plan.placement.gpus.is_empty());
    let refusal = refused(&nowhere(VramNeed::Bytes(1)), &cards(&[]), &[]);
    assert_eq!(refusal.kind, RefusalKind::NoCard { problem: "there is no GPU".to_owned() });
    let refusal = refused(&nowhere(VramNeed::WholeCard), &cards(&[GIB]), &[]);
    assert_eq!(refusal.kind, RefusalKind::NoCard { problem: "no card that it may use works".to_owned() });
}

#[test]
fn who_is_not_known_gets_a_card_to_itself() {
    let chat = [resident("chat", &[(0, GIB)], 0)];
    let mut room = with(cards(&[24 * GIB, 8 * GIB]), &chat);
    room.cards[1].room = PoolRoom { capacity: 8 * GIB, free: 5 * GIB, strangers: 3 * GIB };
    let plan = planned(&demand(VramNeed::WholeCard), &room, &chat);
    assert_eq!((vram(&plan), who(&plan)), (vec![(1, 5 * GIB)], vec![]));
    // Something is loading there.
    room.cards[1].in_use = true;
    room.cards[1].room.free = 2 * GIB;
    let plan = planned(&demand(VramNeed::WholeCard), &room, &chat);
    assert_eq!((vram(&plan), who(&plan)), (vec![(0, 24 * GIB)], vec!["chat"]));
    let pinned = [Resident { stays: Some(Stays::Pinned), ..chat[0].clone() }];
    let refusal = refused(&demand(VramNeed::WholeCard), &room, &pinned);
    assert_eq!(refusal.kind, RefusalKind::InTheWay);
    assert_eq!(refusal.missing[0].needed, 24 * GIB);
    assert_eq!(refusal.holders[0].why, Stays::Pinned);
}

#[test]
fn the_idle_and_the_quick_leave_first_and_the_busy_last() {
    let one = |service: &str, idle: u64, reload: u64| Resident {
        idle: Duration::from_secs(idle),
        reload: Duration::from_secs(reload),
        ..resident(service, &[(0, 2 * GIB)], 0)
    };
    let busy = Resident { busy: true, ..one("busy", 0, 1) };
    let residents = [one("fresh", 1, 10), one("idle", 3_000, 10), one("quick", 1, 2), busy];
    let room = with(cards(&[8 * GIB]), &residents);
    let leave = |gib: u64| {
        let plan = planned(&demand(VramNeed::Bytes(gib * GIB)), &room, &residents);
        plan.offload.iter().map(|name| name.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(leave(2), ["idle"]);
    assert_eq!(leave(4), ["idle", "quick"]);
    assert_eq!(leave(6), ["idle", "quick", "fresh"]);
    assert_eq!(leave(8), ["idle", "quick", "fresh", "busy"]);
}

#[test]
fn a_higher_priority_is_spared_at_any_cost_below_it() {
    let dear = Resident { priority: 1, reload: Duration::from_millis(1), ..resident("dear", &[(0, 4 * GIB)], 0) };
    let residents = [dear, resident("a", &[(0, 2 * GIB)], 0), resident("b", &[(0, 2 * GIB)], 0)];
    let room = with(cards(&[8 * GIB]), &residents);
    assert_eq!(who(&planned(&demand(VramNeed::Bytes(4 * GIB)), &room, &residents)), ["a", "b"]);
    assert_eq!(who(&planned(&demand(VramNeed::Bytes(6 * GIB)), &room, &residents)), ["a", "dear"]);
}

#[test]
fn nobody_leaves_who_stays_or_who_has_nothing_that_is_short() {
    let pinned = Resident { stays: Some(Stays::Pinned), ..resident("pinned", &[(0, 4 * GIB)], 0) };
    let residents = [pinned, resident("chat", &[(0, 4 * GIB)], 0), resident("cpu", &[], 60 * GIB)];
    let room = with(cards(&[8 * GIB]), &residents);
    assert_eq!(who(&planned(&demand(VramNeed::Bytes(4 * GIB)), &room, &residents)), ["chat"]);
    let refusal = refused(&demand(VramNeed::Bytes(5 * GIB)), &room, &residents);
    assert_eq!(
        refusal.to_string(),
        "there is no memory for it: it needs 5GiB of VRAM of GPU-0, of which 0B is free; pinned holds 4GiB (pinned)"
    );
}

#[test]
fn several_pools_are_made_room_in_at_once() {
    let mut new = demand(VramNeed::Bytes(4 * GIB));
    new.need.ram = 32 * GIB;
    new.need.custom = [("npu".to_owned(), 1)].into();
    let mut residents = [resident("gpu", &[(0, 8 * GIB)], 0), resident("ram", &[], 40 * GIB), resident("npu", &[], 0)];
    residents[2].gives.custom = [("npu".to_owned(), 1)].into();
    let mut room = with(cards(&[8 * GIB]), &residents);
    room.custom = [("npu".to_owned(), PoolRoom { capacity: 1, free: 0, strangers: 0 })].into();
    let plan = planned(&new, &room, &residents);
    assert_eq!(who(&plan), ["gpu", "npu", "ram"]);
    assert_eq!((plan.placement.lease.ram, plan.placement.lease.custom["npu"]), (32 * GIB, 1));
    new.need.custom = [("npu".to_owned(), 2)].into();
    let refusal = refused(&new, &room, &residents);
    assert_eq!(refusal.to_string(), "it never fits here: it needs 2 of `npu`, of which at most 1 can be given");
}

#[test]
fn what_never_fits_is_told_from_what_is_in_the_way() {
    let mut room = cards(&[8 * GIB, 8 * GIB]);
    assert_eq!(refused(&demand(VramNeed::Bytes(17 * GIB)), &room, &[]).kind, RefusalKind::TooLarge);
    room.cards.pop();
    let refusal = refused(&demand(VramNeed::Bytes(17 * GIB)), &room, &[]);
    assert_eq!(
        refusal.to_string(),
        "it never fits here: it needs 17GiB of VRAM of GPU-0, of which at most 8GiB can be given"
    );
    // A game is no reason to say never.
    room.cards[0].room = PoolRoom { capacity: 8 * GIB, free: 3 * GIB, strangers: 5 * GIB };
    let refusal = refused(&demand(VramNeed::Bytes(6 * GIB)), &room, &[]);
    assert_eq!(refusal.kind, RefusalKind::InTheWay);
    assert_eq!(refusal.holders[0].why, Stays::Stranger);
}

#[test]
fn a_refusal_names_the_card_where_least_is_missing() {
    let stays = |service: &str, card, gib: u64| Resident {
        stays: Some(Stays::Held),
        ..resident(service, &[(card, gib * GIB)], 0)
    };
    let residents = [stays("a", 0, 7), stays("b", 1, 5), stays("c", 2, 6)];
    let room = with(cards(&[8 * GIB; 3]), &residents);
    let refusal = refused(&demand(VramNeed::Bytes(7 * GIB)), &room, &residents);
    assert_eq!(refusal.missing.len(), 1);
    assert_eq!(refusal.missing[0].pool, Pool::Vram(gpu(1)));
    assert_eq!(refusal.holders[0].service, Some(name("b")));
}

#[test]
fn layers_that_find_no_ram_name_both() {
    let model = Layered { layers: 8, layer: GIB, card: 0 };
    let residents = [Resident { stays: Some(Stays::Busy), ..resident("image", &[(0, 6 * GIB)], 0) }];
    let mut room = with(cards(&[8 * GIB]), &residents);
    room.ram.free = GIB;
    let refusal = refused(&demand(VramNeed::Layers(model)), &room, &residents);
    let needed: Vec<_> = refusal.missing.iter().map(|short| (short.pool.clone(), short.needed)).collect();
    assert_eq!(needed, [(Pool::Vram(gpu(0)), 8 * GIB), (Pool::Ram, 6 * GIB)]);
    assert_eq!(refusal.holders[0].why, Stays::Busy);
}

#[test]
fn layers_that_lack_something_else_do_not_blame_the_card() {
    let mut new = demand(VramNeed::Layers(Layered { layers: 8, layer: 2 * GIB, card: 0 }));
    new.need.custom = [("npu".to_owned(), 1)].into();
    let mut residents = [Resident { stays: Some(Stays::Pinned), ..resident("npu", &[(0, GIB)], 0) }];
    residents[0].gives.custom = [("npu".to_owned(), 1)].into();
    let mut room = with(cards(&[8 * GIB]), &residents);
    room.custom = [("npu".to_owned(), PoolRoom { capacity: 1, free: 0, strangers: 0 })].into();
    let refusal = refused(&new, &room, &residents);
    assert_eq!(
        refusal.to_string(),
        "there is no memory for it: it needs 1 of `npu`, of which 0 is free; npu holds 1 (pinned)"
    );
}

#[test]
fn a_reload_goes_where_it_was_or_nowhere() {
    let was = Placement {
        gpus: vec![gpu(1)],
        gpu_layers: Some(7),
        lease: Amounts { vram: [(gpu(1), 6 * GIB)].into(), ram: GIB, custom: BTreeMap::new() },
    };
    let again = Demand { again: Some(was.clone()), ..demand(VramNeed::Bytes(6 * GIB)) };
    let chat = [resident("chat", &[(1, 5 * GIB)], 0)];
    let room = with(cards(&[24 * GIB, 8 * GIB]), &chat);
    let plan = planned(&again, &room, &chat);
    assert_eq!((&plan.placement, who(&plan)), (&was, vec!["chat"]));
    let gone = Demand { gpus: vec![gpu(0)], ..again };
    assert!(matches!(refused(&gone, &room, &chat).kind, RefusalKind::NoCard { .. }));
}

#[test]
fn it_is_told_in_sentences() {
    let chat = Resident {
        idle: Duration::from_secs(300),
        reload: Duration::from_secs(12),
        ..resident("chat", &[(0, 6 * GIB)], 0)
    };
    let residents = [chat];
    let room = with(cards(&[8 * GIB]), &residents);
    let new = Demand { gpus: vec![gpu(0)], ..demand(VramNeed::Bytes(7 * GIB)) };
    let told = explain(&new, &room, &residents, &plan(&new, &room, &residents));
    assert_eq!(
        told,
        [
            "goes to GPU-0 (7GiB of 8GiB)",
            "chat leaves: idle for 5m, back in about 12s (counts as 6s)",
            "costs about 6s of loading that is likely to come"
        ]
    );
    let (partial, room) = incident();
    let told = explain(&partial, &room, &[], &plan(&partial, &room, &[]));
    assert_eq!(
        told,
        [
            "goes to GPU-0 (6.9GiB of 7.0GiB), with 400.5MiB of RAM",
            "46 of 48 layers fit on the card, the others go to RAM: there is no room for all of them whoever leaves",
            "nobody leaves for it"
        ]
    );
    let refusal = plan(&demand(VramNeed::Bytes(9 * GIB)), &room, &[]);
    assert!(explain(&new, &room, &[], &refusal)[0].starts_with("it never fits here"));
}

#[test]
fn no_more_layers_go_to_cards_than_it_may_have_there() {
    let model = Layered { layers: 10, layer: GIB, card: GIB };
    let with = |at_most| Demand { at_most, ..demand(VramNeed::Layers(model)) };
    let room = cards(&[16 * GIB]);
    let placed = |at_most| plan(&with(at_most), &room, &[]).expect("a place").placement;
    for (at_most, layers) in [(None, 10), (Some(99), 10), (Some(9), 9), (Some(1), 1), (Some(0), 0)] {
        let Placement { gpus, gpu_layers, lease } = placed(at_most);
        let left = u64::from(10 - layers) * GIB;
        assert_eq!(
            (gpu_layers, lease.total_vram(), lease.ram),
            (Some(layers), model.vram(layers), left),
            "{at_most:?}"
        );
        assert_eq!(gpus.is_empty(), layers == 0);
    }
    let demand = with(Some(9));
    let told = explain(&demand, &room, &[], &plan(&demand, &room, &[])).join("\n");
    assert!(told.contains("9 of 10 layers go to a card: with more of them it ran out"), "{told}");
    // Where fewer fit than it may have, that is the reason.
    let small = cards(&[6 * GIB]);
    let told = explain(&demand, &small, &[], &plan(&demand, &small, &[])).join("\n");
    assert!(told.contains("5 of 10 layers fit on the card"), "{told}");
}
