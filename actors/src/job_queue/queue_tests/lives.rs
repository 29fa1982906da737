//! The life of a job, by example.

use serde_json::{Map, Value, json};

use super::world::*;
use crate::{
    failure::{FailureAction, FailureClass},
    job::{JobError, JobOutcome, JobProgress, JobState},
    job_queue::{
        attempt::{AttemptEnd, StopWhy},
        messages::{CancelError, ListJobs},
        queue::*,
        sample::param,
    },
    spec::ParamKind,
};

#[test]
fn a_job_goes_from_the_disk_to_its_end_and_its_outcome_is_told_before_the_cleaning() {
    let mut world = World::new(vec![kind("image", 1, 0, 0)]);
    let id = world.submit("image", 0);
    assert_eq!((world.state(id), world.doing.len()), (JobState::Waiting, 0), "it waits for the disk");
    world.write_all();
    world.tell(id, AttemptNews::Waiting("drain of chat".to_owned()));
    assert_eq!(world.view(id).reason.as_deref(), Some("drain of chat"));
    world.tell(id, AttemptNews::Running);
    world.tell(id, AttemptNews::Progress(JobProgress::of(1, 4, None)));
    assert_eq!(world.view(id).progress.map(|progress| progress.done), Some(1));
    world.tell(id, AttemptNews::Ended(done()));
    assert_eq!(world.view(id).outcome, None, "it is not on disk yet");
    world.write_all();
    assert_eq!((world.state(id), world.view(id).outcome), (JobState::Cleaning, Some(JobOutcome::Succeeded)));
    assert_eq!(world.disk[&id].outcome, Some(JobOutcome::Succeeded));
    world.tell(id, AttemptNews::Over);
    assert_eq!(world.state(id), JobState::Succeeded);
    assert_eq!(world.view(id).result.as_ref().map(|made| made.files.len()), Some(1));
    assert_eq!(world.queue.open(), (0, 0));
    let states: Vec<JobState> = world
        .told
        .iter()
        .filter_map(|event| match event {
            EventKind::JobState { to, .. } => Some(*to),
            _ => None,
        })
        .collect();
    use JobState::{Cleaning, Queued, Running, Succeeded, Waiting};
    assert_eq!(states, [Queued, Waiting, Running, Cleaning, Succeeded]);
}

#[test]
fn a_failure_is_made_again_after_a_longer_and_longer_pause_until_it_may_not() {
    let mut world = World::new(vec![kind("image", 1, 2, 0)]);
    let id = running(&mut world);
    for (attempt, pause) in [(1, 1.0), (2, 2.0)] {
        world.end(id, failed(FailureClass::Nan));
        assert_eq!((world.state(id), world.view(id).outcome), (JobState::Cleaning, None));
        world.tell(id, AttemptNews::Over);
        world.write_all();
        world.pass(pause - 0.1);
        assert_eq!((world.state(id), world.doing.len()), (JobState::Queued, 0));
        assert_eq!(world.view(id).attempts.last().map(|failure| failure.attempt), Some(attempt));
        world.pass(0.2);
        assert_eq!(world.doing[&id].0, attempt + 1);
        world.tell(id, AttemptNews::Running);
        world.write_all();
    }
    world.end(id, failed(FailureClass::Nan));
    world.tell(id, AttemptNews::Over);
    let view = world.view(id);
    assert_eq!((view.state, view.attempt, view.attempts.len()), (JobState::Failed, 3, 2));
    assert_eq!(view.error.as_ref().map(|error| error.message.as_str()), Some("it broke"));
    let id = running(&mut world);
    world.end(id, failed(FailureClass::BadModel));
    assert_eq!(world.view(id).outcome, Some(JobOutcome::Failed), "that cannot change");
    world.tell(id, AttemptNews::Over);
    let id = running(&mut world);
    let never_fits = JobError { no_memory: true, ..JobError::new(Some(FailureClass::Unknown), "it never fits here") };
    world.end(id, AttemptEnd::Failed(never_fits));
    assert_eq!(world.view(id).outcome, Some(JobOutcome::Failed), "nor can the size of a card");
}

#[test]
fn what_poisons_its_service_is_tried_once_more_whatever_retries_says_and_no_third_time() {
    let poison = || {
        let error = JobError::new(Some(FailureClass::Nan), "NansException");
        AttemptEnd::Failed(JobError { action: Some(FailureAction::RestartOnce), ..error })
    };
    for (retries, is_killed) in [(0, false), (0, true), (3, false)] {
        let mut world = World::new(vec![kind("image", 1, retries, 0)]);
        let id = running(&mut world);
        world.end(id, poison());
        assert_eq!((world.view(id).outcome, world.view(id).attempts.len()), (None, 1), "retries = {retries}");
        if is_killed {
            // With the service half restarted.
            world = World::after(world.kinds.clone(), world.disk.clone(), world.submitted.clone());
        } else {
            world.tell(id, AttemptNews::Over);
        }
        world.write_all();
        assert_eq!(world.doing[&id].0, 2, "at once");
        world.tell(id, AttemptNews::Running);
        world.write_all();
        world.end(id, poison());
        world.tell(id, AttemptNews::Over);
        world.write_all();
        let view = world.view(id);
        assert_eq!((view.state, view.attempt), (JobState::Failed, 2), "retries = {retries}");
        assert_eq!(view.error.as_ref().and_then(|error| error.class), Some(FailureClass::Nan));
    }
}

#[test]
fn the_attempt_on_a_clean_service_costs_none_of_the_others() {
    let mut world = World::new(vec![kind("image", 1, 1, 0)]);
    let id = running(&mut world);
    let poison = JobError { action: Some(FailureAction::RestartOnce), ..JobError::new(None, "it broke") };
    for error in [poison, JobError::new(Some(FailureClass::Unknown), "it broke")] {
        world.end(id, AttemptEnd::Failed(error));
        assert_eq!(world.view(id).outcome, None);
        world.tell(id, AttemptNews::Over);
        world.pass(3.0);
        world.tell(id, AttemptNews::Running);
        world.write_all();
    }
    world.end(id, failed(FailureClass::Unknown));
    world.tell(id, AttemptNews::Over);
    world.write_all();
    assert_eq!((world.state(id), world.view(id).attempt), (JobState::Failed, 3));
}

#[test]
fn an_attempt_that_runs_for_too_long_is_stopped_and_counts_as_a_failure() {
    let mut world = World::new(vec![kind("image", 1, 1, 10)]);
    let id = world.submit("image", 0);
    world.write_all();
    world.pass(60.0);
    assert_eq!(world.doing[&id].2, Order::Go, "waiting does not count");
    world.tell(id, AttemptNews::Running);
    world.pass(9.9);
    assert_eq!(world.doing[&id].2, Order::Go);
    world.pass(0.2);
    assert_eq!(world.doing[&id].2, Order::Stop(StopWhy::TimedOut));
    world.end(id, AttemptEnd::Stopped);
    assert_eq!(world.view(id).attempts[0].error.class, Some(FailureClass::Timeout));
    world.tell(id, AttemptNews::Over);
    world.pass(1.1);
    world.tell(id, AttemptNews::Running);
    world.pass(5.0);
    world.end(id, done());
    world.pass(60.0);
    assert_eq!(world.doing[&id].2, Order::Go, "while it is cleaned up nothing runs late");
    world.tell(id, AttemptNews::Over);
    assert_eq!(world.state(id), JobState::Succeeded);
}

#[test]
fn a_job_can_be_taken_back_at_any_time_before_its_outcome() {
    let mut world = World::new(vec![kind("image", 1, 3, 0)]);
    let (at_work, waits) = (running(&mut world), world.submit("image", 0));
    world.step(Event::Cancel(waits));
    assert_eq!(world.state(waits), JobState::Queued, "not before it is on disk");
    assert!(world.queue.may_cancel(waits).is_err());
    world.write_all();
    assert_eq!(world.state(waits), JobState::Cancelled);
    assert_eq!(world.queue.may_cancel(waits), Err(CancelError::Over { id: waits, state: JobState::Cancelled }));

    world.step(Event::Cancel(at_work));
    world.step(Event::Cancel(at_work));
    world.write_all();
    assert_eq!((world.doing[&at_work].2, world.view(at_work).outcome), (Order::Stop(StopWhy::Cancelled), None));
    assert_eq!(
        world.disk[&at_work].outcome,
        Some(JobOutcome::Cancelled),
        "a kill of the runtime does not bring it back"
    );
    world.end(at_work, done());
    assert_eq!(world.view(at_work).outcome, Some(JobOutcome::Cancelled), "who took it back was told so");
    world.tell(at_work, AttemptNews::Over);
    assert_eq!(world.state(at_work), JobState::Cancelled);

    let retried = running(&mut world);
    world.end(retried, failed(FailureClass::Exit));
    world.step(Event::Cancel(retried));
    world.write_all();
    assert_eq!((world.state(retried), world.view(retried).outcome), (JobState::Cleaning, Some(JobOutcome::Cancelled)));
    world.tell(retried, AttemptNews::Over);
    assert_eq!(world.state(retried), JobState::Cancelled);

    let rests = running(&mut world);
    world.end(rests, failed(FailureClass::Exit));
    world.tell(rests, AttemptNews::Over);
    world.step(Event::Cancel(rests));
    world.pass(60.0);
    assert_eq!((world.state(rests), world.doing.len()), (JobState::Cancelled, 0));

    let begins = world.submit("image", 0);
    world.step(Event::Cancel(begins));
    world.write_all();
    assert_eq!((world.state(begins), world.doing.len()), (JobState::Cancelled, 0), "nothing of it was begun");
    assert_eq!(world.queue.may_cancel(JobId::fresh()).map_err(|e| matches!(e, CancelError::Unknown(_))), Err(true));
}

#[test]
fn an_end_that_cannot_be_written_is_told_all_the_same_and_a_begin_is_tried_again() {
    let mut world = World::new(vec![kind("image", 1, 0, 0)]);
    let id = world.submit("image", 0);
    world.answer(Err("the disk is full".to_owned()));
    assert_eq!((world.state(id), world.view(id).attempt, world.doing.len()), (JobState::Queued, 0, 0));
    assert!(world.view(id).reason.as_ref().is_some_and(|reason| reason.contains("the disk is full")));
    world.write_all();
    world.pass(31.0);
    world.tell(id, AttemptNews::Running);
    world.write_all();
    world.tell(id, AttemptNews::Ended(done()));
    world.tell(id, AttemptNews::Over);
    assert_eq!(world.state(id), JobState::Running, "nobody sees what is not on disk");
    world.answer(Err("the disk is full".to_owned()));
    assert_eq!((world.state(id), world.queue.open()), (JobState::Succeeded, (0, 0)));
}

#[test]
fn work_that_ends_without_a_word_has_failed_and_what_does_not_fit_changes_nothing() {
    let mut world = World::new(vec![kind("image", 1, 0, 0)]);
    let id = running(&mut world);
    world.tell(id, AttemptNews::Waiting("again".to_owned()));
    world.tell(id, AttemptNews::Running);
    world.step(Event::News { id, number: 7, news: AttemptNews::Ended(done()) });
    assert_eq!((world.state(id), world.view(id).reason.clone()), (JobState::Running, None));
    world.tell(id, AttemptNews::Over);
    world.write_all();
    assert_eq!(world.state(id), JobState::Failed);
    world.tell(id, AttemptNews::Ended(done()));
    world.tell(id, AttemptNews::Over);
    assert_eq!(world.state(id), JobState::Failed);
}

#[test]
fn the_end_of_the_runtime_lets_what_runs_end_and_leaves_the_rest_for_the_next_start() {
    let mut world = World::new(vec![kind("image", 3, 0, 0)]);
    let (ends, stopped) = (running(&mut world), running(&mut world));
    let (waits, queued) = (world.submit("image", 0), world.submit("image", 0));
    world.write_all();
    world.step(Event::Stop { drain: Duration::from_secs(5), running: RunningJobs::Drain });
    assert_eq!(world.doing[&waits].2, Order::Stop(StopWhy::Shutdown), "its work has not begun");
    assert_eq!((world.doing[&ends].2, world.doing[&stopped].2), (Order::Go, Order::Go));
    assert_eq!(world.queue.may_cancel(queued), Err(CancelError::Stopping));
    for (id, end) in [(ends, done()), (waits, AttemptEnd::Stopped)] {
        world.end(id, end);
        world.tell(id, AttemptNews::Over);
    }
    assert_eq!((world.state(ends), world.doing.len()), (JobState::Succeeded, 1), "nothing is begun any more");
    world.pass(5.1);
    assert_eq!(world.doing[&stopped].2, Order::Stop(StopWhy::Shutdown));
    world.end(stopped, AttemptEnd::Stopped);
    assert!(!world.queue.is_idle());
    world.tell(stopped, AttemptNews::Over);
    world.write_all();
    assert!(world.queue.is_idle());
    for id in [waits, stopped, queued] {
        assert_eq!((world.state(id), world.disk[&id].state), (JobState::Queued, JobState::Queued));
        assert!(world.view(id).attempts.is_empty(), "a stop is no failure");
    }
    let mut next = World::after(world.kinds, world.disk, world.submitted);
    next.finish();
    assert!([waits, stopped, queued].iter().all(|id| next.state(*id) == JobState::Succeeded));
}

#[test]
fn the_end_of_the_runtime_may_cancel_what_runs_and_force_leaves_no_time() {
    let mut world = World::new(vec![kind("image", 2, 0, 0)]);
    let (runs, queued) = (running(&mut world), world.submit("image", 0));
    world.write_all();
    world.step(Event::Stop { drain: Duration::from_secs(5), running: RunningJobs::Cancel });
    assert_eq!(world.doing[&runs].2, Order::Stop(StopWhy::Cancelled));
    world.step(Event::Force);
    assert_eq!(world.doing[&runs].2, Order::Kill);
    for id in [runs, queued] {
        world.tell(id, AttemptNews::Over);
    }
    world.write_all();
    assert_eq!((world.state(runs), world.state(queued)), (JobState::Cancelled, JobState::Queued));
    let reason = world.view(runs).error.clone().expect("an error").message;
    assert!(reason.contains("running_jobs"), "{reason}");
}

#[test]
fn a_kind_that_goes_leaves_its_jobs_queued_until_it_comes_back_as_it_is_then() {
    let mut world = World::new(vec![kind("image", 1, 0, 0)]);
    let (runs, waits) = (running(&mut world), world.submit("image", 0));
    world.step(Event::Defined(Vec::new()));
    assert!(world.view(waits).reason.as_ref().is_some_and(|reason| reason.contains("no job `image`")));
    world.end(runs, done());
    world.tell(runs, AttemptNews::Over);
    world.write_all();
    assert_eq!((world.state(runs), world.state(waits)), (JobState::Succeeded, JobState::Queued));
    let params = vec![param("steps", ParamKind::Int, Some(json!(4)), None)];
    world.step(Event::Defined(vec![Arc::new(JobDefinition { params, ..kind("image", 1, 0, 0) })]));
    world.write_all();
    let filled: Map<String, Value> = [("steps".to_owned(), json!(4))].into_iter().collect();
    assert_eq!((world.doing.len(), &world.view(waits).params), (1, &filled));
    assert_eq!(world.view(waits).reason, None);
    let stricter = vec![param("prompt", ParamKind::Text, None, None)];
    let unfit = world.submit("image", 0);
    world.step(Event::Defined(vec![Arc::new(JobDefinition { params: stricter, ..kind("image", 2, 0, 0) })]));
    world.write_all();
    assert_eq!(world.state(unfit), JobState::Failed);
    assert!(world.view(unfit).error.as_ref().is_some_and(|error| error.message.contains("`prompt` is missing")));
}

#[test]
fn a_list_has_what_is_at_work_then_the_line_then_what_has_ended() {
    let mut world = World::new(vec![kind("image", 1, 1, 0), kind("video", 1, 0, 0)]);
    let over = running(&mut world);
    world.end(over, done());
    world.tell(over, AttemptNews::Over);
    let rests = running(&mut world);
    world.end(rests, failed(FailureClass::Exit));
    world.tell(rests, AttemptNews::Over);
    world.write_all();
    let runs = running(&mut world);
    let (late, soon) = (world.submit("image", 0), world.submit("image", 3));
    let other = world.submit("video", 0);
    world.write_all();
    let list = |list: ListJobs| world.queue.list(&list).iter().map(|job| job.id).collect::<Vec<_>>();
    assert_eq!(list(ListJobs::default()), [runs, other, rests, soon, late, over]);
    assert_eq!(list(ListJobs { limit: 2, ..ListJobs::default() }), [runs, other]);
    let states = vec![JobState::Queued, JobState::Succeeded];
    let job = Some("image".parse().expect("a name"));
    assert_eq!(list(ListJobs { job, states, limit: 0 }), [rests, soon, late, over]);
    assert_eq!(world.queue.count().values().sum::<u64>(), 5);
}

#[test]
fn progress_is_told_ten_times_a_second_at_most() {
    let mut world = World::new(vec![kind("image", 1, 0, 0)]);
    let id = running(&mut world);
    world.told.clear();
    for step in 0..100 {
        world.seconds += 0.011;
        world.tell(id, AttemptNews::Progress(JobProgress::of(step, 100, None)));
    }
    assert!((9..=11).contains(&world.told.len()), "{}", world.told.len());
}
