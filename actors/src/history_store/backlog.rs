//! Records that are not on disk yet, bounded by number and by bytes, and the pauses between tries. Pure.
//!
//! Jobs have a place of their own: of each the newest row alone waits, as it takes the place of the one before on disk as
//! well, and no number of events and requests pushes one out. What a job has come to is found nowhere else; without it the
//! next runtime would do the work again.

use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

use super::messages::Record;
use crate::{
    ids::ServiceName,
    job::{JobError, JobId, JobView},
};

/// The most records kept: some hours of a box in trouble, some minutes of one in a crash loop everywhere.
pub const MOST_RECORDS: usize = 10_000;
/// The most bytes they may take together, by estimate.
pub const MOST_BYTES: usize = 32 << 20;

/// First pause after a failed try. It doubles up to [`LONGEST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// The longest pause: what was in the way may be gone for this long before it is noticed.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// The pause after so many failed tries in a row (1 for the first).
#[must_use]
pub fn pause(tries: u32) -> Duration {
    FIRST_PAUSE.saturating_mul(1 << tries.saturating_sub(1).min(16)).min(LONGEST_PAUSE)
}

/// The records that wait.
#[derive(Debug, Default)]
pub struct Backlog {
    /// All but jobs, oldest first.
    records: VecDeque<Record>,
    /// The newest row of each job.
    jobs: BTreeMap<JobId, Record>,
    bytes: usize,
}

impl Backlog {
    /// Adds a record. Past the bounds others go, and their number comes back: the oldest of all that are no jobs, and after
    /// them the jobs that came last. Nothing is accepted that is not on disk, so these were refused already while the disk
    /// took nothing.
    pub fn push(&mut self, record: Record) -> u64 {
        self.bytes += weight(&record);
        match record {
            Record::Job(job) => {
                let before = self.jobs.insert(job.id, Record::Job(job));
                self.bytes -= before.as_ref().map_or(0, weight);
            }
            other => self.records.push_back(other),
        }
        let mut dropped = 0;
        // The last one stays even if it is too heavy by itself.
        while self.len() > 1 && (self.len() > MOST_RECORDS || self.bytes > MOST_BYTES) {
            let gone = self.records.pop_front().or_else(|| self.jobs.pop_last().map(|(_, job)| job));
            self.bytes -= gone.as_ref().map_or(0, weight);
            dropped += 1;
        }
        dropped
    }

    /// Whether one more record may push out an old one.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.len() >= MOST_RECORDS || self.bytes >= MOST_BYTES / 2
    }

    /// How many wait.
    #[must_use]
    pub fn len(&self) -> usize {
        self.records.len() + self.jobs.len()
    }

    /// All of them: the jobs, then the others, oldest first.
    pub fn all(&self) -> impl Iterator<Item = &Record> {
        self.jobs.values().chain(&self.records)
    }

    /// Those of jobs that have come to something.
    pub fn ends(&self) -> impl Iterator<Item = &Record> {
        self.jobs.values().filter(|record| is_end(record))
    }

    /// Forgets these: they are on disk.
    pub fn clear_ends(&mut self) {
        let gone: usize = self.ends().map(weight).sum();
        self.bytes -= gone;
        self.jobs.retain(|_, record| !is_end(record));
    }

    /// Forgets all: they are on disk.
    pub fn clear(&mut self) {
        self.records.clear();
        self.jobs.clear();
        self.bytes = 0;
        // A burst's memory is not kept for ever.
        self.records.shrink_to(256);
    }
}

/// Whether it tells what has become of a job.
fn is_end(record: &Record) -> bool {
    matches!(record, Record::Job(job) if job.outcome.is_some())
}

/// About how many bytes a record takes in memory: its own size and that of the texts in it.
fn weight(record: &Record) -> usize {
    let texts = match record {
        Record::RunStarted { command, .. } => lines(command),
        Record::RunEnded { exit, .. } => lines(&exit.stderr),
        Record::RunReady { .. } => 0,
        Record::Peak(peak) => {
            lines(&peak.command) + peak.key.len() + peak.file.as_ref().map_or(0, |file| file.as_os_str().len())
        }
        Record::Event(event) => event_texts(&event.kind),
        Record::Request { row, .. } => {
            row.model.as_ref().map_or(0, String::len) + row.error.as_ref().map_or(0, String::len)
        }
        Record::Job(job) => job_texts(job),
        Record::ShutdownReport { report, .. } => json(report),
    };
    size_of::<Record>() + texts
}

fn lines(lines: &[String]) -> usize {
    lines.iter().map(|line| size_of::<String>() + line.len()).sum()
}

fn job_texts(job: &JobView) -> usize {
    let error = |error: &JobError| error.message.len() + lines(&error.stderr);
    let result = job.result.as_ref();
    let params: usize = job.params.iter().map(|(name, value)| name.len() + json(value)).sum();
    let errors: usize = job.error.iter().chain(job.attempts.iter().map(|earlier| &earlier.error)).map(error).sum();
    let made = result.map_or(0, |made| lines(&made.files) + made.json.as_ref().map_or(0, json));
    size_of::<JobView>() + params + errors + made + job.reason.as_ref().map_or(0, String::len)
}

fn event_texts(kind: &crate::event::EventKind) -> usize {
    use crate::event::EventKind as Kind;
    let text = |t: &Option<String>| t.as_ref().map_or(0, String::len);
    match kind {
        Kind::ServiceState { reason, exit, .. } => text(reason) + exit.as_ref().map_or(0, |e| lines(&e.stderr)),
        Kind::ServiceLoad { load, .. } => load.phase.len(),
        Kind::AlertRaised { alert, message, .. } => alert.len() + message.len(),
        Kind::AlertCleared { alert, .. } => alert.len(),
        Kind::RuntimeState { state, reason } => state.len() + text(reason),
        Kind::ConfigReloaded { changed, live, restarted, added, removed, next_start } => {
            let names = [live, restarted, added, removed].into_iter().flatten();
            let names: usize = names.map(|name| size_of::<ServiceName>() + name.as_str().len()).sum();
            lines(changed) + names + lines(next_start)
        }
        // Some names each, and rare.
        Kind::PlanDecided { offload, .. } | Kind::SwapDone { from: offload, .. } => {
            size_of::<Kind>() + offload.iter().map(|name| size_of::<ServiceName>() + name.as_str().len()).sum::<usize>()
        }
        Kind::JobState { reason, .. } => text(reason),
        Kind::JobProgress { .. } | Kind::Gap { .. } => 0,
    }
}

fn json(value: &serde_json::Value) -> usize {
    use serde_json::Value;
    let parts = match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => 0,
        Value::String(text) => text.len(),
        Value::Array(values) => values.iter().map(json).sum(),
        Value::Object(fields) => fields.iter().map(|(name, v)| name.len() + json(v)).sum(),
    };
    size_of::<Value>() + parts
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{
        ids::{Pid, RunId},
        job::{JobOutcome, sample::queued},
        time::Timestamp,
    };

    fn started(bytes: usize) -> Record {
        let (run, at) = (RunId::fresh(), Timestamp::from_micros(0));
        let service = "chat".parse().expect("a name");
        Record::RunStarted { run, service, pid: Pid(1), command: vec!["x".repeat(bytes)], at }
    }

    #[test]
    fn the_oldest_go_first() {
        let mut backlog = Backlog::default();
        let first = started(1);
        assert_eq!(backlog.push(first.clone()), 0);
        let dropped: u64 = (0..MOST_RECORDS).map(|_| backlog.push(started(1))).sum();
        assert_eq!((dropped, backlog.len()), (1, MOST_RECORDS));
        assert!(!backlog.all().any(|record| *record == first));
        backlog.clear();
        assert_eq!((backlog.len(), backlog.bytes), (0, 0));
    }

    #[test]
    fn of_a_job_the_newest_row_waits_and_nothing_but_jobs_pushes_one_out() {
        let job = |job: &JobView| Record::Job(Box::new(job.clone()));
        let mut backlog = Backlog::default();
        let mut first = queued("image", 1);
        assert_eq!(backlog.push(job(&first)), 0);
        first.attempt = 7;
        assert_eq!((backlog.push(job(&first)), backlog.len()), (0, 1));
        let alone = backlog.bytes;
        let dropped: u64 = (0..2 * MOST_RECORDS).map(|_| backlog.push(started(1))).sum();
        assert_eq!((dropped, backlog.len()), (MOST_RECORDS as u64 + 1, MOST_RECORDS));
        assert_eq!(backlog.all().next(), Some(&job(&first)));
        // Of more jobs than there is room for, the ones that were accepted first stay.
        let dropped: u64 = (0..MOST_RECORDS).map(|_| backlog.push(job(&queued("image", 2)))).sum();
        assert_eq!((dropped, backlog.len()), (MOST_RECORDS as u64, MOST_RECORDS));
        assert!(backlog.records.is_empty() && backlog.jobs.contains_key(&first.id));
        backlog.clear();
        assert_eq!(backlog.push(job(&first)), 0);
        assert_eq!((backlog.bytes, backlog.ends().count()), (alone, 0), "it is still open");
        let over = JobView { outcome: Some(JobOutcome::Failed), ..queued("image", 3) };
        backlog.push(job(&over));
        assert_eq!(backlog.ends().collect::<Vec<_>>(), [&job(&over)]);
        backlog.clear_ends();
        assert_eq!((backlog.bytes, backlog.len()), (alone, 1));
    }

    #[test]
    fn pauses_double_up_to_the_longest() {
        let seconds: Vec<u64> = (1..8).map(|tries| pause(tries).as_secs()).collect();
        assert_eq!(seconds, [1, 2, 4, 5, 5, 5, 5]);
        assert_eq!(pause(u32::MAX), LONGEST_PAUSE);
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, cases: 32, ..ProptestConfig::default() })]

        #[test]
        fn neither_bound_is_passed_and_nothing_is_lost_uncounted(
            sizes in prop::collection::vec(0_usize..(MOST_BYTES / 3), 1..40)
        ) {
            let mut backlog = Backlog::default();
            let mut dropped = 0;
            for (n, &size) in sizes.iter().enumerate() {
                dropped += backlog.push(started(size));
                prop_assert!(backlog.len() <= MOST_RECORDS);
                prop_assert!(backlog.bytes <= MOST_BYTES);
                prop_assert_eq!(backlog.len() as u64 + dropped, n as u64 + 1);
            }
        }
    }
}
