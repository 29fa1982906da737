//! The life of one job, from the moment it is on disk until it is forgotten. Pure.
//!
//! `queued -> waiting -> running -> cleaning -> succeeded | failed | cancelled`, and back to `queued` for another attempt.
//! What does not fit the state it is in changes nothing, and so does news of an earlier attempt.
//!
//! A change that must not be lost is seen by nobody before it is on disk: it is made on a copy, which takes the place of
//! what is shown once the write was answered, in whatever way: a disk that is full must not keep an outcome from people.

mod attempt;
mod show;
mod stop;

use std::{sync::Arc, time::Duration};

use super::{
    attempt::{AttemptNews, Order, StopWhy},
    finished::bytes,
    order::Turn,
    params::fit,
};
use crate::{
    event::EventKind,
    job::{FailedAttempt, JobError, JobOutcome, JobState, JobView},
    spec::JobDefinition,
    time::Timestamp,
};

/// The first pause before another attempt; each further one is twice as long.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// The longest pause before another attempt.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// Of so many failed attempts the last lines are kept; of older ones the reason alone.
const MOST_TAILS: usize = 4;

/// What happens to a job.
#[derive(Debug, Clone)]
pub enum Input {
    /// Its turn has come, and this slot is its own.
    Slot {
        /// Which one.
        slot: u32,
        /// What kind of job it is, as it is defined now.
        definition: Arc<JobDefinition>,
    },
    /// What was to be written has been tried; on an error it is not on disk.
    Written {
        /// Which write.
        number: u64,
        /// Why it is not on disk.
        result: Result<(), String>,
    },
    /// News of an attempt.
    News {
        /// Of which one.
        number: u32,
        /// What is told.
        news: AttemptNews,
    },
    /// It is taken back, for this reason.
    Cancel(String),
    /// It has run for as long as it may.
    Late,
    /// The runtime stops: what works stops now, and goes on with the next start.
    Stop,
    /// The same without grace.
    Kill,
}

/// What is to be done for a job.
#[derive(Debug, Clone, PartialEq)]
pub enum Deed {
    /// Write it down as it is here, after all that was to be written before; to be answered with [`Input::Written`].
    Write {
        /// The job.
        row: Box<JobView>,
        /// Which write of this job, from 1.
        number: u64,
    },
    /// Tell everybody.
    Tell(EventKind),
    /// Show it to those who follow it.
    Show(Arc<JobView>),
    /// Begin the attempt in this slot.
    Begin {
        /// The slot.
        slot: u32,
        /// What kind of job it is.
        definition: Arc<JobDefinition>,
    },
    /// Tell the attempt what is wanted of it.
    Order(Order),
    /// It wants a slot.
    LineUp,
    /// It wants a slot after a pause.
    Rest(Duration),
    /// It wants no slot any more.
    Leave,
    /// It has no use for its slot any more.
    GiveBack(u32),
    /// [`Input::Late`] is due after this long, unless its work ends before.
    Watch(Duration),
    /// Its work has ended, so it is not late any more.
    Unwatch,
    /// It has ended, and nothing more is to be done for it.
    Gone,
}

/// One job.
#[derive(Debug)]
pub struct Job {
    /// What everybody sees.
    shown: Arc<JobView>,
    /// What they will see when a write has been answered.
    held: Option<Held>,
    /// Writes so far.
    writes: u64,
    turn: Turn,
    /// Bytes that it took when it came.
    weight: usize,
    phase: Phase,
}

/// Changes that are not to be seen yet.
#[derive(Debug)]
struct Held {
    view: Box<JobView>,
    /// Until this write has been answered.
    until: u64,
    unsaid: Vec<EventKind>,
}

#[derive(Debug)]
enum Phase {
    /// In line, or resting.
    Queued,
    /// Its attempt is being written down, by this write.
    Writing { slot: u32, definition: Arc<JobDefinition>, number: u64, stop: bool },
    /// Somebody works on it, or cleans up after it.
    Doing(Doing),
    /// It has ended.
    Over,
}

#[derive(Debug)]
struct Doing {
    slot: u32,
    definition: Arc<JobDefinition>,
    /// What is to become of it when its work has stopped.
    verdict: Option<Verdict>,
    /// What follows once all is cleaned up, as soon as its work has ended.
    after: Option<After>,
}

/// Why its work was told to stop.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Verdict {
    Cancelled(String),
    TimedOut,
    Shutdown,
}

/// What follows an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum After {
    /// The end that is told already.
    End(JobOutcome),
    /// Another one, after a pause.
    Retry(Duration),
    /// Another one with the next start of the runtime.
    NextStart,
}

impl Job {
    /// One that is queued and on disk.
    #[must_use]
    pub fn queued(view: JobView, turn: Turn) -> Self {
        let weight = bytes(&view);
        Self { shown: Arc::new(view), held: None, writes: 0, turn, weight, phase: Phase::Queued }
    }

    /// As everybody sees it.
    #[must_use]
    pub fn view(&self) -> &Arc<JobView> {
        &self.shown
    }

    /// Its place among all.
    #[must_use]
    pub fn turn(&self) -> Turn {
        self.turn
    }

    /// Bytes that it took when it came, roughly.
    #[must_use]
    pub fn weight(&self) -> usize {
        self.weight
    }

    /// How many writes there were.
    #[must_use]
    pub fn writes(&self) -> u64 {
        self.writes
    }

    /// What it has come to, if that is settled: nothing can be taken back then.
    #[must_use]
    pub fn outcome(&self) -> Option<JobOutcome> {
        self.now().outcome
    }

    /// Whether it wants nothing but a slot.
    #[must_use]
    pub fn is_queued(&self) -> bool {
        matches!(self.phase, Phase::Queued)
    }

    /// Whether an attempt at it is being made: it has a slot.
    #[must_use]
    pub fn is_at_work(&self) -> bool {
        matches!(self.phase, Phase::Writing { .. } | Phase::Doing(_))
    }

    /// Whether its work has begun and has not ended.
    #[must_use]
    pub fn is_running(&self) -> bool {
        matches!(&self.phase, Phase::Doing(_)) && self.now().state == JobState::Running
    }

    /// What follows from `input`.
    pub fn step(&mut self, input: Input, wall: Timestamp) -> Vec<Deed> {
        let mut deeds = Vec::new();
        match input {
            Input::Slot { slot, definition } => self.take_slot(slot, definition, wall, &mut deeds),
            Input::Written { number, result } => self.written(number, result, &mut deeds),
            Input::News { number, news } if number == self.now().attempt => self.news(news, wall, &mut deeds),
            // Of an attempt that was given up.
            Input::News { .. } => {}
            Input::Cancel(why) => self.cancel(why, wall, &mut deeds),
            Input::Late => self.stop(Verdict::TimedOut, Order::Stop(StopWhy::TimedOut), &mut deeds),
            Input::Stop => self.stop(Verdict::Shutdown, Order::Stop(StopWhy::Shutdown), &mut deeds),
            Input::Kill => self.kill(&mut deeds),
        }
        deeds
    }

    /// Says why it is queued; not written down, as it is reckoned anew at each start.
    pub fn explain(&mut self, reason: Option<String>) -> Vec<Deed> {
        let mut deeds = Vec::new();
        if self.is_queued() && self.held.is_none() && self.shown.reason != reason {
            self.change().reason = reason;
            self.show(&mut deeds);
        }
        deeds
    }

    fn take_slot(&mut self, slot: u32, definition: Arc<JobDefinition>, wall: Timestamp, deeds: &mut Vec<Deed>) {
        if !self.is_queued() {
            return deeds.push(Deed::GiveBack(slot));
        }
        match fit(&definition, &self.now().params) {
            Ok(params) => {
                let from = self.now().state;
                let view = self.change();
                view.params = params;
                view.attempt = view.attempt.saturating_add(1);
                (view.state, view.reason, view.progress) = (JobState::Waiting, None, None);
                let number = self.write(deeds);
                self.say(from, deeds);
                self.show(deeds);
                self.phase = Phase::Writing { slot, definition, number, stop: false };
            }
            Err(problems) => {
                let problems = problems.join("; ");
                let message = format!("the parameters do not fit the job as it is configured now: {problems}");
                deeds.push(Deed::GiveBack(slot));
                self.phase = Phase::Over;
                self.settle(
                    JobOutcome::Failed,
                    Some(JobError::new(None, message)),
                    None,
                    JobState::Failed,
                    wall,
                    deeds,
                );
            }
        }
    }

    fn written(&mut self, number: u64, result: Result<(), String>, deeds: &mut Vec<Deed>) {
        match std::mem::replace(&mut self.phase, Phase::Over) {
            Phase::Writing { slot, definition, number: awaited, stop } if awaited == number => match result {
                Ok(()) if !stop => {
                    deeds.push(Deed::Begin { slot, definition: Arc::clone(&definition) });
                    self.phase = Phase::Doing(Doing { slot, definition, verdict: None, after: None });
                }
                result => {
                    let why = result.err().map(|why| format!("its attempt cannot be written down: {why}"));
                    self.unbegin(slot, why, deeds);
                }
            },
            other => self.phase = other,
        }
        if self.held.as_ref().is_some_and(|held| held.until <= number) {
            self.release(deeds);
        }
    }

    /// Nothing of an attempt was begun, so it is none.
    fn unbegin(&mut self, slot: u32, why: Option<String>, deeds: &mut Vec<Deed>) {
        self.phase = Phase::Queued;
        let from = self.now().state;
        let view = self.change();
        view.attempt = view.attempt.saturating_sub(1);
        view.state = JobState::Queued;
        view.reason.clone_from(&why);
        self.write(deeds);
        self.say(from, deeds);
        self.show(deeds);
        deeds.push(Deed::GiveBack(slot));
        deeds.push(if why.is_some() { Deed::Rest(LONGEST_PAUSE) } else { Deed::LineUp });
    }
}

/// The event of a job that went from this state to the one that it is in.
#[must_use]
pub fn told(view: &JobView, from: Option<JobState>) -> EventKind {
    let JobView { id, job, state, reason, outcome, attempt, .. } = view;
    let (id, to, outcome, attempt) = (*id, *state, *outcome, *attempt);
    EventKind::JobState { id, job: job.clone(), from, to, reason: reason.clone(), outcome, attempt }
}

/// Whether there may be another attempt after `error`, which follows these failures. One that poisons the program is followed
/// by one attempt on a clean run, whatever `retries` says, and by none the second time: then it is the job that is at fault.
#[must_use]
pub fn may_retry(definition: &JobDefinition, earlier: &[FailedAttempt], error: &JobError) -> bool {
    let (poisonings, others): (Vec<_>, Vec<_>) = earlier.iter().partition(|attempt| attempt.error.poisons());
    if error.is_permanent() {
        false
    } else if error.poisons() {
        poisonings.is_empty()
    } else {
        u32::try_from(others.len()).is_ok_and(|failures| failures < definition.retries)
    }
}

/// Keeps the reason of an attempt that failed and is followed by another one.
pub fn remember_failure(view: &mut JobView, error: JobError, wall: Timestamp) {
    view.attempts.push(FailedAttempt { attempt: view.attempt, at: wall, error });
    if let Some(older) = view.attempts.len().checked_sub(MOST_TAILS + 1)
        && let Some(attempt) = view.attempts.get_mut(older)
    {
        attempt.error.stderr = Vec::new();
    }
}

/// The pause before the next attempt, after so many that failed before the last one.
fn pause(failures: usize) -> Duration {
    let doublings = u32::try_from(failures).unwrap_or(u32::MAX);
    FIRST_PAUSE.saturating_mul(2_u32.saturating_pow(doublings)).min(LONGEST_PAUSE)
}
