//! The machine, and the runtime itself.

use std::time::Duration;

use super::world::{GIB, MIB, World, alerts, limited, message, said};
use crate::{spec::BundleOn, watchdog::sample::Pressure};

#[test]
fn memory_of_the_machine_is_told_by_level_with_who_holds_it() {
    let mut world =
        World::with_bundles(vec![limited("chat", |_| ()), limited("tts", |_| ())], vec![BundleOn::Critical]);
    world.sample.services[1].ram = Some(3 * GIB);
    let available = |world: &mut World, share: u64| {
        world.sample.host.as_mut().expect("a machine").available = 32 * GIB / 100 * share;
    };
    available(&mut world, 14);
    assert_eq!(world.look(), []);
    let deeds = world.look();
    assert_eq!(said(&deeds), ["memory warning", "note memory"]);
    assert!(
        message(&deeds).starts_with(
            "86 % of the machine's memory is in use, 4.5GiB of 32GiB can still be had; of what runs here the most is held by \
             tts (3GiB), chat (100MiB): take out of memory"
        ),
        "{}",
        message(&deeds)
    );
    available(&mut world, 4);
    assert_eq!(alerts(&world.looks(2)), ["memory critical"]);
    // Near the limit it stays; clearly below for three samples it is over.
    available(&mut world, 16);
    assert_eq!(alerts(&world.looks(10)), Vec::<String>::new());
    available(&mut world, 18);
    assert_eq!(alerts(&world.looks(2)), Vec::<String>::new());
    assert_eq!(alerts(&world.looks(1)), ["memory over"]);
}

#[test]
fn what_everything_holds_is_noted_while_memory_is_an_alert() {
    let mut world = World::of(vec![]);
    world.sample.host.as_mut().expect("a machine").available = GIB;
    let notes = said(&world.looks(61)).iter().filter(|said| *said == "note memory").count();
    assert_eq!(notes, 12, "one at once, and then one each ten seconds for two minutes");
    world.sample.host.as_mut().expect("a machine").available = 30 * GIB;
    world.looks(3);
    assert_eq!(world.looks(20), []);
}

#[test]
fn pressure_is_told_where_the_kernel_tells_it() {
    let mut world = World::of(vec![]);
    let press = |world: &mut World, full| {
        world.sample.host.as_mut().expect("a machine").pressure = Some(Pressure { some: full, full });
    };
    for (full, told) in [
        (9.0, vec![]),
        (10.0, vec!["memory_pressure warning"]),
        (8.0, vec![]),
        (50.0, vec!["memory_pressure critical"]),
    ] {
        press(&mut world, full);
        assert_eq!(alerts(&world.looks(5)), told, "{full} %");
    }
    press(&mut world, 0.0);
    assert_eq!(alerts(&world.looks(5)), ["memory_pressure over"]);
}

#[test]
fn a_machine_that_cannot_be_read_says_nothing() {
    let mut world = World::of(vec![]);
    world.sample.host = None;
    assert_eq!(world.looks(5), []);
    world.sample.host = Some(crate::watchdog::sample::HostSample { total: 0, available: 0, pressure: None });
    assert_eq!(world.looks(5), []);
}

#[test]
fn its_own_descriptors_and_its_own_growth_are_told_too() {
    let mut world = World::of(vec![]);
    world.sample.own.descriptors = 980;
    assert_eq!(alerts(&world.looks(2)), ["own_descriptors warning", "own_descriptors critical"]);
    world.sample.own.descriptors = 700;
    assert_eq!(alerts(&world.looks(3)), ["own_descriptors over"]);

    let mut world = World::of(vec![]);
    let mut told = Vec::new();
    let mut hours = Duration::ZERO;
    while told.is_empty() && hours < Duration::from_secs(7200) {
        world.sample.own.ram += MIB / 20;
        told = alerts(&world.look());
        hours += super::world::INTERVAL;
    }
    assert_eq!(told, ["own_memory warning"], "90 MiB in an hour");
    assert!(hours <= Duration::from_secs(3600), "{hours:?}");
}

#[test]
fn what_it_takes_at_its_start_is_no_leak_of_its_own() {
    let mut world = World::of(vec![]);
    let mut deeds = Vec::new();
    for i in 0..1800 {
        world.sample.own.ram = 20 * MIB + 100 * MIB * u64::from(i.min(60u32)) / 60;
        deeds.extend(world.look());
    }
    assert_eq!(deeds, []);
}
