//! Failures of programs that go on running.

use std::time::Duration;

use proptest::prelude::*;

use super::world::{World, alerts, limited, message, said};
use crate::{
    failure::{FailureAction, FailureClass},
    ids::RunId,
    job::JobId,
    spec::BundleOn,
    state::ServiceState,
    watchdog::deed::Deed,
    witness::{FailureSeen, SeenIn},
};

const RESET_AFTER: Duration = Duration::from_secs(600);

fn world() -> World {
    World::with_bundles(vec![limited("webui", |_| ())], vec![BundleOn::Class(FailureClass::Nan)])
}

/// A NaN of the run that is there.
fn nan(world: &mut World, action: FailureAction, seen: SeenIn) -> FailureSeen {
    let line = "A tensor with all NaNs was produced in Unet.".to_owned();
    FailureSeen {
        service: "webui".parse().expect("a name"),
        run: world.first().run,
        class: FailureClass::Nan,
        action,
        line,
        seen,
    }
}

fn judged(world: &mut World, seen: &FailureSeen, has_job: bool) -> Vec<Deed> {
    let at = world.now();
    world.judge.failure(seen, RESET_AFTER, has_job, at)
}

fn condemned(deeds: &[Deed]) -> usize {
    deeds.iter().filter(|deed| matches!(deed, Deed::Condemn { .. })).count()
}

fn pass(world: &mut World, seconds: u64) {
    world.sample.at += Duration::from_secs(seconds);
}

/// Another run takes its place, and is ready.
fn next_run(world: &mut World) {
    world.first().run = RunId::fresh();
}

#[test]
fn the_first_one_is_told_bundled_and_acted_upon_and_its_repetitions_are_not() {
    let mut world = world();
    let seen = nan(&mut world, FailureAction::RestartOnce, SeenIn::Output);
    let deeds = judged(&mut world, &seen, false);
    assert_eq!(said(&deeds), ["nan critical", "bundle nan", "condemn restart"]);
    assert_eq!(
        message(&deeds),
        "it computes not-a-number, and may go on so until it is restarted; its output says `A tensor with all NaNs was \
         produced in Unet.`; it is restarted"
    );
    for _ in 0..100 {
        world.look();
        assert_eq!(judged(&mut world, &seen, false), []);
    }
}

#[test]
fn restart_once_restarts_once() {
    let mut world = world();
    let mut restarts = Vec::new();
    for i in 0..5 {
        let seen = nan(&mut world, FailureAction::RestartOnce, SeenIn::Output);
        let deeds = judged(&mut world, &seen, false);
        restarts.push(condemned(&deeds));
        assert_eq!(i > 0, message(&deeds).contains("it was restarted for this and is not restarted for it again"));
        world.looks(100);
        next_run(&mut world);
    }
    assert_eq!(restarts, [1, 0, 0, 0, 0], "each of them within ten minutes of the one before");
    world.looks(301);
    let seen = nan(&mut world, FailureAction::RestartOnce, SeenIn::Output);
    assert_eq!(said(&judged(&mut world, &seen, false)), ["nan critical", "bundle nan", "condemn restart"]);
}

#[test]
fn each_action_is_what_it_says() {
    for (action, deed) in [
        (FailureAction::None, None),
        (FailureAction::RestartOnce, Some("condemn restart")),
        (FailureAction::Restart, Some("condemn restart")),
        (FailureAction::Stop, Some("condemn stop")),
        (FailureAction::Quarantine, Some("condemn quarantine")),
    ] {
        let mut world = world();
        let seen = nan(&mut world, action, SeenIn::Answer(500));
        let expected: Vec<&str> = ["nan critical", "bundle nan"].into_iter().chain(deed).collect();
        assert_eq!(said(&judged(&mut world, &seen, false)), expected, "{action:?}");
    }
}

#[test]
fn restart_restarts_each_run_and_is_told_once() {
    let mut world = world();
    for i in 0..4 {
        let seen = nan(&mut world, FailureAction::Restart, SeenIn::Output);
        let deeds = judged(&mut world, &seen, false);
        let first: &[&str] = &["nan critical", "bundle nan", "condemn restart"];
        assert_eq!(said(&deeds), if i == 0 { first } else { &first[2..] });
        world.look();
        next_run(&mut world);
    }
}

#[test]
fn a_job_sees_to_it_itself() {
    let mut world = world();
    let seen = nan(&mut world, FailureAction::RestartOnce, SeenIn::Output);
    let deeds = judged(&mut world, &seen, true);
    assert_eq!(said(&deeds), ["nan critical", "bundle nan"]);
    assert!(message(&deeds).ends_with("the job sees to it"), "{}", message(&deeds));
    // The same failure, told by the job: nothing more to see.
    let told = nan(&mut world, FailureAction::RestartOnce, SeenIn::Job(JobId::fresh()));
    assert_eq!(judged(&mut world, &told, true), []);
}

#[test]
fn what_a_job_has_left_poisoned_is_restarted_for_whoever_comes_upon_it_later() {
    let mut world = world();
    let plain = nan(&mut world, FailureAction::RestartOnce, SeenIn::Answer(500));
    judged(&mut world, &plain, true);
    pass(&mut world, 3);
    let told = nan(&mut world, FailureAction::RestartOnce, SeenIn::Job(JobId::fresh()));
    assert_eq!(judged(&mut world, &told, false), []);
    // Its own last lines, which come after it has gone.
    for _ in 0..2 {
        pass(&mut world, 2);
        assert_eq!(judged(&mut world, &plain, false), []);
    }
    pass(&mut world, 1);
    let deeds = judged(&mut world, &plain, false);
    assert_eq!(said(&deeds), ["nan critical", "bundle nan", "condemn restart"], "five seconds after the job");
    assert!(message(&deeds).ends_with("it is restarted"), "{}", message(&deeds));
    assert_eq!(judged(&mut world, &plain, false), [], "one that is being ended");
    // The next run does the same: told, as anything that is not restarted for it again.
    next_run(&mut world);
    let again = nan(&mut world, FailureAction::RestartOnce, SeenIn::Output);
    let deeds = judged(&mut world, &again, false);
    assert_eq!(said(&deeds), ["nan critical", "bundle nan"]);
    assert!(message(&deeds).contains("it was restarted for this"), "{}", message(&deeds));
    assert_eq!(judged(&mut world, &again, false), []);
}

#[test]
fn a_run_that_only_jobs_find_poisoned_is_left_to_them() {
    let mut world = world();
    for _ in 0..3 {
        let seen = nan(&mut world, FailureAction::RestartOnce, SeenIn::Job(JobId::fresh()));
        for _ in 0..5 {
            assert_eq!(condemned(&judged(&mut world, &seen, true)), 0);
            pass(&mut world, 30);
            assert_eq!(condemned(&world.look()), 0);
        }
        next_run(&mut world);
    }
}

#[test]
fn the_last_lines_of_a_job_are_its_own_whatever_they_are_about() {
    let mut world = world();
    let told = nan(&mut world, FailureAction::RestartOnce, SeenIn::Job(JobId::fresh()));
    judged(&mut world, &told, true);
    let other = FailureSeen {
        class: FailureClass::Driver,
        action: FailureAction::Restart,
        seen: SeenIn::Output,
        ..nan(&mut world, FailureAction::None, SeenIn::Output)
    };
    pass(&mut world, 3);
    assert_eq!(said(&judged(&mut world, &other, false)), ["driver critical"]);
    // Counted from what the job has met, and not from what came after it.
    pass(&mut world, 2);
    assert_eq!(said(&judged(&mut world, &other, false)), ["driver critical", "condemn restart"]);
    // Another run has nothing to do with it.
    judged(&mut world, &told, true);
    next_run(&mut world);
    let other = FailureSeen { run: world.first().run, ..other };
    assert_eq!(said(&judged(&mut world, &other, false)), ["condemn restart"]);
}

#[test]
fn a_rule_that_wants_nothing_done_does_not_stand_before_one_that_does() {
    let mut world = world();
    let soft = nan(&mut world, FailureAction::None, SeenIn::Answer(500));
    let hard = nan(&mut world, FailureAction::Stop, SeenIn::Output);
    assert_eq!(said(&judged(&mut world, &soft, false)), ["nan critical", "bundle nan"]);
    assert_eq!(said(&judged(&mut world, &hard, false)), ["condemn stop"]);
    assert_eq!(judged(&mut world, &soft, false), []);
    // Nor does one, to which nothing is done, once a job has met it.
    let mut world = self::world();
    let (soft, hard) = (soft, nan(&mut world, FailureAction::Stop, SeenIn::Output));
    let soft = FailureSeen { run: hard.run, ..soft };
    judged(&mut world, &soft, true);
    pass(&mut world, 60);
    assert_eq!(judged(&mut world, &soft, false), []);
    assert_eq!(said(&judged(&mut world, &hard, false)), ["nan critical", "bundle nan", "condemn stop"]);
}

proptest! {
    /// Whoever sees it, and whenever: no loop.
    #[test]
    fn restart_once_restarts_once_and_restart_once_for_each_run(
        once: bool, course in prop::collection::vec((0..120u64, any::<bool>(), any::<bool>()), 1..60)
    ) {
        let action = if once { FailureAction::RestartOnce } else { FailureAction::Restart };
        let mut world = world();
        let (mut runs, mut restarts, mut in_this_run) = (1, 0, 0);
        for (pause, has_job, is_new) in course {
            pass(&mut world, pause);
            if is_new {
                next_run(&mut world);
                (runs, in_this_run) = (runs + 1, 0);
            }
            let seen = nan(&mut world, action, SeenIn::Output);
            let condemned = condemned(&judged(&mut world, &seen, has_job));
            prop_assert!(!has_job || condemned == 0, "it is the job's");
            restarts += condemned;
            in_this_run += condemned;
            prop_assert!(in_this_run <= 1);
        }
        let most = if once { 1 } else { runs };
        prop_assert!(restarts <= most, "{restarts} of {runs}");
    }
}

#[test]
fn it_is_over_when_a_later_run_is_sound_or_it_stays_away() {
    let mut world = world();
    let seen = nan(&mut world, FailureAction::RestartOnce, SeenIn::Output);
    judged(&mut world, &seen, false);
    assert_eq!(alerts(&world.looks(100)), Vec::<String>::new(), "the run that failed is not sound");
    next_run(&mut world);
    world.first().state = ServiceState::Starting;
    assert_eq!(alerts(&world.looks(50)), Vec::<String>::new());
    world.first().state = ServiceState::Ready;
    assert_eq!(alerts(&world.looks(15)), Vec::<String>::new());
    assert_eq!(alerts(&world.look()), ["nan over"]);

    let mut world = self::world();
    let seen = nan(&mut world, FailureAction::None, SeenIn::Output);
    judged(&mut world, &seen, false);
    assert_eq!(alerts(&world.looks(300)), Vec::<String>::new());
    assert_eq!(alerts(&world.look()), ["nan over"], "after ten minutes without it");
    assert_eq!(world.judge.size(), 1, "only the service that runs");
}

#[test]
fn a_line_does_nothing_to_a_terminal_and_is_shortened() {
    let mut world = world();
    let mut seen = nan(&mut world, FailureAction::None, SeenIn::Output);
    seen.line = format!("\u{1b}[2JNaN\u{0}\u{7f}\u{9b}31m{}", "x".repeat(10_000));
    let told = message(&judged(&mut world, &seen, false));
    assert!(told.chars().all(|c| !c.is_control()) && told.len() < 500, "{told:?}");
}
