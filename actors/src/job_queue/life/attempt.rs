//! How an attempt fares and ends. Pure.

use std::{sync::Arc, time::Duration};

use super::{After, Deed, Doing, Held, Job, Phase, Verdict, may_retry, pause, remember_failure};
use crate::{
    event::EventKind,
    failure::FailureClass,
    job::{JobError, JobOutcome, JobResult, JobState, JobView},
    job_queue::attempt::{AttemptEnd, AttemptNews},
    spec::JobDefinition,
    time::Timestamp,
};

impl Job {
    pub(super) fn news(&mut self, news: AttemptNews, wall: Timestamp, deeds: &mut Vec<Deed>) {
        let state = self.now().state;
        let Phase::Doing(doing) = &mut self.phase else { return };
        match news {
            AttemptNews::Waiting(reason) if doing.after.is_none() && state == JobState::Waiting => {
                if self.shown.reason.as_ref() != Some(&reason) {
                    self.change().reason = Some(reason);
                    self.show(deeds);
                }
            }
            AttemptNews::Running if doing.after.is_none() && state == JobState::Waiting => {
                if !doing.definition.timeout.is_zero() && doing.verdict.is_none() {
                    deeds.push(Deed::Watch(doing.definition.timeout));
                }
                let view = self.change();
                (view.state, view.started, view.reason) = (JobState::Running, Some(wall), None);
                self.write(deeds);
                self.say(state, deeds);
                self.show(deeds);
            }
            AttemptNews::Progress(progress) if doing.after.is_none() && state == JobState::Running => {
                self.change().progress = Some(progress);
                let JobView { id, job, .. } = &*self.shown;
                deeds.push(Deed::Tell(EventKind::JobProgress { id: *id, job: job.clone(), progress }));
                self.show(deeds);
            }
            AttemptNews::Ended(end) if doing.after.is_none() => self.ended(end, wall, deeds),
            AttemptNews::Over => {
                if doing.after.is_none() {
                    let end = match doing.verdict {
                        Some(_) => AttemptEnd::Stopped,
                        None => AttemptEnd::Failed(JobError::new(
                            Some(FailureClass::Unknown),
                            "its work ended without a word about how",
                        )),
                    };
                    self.ended(end, wall, deeds);
                }
                self.over(deeds);
            }
            // Too late, or twice.
            AttemptNews::Waiting(_) | AttemptNews::Running | AttemptNews::Progress(_) | AttemptNews::Ended(_) => {}
        }
    }

    /// Its work has ended; what was used is being cleaned up from now on.
    pub(super) fn ended(&mut self, end: AttemptEnd, wall: Timestamp, deeds: &mut Vec<Deed>) {
        let Phase::Doing(Doing { definition, verdict, .. }) = &self.phase else { return };
        let (definition, verdict) = (Arc::clone(definition), verdict.clone());
        deeds.push(Deed::Unwatch);
        match (verdict, end) {
            // Who took it back has been told so: what its work says now changes nothing.
            (Some(Verdict::Cancelled(why)), _) => {
                self.conclude(JobOutcome::Cancelled, Some(JobError::new(None, why)), None, wall, deeds);
            }
            (_, AttemptEnd::Done(result)) => self.conclude(JobOutcome::Succeeded, None, Some(result), wall, deeds),
            (_, AttemptEnd::Failed(error)) => self.failed(&definition, error, wall, deeds),
            (Some(Verdict::Shutdown), AttemptEnd::Stopped) => {
                let reason = "the runtime was stopped while it was at work; it goes on with the next start";
                self.go_on(After::NextStart, reason.to_owned(), deeds);
            }
            (Some(Verdict::TimedOut), AttemptEnd::Stopped) => {
                let message = format!("it ran for longer than it may (timeout = {:?})", definition.timeout);
                self.failed(&definition, JobError::new(Some(FailureClass::Timeout), message), wall, deeds);
            }
            (None, AttemptEnd::Stopped) => {
                let message = "its work was stopped, and not by the queue";
                self.failed(&definition, JobError::new(Some(FailureClass::Unknown), message), wall, deeds);
            }
        }
    }

    pub(super) fn failed(
        &mut self,
        definition: &JobDefinition,
        error: JobError,
        wall: Timestamp,
        deeds: &mut Vec<Deed>,
    ) {
        let failures = self.now().attempts.len();
        if !may_retry(definition, &self.now().attempts, &error) {
            return self.conclude(JobOutcome::Failed, Some(error), None, wall, deeds);
        }
        let reason = format!("attempt {} failed and is made again: {}", self.now().attempt, error.message);
        // On the run that is restarted for it, before somebody else has used that.
        let pause = if error.poisons() { Duration::ZERO } else { pause(failures) };
        remember_failure(self.change(), error, wall);
        self.go_on(After::Retry(pause), reason, deeds);
    }

    /// Another attempt follows, once all is cleaned up.
    pub(super) fn go_on(&mut self, after: After, reason: String, deeds: &mut Vec<Deed>) {
        let from = self.now().state;
        let view = self.change();
        (view.state, view.reason, view.progress) = (JobState::Cleaning, Some(reason), None);
        self.write(deeds);
        self.say(from, deeds);
        self.show(deeds);
        if let Phase::Doing(doing) = &mut self.phase {
            doing.after = Some(after);
        }
    }

    /// What became of it is known; it is told once it is on disk.
    pub(super) fn conclude(
        &mut self,
        outcome: JobOutcome,
        error: Option<JobError>,
        result: Option<JobResult>,
        wall: Timestamp,
        deeds: &mut Vec<Deed>,
    ) {
        if let Phase::Doing(doing) = &mut self.phase {
            doing.after = Some(After::End(outcome));
        }
        self.settle(outcome, error, result, JobState::Cleaning, wall, deeds);
    }

    pub(super) fn settle(
        &mut self,
        outcome: JobOutcome,
        error: Option<JobError>,
        result: Option<JobResult>,
        state: JobState,
        wall: Timestamp,
        deeds: &mut Vec<Deed>,
    ) {
        let from = self.now().state;
        if self.held.is_none() {
            let (view, until) = (Box::new((*self.shown).clone()), u64::MAX);
            self.held = Some(Held { view, until, unsaid: Vec::new() });
        }
        let view = self.change();
        (view.state, view.outcome, view.progress) = (state, Some(outcome), None);
        view.reason = error.as_ref().map(|error| error.message.clone());
        (view.error, view.result, view.finished) = (error, result, Some(wall));
        let number = self.write(deeds);
        if let Some(held) = &mut self.held {
            held.until = number;
        }
        self.say(from, deeds);
    }

    /// All is cleaned up.
    pub(super) fn over(&mut self, deeds: &mut Vec<Deed>) {
        let Phase::Doing(Doing { slot, after: Some(after), .. }) = &self.phase else { return };
        let (slot, after) = (*slot, *after);
        deeds.push(Deed::GiveBack(slot));
        let from = self.now().state;
        let state = match after {
            After::End(outcome) => outcome.state(),
            After::Retry(_) | After::NextStart => JobState::Queued,
        };
        self.phase = if state.is_final() { Phase::Over } else { Phase::Queued };
        self.change().state = state;
        self.write(deeds);
        self.say(from, deeds);
        self.show(deeds);
        match after {
            After::End(_) if self.held.is_none() => deeds.push(Deed::Gone),
            // It goes when its outcome has been told.
            After::End(_) => {}
            After::Retry(Duration::ZERO) => deeds.push(Deed::LineUp),
            After::Retry(pause) => deeds.push(Deed::Rest(pause)),
            After::NextStart => deeds.push(Deed::LineUp),
        }
    }
}
