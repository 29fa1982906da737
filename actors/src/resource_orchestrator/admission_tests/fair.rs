//! Who may stay, whose turn it is, and how long anybody waits.

use std::time::Duration;

use crate::{
    ids::ServiceName,
    resource_orchestrator::admission_tests::{
        given::{GIB, ms, need, spec},
        world::{Doing, Due, World},
    },
};

/// An unmeasured card of 8 GiB that holds one of these services at a time. Each loads in 400 ms.
fn exclusive(fairness: u64, count: usize) -> (World, Vec<ServiceName>) {
    let mut world = World::fair(&[(8 * GIB, false)], ms(fairness));
    let services = (0..count).map(|n| world.add(spec(&format!("s{n}"), |_| ()), need(6 * GIB, 0))).collect();
    (world, services)
}

/// Two of them, the first of which is in and used by one.
fn one_in_use(fairness: u64) -> (World, ServiceName, ServiceName) {
    let (mut world, services) = exclusive(fairness, 2);
    let [chat, image] = <[ServiceName; 2]>::try_from(services).expect("two");
    world.come(&chat);
    world.until("it is in", ms(1000), |world| *world.doing(&chat) == Doing::Works);
    (world, chat, image)
}

fn has_left(world: &World, service: &ServiceName) -> bool {
    !world.services[service].usage.open
}

#[test]
fn who_is_in_use_stays_open_until_the_asker_is_due() {
    let (mut world, chat, image) = one_in_use(5000);
    let came = world.now;
    world.come(&image);
    let why = "lets those finish who use s0; its turn comes 5s after it was asked for at the latest";
    assert_eq!(world.services[&image].pending.as_deref(), Some(why));
    assert!(!world.machine.is_pressed(), "nothing is to be measured meanwhile");
    while world.now < came + ms(4990) {
        world.pass(ms(10));
        assert!(!has_left(&world, &chat));
        world.use_it(&chat, true);
        world.use_it(&chat, false);
    }
    assert_eq!(world.services[&image].pending.as_deref(), Some(why), "told once");
    world.pass(ms(15));
    assert!(has_left(&world, &chat), "{}", world.story());
    world.use_it(&chat, false);
    world.until("image is in", ms(600), |world| *world.doing(&image) == Doing::Works);
    assert_eq!(world.services[&image].usage.in_flight, 1);
}

#[test]
fn who_is_idle_for_a_tenth_of_its_load_leaves_before_that() {
    let (mut world, chat, image) = one_in_use(60_000);
    world.come(&image);
    world.pass(ms(500));
    world.use_it(&chat, false);
    // Pauses of 30 ms are none to somebody who loads in 400 ms.
    for _ in 0..20 {
        world.pass(ms(30));
        assert!(!has_left(&world, &chat), "{}", world.story());
        world.use_it(&chat, true);
        world.pass(ms(15));
        world.use_it(&chat, false);
    }
    world.pass(ms(36));
    assert!(!has_left(&world, &chat));
    world.pass(ms(20));
    assert!(has_left(&world, &chat), "{}", world.story());
}

#[test]
fn who_has_been_idle_for_long_leaves_at_once() {
    let (mut world, chat, image) = one_in_use(60_000);
    world.use_it(&chat, false);
    world.pass(ms(300));
    world.come(&image);
    world.pass(ms(2));
    assert!(has_left(&world, &chat));
}

#[test]
fn nobody_leaves_while_another_one_that_is_to_leave_as_well_is_in_use() {
    let mut world = World::fair(&[(8 * GIB, false)], ms(5000));
    let [one, two] = ["one", "two"].map(|name| world.add(spec(name, |_| ()), need(3 * GIB, 0)));
    let large = world.add(spec("large", |_| ()), need(7 * GIB, 0));
    for service in [&one, &two] {
        world.come(service);
        world.until("it is in", ms(1000), |world| *world.doing(service) == Doing::Works);
    }
    world.use_it(&one, false);
    world.pass(ms(1000));
    world.come(&large);
    world.pass(ms(4000));
    assert!(!has_left(&world, &one) && !has_left(&world, &two));
    world.use_it(&two, false);
    world.pass(ms(100));
    assert!(has_left(&world, &one) && has_left(&world, &two), "{}", world.story());
}

#[test]
fn several_wait_for_one_that_is_in_use_and_none_is_refused() {
    let (mut world, services) = exclusive(2000, 4);
    world.come(&services[0]);
    world.until("it is in", ms(1000), |world| *world.doing(&services[0]) == Doing::Works);
    for service in &services[1..] {
        world.come(service);
        world.pass(ms(100));
        assert!(world.services[service].refusal.is_none(), "{}", world.story());
    }
    assert_eq!(world.services[&services[2]].pending.as_deref(), Some("waits until s1 is loaded"));
    world.use_it(&services[0], false);
    for service in &services[1..] {
        world.until("its turn", ms(3000), |world| *world.doing(service) == Doing::Works);
        world.use_it(service, false);
    }
}

#[test]
fn those_who_stand_in_its_line_and_came_before_are_let_in_first() {
    for fairness in [0, 300] {
        let (mut world, chat, image) = one_in_use(fairness);
        world.of(&chat).slots = Some(1);
        world.come(&chat);
        world.pass(ms(1));
        world.come(&image);
        world.pass(ms(1));
        world.come(&chat);
        world.pass(ms(fairness + 100));
        assert!(!has_left(&world, &chat), "one is in its line who came before");
        world.use_it(&chat, false);
        world.pass(ms(10));
        assert!(has_left(&world, &chat), "the other one came after");
        assert_eq!((world.services[&chat].line.len(), world.services[&chat].usage.entries), (1, 2));
        world.use_it(&chat, false);
        world.until("image is in", ms(600), |world| *world.doing(&image) == Doing::Works);
        world.use_it(&image, false);
        world.until("and chat again", ms(1000), |world| *world.doing(&chat) == Doing::Works);
        assert_eq!(world.services[&chat].usage.entries, 3);
    }
}

#[test]
fn a_line_that_does_not_move_has_an_end() {
    let (mut world, chat, image) = one_in_use(300);
    world.of(&chat).slots = Some(1);
    world.come(&chat);
    world.pass(ms(1));
    world.come(&image);
    world.pass(ms(1290));
    assert!(!has_left(&world, &chat), "a drain may take a second");
    world.pass(ms(50));
    assert!(has_left(&world, &chat), "{}", world.story());
}

#[test]
fn a_higher_priority_goes_first_while_the_other_one_is_not_due() {
    for (priority, first) in [(7, 2), (0, 1)] {
        let (mut world, services) = exclusive(2000, 3);
        world.come(&services[0]);
        world.until("it is in", ms(1000), |world| *world.doing(&services[0]) == Doing::Works);
        world.come(&services[1]);
        world.pass(ms(1000));
        world.of(&services[2]).usage.waiting.priority = priority;
        world.come(&services[2]);
        world.use_it(&services[0], false);
        let one = |world: &World| services[1..].iter().any(|service| *world.doing(service) == Doing::Works);
        world.until("one of them is in", ms(3000), one);
        assert_eq!(*world.doing(&services[first]), Doing::Works, "{}", world.story());
    }
}

/// Models that exclude each other, with requests that come by chance; one of them is flooded. Nobody waits longer than the
/// fairness, one drain, end and load of each, and what is under way when it comes.
#[test]
fn nobody_waits_longer_than_the_fairness_and_the_drains_and_loads_of_those_before() {
    for seed in 0..24 {
        let mut chance = fastrand::Rng::with_seed(seed);
        let fairness = [0, 500, 2000, 5000][chance.usize(0..4)];
        let (mut world, services) = exclusive(fairness, chance.usize(2..5));
        let (mut bound, mut under_way) = (ms(fairness), Duration::ZERO);
        for (n, service) in services.iter().enumerate() {
            let one = world.of(service);
            (one.load, one.lag) = (ms(chance.u64(50..600)), Duration::ZERO);
            let works = ms(chance.u64(1..100));
            one.works = Some(works);
            one.usage.waiting.priority = chance.i32(-1..2);
            // The drain, the word that it may leave, its end, its load.
            let leaves = works + ms(1) + ms(20);
            bound += leaves + one.load;
            under_way = under_way.max(leaves);
            let every = if n == 0 { 10 } else { chance.u64(20..3000) };
            let mut at = 0;
            while at < 20_000 {
                at += chance.u64(0..=2 * every);
                world.later(ms(at), Due::Comes { service: service.clone() });
            }
        }
        // Who comes while somebody is on the way out waits for that, and the one who leaves may be due before it again.
        bound += under_way;
        let end = world.now + ms(20_000) + 2 * bound;
        while world.now < end {
            world.pass(ms(100));
            let longest = world.waits.drain(..).max_by_key(|(_, wait)| *wait);
            let kept = longest.as_ref().is_none_or(|(_, wait)| *wait <= bound);
            assert!(kept, "seed {seed}: {longest:?}, bound {bound:?}\n{}", world.story());
        }
        for service in &services {
            let one = &world.services[service];
            assert!(one.line.is_empty() && one.refusal.is_none(), "seed {seed}: {service}\n{}", world.story());
        }
    }
}
