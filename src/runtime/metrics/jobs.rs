//! Jobs that have come to their end, as the event bus tells them.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
};

use greenroom_actors::{
    event::EventKind,
    job::{JobName, JobState},
};

/// Counts of jobs by their kind and the state in which they have ended. Ends of jobs are rare, so a lock does.
#[derive(Debug, Default)]
pub struct EndedJobs(Mutex<BTreeMap<(JobName, JobState), u64>>);

impl EndedJobs {
    /// Takes an event; any other than the end of a job is passed over.
    pub fn hear(&self, event: &EventKind) {
        let EventKind::JobState { job, to, .. } = event else { return };
        if to.is_final() {
            let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            *counts.entry((job.clone(), *to)).or_default() += 1;
        }
    }

    /// How many have ended so, by kind and state.
    #[must_use]
    pub fn read(&self) -> BTreeMap<(JobName, JobState), u64> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

#[cfg(test)]
mod tests {
    use greenroom_actors::job::JobId;

    use super::*;

    #[test]
    fn ends_count_by_kind_and_state_and_nothing_else_does() {
        let ended = EndedJobs::default();
        let name = |text: &str| -> JobName { text.parse().expect("a name") };
        let hear = |job: &str, from, to| {
            let (id, job) = (JobId::fresh(), name(job));
            ended.hear(&EventKind::JobState { id, job, from, to, reason: None, outcome: None, attempt: 1 });
        };
        hear("image", None, JobState::Queued);
        hear("image", Some(JobState::Queued), JobState::Cancelled);
        for _ in 0..2 {
            hear("image", Some(JobState::Running), JobState::Cleaning);
            hear("image", Some(JobState::Cleaning), JobState::Succeeded);
        }
        hear("tts", Some(JobState::Cleaning), JobState::Failed);
        ended.hear(&EventKind::Gap { missed: 3 });
        let wanted = [
            ((name("image"), JobState::Succeeded), 2),
            ((name("image"), JobState::Cancelled), 1),
            ((name("tts"), JobState::Failed), 1),
        ];
        assert_eq!(ended.read(), BTreeMap::from(wanted));
    }
}
