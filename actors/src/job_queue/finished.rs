//! Jobs that have ended lately. Pure.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

use super::params::weight;
use crate::job::{JobError, JobId, JobView};

/// As many are kept.
pub const MOST: usize = 1_000;
/// As many bytes of them are kept, roughly.
pub const MOST_BYTES: usize = 64 << 20;

/// The last ones; older ones are in the history.
#[derive(Debug, Default)]
pub struct Finished {
    order: VecDeque<JobId>,
    jobs: HashMap<JobId, (Arc<JobView>, usize)>,
    bytes: usize,
}

impl Finished {
    /// One has ended.
    pub fn push(&mut self, job: Arc<JobView>) {
        let (id, bytes) = (job.id, bytes(&job));
        self.bytes += bytes;
        if let Some((_, earlier)) = self.jobs.insert(id, (job, bytes)) {
            self.bytes -= earlier;
        } else {
            self.order.push_back(id);
        }
        while self.order.len() > MOST || (self.bytes > MOST_BYTES && self.order.len() > 1) {
            let Some(oldest) = self.order.pop_front() else { break };
            self.bytes -= self.jobs.remove(&oldest).map_or(0, |(_, bytes)| bytes);
        }
    }

    /// One of them.
    #[must_use]
    pub fn get(&self, id: JobId) -> Option<&Arc<JobView>> {
        self.jobs.get(&id).map(|(job, _)| job)
    }

    /// All of them, newest first.
    pub fn newest_first(&self) -> impl Iterator<Item = &Arc<JobView>> {
        self.order.iter().rev().filter_map(|id| self.get(*id))
    }
}

/// About as many bytes as it takes.
#[must_use]
pub fn bytes(job: &JobView) -> usize {
    let error = |error: &JobError| error.message.len() + error.stderr.iter().map(|line| 24 + line.len()).sum::<usize>();
    let params: usize = job.params.iter().map(|(name, value)| 16 + name.len() + weight(value)).sum();
    let errors: usize = job.error.iter().chain(job.attempts.iter().map(|earlier| &earlier.error)).map(error).sum();
    let result = job.result.as_ref().map_or(0, |made| {
        made.files.iter().map(|name| 24 + name.len()).sum::<usize>() + made.json.as_ref().map_or(0, weight)
    });
    size_of::<JobView>() + params + errors + result
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::job_queue::sample::queued;

    #[test]
    fn the_newest_are_kept_by_number_and_by_bytes() {
        let mut finished = Finished::default();
        let ids: Vec<JobId> = (0..1_100)
            .map(|at| {
                let job = queued("image", at);
                let id = job.id;
                finished.push(Arc::new(job));
                id
            })
            .collect();
        assert_eq!(finished.newest_first().count(), MOST);
        assert!(finished.get(ids[99]).is_none() && finished.get(ids[100]).is_some());
        assert_eq!(finished.newest_first().next().map(|job| job.id), ids.last().copied());
        let large = |at| {
            let mut job = queued("image", at);
            job.params.insert("prompt".to_owned(), Value::from("x".repeat(MOST_BYTES / 3)));
            Arc::new(job)
        };
        (0..4).for_each(|at| finished.push(large(at)));
        assert_eq!(finished.newest_first().count(), 2);
        let last = finished.newest_first().next().cloned().expect("the last");
        finished.push(Arc::clone(&last));
        assert_eq!(finished.newest_first().count(), 2, "one that comes twice is one");
    }
}
