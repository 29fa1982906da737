//! Processes and limits of services.

use super::world::{GIB, MIB, World, alerts, limited, message, said};
use crate::{
    ids::RunId,
    spec::{BundleOn, OnExceed, ProcessLimits, WorkerSpec},
    state::ServiceState,
    units::ByteSize,
    watchdog::deed::Deed,
};

#[test]
fn a_tree_that_runs_away_is_told_level_by_level_then_bundled_then_ended() {
    let services = vec![limited("chat", |_| ()), limited("other", |_| ())];
    let mut world = World::with_bundles(services, vec![BundleOn::Critical, BundleOn::Emergency]);
    assert_eq!(world.looks(3), []);
    world.first().processes = 21;
    assert_eq!(world.look(), [], "one sample decides nothing");
    let deeds = world.look();
    assert_eq!(
        said(&deeds),
        ["runaway warning", "runaway critical", "runaway emergency", "bundle runaway", "condemn restart at once"]
    );
    let told: Vec<&str> = deeds
        .iter()
        .filter_map(|deed| if let Deed::Raise(alert) = deed { Some(alert.message.as_str()) } else { None })
        .collect();
    assert!(told[0].starts_with("21 processes, 1 when it was ready; a warning from 6 on: "), "{}", told[0]);
    assert!(told[1].starts_with("21 processes, 1 when it was ready; critical from 11 on: "), "{}", told[1]);
    assert!(told[2].starts_with("21 processes, 1 when it was ready, and 1 within the last 5m: it runs away; "));
    let run = world.first().run;
    assert!(matches!(&deeds[4], Deed::Condemn { service, run: of, .. } if service.as_str() == "chat" && *of == run));
    // Asked for again as long as nothing has come of it, and not any more while it is being done.
    assert_eq!(said(&world.look()), ["condemn restart at once"]);
    world.first().state = ServiceState::Killing;
    assert_eq!(world.look(), []);
    // The next run begins with nothing.
    *world.first() = limited("chat", |_| ());
    assert_eq!(said(&world.look()), ["runaway over"]);
    assert_eq!(world.looks(10), []);
}

#[test]
fn levels_that_are_reached_one_by_one_are_told_one_by_one() {
    let mut world = World::of(vec![limited("chat", |_| ())]);
    let mut told = Vec::new();
    // Four more in half a minute, so that it never doubles within five minutes once it is critical.
    for processes in [1, 1, 6, 6, 6, 11, 11, 11] {
        world.first().processes = processes;
        told.extend(alerts(&world.looks(100)));
    }
    assert_eq!(told, ["runaway warning", "runaway critical"]);
    world.first().processes = 4;
    assert_eq!(alerts(&world.looks(2)), Vec::<String>::new());
    assert_eq!(alerts(&world.look()), ["runaway over"]);
}

#[test]
fn a_critical_count_costs_a_run_only_where_the_configuration_names_it() {
    let set = |critical| ProcessLimits::Set { warning: Some(2), critical };
    for (critical, told) in
        [(Some(4), vec!["runaway warning", "runaway critical", "recycle when idle"]), (None, vec!["runaway warning"])]
    {
        let mut world = World::of(vec![limited("chat", |spec| spec.limits.processes = set(critical))]);
        world.first().processes = 4;
        world.look();
        assert_eq!(said(&world.look()), told);
    }
}

#[test]
fn the_process_of_a_job_has_levels_that_no_first_sample_moves() {
    let limits = ProcessLimits::Set { warning: Some(64), critical: Some(128) };
    let mut world = World::of(vec![limited("image.2", |spec| {
        spec.limits.processes = limits;
        spec.worker = Some(WorkerSpec { job: "image".parse().expect("a name"), progress: None, task: None });
    })]);
    world.looks(2);
    world.first().processes = 13;
    assert_eq!(world.looks(10), [], "it has begun its loaders");
    world.first().processes = 64;
    let deeds = world.looks(10);
    assert_eq!(said(&deeds), ["runaway warning"]);
    assert!(message(&deeds).ends_with("raise `job.image.limits.processes`"), "{}", message(&deeds));
    world.first().processes = 129;
    let deeds = world.looks(2);
    assert_eq!(said(&deeds), ["runaway critical", "runaway emergency", "condemn restart at once"]);
    let Some(Deed::Condemn { reason, .. }) = deeds.last() else { panic!("{deeds:?}") };
    assert_eq!(reason, "its tree ran away: 129 processes (`job.image.limits.processes`)");
}

#[test]
fn past_its_limit_it_is_recycled_until_another_run_is_there() {
    let mut world = World::of(vec![limited("webui", |spec| spec.limits.ram = Some(ByteSize(2 * GIB)))]);
    world.looks(2);
    world.first().ram = Some(3 * GIB);
    assert_eq!(world.look(), []);
    let deeds = world.look();
    assert_eq!(said(&deeds), ["ram_limit warning", "recycle when idle", "note memory"]);
    assert_eq!(
        message(&deeds),
        "its processes hold 3GiB of memory, more than `limits.ram` = 2GiB; it is restarted as soon as nobody uses it"
    );
    assert_eq!(said(&world.look()), ["recycle when idle"]);
    world.first().state = ServiceState::Draining;
    assert_eq!(world.look(), []);
    world.first().run = RunId::fresh();
    world.first().state = ServiceState::Starting;
    world.first().ram = None;
    assert_eq!(said(&world.look()), ["ram_limit over"]);
}

#[test]
fn what_is_done_past_a_limit_is_what_the_configuration_says() {
    for (on_exceed, deed) in [
        (OnExceed::Warn, None),
        (OnExceed::RestartWhenIdle, Some("recycle when idle")),
        (OnExceed::Restart, Some("recycle")),
        (OnExceed::Stop, Some("condemn stop")),
    ] {
        let mut world = World::of(vec![limited("webui", |spec| {
            spec.limits.ram = Some(ByteSize(GIB));
            spec.limits.on_exceed = on_exceed;
        })]);
        world.looks(2);
        world.first().ram = Some(2 * GIB);
        let told: Vec<String> = said(&world.looks(2)).into_iter().filter(|said| said != "note memory").collect();
        let expected: Vec<&str> = ["ram_limit warning"].into_iter().chain(deed).collect();
        assert_eq!(told, expected, "{on_exceed:?}");
    }
}

#[test]
fn one_that_was_never_within_its_limit_is_not_restarted_for_it() {
    let mut world = World::of(vec![limited("webui", |spec| spec.limits.ram = Some(ByteSize(GIB)))]);
    world.first().ram = Some(2 * GIB);
    let deeds = world.looks(10);
    assert_eq!(alerts(&deeds), ["ram_limit warning"]);
    assert!(!deeds.iter().any(|deed| matches!(deed, Deed::RecycleWhenIdle { .. })), "{deeds:?}");
    assert!(message(&deeds).contains("another run would as well"), "{}", message(&deeds));
}

#[test]
fn a_limit_does_not_restart_for_ever() {
    let mut world = World::of(vec![limited("webui", |spec| spec.limits.ram = Some(ByteSize(GIB)))]);
    let mut recycled = Vec::new();
    for _ in 0..6 {
        world.first().run = RunId::fresh();
        world.first().ram = Some(GIB / 2);
        world.looks(2);
        world.first().ram = Some(2 * GIB);
        let deeds = world.looks(3);
        recycled.push(deeds.iter().any(|deed| matches!(deed, Deed::RecycleWhenIdle { .. })));
        assert_eq!(recycled.len() > 3, message(&deeds).contains("as often as `restart.max` allows"), "{deeds:?}");
    }
    assert_eq!(recycled, [true, true, true, false, false, false], "`restart.max` of the sample is 3");
}

#[test]
fn what_stands_is_shown_with_its_beginning_and_its_worst() {
    let mut world =
        World::of(vec![limited("a", |spec| spec.limits.ram = Some(ByteSize(50 * MIB))), limited("b", |_| ())]);
    let began = world.now() + super::world::INTERVAL;
    world.looks(2);
    world.sample.services[1].processes = 12;
    world.looks(2);
    let standing = world.judge.standing();
    let shown: Vec<_> = standing.iter().map(|s| (s.alert, s.service.as_ref().map(ToString::to_string))).collect();
    assert_eq!(shown, [("runaway", Some("b".to_owned())), ("ram_limit", Some("a".to_owned()))]);
    assert_eq!(standing[1].since, began);
}

#[test]
fn limits_that_are_taken_away_have_nothing_standing() {
    let mut world = World::of(vec![limited("a", |spec| spec.limits.ram = Some(ByteSize(50 * MIB)))]);
    world.looks(2);
    let run = world.first().run;
    *world.first() = limited("a", |_| ());
    world.first().run = run;
    assert_eq!(said(&world.look()), ["ram_limit over"]);
    assert_eq!(world.looks(5), []);
}
