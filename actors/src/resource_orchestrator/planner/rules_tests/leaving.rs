//! Who leaves for it.

use std::time::Duration;

use super::{
    super::{PoolRoom, Resident},
    given::{GIB, cards, demand, planned, refused, resident, who, with},
};
use crate::memory::{Stays, VramNeed};

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
