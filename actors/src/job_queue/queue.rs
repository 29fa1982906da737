//! All jobs together: who is next, what is to be done, and when. Pure.
//!
//! One step takes one event and gives back what is to be done, in order. Each job decides for itself ([`life`](super::life));
//! here are the lines, the slots, the alarms and the end.

mod asked;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
    time::{Duration, Instant},
};

use super::{
    attempt::{AttemptNews, Order},
    finished::Finished,
    life::{Deed, Input, Job, told},
    order::Lines,
    recover::{Remembered, kind_is_gone, recover},
};
use crate::{
    event::EventKind,
    job::{JobId, JobName, JobView},
    spec::{JobDefinition, RunningJobs},
    time::Timestamp,
};

/// As many jobs may be open.
pub const MOST_OPEN: usize = 100_000;
/// As many bytes their parameters may take together.
pub const MOST_OPEN_BYTES: usize = 64 << 20;
/// Between two steps of progress of one job that are told.
const PROGRESS: Duration = Duration::from_millis(100);

/// A moment, for measuring and for people.
#[derive(Debug, Clone, Copy)]
pub struct Moment {
    /// For measuring.
    pub at: Instant,
    /// For people.
    pub wall: Timestamp,
}

/// What happens.
#[derive(Debug)]
pub enum Event {
    /// A job is on disk, and so accepted.
    Accepted(Box<JobView>),
    /// What was to be written has been tried.
    Written {
        /// Of this job.
        id: JobId,
        /// Which write.
        number: u64,
        /// Why it is not on disk.
        result: Result<(), String>,
    },
    /// News of an attempt.
    News {
        /// At this job.
        id: JobId,
        /// Which one.
        number: u32,
        /// What is told.
        news: AttemptNews,
    },
    /// A job is taken back.
    Cancel(JobId),
    /// These are the kinds of job from now on.
    Defined(Vec<Arc<JobDefinition>>),
    /// The runtime stops. What runs may go on for so long.
    Stop {
        /// How long.
        drain: Duration,
        /// What becomes of it.
        running: RunningJobs,
    },
    /// The runtime is being forced to its end.
    Force,
    /// A moment that was asked for has come.
    Wake,
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// Write a job down, after all that was to be written before.
    Write {
        /// The job as it is.
        row: Box<JobView>,
        /// Which write of this job.
        number: u64,
    },
    /// Tell everybody.
    Tell(EventKind),
    /// Show a job to those who follow it.
    Show(Arc<JobView>),
    /// Begin an attempt.
    Begin {
        /// At this job.
        job: Arc<JobView>,
        /// In this slot.
        slot: u32,
        /// What kind of job it is.
        definition: Arc<JobDefinition>,
    },
    /// Tell an attempt what is wanted of it.
    Order(JobId, Order),
    /// The attempt is over: nobody listens to its orders any more.
    Over(JobId),
}

/// Why a moment is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Alarm {
    /// A pause is over.
    Rested,
    /// It has run for as long as it may.
    Late,
}

/// The end of the runtime.
#[derive(Debug, Clone, Copy)]
struct Ending {
    /// When what still runs is stopped; `None` once that has been done.
    drained: Option<Instant>,
}

/// The state machine.
#[derive(Debug, Default)]
pub struct Queue {
    jobs: HashMap<JobId, Job>,
    lines: Lines,
    definitions: BTreeMap<JobName, Arc<JobDefinition>>,
    finished: Finished,
    alarms: BTreeSet<(Instant, JobId)>,
    /// The alarm of a job; each has one at most.
    alarm_of: HashMap<JobId, (Instant, Alarm)>,
    /// When progress of a job was told last.
    progress: HashMap<JobId, Instant>,
    at_work: BTreeSet<JobId>,
    /// Bytes of the parameters of all that are open.
    bytes: usize,
    ending: Option<Ending>,
}

impl Queue {
    /// A queue of these kinds, with what earlier runtimes have left.
    #[must_use]
    pub fn restored(definitions: &[Arc<JobDefinition>], before: Remembered, now: Moment) -> (Self, Vec<Effect>) {
        let (mut queue, mut effects) = (Self::default(), Vec::new());
        queue.define(definitions);
        before.ended.into_iter().for_each(|job| queue.finished.push(Arc::new(job)));
        for row in before.open {
            let from = row.state;
            let before = row.clone();
            let view = recover(row, &queue.definitions, now.wall);
            if view.state != from {
                effects.push(Effect::Tell(told(&view, Some(from))));
            }
            if view != before {
                // Not of a job's own writes: nobody waits for it.
                effects.push(Effect::Write { row: Box::new(view.clone()), number: 0 });
            }
            if view.state.is_final() {
                queue.finished.push(Arc::new(view));
            } else {
                queue.insert(view);
            }
        }
        queue.begin_more(now, &mut effects);
        (queue, effects)
    }

    /// What follows from `event`.
    pub fn step(&mut self, event: Event, now: Moment) -> Vec<Effect> {
        let mut effects = Vec::new();
        match event {
            Event::Accepted(view) => {
                effects.push(Effect::Tell(told(&view, None)));
                effects.push(Effect::Show(Arc::new((*view).clone())));
                self.insert(*view);
            }
            Event::Written { id, number, result } => {
                self.input(id, Input::Written { number, result }, now, &mut effects);
            }
            Event::News { id, number, news } => self.news(id, number, news, now, &mut effects),
            Event::Cancel(id) => {
                self.input(id, Input::Cancel("it was cancelled".to_owned()), now, &mut effects);
            }
            Event::Defined(definitions) => {
                self.define(&definitions);
                self.explain(&mut effects);
            }
            Event::Stop { drain, running } => self.stop(drain, running, now, &mut effects),
            Event::Force => {
                self.ending = Some(Ending { drained: None });
                for id in self.at_work.clone() {
                    self.input(id, Input::Kill, now, &mut effects);
                }
            }
            Event::Wake => self.wake(now, &mut effects),
        }
        self.begin_more(now, &mut effects);
        effects
    }

    /// The next moment at which [`Event::Wake`] is due.
    #[must_use]
    pub fn next_wake(&self) -> Option<Instant> {
        let drained = self.ending.and_then(|ending| ending.drained);
        self.alarms.first().map(|(at, _)| *at).into_iter().chain(drained).min()
    }

    /// The kinds of job there are.
    #[must_use]
    pub fn definitions(&self) -> &BTreeMap<JobName, Arc<JobDefinition>> {
        &self.definitions
    }

    fn insert(&mut self, view: JobView) {
        let (id, turn) = (view.id, self.lines.draw(view.submitted, view.priority));
        self.lines.join(&view.job, turn, id);
        let job = Job::queued(view, turn);
        self.bytes += job.weight();
        self.jobs.insert(id, job);
    }

    fn define(&mut self, definitions: &[Arc<JobDefinition>]) {
        self.definitions = definitions.iter().map(|one| (one.name.clone(), Arc::clone(one))).collect();
        self.lines.set_slots(self.definitions.iter().map(|(name, one)| (name, one.max_parallel)));
    }

    /// Says of those that wait whether their kind is there.
    fn explain(&mut self, effects: &mut Vec<Effect>) {
        let mut deeds = Vec::new();
        for job in self.jobs.values_mut() {
            let name = &job.view().job;
            let is_there = self.definitions.contains_key(name);
            let gone = kind_is_gone(name);
            if is_there && job.view().reason.as_ref() == Some(&gone) {
                deeds.extend(job.explain(None));
            } else if !is_there {
                deeds.extend(job.explain(Some(gone)));
            }
        }
        let shown = |deed| if let Deed::Show(view) = deed { Some(Effect::Show(view)) } else { None };
        effects.extend(deeds.into_iter().filter_map(shown));
    }

    fn begin_more(&mut self, now: Moment, effects: &mut Vec<Effect>) {
        while self.ending.is_none() {
            let Some((id, slot)) = self.lines.begin_next() else { break };
            let kind = self.jobs.get(&id).map(|job| job.view().job.clone());
            let Some(definition) = kind.and_then(|kind| self.definitions.get(&kind)).cloned() else { continue };
            self.input(id, Input::Slot { slot, definition }, now, effects);
        }
    }

    fn news(&mut self, id: JobId, number: u32, news: AttemptNews, now: Moment, effects: &mut Vec<Effect>) {
        if matches!(news, AttemptNews::Progress(_)) {
            let is_early = |last: &Instant| now.at.saturating_duration_since(*last) < PROGRESS;
            if self.progress.get(&id).is_some_and(is_early) {
                return;
            }
            if self.at_work.contains(&id) {
                self.progress.insert(id, now.at);
            }
        }
        self.input(id, Input::News { number, news }, now, effects);
    }

    fn stop(&mut self, drain: Duration, running: RunningJobs, now: Moment, effects: &mut Vec<Effect>) {
        self.ending.get_or_insert(Ending { drained: now.at.checked_add(drain) });
        for id in self.at_work.clone() {
            let runs = self.jobs.get(&id).is_some_and(Job::is_running);
            match running {
                // Nothing of it is lost where its work has not begun.
                _ if !runs => self.input(id, Input::Stop, now, effects),
                RunningJobs::Cancel => {
                    let why = "the runtime was stopped while it ran (runtime.shutdown.running_jobs = \"cancel\")";
                    self.input(id, Input::Cancel(why.to_owned()), now, effects);
                }
                RunningJobs::Drain => {}
            }
        }
        self.wake(now, effects);
    }

    fn wake(&mut self, now: Moment, effects: &mut Vec<Effect>) {
        if let Some(Ending { drained: Some(drained) }) = self.ending
            && drained <= now.at
        {
            self.ending = Some(Ending { drained: None });
            for id in self.at_work.clone() {
                self.input(id, Input::Stop, now, effects);
            }
        }
        while let Some((at, id)) = self.alarms.first().copied().filter(|(at, _)| *at <= now.at) {
            self.alarms.remove(&(at, id));
            match self.alarm_of.remove(&id) {
                Some((_, Alarm::Rested)) => self.line_up(id),
                Some((_, Alarm::Late)) => self.input(id, Input::Late, now, effects),
                None => {}
            }
        }
    }

    fn input(&mut self, id: JobId, input: Input, now: Moment, effects: &mut Vec<Effect>) {
        let Some(job) = self.jobs.get_mut(&id) else { return };
        for deed in job.step(input, now.wall) {
            self.carry_out(id, deed, now, effects);
        }
        match self.jobs.get(&id).is_some_and(Job::is_at_work) {
            true => drop(self.at_work.insert(id)),
            false => drop(self.at_work.remove(&id)),
        }
    }

    fn carry_out(&mut self, id: JobId, deed: Deed, now: Moment, effects: &mut Vec<Effect>) {
        match deed {
            Deed::Write { row, number } => effects.push(Effect::Write { row, number }),
            Deed::Tell(event) => effects.push(Effect::Tell(event)),
            Deed::Show(view) => effects.push(Effect::Show(view)),
            Deed::Order(order) => effects.push(Effect::Order(id, order)),
            Deed::Begin { slot, definition } => {
                let job = self.jobs.get(&id).map(|job| Arc::clone(job.view()));
                effects.extend(job.map(|job| Effect::Begin { job, slot, definition }));
            }
            Deed::LineUp => self.line_up(id),
            Deed::Rest(pause) => self.set_alarm(id, now.at, pause, Alarm::Rested),
            Deed::Watch(limit) => self.set_alarm(id, now.at, limit, Alarm::Late),
            Deed::Unwatch => self.clear_alarm(id),
            Deed::Leave => {
                self.clear_alarm(id);
                if let Some(job) = self.jobs.get(&id) {
                    self.lines.leave(&job.view().job, job.turn());
                }
            }
            Deed::GiveBack(slot) => {
                self.progress.remove(&id);
                effects.push(Effect::Over(id));
                if let Some(job) = self.jobs.get(&id) {
                    self.lines.give_back(&job.view().job, slot);
                }
            }
            Deed::Gone => {
                if let Some(job) = self.jobs.remove(&id) {
                    self.bytes = self.bytes.saturating_sub(job.weight());
                    self.finished.push(Arc::clone(job.view()));
                }
            }
        }
    }

    fn line_up(&mut self, id: JobId) {
        if let Some(job) = self.jobs.get(&id) {
            self.lines.join(&job.view().job, job.turn(), id);
        }
    }

    fn set_alarm(&mut self, id: JobId, from: Instant, pause: Duration, alarm: Alarm) {
        self.clear_alarm(id);
        // A moment that no clock knows never comes.
        if let Some(at) = from.checked_add(pause) {
            self.alarms.insert((at, id));
            self.alarm_of.insert(id, (at, alarm));
        }
    }

    fn clear_alarm(&mut self, id: JobId) {
        if let Some((at, _)) = self.alarm_of.remove(&id) {
            self.alarms.remove(&(at, id));
        }
    }
}

#[cfg(test)]
#[path = "queue_tests/mod.rs"]
mod tests;
