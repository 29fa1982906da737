//! Ten thousand random steps for each seed.

use std::time::Duration;

use crate::{
    ids::ServiceName,
    lease::Wish,
    memory::Need,
    resource_orchestrator::admission_tests::{
        given::{GIB, MIB, ms, name, need, spec},
        world::{Doing, World},
    },
    spec::{Dependency, DependencyCondition, GpuChoice, GpuName, OffloadHow, ReloadPolicy},
};

const STEPS: usize = 10_000;
/// The seed that is always tried.
const FIXED: u64 = 1;

/// A machine and its services, by chance.
fn machine(chance: &mut fastrand::Rng) -> (World, Vec<ServiceName>) {
    let cards: Vec<(u64, bool)> =
        (0..chance.usize(1..=4)).map(|_| (chance.u64(6..=24) * GIB, chance.u8(0..3) > 0)).collect();
    // One backend measures all of them or none.
    let measured = cards[0].1;
    let cards: Vec<(u64, bool)> = cards.into_iter().map(|(total, _)| (total, measured)).collect();
    // What is drawn for the lines is drawn apart, so that a seed makes the same machine with and without them.
    let mut apart = fastrand::Rng::with_seed(chance.get_seed());
    let fairness = [0, 100, 400, 1500][apart.usize(0..4)];
    let mut world = World::fair(&cards, ms(fairness));
    world.names = chance.u8(0..4) > 0;
    let count = chance.usize(2..=30);
    let mut services = Vec::new();
    for n in 0..count {
        let (how, reload) = (chance.u8(0..5), chance.u8(0..3));
        let spec = spec(&format!("s{n}"), |s| {
            s.memory.priority = chance.i32(0..3);
            s.memory.pinned = chance.u8(0..12) == 0;
            s.memory.idle_timeout = if chance.u8(0..4) == 0 { ms(chance.u64(500..5000)) } else { Duration::ZERO };
            s.memory.offload.how = if how == 0 { OffloadHow::Sleep } else { OffloadHow::Stop };
            s.memory.offload.reload = match reload {
                0 => ReloadPolicy::WhenFree,
                1 => ReloadPolicy::OnDemand,
                _ => ReloadPolicy::Never,
            };
            if n > 0 && chance.u8(0..6) == 0 {
                let service = name(&format!("s{}", chance.usize(0..n)));
                s.depends_on = vec![Dependency { service, condition: DependencyCondition::Ready }];
            }
            if chance.u8(0..3) == 0 {
                let index = chance.u32(0..u32::try_from(cards.len()).expect("few"));
                s.memory.gpu = GpuChoice::These(vec![GpuName::Index(index)]);
            }
        });
        let service = world.add(spec, some_need(chance));
        let one = world.of(&service);
        one.slots = (apart.u8(0..3) == 0).then(|| apart.u32(1..3));
        one.usage.waiting.priority = apart.i32(-1..2);
        services.push(service);
    }
    (world, services)
}

fn some_need(chance: &mut fastrand::Rng) -> Need {
    let vram = if chance.u8(0..4) == 0 { 0 } else { chance.u64(200..9000) * MIB };
    let mut need = need(vram, chance.u64(0..6000) * MIB);
    need.asleep = (vram > 0 && chance.bool()).then_some(vram / 10);
    if chance.u8(0..6) == 0 {
        need.custom.insert("npu".to_owned(), 1);
    }
    need
}

fn act(world: &mut World, services: &[ServiceName], chance: &mut fastrand::Rng) {
    let service = &services[chance.usize(0..services.len())];
    match chance.u8(0..100) {
        0..35 => {
            // Where nobody says what it has taken, it is believed to have taken what it was given.
            let least = if world.names { 60 } else { 100 };
            let one = world.of(service);
            one.down = false;
            one.load = ms(chance.u64(20..1500));
            one.fails = chance.u8(0..10) == 0;
            one.takes = chance.u64(least..=100);
            one.lag = match chance.u8(0..30) {
                0 => ms(15_000),
                1..10 => ms(chance.u64(200..1900)),
                _ => ms(chance.u64(0..60)),
            };
            let wish = match chance.u8(0..6) {
                0 => Wish::Eager,
                1 => Wish::Restart,
                _ => Wish::Wanted,
            };
            world.want(service, wish);
        }
        35..45 => world.use_it(service, true),
        45..55 => world.come(service),
        55..72 => world.use_it(service, false),
        72..77 => {
            world.of(service).down = chance.bool();
            world.stop(service);
        }
        77..81 => {
            world.crash(service);
            if chance.bool() {
                world.want(service, Wish::Restart);
            }
        }
        81..84 => world.of(service).usage.holds = 1,
        84..89 => world.of(service).usage.holds = 0,
        89..95 => {
            let card = chance.usize(0..world.cards.len());
            let used = world.used(&world.cards[card]) - world.cards[card].strangers;
            let room = world.cards[card].total - used.min(world.cards[card].total);
            world.cards[card].strangers = if chance.bool() { 0 } else { chance.u64(0..=room / 2) };
        }
        95..97 => world.ram_strangers = chance.u64(1..8) * GIB,
        97 => {
            let card = chance.usize(0..world.cards.len());
            world.cards[card].lost = !world.cards[card].lost && world.cards[card].measured;
        }
        _ => {
            let spec = (*world.services[service].spec).clone();
            let pinned = chance.u8(0..6) == 0;
            let spec = crate::spec::ServiceSpec { memory: crate::spec::MemorySpec { pinned, ..spec.memory }, ..spec };
            let need = world.services[service].need.clone();
            world.reconfigure(service, spec, need);
        }
    }
}

/// A whole story; gives what was told, so that two of the same seed can be compared.
fn live(seed: u64, steps: usize) -> World {
    let mut chance = fastrand::Rng::with_seed(seed);
    let (mut world, services) = machine(&mut chance);
    for _ in 0..steps {
        act(&mut world, &services, &mut chance);
        let wait = if chance.u8(0..10) == 0 { chance.u64(0..1500) } else { chance.u64(0..40) };
        world.pass(ms(wait));
    }
    // All is stopped, and all comes back: no lease, no question and no wish to return is left.
    for service in &services {
        world.of(service).down = true;
        world.of(service).usage.in_flight = 0;
        world.stop(service);
    }
    for _ in 0..40 {
        world.pass(ms(1000));
        for service in &services {
            world.stop(service);
        }
    }
    for service in &services {
        assert_eq!(*world.doing(service), Doing::Nothing, "{service}\n{}", world.story());
    }
    assert_eq!(world.machine.leases().count(), 0, "{}", world.story());
    let shown = world.machine.snapshot(world.now);
    assert!(shown.waiting.is_empty() && world.waiting.is_empty(), "{:?}\n{}", world.waiting, world.story());
    assert!(!world.machine.is_hopeful(), "{}", world.story());
    world
}

/// A seed that is always tried, and one that nobody has seen before. Give `GREENROOM_SEED` to see one again.
#[test]
fn ten_thousand_random_steps_keep_every_promise() {
    let given = std::env::var("GREENROOM_SEED").ok().and_then(|seed| seed.parse().ok());
    let seeds = given.map_or_else(|| vec![FIXED, fastrand::u64(..)], |seed| vec![seed]);
    for seed in seeds {
        let told = std::panic::catch_unwind(|| live(seed, STEPS)).map(|world| {
            let count = |word: &str| world.trace.iter().filter(|line| line.contains(word)).count();
            (count("Granted"), count("makes room"))
        });
        match told {
            // A machine made by chance may be one on which hardly anything fits; the seed that is always tried is not.
            Ok((grants, offloads)) if seed == FIXED => {
                assert!(grants > 500 && offloads > 100, "{grants} grants and {offloads} offloads: nothing was tried");
            }
            Ok(_) => {}
            Err(panic) => {
                eprintln!("GREENROOM_SEED={seed}");
                std::panic::resume_unwind(panic);
            }
        }
    }
}

#[test]
fn the_same_seed_has_the_same_story() {
    assert_eq!(live(7, 500).trace, live(7, 500).trace);
}
