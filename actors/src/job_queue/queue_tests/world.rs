//! A queue with a disk and a clock, and what is the same in many tests.

use std::collections::VecDeque;

use crate::{
    failure::FailureClass,
    job::{JobError, JobResult, JobState},
    job_queue::{
        attempt::{AttemptEnd, StopWhy},
        queue::*,
        sample::{definition, queued},
    },
    os::clock,
};

/// A queue with a disk, and somebody who works.
pub struct World {
    pub queue: Queue,
    pub kinds: Vec<Arc<JobDefinition>>,
    pub start: Instant,
    pub seconds: f64,
    /// Writes that are not answered yet, oldest first.
    pub writing: VecDeque<(JobView, u64)>,
    pub disk: HashMap<JobId, JobView>,
    /// Attempts that are made: their number, slot and what was ordered last.
    pub doing: BTreeMap<JobId, (u32, u32, Order)>,
    /// The newest view that was shown of each job.
    pub shown: HashMap<JobId, Arc<JobView>>,
    pub told: Vec<EventKind>,
    pub submitted: Vec<JobId>,
}

impl World {
    pub fn new(kinds: Vec<JobDefinition>) -> Self {
        Self::after(kinds.into_iter().map(Arc::new).collect(), HashMap::new(), Vec::new())
    }

    /// One whose runtime begins with what is on this disk.
    pub fn after(kinds: Vec<Arc<JobDefinition>>, disk: HashMap<JobId, JobView>, submitted: Vec<JobId>) -> Self {
        let mut open: Vec<JobView> = disk.values().filter(|job| !job.state.is_final()).cloned().collect();
        open.sort_by_key(|job| job.id);
        let start = clock::now();
        let now = Moment { at: start, wall: Timestamp::from_micros(0) };
        let (queue, effects) = Queue::restored(&kinds, Remembered { open, ended: Vec::new() }, now);
        let (writing, doing, shown) = (VecDeque::new(), BTreeMap::new(), HashMap::new());
        let mut world =
            Self { queue, kinds, start, seconds: 0.0, writing, disk, doing, shown, told: Vec::new(), submitted };
        world.take(effects);
        world
    }

    pub fn now(&self) -> Moment {
        let micros = (self.seconds * 1e6) as i64;
        Moment { at: self.start + Duration::from_secs_f64(self.seconds), wall: Timestamp::from_micros(micros) }
    }

    pub fn step(&mut self, event: Event) {
        let effects = self.queue.step(event, self.now());
        self.take(effects);
    }

    pub fn take(&mut self, effects: Vec<Effect>) {
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

    pub fn begin(&mut self, job: &JobView, slot: u32, definition: &JobDefinition) {
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

    pub fn submit(&mut self, kind: &str, priority: i32) -> JobId {
        let mut view = JobView { priority, ..queued(kind, 0) };
        view.submitted = self.now().wall;
        let id = view.id;
        self.disk.insert(id, view.clone());
        self.submitted.push(id);
        self.step(Event::Accepted(Box::new(view)));
        id
    }

    /// The oldest write is answered.
    pub fn answer(&mut self, result: Result<(), String>) {
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

    pub fn write_all(&mut self) {
        while !self.writing.is_empty() {
            self.answer(Ok(()));
        }
    }

    pub fn tell(&mut self, id: JobId, news: AttemptNews) {
        let number = self.doing.get(&id).map_or(99, |(number, _, _)| *number);
        if news == AttemptNews::Over {
            self.doing.remove(&id);
        }
        self.step(Event::News { id, number, news });
    }

    pub fn end(&mut self, id: JobId, end: AttemptEnd) {
        self.tell(id, AttemptNews::Ended(end));
        self.write_all();
    }

    pub fn pass(&mut self, seconds: f64) {
        self.seconds += seconds;
        self.step(Event::Wake);
        self.write_all();
    }

    pub fn state(&self, id: JobId) -> JobState {
        self.queue.get(id).expect("the job").state
    }

    pub fn view(&self, id: JobId) -> &JobView {
        self.queue.get(id).expect("the job")
    }

    /// Lets everything come to its end.
    pub fn finish(&mut self) {
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

pub fn done() -> AttemptEnd {
    AttemptEnd::Done(JobResult { files: vec!["out.png".to_owned()], json: None })
}

pub fn failed(class: FailureClass) -> AttemptEnd {
    AttemptEnd::Failed(JobError::new(Some(class), "it broke"))
}

pub fn kind(name: &str, slots: u32, retries: u32, timeout: u64) -> JobDefinition {
    JobDefinition { max_parallel: slots, retries, timeout: Duration::from_secs(timeout), ..definition(name) }
}

pub fn running(world: &mut World) -> JobId {
    let id = world.submit("image", 0);
    world.write_all();
    world.tell(id, AttemptNews::Running);
    world.write_all();
    assert_eq!(world.state(id), JobState::Running);
    id
}
