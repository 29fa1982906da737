//! Which cards it goes to.

use std::collections::BTreeMap;

use super::{
    super::{Demand, PoolRoom, Resident},
    given::{GIB, cards, demand, gpu, planned, refused, resident, vram, who, with},
};
use crate::memory::{Amounts, Placement, RefusalKind, Stays, VramNeed};

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
