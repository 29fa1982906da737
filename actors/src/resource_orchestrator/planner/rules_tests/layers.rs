//! How many layers of a language model go to cards.

use super::{
    super::{Demand, PoolRoom, explain, plan},
    given::{GIB, cards, demand, incident, planned, refused, resident, vram, who, with},
};
use crate::memory::{Layered, Placement, RefusalKind, Stays, VramNeed};

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
