//! What is asked of the queue and changes nothing. Pure.

use std::{collections::BTreeMap, sync::Arc};

use super::{Alarm, Queue};
use crate::{
    job::{JobId, JobName, JobState, JobView},
    job_queue::{
        life::Job,
        messages::{CancelError, ListJobs},
    },
};

impl Queue {
    /// How many jobs there are, by kind and state, of those that are open.
    #[must_use]
    pub fn count(&self) -> BTreeMap<(JobName, JobState), u64> {
        let mut counts = BTreeMap::new();
        for job in self.jobs.values() {
            *counts.entry((job.view().job.clone(), job.view().state)).or_default() += 1;
        }
        counts
    }

    /// One job, open or ended lately.
    #[must_use]
    pub fn get(&self, id: JobId) -> Option<&Arc<JobView>> {
        self.jobs.get(&id).map(Job::view).or_else(|| self.finished.get(id))
    }

    /// Which write of an open job was the last one.
    #[must_use]
    pub fn last_write(&self, id: JobId) -> Option<u64> {
        self.jobs.get(&id).map(Job::writes)
    }

    /// Whether it can be taken back.
    ///
    /// # Errors
    /// See [`CancelError`].
    pub fn may_cancel(&self, id: JobId) -> Result<(), CancelError> {
        if self.is_ending() {
            return Err(CancelError::Stopping);
        }
        match self.jobs.get(&id).map(Job::outcome) {
            Some(None) => Ok(()),
            Some(Some(outcome)) => Err(CancelError::Over { id, state: outcome.state() }),
            None => match self.finished.get(id) {
                Some(job) => Err(CancelError::Over { id, state: job.state }),
                None => Err(CancelError::Unknown(id)),
            },
        }
    }

    /// Jobs that are at work, then those that wait, in the order in which they would be begun, then those that have ended
    /// lately, newest first; only those that `list` asks for.
    #[must_use]
    pub fn list(&self, list: &ListJobs) -> Vec<Arc<JobView>> {
        let limit = if list.limit == 0 { 100 } else { list.limit };
        let is_meant = |view: &&Arc<JobView>| {
            list.job.as_ref().is_none_or(|job| *job == view.job)
                && (list.states.is_empty() || list.states.contains(&view.state))
        };
        let at_work = self.by_turn(self.at_work.iter());
        let rested = |id: &&JobId| self.alarm_of.get(id).is_some_and(|(_, alarm)| *alarm == Alarm::Rested);
        let resting = self.by_turn(self.alarm_of.keys().filter(rested));
        let waits = list.states.is_empty() || list.states.contains(&JobState::Queued);
        let waiting = waits.then(|| self.lines.waiting(list.job.as_ref())).into_iter().flatten();
        let waiting = waiting.filter_map(|id| self.jobs.get(&id).map(Job::view));
        let all = at_work.chain(resting).chain(waiting).chain(self.finished.newest_first());
        all.filter(is_meant).take(limit).cloned().collect()
    }

    /// These of the open ones, in the order of their turns.
    pub(super) fn by_turn<'a>(
        &'a self,
        ids: impl Iterator<Item = &'a JobId>,
    ) -> impl Iterator<Item = &'a Arc<JobView>> {
        let mut jobs: Vec<&Job> = ids.filter_map(|id| self.jobs.get(id)).collect();
        jobs.sort_by_key(|job| job.turn());
        jobs.into_iter().map(Job::view)
    }

    /// How many jobs are open, and how many bytes their parameters take.
    #[must_use]
    pub fn open(&self) -> (usize, usize) {
        (self.jobs.len(), self.bytes)
    }

    /// Whether this one is open.
    #[must_use]
    pub fn is_open(&self, id: JobId) -> bool {
        self.jobs.contains_key(&id)
    }

    /// Whether nobody is at work on a job.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.at_work.is_empty()
    }

    /// Whether the runtime stops.
    #[must_use]
    pub fn is_ending(&self) -> bool {
        self.ending.is_some()
    }
}
