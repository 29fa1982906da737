//! One rule each.

use crate::{
    event::EventKind,
    ids::ServiceName,
    lease::Wish,
    memory::{Refusal, RefusalKind, Stays},
    resource_orchestrator::admission_tests::{
        given::{GIB, MIB, ms, name, need, spec},
        world::{Doing, World},
    },
    spec::ReloadPolicy,
};

/// A measured card of 8 GiB with chat (6 GiB) and image (4 GiB) to go on it. Chat comes back by itself.
pub fn two() -> (World, ServiceName, ServiceName) {
    two_on(&[(8 * GIB, true)])
}

pub fn two_on(cards: &[(u64, bool)]) -> (World, ServiceName, ServiceName) {
    let mut world = World::new(cards);
    let chat = world.add(spec("chat", |s| s.memory.offload.reload = ReloadPolicy::WhenFree), need(6 * GIB, GIB));
    let image = world.add(spec("image", |_| ()), need(4 * GIB, 0));
    (world, chat, image)
}

pub fn bring_in(world: &mut World, service: &ServiceName) {
    world.want(service, Wish::Wanted);
    world.until("it is in", ms(10_000), |world| *world.doing(service) == Doing::Works);
}

pub fn refusal(world: &World, service: &ServiceName) -> Refusal {
    (**world.services[service].refusal.as_ref().expect("a refusal")).clone()
}

pub fn alerts(world: &World, alert: &str) -> (usize, usize) {
    let is = |event: &&EventKind, raised: bool| match event {
        EventKind::AlertRaised { alert: name, .. } => raised && name == alert,
        EventKind::AlertCleared { alert: name, .. } => !raised && name == alert,
        _ => false,
    };
    (world.told.iter().filter(|e| is(e, true)).count(), world.told.iter().filter(|e| is(e, false)).count())
}

#[test]
fn what_fits_is_granted_at_once_and_told() {
    let (mut world, chat, _) = two();
    world.want(&chat, Wish::Wanted);
    assert_eq!(*world.doing(&chat), Doing::Loads);
    let placed = &world.services[&chat].placement;
    assert_eq!((placed.gpus.len(), placed.lease.total_vram(), placed.lease.ram), (1, 6 * GIB, GIB));
    assert!(matches!(&world.told[..], [EventKind::PlanDecided { refusal: None, offload, .. }] if offload.is_empty()));
}

#[test]
fn somebody_leaves_comes_back_and_the_seconds_add_up() {
    for cards in [[(8 * GIB, true)], [(8 * GIB, false)]] {
        let (mut world, chat, image) = two_on(&cards);
        bring_in(&mut world, &chat);
        world.want(&image, Wish::Wanted);
        assert_eq!(world.services[&image].pending.as_deref(), Some("waits for chat to leave"));
        world.until("image is in", ms(2000), |world| *world.doing(&image) == Doing::Works);
        assert_eq!(*world.doing(&chat), Doing::Nothing);
        let swap = world.told.iter().find_map(|event| match event {
            EventKind::SwapDone { service, from, seconds, .. } if *service == image => Some((from.clone(), *seconds)),
            _ => None,
        });
        let (from, s) = swap.expect("a swap");
        assert_eq!(from, std::slice::from_ref(&chat));
        assert!((s.queue + s.drain + s.stop + s.reclaim + s.load - s.total).abs() < 1e-6, "{s:?}");
        assert!(s.stop >= 0.02 && s.load >= 0.4 && (s.reclaim > 0.04) == cards[0].1, "{s:?}");
        world.pass(ms(3000));
        assert_eq!(*world.doing(&chat), Doing::Nothing, "it pushes out nobody");
        world.stop(&image);
        world.until("chat is back", ms(3000), |world| *world.doing(&chat) == Doing::Works);
    }
}

#[test]
fn memory_that_comes_back_with_an_end_is_measured_at_once() {
    let (mut world, chat, image) = two();
    for service in [&chat, &image] {
        world.of(service).lag = ms(0);
    }
    for (service, earlier) in [(&chat, &image), (&image, &chat), (&chat, &image)] {
        bring_in(&mut world, service);
        assert_eq!(*world.doing(earlier), Doing::Nothing);
    }
    let reclaims = world.told.iter().filter_map(|event| match event {
        EventKind::SwapDone { seconds, .. } => Some(seconds.reclaim),
        _ => None,
    });
    let reclaims: Vec<f64> = reclaims.collect();
    assert!(reclaims.len() == 2 && reclaims.iter().all(|seconds| *seconds < 0.002), "{reclaims:?}");
}

#[test]
fn memory_that_comes_back_late_is_waited_for() {
    let (mut world, chat, image) = two();
    bring_in(&mut world, &chat);
    world.of(&chat).lag = ms(1500);
    let began = world.now;
    world.want(&image, Wish::Wanted);
    world.until("chat is gone", ms(500), |world| *world.doing(&chat) == Doing::Nothing);
    world.pass(ms(20));
    assert_eq!(world.services[&image].pending.as_deref(), Some("waits for the memory of chat to come back"));
    world.until("image loads", ms(3000), |world| *world.doing(&image) == Doing::Loads);
    assert!(world.now - began >= ms(1500));
    assert_eq!(alerts(&world, "reclaim_timeout"), (0, 0));
}

#[test]
fn memory_that_never_comes_back_is_given_up_reported_and_counts_as_strangers() {
    let (mut world, chat, image) = two();
    bring_in(&mut world, &chat);
    world.of(&chat).lag = ms(60_000);
    world.want(&image, Wish::Wanted);
    world.until("image is refused", ms(6000), |world| *world.doing(&image) == Doing::Nothing);
    assert_eq!(alerts(&world, "reclaim_timeout"), (1, 0));
    assert!(world.waiting.is_empty(), "whoever waits for the memory is told");
    let why = refusal(&world, &image).to_string();
    assert!(why.contains("other programs hold 6GiB"), "{why}");
    let shown = world.machine.snapshot(world.now);
    assert_eq!((shown.reclaim_timeouts, shown.cards[0].strangers), (1, 6 * GIB));
    // It comes back in the end, and so does chat.
    world.until("chat is back", ms(70_000), |world| *world.doing(&chat) == Doing::Works);
    assert_eq!(alerts(&world, "reclaim_timeout"), (1, 1));
}

#[test]
fn who_is_pinned_held_or_busy_stays_and_is_named() {
    let (mut world, chat, image) = two();
    bring_in(&mut world, &chat);
    world.of(&chat).usage.holds = 1;
    world.want(&image, Wish::Wanted);
    assert_eq!(refusal(&world, &image).holders[0].why, Stays::Held);
    world.of(&chat).usage.holds = 0;

    world.use_it(&chat, true);
    world.want(&image, Wish::Wanted);
    world.until("its drain is over", ms(3000), |world| *world.doing(&image) == Doing::Nothing);
    let why = refusal(&world, &image);
    assert_eq!((why.holders[0].service.as_ref(), why.holders[0].why), (Some(&chat), Stays::Busy));
    assert_eq!((world.doing(&chat), world.services[&chat].usage.in_flight), (&Doing::Works, 1));
    world.use_it(&chat, false);

    let mut pinned = (*world.services[&chat].spec).clone();
    pinned.memory.pinned = true;
    let need = world.services[&chat].need.clone();
    world.reconfigure(&chat, pinned, need);
    world.want(&image, Wish::Wanted);
    assert_eq!(refusal(&world, &image).holders[0].why, Stays::Pinned);
    assert_eq!(*world.doing(&chat), Doing::Works);
}

#[test]
fn a_hold_that_comes_in_between_is_respected() {
    let (mut world, chat, image) = two();
    bring_in(&mut world, &chat);
    world.want(&image, Wish::Wanted);
    world.of(&chat).usage.holds = 1;
    world.pass(ms(10));
    assert_eq!(refusal(&world, &image).holders[0].why, Stays::Held);
    assert_eq!(*world.doing(&chat), Doing::Works);
}

#[test]
fn an_eager_start_pushes_out_nobody_and_is_made_up_for() {
    let (mut world, chat, image) = two();
    bring_in(&mut world, &image);
    world.want(&chat, Wish::Eager);
    assert_eq!(refusal(&world, &chat).holders[0].why, Stays::NotForThis);
    world.pass(ms(2000));
    assert_eq!((world.doing(&chat), world.doing(&image)), (&Doing::Nothing, &Doing::Works));
    world.stop(&image);
    world.until("chat is in", ms(3000), |world| *world.doing(&chat) == Doing::Works);
}

#[test]
fn a_restart_waits_for_what_its_own_run_has_left() {
    let (mut world, chat, _) = two();
    bring_in(&mut world, &chat);
    world.of(&chat).lag = ms(700);
    world.crash(&chat);
    world.want(&chat, Wish::Restart);
    assert!(matches!(world.doing(&chat), Doing::Asks { .. }));
    world.until("it is back", ms(3000), |world| *world.doing(&chat) == Doing::Works);
}

#[test]
fn a_reload_that_fails_is_tried_again_and_then_told() {
    let (mut world, chat, image) = two();
    bring_in(&mut world, &chat);
    bring_in(&mut world, &image);
    world.of(&chat).fails = true;
    world.stop(&image);
    world.until("it is given up", ms(20_000), |world| alerts(world, "reload_failed").0 == 1);
    let loads = world.trace.iter().filter(|line| line.contains("Reload(")).count();
    assert_eq!(loads, 4, "once, and three times again");
    let message = world.told.iter().find_map(|event| match event {
        EventKind::AlertRaised { alert, message, .. } if alert == "reload_failed" => Some(message.clone()),
        _ => None,
    });
    assert!(message.is_some_and(|message| message.contains("it fell over")));
    world.pass(ms(20_000));
    assert_eq!(world.trace.iter().filter(|line| line.contains("Reload(")).count(), 4);
    world.of(&chat).fails = false;
    bring_in(&mut world, &chat);
    assert_eq!(alerts(&world, "reload_failed"), (1, 1));
}

#[test]
fn who_needs_what_somebody_is_loading_into_waits_for_that() {
    let (mut world, chat, image) = two();
    world.want(&chat, Wish::Wanted);
    world.want(&image, Wish::Wanted);
    assert_eq!(world.services[&image].pending.as_deref(), Some("waits until chat is loaded"));
    world.until("image is in", ms(5000), |world| *world.doing(&image) == Doing::Works);
}

#[test]
fn a_later_question_goes_ahead_only_with_memory_that_nobody_waits_for() {
    let mut world = World::new(&[(8 * GIB, true), (8 * GIB, true)]);
    let on = |index: u32| crate::spec::GpuChoice::These(vec![crate::spec::GpuName::Index(index)]);
    let chat = world.add(spec("chat", |s| s.memory.gpu = on(0)), need(6 * GIB, 0));
    let image = world.add(spec("image", |s| s.memory.gpu = on(0)), need(6 * GIB, 0));
    let tiny = world.add(spec("tiny", |s| s.memory.gpu = on(0)), need(1536 * MIB, 0));
    let other = world.add(spec("other", |s| s.memory.gpu = on(1)), need(6 * GIB, 0));
    bring_in(&mut world, &chat);
    world.use_it(&chat, true);
    world.want(&image, Wish::Wanted);
    let small = world.add(spec("small", |s| s.memory.gpu = on(0)), need(GIB, 0));
    world.want(&small, Wish::Wanted);
    assert_eq!(*world.doing(&small), Doing::Loads, "there is as much besides");
    world.want(&tiny, Wish::Wanted);
    assert!(matches!(world.doing(&tiny), Doing::Asks { .. }), "image came first");
    world.want(&other, Wish::Wanted);
    assert_eq!(*world.doing(&other), Doing::Loads);
}

#[test]
fn a_lost_card_is_quarantined_and_others_live_on() {
    let (mut world, chat, _) = two();
    let cpu = world.add(spec("cpu", |_| ()), need(0, 4 * GIB));
    world.cards[0].lost = true;
    world.look();
    world.look();
    assert_eq!(alerts(&world, "gpu_lost"), (1, 0));
    world.want(&chat, Wish::Wanted);
    let RefusalKind::NoCard { problem } = refusal(&world, &chat).kind else { panic!("no card") };
    assert!(problem.contains("it fell off"), "{problem}");
    bring_in(&mut world, &cpu);
    world.cards[0].lost = false;
    world.look();
    assert_eq!(alerts(&world, "gpu_lost"), (1, 1));
    bring_in(&mut world, &chat);
}

#[test]
fn who_is_idle_for_long_enough_leaves_and_who_is_used_stays() {
    let mut world = World::new(&[(8 * GIB, true)]);
    let chat = world.add(spec("chat", |s| s.memory.idle_timeout = ms(1000)), need(GIB, 0));
    bring_in(&mut world, &chat);
    world.use_it(&chat, true);
    world.pass(ms(5000));
    world.use_it(&chat, false);
    assert_eq!(*world.doing(&chat), Doing::Works);
    world.pass(ms(700));
    assert_eq!(*world.doing(&chat), Doing::Works);
    world.until("it has left", ms(1000), |world| *world.doing(&chat) == Doing::Nothing);
    assert!(world.trace.iter().any(|line| line.contains("idle for 1s")), "{}", world.story());
    world.pass(ms(5000));
    assert_eq!(*world.doing(&chat), Doing::Nothing, "it comes back when it is needed");
}

#[test]
fn strangers_are_seen_named_and_seen_to_go() {
    let (mut world, chat, _) = two();
    world.cards[0].strangers = 4 * GIB;
    world.look();
    world.want(&chat, Wish::Eager);
    let why = refusal(&world, &chat).to_string();
    assert!(why.contains("other programs hold 4GiB"), "{why}");
    world.cards[0].strangers = 0;
    world.until("it is in", ms(3000), |world| *world.doing(&chat) == Doing::Works);
}

#[test]
fn an_adopted_run_is_never_refused() {
    let (mut world, chat, image) = two();
    bring_in(&mut world, &image);
    world.want(&chat, Wish::Adopted);
    assert_eq!(*world.doing(&chat), Doing::Loads);
}

#[test]
fn a_wish_that_is_taken_back_leaves_nothing_behind() {
    let (mut world, chat, image) = two();
    bring_in(&mut world, &chat);
    world.use_it(&chat, true);
    world.want(&image, Wish::Wanted);
    world.pass(ms(100));
    world.stop(&image);
    world.use_it(&chat, false);
    world.until("chat is back", ms(3000), |world| *world.doing(&chat) == Doing::Works);
    assert!(world.machine.leases().all(|lease| lease.service == chat));
}

#[test]
fn what_never_fits_is_said_at_once() {
    let mut world = World::new(&[(8 * GIB, true)]);
    let huge = world.add(spec("huge", |_| ()), need(80 * GIB, 0));
    world.want(&huge, Wish::Wanted);
    assert_eq!(refusal(&world, &huge).kind, RefusalKind::TooLarge);
    let view = world.preview(&huge).expect("a plan");
    assert!(view.refusal.is_some() && !view.because.is_empty());
}

#[test]
fn a_preview_says_what_would_be_done_and_does_nothing() {
    let (mut world, chat, image) = two();
    bring_in(&mut world, &chat);
    let view = world.preview(&image).expect("a plan");
    assert_eq!((view.resident, view.offload.len(), view.refusal), (false, 1, None));
    assert_eq!(view.offload[0].service, chat);
    assert!(world.preview(&chat).expect("a plan").resident);
    assert_eq!(*world.doing(&chat), Doing::Works);
    assert!(world.preview(&name("nobody")).is_err());
}

#[test]
fn what_a_run_has_let_go_of_is_still_promised_to_it() {
    let mut world = World::new(&[]);
    world.ram_strangers = 10 * GIB;
    let chat = world.add(spec("chat", |_| ()), need(0, 40 * GIB));
    let image = world.add(spec("image", |_| ()), need(0, 20 * GIB));
    bring_in(&mut world, &chat);
    world.look();
    let leaves = |world: &mut World| world.preview(&image).expect("a plan").offload.len();
    assert_eq!(leaves(&mut world), 1);
    // Nobody has looked at its processes since.
    world.of(&chat).ram = 10 * GIB;
    assert_eq!(leaves(&mut world), 1, "it may take all of it again");
    world.want(&image, Wish::Eager);
    assert_eq!(refusal(&world, &image).holders[0].why, Stays::NotForThis);
    world.ram_strangers = GIB;
    world.want(&image, Wish::Eager);
    assert_eq!(*world.doing(&image), Doing::Loads, "what others have let go of is free at once");
}
