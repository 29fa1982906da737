//! What is said of a plan, and of there being none.

use std::time::Duration;

use super::{
    super::{Demand, PoolRoom, Resident, explain, plan},
    given::{GIB, cards, demand, gpu, incident, name, refused, resident, with},
};
use crate::memory::{Layered, Pool, RefusalKind, Stays, VramNeed};

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
