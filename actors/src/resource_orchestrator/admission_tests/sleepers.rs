//! Those whose engine gives its memory back and stays.

use crate::{
    ids::ServiceName,
    lease::Wish,
    memory::Stays,
    resource_orchestrator::{
        admission_tests::{
            cases::{bring_in, refusal},
            given::{GIB, ms, need, spec},
            world::{Doing, World},
        },
        ledger::Stage,
    },
    spec::OffloadHow,
};

/// A card of 8 GiB with chat (6 GiB), which sleeps and keeps so much, and image (4 GiB).
fn sleepy(ram: u64, keeps: Option<u64>) -> (World, ServiceName, ServiceName) {
    let mut world = World::new(&[(8 * GIB, true)]);
    let mut sleepy = need(6 * GIB, ram);
    sleepy.asleep = keeps;
    let chat = world.add(spec("chat", |s| s.memory.offload.how = OffloadHow::Sleep), sleepy);
    let image = world.add(spec("image", |_| ()), need(4 * GIB, 0));
    bring_in(&mut world, &chat);
    bring_in(&mut world, &image);
    assert_eq!(*world.doing(&chat), Doing::Sleeps);
    (world, chat, image)
}

#[test]
fn who_sleeps_keeps_a_little_and_wakes_where_it_was() {
    let (mut world, chat, image) = sleepy(GIB, Some(GIB));
    let lease = world.machine.leases().find(|lease| lease.service == chat).expect("a lease");
    assert_eq!((lease.stage, lease.holds.total_vram()), (Stage::Asleep, GIB));
    bring_in(&mut world, &chat);
    assert_eq!(*world.doing(&image), Doing::Nothing);
    assert_eq!(world.services[&chat].placement.lease.total_vram(), 6 * GIB);
}

#[test]
fn one_that_keeps_nothing_asleep_sleeps_all_the_same() {
    let (mut world, chat, image) = sleepy(0, None);
    let run = world.services[&chat].run;
    world.of(&image).usage.holds = 1;
    world.want(&chat, Wish::Wanted);
    assert_eq!(refusal(&world, &chat).holders[0].why, Stays::Held);
    assert_eq!(*world.doing(&chat), Doing::Sleeps, "it was not woken, and its process is there");
    let stages: Vec<Stage> = world.machine.leases().filter(|lease| lease.service == chat).map(|l| l.stage).collect();
    assert_eq!(stages, [Stage::Asleep]);
    world.of(&image).usage.holds = 0;
    bring_in(&mut world, &chat);
    assert_eq!((world.services[&chat].run, world.doing(&image)), (run, &Doing::Nothing), "it is the same run");
    bring_in(&mut world, &image);
    world.stop(&chat);
    let is_over = |world: &World| *world.doing(&chat) == Doing::Nothing && world.waiting.is_empty();
    world.until("it has ended, and that is answered", ms(3000), is_over);
    assert!(world.machine.leases().all(|lease| lease.service == image));
}

#[test]
fn one_that_is_wanted_while_it_falls_asleep_is_woken_with_memory_that_is_there() {
    let mut world = World::new(&[(8 * GIB, true)]);
    let chat = world.add(spec("chat", |s| s.memory.offload.how = OffloadHow::Sleep), need(6 * GIB, 0));
    let image = world.add(spec("image", |_| ()), need(4 * GIB, 0));
    bring_in(&mut world, &chat);
    world.of(&chat).lag = ms(300);
    world.want(&image, Wish::Wanted);
    world.until("it falls asleep", ms(1000), |world| *world.doing(&chat) == Doing::FallsAsleep);
    world.want(&chat, Wish::Wanted);
    assert_eq!(world.services[&chat].pending.as_deref(), Some("waits until it has fallen asleep"));
    // What it has given back is for whom it fell asleep. Its own turn comes after that.
    world.until("image is in", ms(2000), |world| *world.doing(&image) == Doing::Works);
    world.until("it is awake", ms(5000), |world| *world.doing(&chat) == Doing::Works);
    assert_eq!(*world.doing(&image), Doing::Nothing);
}

#[test]
fn one_that_is_stopped_while_it_falls_asleep_gives_back_all_of_it() {
    let (mut world, chat, image) = sleepy(0, Some(GIB));
    world.stop(&image);
    bring_in(&mut world, &chat);
    world.of(&chat).lag = ms(300);
    world.want(&image, Wish::Wanted);
    world.until("it falls asleep", ms(1000), |world| *world.doing(&chat) == Doing::FallsAsleep);
    world.want(&chat, Wish::Wanted);
    world.stop(&chat);
    world.until("image is in", ms(2000), |world| *world.doing(&image) == Doing::Works);
    world.until("its end is answered", ms(3000), |world| world.waiting.is_empty());
    assert!(world.machine.leases().all(|lease| lease.service == image));
}

#[test]
fn what_is_kept_asleep_counts_on_every_card_that_nobody_measures() {
    let mut world = World::new(&[(8 * GIB, false), (8 * GIB, false)]);
    let mut wide = need(12 * GIB, 0);
    wide.asleep = Some(GIB);
    let wide = world.add(spec("wide", |s| s.memory.offload.how = OffloadHow::Sleep), wide);
    let first = world.add(spec("first", |_| ()), need(6 * GIB, 0));
    bring_in(&mut world, &wide);
    bring_in(&mut world, &first);
    let lease = world.machine.leases().find(|lease| lease.service == wide).expect("a lease");
    let kept: Vec<u64> = lease.holds.vram.values().copied().collect();
    assert_eq!((lease.stage, kept), (Stage::Asleep, vec![GIB, GIB]), "which of the two keeps it, nobody says");
}
