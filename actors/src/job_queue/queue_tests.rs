//! Any sequence of what may happen to jobs: none is lost, none is doubled, each comes to its end.

use std::collections::{HashSet, VecDeque};

use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::*;
use crate::{
    failure::{FailureAction, FailureClass},
    job::{JobError, JobOutcome, JobProgress, JobResult, JobState},
    job_queue::{
        attempt::{AttemptEnd, StopWhy},
        messages::{CancelError, ListJobs},
        sample::{definition, param, queued},
    },
    os::clock,
    spec::ParamKind,
};

/// A queue with a disk, and somebody who works.
struct World {
    queue: Queue,
    kinds: Vec<Arc<JobDefinition>>,
    start: Instant,
    seconds: f64,
    /// Writes that are not answered yet, oldest first.
    writing: VecDeque<(JobView, u64)>,
    disk: HashMap<JobId, JobView>,
    /// Attempts that are made: their number, slot and what was ordered last.
    doing: BTreeMap<JobId, (u32, u32, Order)>,
    /// The newest view that was shown of each job.
    shown: HashMap<JobId, Arc<JobView>>,
    told: Vec<EventKind>,
    submitted: Vec<JobId>,
}

impl World {
    fn new(kinds: Vec<JobDefinition>) -> Self {
        Self::after(kinds.into_iter().map(Arc::new).collect(), HashMap::new(), Vec::new())
    }

    /// One whose runtime begins with what is on this disk.
    fn after(kinds: Vec<Arc<JobDefinition>>, disk: HashMap<JobId, JobView>, submitted: Vec<JobId>) -> Self {
        let mut open: Vec<JobView> = disk.values().filter(|job| !job.state.is_final()).cloned().collect();
        open.sort_by_key(|job| job.id);
        let start = clock::now();
        let now = Moment { at: start, wall: Timestamp::from_micros(0) };
        let (queue, effects) = Queue::restored(&kinds, open, now);
        let (writing, doing, shown) = (VecDeque::new(), BTreeMap::new(), HashMap::new());
        let mut world =
            Self { queue, kinds, start, seconds: 0.0, writing, disk, doing, shown, told: Vec::new(), submitted };
        world.take(effects);
        world
    }

    fn now(&self) -> Moment {
        let micros = (self.seconds * 1e6) as i64;
        Moment { at: self.start + Duration::from_secs_f64(self.seconds), wall: Timestamp::from_micros(micros) }
    }

    fn step(&mut self, event: Event) {
        let effects = self.queue.step(event, self.now());
        self.take(effects);
    }

    fn take(&mut self, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Write { row, number } => self.writing.push_back((*row, number)),
                Effect::Tell(event) => self.told.push(event),
                Effect::Show(view) => {
                    if let Some(before) = self.shown.insert(view.id, Arc::clone(&view)) {
                        assert!(!before.state.is_final(), "what has ended stays so");
                        assert!(before.outcome.is_none() || before.outcome == view.outcome);
                    }
                }
                Effect::Begin { job, slot, definition } => self.begin(&job, slot, &definition),
                Effect::Order(id, order) => {
                    let (_, _, last) = self.doing.get_mut(&id).expect("somebody who works");
                    assert!(*last == Order::Go || order == Order::Kill || order == Order::Stop(StopWhy::Cancelled));
                    *last = order;
                }
                Effect::Over(_) => {}
            }
        }
    }

    fn begin(&mut self, job: &JobView, slot: u32, definition: &JobDefinition) {
        let row = &self.disk[&job.id];
        assert_eq!(
            (row.state, row.attempt),
            (JobState::Waiting, job.attempt),
            "the attempt is on disk before it begins"
        );
        let beside = self.doing.iter().filter(|(id, _)| self.queue.get(**id).is_some_and(|other| other.job == job.job));
        let slots: Vec<u32> = beside.map(|(_, (_, slot, _))| *slot).collect();
        assert!(!slots.contains(&slot), "a slot for each");
        assert!(u32::try_from(slots.len()).expect("few") < definition.max_parallel, "no more than may be");
        let earlier = self.doing.insert(job.id, (job.attempt, slot, Order::Go));
        assert_eq!(earlier, None, "never twice side by side");
    }

    fn submit(&mut self, kind: &str, priority: i32) -> JobId {
        let mut view = JobView { priority, ..queued(kind, 0) };
        view.submitted = self.now().wall;
        let id = view.id;
        self.disk.insert(id, view.clone());
        self.submitted.push(id);
        self.step(Event::Accepted(Box::new(view)));
        id
    }

    /// The oldest write is answered.
    fn answer(&mut self, result: Result<(), String>) {
        let Some((row, number)) = self.writing.pop_front() else { return };
        let id = row.id;
        if result.is_ok() {
            if let Some(before) = self.disk.get(&id) {
                assert!(!before.state.is_final() || before == &row, "an end is written once: {before:?} {row:?}");
            }
            self.disk.insert(id, row);
        }
        self.step(Event::Written { id, number, result });
    }

    fn write_all(&mut self) {
        while !self.writing.is_empty() {
            self.answer(Ok(()));
        }
    }

    fn tell(&mut self, id: JobId, news: AttemptNews) {
        let number = self.doing.get(&id).map_or(99, |(number, _, _)| *number);
        if news == AttemptNews::Over {
            self.doing.remove(&id);
        }
        self.step(Event::News { id, number, news });
    }

    fn end(&mut self, id: JobId, end: AttemptEnd) {
        self.tell(id, AttemptNews::Ended(end));
        self.write_all();
    }

    fn pass(&mut self, seconds: f64) {
        self.seconds += seconds;
        self.step(Event::Wake);
        self.write_all();
    }

    fn state(&self, id: JobId) -> JobState {
        self.queue.get(id).expect("the job").state
    }

    fn view(&self, id: JobId) -> &JobView {
        self.queue.get(id).expect("the job")
    }

    /// Lets everything come to its end.
    fn finish(&mut self) {
        self.step(Event::Defined(self.kinds.clone()));
        self.write_all();
        for _ in 0..20 * (1 + self.submitted.len()) {
            for id in self.doing.keys().copied().collect::<Vec<_>>() {
                self.tell(id, AttemptNews::Running);
                self.end(id, done());
                self.tell(id, AttemptNews::Over);
                self.write_all();
            }
            self.pass(31.0);
        }
    }
}

fn done() -> AttemptEnd {
    AttemptEnd::Done(JobResult { files: vec!["out.png".to_owned()], json: None })
}

fn failed(class: FailureClass) -> AttemptEnd {
    AttemptEnd::Failed(JobError::new(Some(class), "it broke"))
}

fn kind(name: &str, slots: u32, retries: u32, timeout: u64) -> JobDefinition {
    JobDefinition { max_parallel: slots, retries, timeout: Duration::from_secs(timeout), ..definition(name) }
}

fn running(world: &mut World) -> JobId {
    let id = world.submit("image", 0);
    world.write_all();
    world.tell(id, AttemptNews::Running);
    world.write_all();
    assert_eq!(world.state(id), JobState::Running);
    id
}

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
    for retries in [0, 3] {
        let mut world = World::new(vec![kind("image", 1, retries, 0)]);
        let id = running(&mut world);
        world.end(id, poison());
        assert_eq!((world.view(id).outcome, world.view(id).attempts.len()), (None, 1), "retries = {retries}");
        world.tell(id, AttemptNews::Over);
        world.pass(1.1);
        assert_eq!(world.doing[&id].0, 2);
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

/// One thing that happens.
#[derive(Debug, Clone)]
enum Act {
    Submit(usize, i32),
    Answer(bool),
    News(prop::sample::Index, u8),
    Stale(prop::sample::Index, u8),
    Cancel(prop::sample::Index),
    Pass(u8),
    Define(u8),
}

fn act() -> impl Strategy<Value = Act> {
    let index = any::<prop::sample::Index>;
    prop_oneof![
        3 => (0_usize..2, -2_i32..3).prop_map(|(kind, priority)| Act::Submit(kind, priority)),
        6 => prop::bool::weighted(0.9).prop_map(Act::Answer),
        8 => (index(), 0_u8..8).prop_map(|(which, news)| Act::News(which, news)),
        1 => (index(), 0_u8..8).prop_map(|(which, news)| Act::Stale(which, news)),
        1 => index().prop_map(Act::Cancel),
        2 => (0_u8..40).prop_map(Act::Pass),
        1 => (0_u8..4).prop_map(Act::Define),
    ]
}

fn news(which: u8) -> AttemptNews {
    match which {
        0 => AttemptNews::Waiting("for memory".to_owned()),
        1 | 2 => AttemptNews::Running,
        3 => AttemptNews::Progress(JobProgress::of(1, 2, None)),
        4 => AttemptNews::Ended(done()),
        5 => AttemptNews::Ended(failed(FailureClass::Exit)),
        6 => AttemptNews::Ended(AttemptEnd::Stopped),
        _ => AttemptNews::Over,
    }
}

impl World {
    /// `is_sure`: every write succeeds, so that the disk is never behind what was told.
    fn act(&mut self, act: Act, is_sure: bool) {
        match act {
            Act::Submit(kind, priority) => {
                let kind = ["image", "video"][kind];
                self.submit(kind, priority);
            }
            Act::Answer(ok) => {
                self.answer(if ok || is_sure { Ok(()) } else { Err("full".to_owned()) });
            }
            Act::News(which, kind) => {
                let doing: Vec<JobId> = self.doing.keys().copied().collect();
                if !doing.is_empty() {
                    self.tell(*which.get(&doing), news(kind));
                }
            }
            Act::Stale(which, kind) if !self.submitted.is_empty() => {
                let id = *which.get(&self.submitted);
                let number = self.doing.get(&id).map_or(0, |(number, _, _)| *number).wrapping_sub(1);
                self.step(Event::News { id, number, news: news(kind) });
            }
            Act::Cancel(which) if !self.submitted.is_empty() => {
                let id = *which.get(&self.submitted);
                if self.queue.may_cancel(id).is_ok() {
                    self.step(Event::Cancel(id));
                }
            }
            Act::Stale(..) | Act::Cancel(_) => {}
            Act::Pass(seconds) => {
                self.seconds += f64::from(seconds);
                self.step(Event::Wake);
            }
            Act::Define(kinds) => {
                let kept = self.kinds.iter().enumerate().filter(|(place, _)| kinds & (1 << place) != 0);
                let kept = kept.map(|(_, kind)| Arc::clone(kind)).collect();
                self.step(Event::Defined(kept));
            }
        }
        for id in &self.submitted {
            assert!(self.queue.get(*id).is_some(), "none is lost");
        }
    }
}

fn kinds() -> Vec<JobDefinition> {
    vec![kind("image", 1, 1, 5), kind("video", 2, 0, 0)]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens_each_job_comes_to_its_end(acts in prop::collection::vec(act(), 0..120)) {
        let mut world = World::new(kinds());
        for act in acts {
            world.act(act, false);
        }
        world.finish();
        for id in &world.submitted {
            prop_assert!(world.state(*id).is_final(), "{:?}", world.view(*id));
            prop_assert!(world.shown[id].state.is_final(), "its followers know");
        }
        prop_assert_eq!(world.queue.open(), (0, 0));
        prop_assert!(world.queue.next_wake().is_none() && world.queue.is_idle());
    }

    #[test]
    fn whenever_the_runtime_is_killed_no_job_is_lost_or_done_over(acts in prop::collection::vec(act(), 0..120)) {
        let mut world = World::new(kinds());
        for act in acts {
            world.act(act, true);
        }
        // What was told is on disk, so it is true also after a kill.
        let told: HashMap<JobId, Option<JobOutcome>> =
            world.submitted.iter().map(|id| (*id, world.view(*id).outcome)).collect();
        let mut next = World::after(world.kinds, world.disk, world.submitted);
        let known: HashSet<JobId> = next.submitted.iter().copied().collect();
        prop_assert_eq!(known.len(), next.submitted.len());
        for id in next.submitted.clone() {
            let (disk, live) = (&next.disk[&id], next.queue.is_open(id));
            prop_assert!(live || disk.state.is_final() || disk.outcome.is_some() || disk.state == JobState::Running);
            if let Some(outcome) = told[&id] {
                prop_assert!(!live, "what has ended is not begun again");
                prop_assert_eq!(disk.outcome, Some(outcome));
            }
        }
        next.finish();
        for id in &next.submitted {
            prop_assert!(next.disk[id].state.is_final());
            if let Some(outcome) = told[id] {
                prop_assert_eq!(next.disk[id].outcome, Some(outcome));
            }
        }
    }

    #[test]
    fn an_ordered_end_leaves_nobody_at_work(acts in prop::collection::vec(act(), 0..80), cancel in any::<bool>()) {
        let mut world = World::new(kinds());
        for act in acts {
            world.act(act, true);
        }
        let running = if cancel { RunningJobs::Cancel } else { RunningJobs::Drain };
        world.step(Event::Stop { drain: Duration::from_secs(5), running });
        world.pass(6.0);
        for id in world.doing.keys().copied().collect::<Vec<_>>() {
            world.end(id, AttemptEnd::Stopped);
            world.tell(id, AttemptNews::Over);
        }
        world.write_all();
        prop_assert!(world.queue.is_idle());
        for (id, row) in &world.disk {
            prop_assert!(row.state == JobState::Queued || row.state.is_final(), "{:?}", row);
            prop_assert_eq!(row.state, world.state(*id));
        }
    }
}
