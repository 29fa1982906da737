//! How a job is taken back, and how its work is stopped. Pure.

use super::{Deed, Doing, Job, Phase, Verdict};
use crate::{
    job::{JobError, JobOutcome, JobState},
    job_queue::attempt::{Order, StopWhy},
    time::Timestamp,
};

impl Job {
    pub(super) fn cancel(&mut self, why: String, wall: Timestamp, deeds: &mut Vec<Deed>) {
        let outcome = JobOutcome::Cancelled;
        let error = JobError::new(None, why.clone());
        match &mut self.phase {
            _ if self.held.is_some() || self.shown.outcome.is_some() => {}
            Phase::Over => {}
            Phase::Queued => {
                deeds.push(Deed::Leave);
                self.phase = Phase::Over;
                self.settle(outcome, Some(error), None, JobState::Cancelled, wall, deeds);
            }
            Phase::Writing { slot, .. } => {
                deeds.push(Deed::GiveBack(*slot));
                self.phase = Phase::Over;
                self.settle(outcome, Some(error), None, JobState::Cancelled, wall, deeds);
            }
            Phase::Doing(Doing { after: Some(_), .. }) => self.conclude(outcome, Some(error), None, wall, deeds),
            Phase::Doing(Doing { verdict: Some(Verdict::Cancelled(_)), .. }) => {}
            Phase::Doing(doing) => {
                doing.verdict = Some(Verdict::Cancelled(why));
                self.change().reason = Some("it is cancelled as soon as its work has stopped".to_owned());
                // With the outcome, which nothing changes any more: a runtime that is killed now has cancelled it.
                self.write(deeds);
                self.show(deeds);
                deeds.push(Deed::Order(Order::Stop(StopWhy::Cancelled)));
            }
        }
    }

    pub(super) fn stop(&mut self, why: Verdict, order: Order, deeds: &mut Vec<Deed>) {
        match &mut self.phase {
            Phase::Writing { stop, .. } => *stop = true,
            Phase::Doing(Doing { verdict: verdict @ None, after: None, .. }) => {
                *verdict = Some(why);
                deeds.push(Deed::Order(order));
            }
            Phase::Queued | Phase::Doing(_) | Phase::Over => {}
        }
    }

    pub(super) fn kill(&mut self, deeds: &mut Vec<Deed>) {
        match &mut self.phase {
            Phase::Writing { stop, .. } => *stop = true,
            Phase::Doing(doing) => {
                doing.verdict.get_or_insert(Verdict::Shutdown);
                deeds.push(Deed::Order(Order::Kill));
            }
            Phase::Queued | Phase::Over => {}
        }
    }
}
