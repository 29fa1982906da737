//! What is seen of a job, and when. Pure.

use std::sync::Arc;

use super::{Deed, Doing, Held, Job, Phase, Verdict, told};
use crate::job::{JobError, JobOutcome, JobState, JobView};

impl Job {
    /// The newest of it, also what is not to be seen yet.
    pub(super) fn now(&self) -> &JobView {
        self.held.as_ref().map_or(&self.shown, |held| &held.view)
    }

    pub(super) fn change(&mut self) -> &mut JobView {
        match &mut self.held {
            Some(held) => &mut held.view,
            None => Arc::make_mut(&mut self.shown),
        }
    }

    pub(super) fn write(&mut self, deeds: &mut Vec<Deed>) -> u64 {
        let mut row = Box::new(self.now().clone());
        if let Phase::Doing(Doing { verdict: Some(Verdict::Cancelled(why)), .. }) = &self.phase
            && row.outcome.is_none()
        {
            (row.outcome, row.error) = (Some(JobOutcome::Cancelled), Some(JobError::new(None, why.clone())));
        }
        self.writes += 1;
        deeds.push(Deed::Write { row, number: self.writes });
        self.writes
    }

    pub(super) fn say(&mut self, from: JobState, deeds: &mut Vec<Deed>) {
        let kind = told(self.now(), Some(from));
        match &mut self.held {
            Some(held) => held.unsaid.push(kind),
            None => deeds.push(Deed::Tell(kind)),
        }
    }

    pub(super) fn show(&self, deeds: &mut Vec<Deed>) {
        if self.held.is_none() {
            deeds.push(Deed::Show(Arc::clone(&self.shown)));
        }
    }

    pub(super) fn release(&mut self, deeds: &mut Vec<Deed>) {
        let Some(Held { view, unsaid, .. }) = self.held.take() else { return };
        self.shown = Arc::new(*view);
        deeds.extend(unsaid.into_iter().map(Deed::Tell));
        self.show(deeds);
        if self.shown.state.is_final() {
            deeds.push(Deed::Gone);
        }
    }
}
