//! Those on whom others depend, and those who need nothing.

use std::sync::Arc;

use crate::{
    ids::ServiceName,
    lease::Wish,
    memory::{Need, RefusalKind, Stays},
    resource_orchestrator::{
        admission::{Event, Question},
        admission_tests::{
            cases::{bring_in, refusal, two},
            given::{GIB, ms, name, need, spec},
            world::{Doing, World},
        },
    },
    spec::{Dependency, DependencyCondition},
};

#[test]
fn what_it_depends_on_is_not_pushed_out_for_it() {
    let depends_on = |on: &str| vec![Dependency { service: name(on), condition: DependencyCondition::Ready }];
    let mut world = World::new(&[(8 * GIB, true)]);
    let chat = world.add(spec("chat", |_| ()), need(6 * GIB, GIB));
    world.add(spec("agent", |s| s.depends_on = depends_on("chat")), need(0, 0));
    let tools = world.add(spec("tools", |s| s.depends_on = depends_on("agent")), need(4 * GIB, 0));
    bring_in(&mut world, &chat);
    world.want(&tools, Wish::Wanted);
    let refusal = refusal(&world, &tools);
    assert_eq!((refusal.kind, refusal.holders[0].why), (RefusalKind::InTheWay, Stays::Needed));
    assert_eq!(*world.doing(&chat), Doing::Works);
}

/// `web` needs no memory and depends on `db`, whose place `image` wants.
fn web_on_db(idle: u64) -> (World, [ServiceName; 3]) {
    let ready = |on: &str| vec![Dependency { service: name(on), condition: DependencyCondition::Ready }];
    let mut world = World::new(&[(8 * GIB, true)]);
    let db = world.add(spec("db", |s| s.memory.idle_timeout = ms(idle)), need(6 * GIB, 0));
    let web = world.add(spec("web", |s| s.depends_on = ready("db")), need(0, 0));
    let image = world.add(spec("image", |_| ()), need(4 * GIB, 0));
    bring_in(&mut world, &db);
    (world, [db, web, image])
}

#[test]
fn nobody_is_pushed_out_on_whom_somebody_depends_who_is_up() {
    let (mut world, [db, web, image]) = web_on_db(0);
    bring_in(&mut world, &web);
    world.want(&image, Wish::Wanted);
    let refusal = refusal(&world, &image);
    let holder = &refusal.holders[0];
    assert_eq!(
        (refusal.kind.clone(), holder.why, holder.needed_by.as_ref()),
        (RefusalKind::InTheWay, Stays::NeededBy, Some(&web))
    );
    assert!(refusal.to_string().ends_with("db holds 6GiB (needed by web)"), "{refusal}");
    assert_eq!(*world.doing(&db), Doing::Works);
    world.of(&web).down = true;
    world.stop(&web);
    world.until("web has left", ms(3000), |world| *world.doing(&web) == Doing::Nothing);
    bring_in(&mut world, &image);
    assert_eq!(*world.doing(&db), Doing::Nothing);
}

#[test]
fn nobody_is_idle_on_whom_somebody_depends_who_is_up() {
    let (mut world, [db, web, _]) = web_on_db(1000);
    bring_in(&mut world, &web);
    world.pass(ms(10_000));
    assert_eq!(*world.doing(&db), Doing::Works);
    world.stop(&web);
    world.until("it is idle", ms(4000), |world| *world.doing(&db) == Doing::Nothing);
}

#[test]
fn what_needs_nothing_moves_nothing_unless_it_waits_for_memory() {
    let (mut world, chat, image) = two();
    bring_in(&mut world, &chat);
    let asks = |world: &mut World, service: &ServiceName| {
        let run = world.fresh_run();
        let spec = Arc::new(spec(service.as_str(), |_| ()));
        let (service, need, wish) = (service.clone(), Need::nothing(), Wish::Eager);
        Event::Asked(Question { service, run, spec, need, wish, pids: Vec::new() })
    };
    let tool = world.add(spec("tool", |_| ()), Need::nothing());
    let seen = |world: &World| {
        let machine = &world.machine;
        (machine.snapshot(world.now), machine.due(world.now), machine.is_pressed(), machine.is_hopeful())
    };
    let before = seen(&world);
    let question = asks(&mut world, &tool);
    assert!(!world.machine.is_moved_by(&question));
    world.want(&tool, Wish::Eager);
    assert_eq!(seen(&world), before);

    // Configured by now as something that needs nothing, it would give up its place in the line.
    world.want(&image, Wish::Wanted);
    assert!(world.machine.is_pressed());
    let question = asks(&mut world, &image);
    assert!(world.machine.is_moved_by(&question));
}
