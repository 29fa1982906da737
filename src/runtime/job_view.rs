//! What is said of jobs beside themselves: why something is refused, how many there are, which one somebody means. Pure.

use std::{collections::BTreeMap, sync::Arc};

use greenroom_actors::{
    job::{JobId, JobName, JobState, JobView},
    job_queue::messages::{CancelError, SubmitError},
};
use serde::Serialize;

/// Why something that is wanted of jobs is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JobRefusal {
    /// It is not accepted.
    #[error(transparent)]
    Submit(SubmitError),
    /// Nobody knows it.
    #[error("there is no job {0}")]
    Unknown(JobId),
    /// It has come to its end.
    #[error("job {id} is {} already", .state.name())]
    Over {
        /// Which one.
        id: JobId,
        /// How it ended.
        state: JobState,
    },
    /// It has not come to its end.
    #[error("job {id} is {} still", .state.name())]
    Open {
        /// Which one.
        id: JobId,
        /// Where it stands.
        state: JobState,
    },
    /// Its files have been removed: they are kept for `keep_output`.
    #[error("the files of job {0} are kept no more (job.NAME.keep_output)")]
    Expired(JobId),
    /// It has made no file of that name.
    #[error("job {id} has made no file `{name}`; it has made {}", list(.known))]
    NoFile {
        /// Which one.
        id: JobId,
        /// What was asked for.
        name: String,
        /// What it has made.
        known: Vec<String>,
    },
    /// Its files cannot be read.
    #[error("the files of the job cannot be read: {0}")]
    Unreadable(String),
    /// The history cannot be read.
    #[error("the history cannot be read: {0}")]
    History(String),
    /// The runtime is stopping.
    #[error("the runtime is stopping")]
    Stopping,
}

impl From<SubmitError> for JobRefusal {
    fn from(error: SubmitError) -> Self {
        match error {
            SubmitError::Stopping => Self::Stopping,
            other => Self::Submit(other),
        }
    }
}

impl From<CancelError> for JobRefusal {
    fn from(error: CancelError) -> Self {
        match error {
            CancelError::Unknown(id) => Self::Unknown(id),
            CancelError::Over { id, state } => Self::Over { id, state },
            CancelError::Stopping => Self::Stopping,
        }
    }
}

fn list(names: &[String]) -> String {
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}

/// A file that a job has made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct OutputFile {
    /// Its name below the output folder of the job.
    pub name: String,
    /// Its size in bytes.
    pub size: u64,
}

/// How many jobs of a kind are in a state; at least one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct JobCount {
    /// The kind.
    pub job: JobName,
    /// The state.
    pub state: JobState,
    /// How many.
    pub count: u64,
}

impl JobCount {
    /// Of these, by kind and then in the order of a life.
    #[must_use]
    pub fn of<'a>(jobs: impl Iterator<Item = (&'a JobName, JobState)>) -> Vec<Self> {
        let mut counts: BTreeMap<(&JobName, JobState), u64> = BTreeMap::new();
        for job in jobs {
            *counts.entry(job).or_default() += 1;
        }
        counts.into_iter().map(|((job, state), count)| Self { job: job.clone(), state, count }).collect()
    }
}

/// The jobs that somebody may mean who has not written a whole id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Meant {
    /// The one that was submitted last.
    Last,
    /// Those whose ids lie between these two, both included: they begin with the same letters.
    Between(JobId, JobId),
}

/// How many are told where more than one is meant.
pub const MOST_FOUND: usize = 10;
/// Letters of an id.
const LETTERS: usize = 26;

impl Meant {
    /// Reads `last`, or what an id begins with. `None` for what no id begins with.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        if text == "last" {
            return Some(Self::Last);
        }
        let missing = LETTERS.checked_sub(text.len())?;
        // A higher one would begin a number of more than 128 bits.
        text.bytes().next().filter(|first| (b'0'..=b'7').contains(first))?;
        let whole = |fill: &str| format!("{}{}", text.to_ascii_uppercase(), fill.repeat(missing)).parse().ok();
        Some(Self::Between(whole("0")?, whole("Z")?))
    }

    /// Those of `jobs` that are meant, newest first, each once; at most [`MOST_FOUND`]. Of the same job the first counts.
    #[must_use]
    pub fn of(self, jobs: impl Iterator<Item = Arc<JobView>>) -> Vec<Arc<JobView>> {
        let mut found: BTreeMap<JobId, Arc<JobView>> = BTreeMap::new();
        for job in jobs {
            let is_meant = match self {
                Self::Last => true,
                Self::Between(first, last) => (first..=last).contains(&job.id),
            };
            if is_meant {
                found.entry(job.id).or_insert(job);
            }
            // The oldest ones go, so that this takes no more room than what it gives.
            if found.len() > MOST_FOUND {
                found.pop_first();
            }
        }
        let most = if self == Self::Last { 1 } else { MOST_FOUND };
        found.into_values().rev().take(most).collect()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn job(id: &str, kind: &str, state: &str) -> Arc<JobView> {
        let view = json!({
            "id": id, "job": kind, "state": state, "outcome": null, "reason": null, "params": {}, "priority": 0,
            "attempt": 0, "progress": null, "submitted": "2026-11-21T09:00:00Z", "started": null, "finished": null,
            "error": null, "result": null,
        });
        Arc::new(serde_json::from_value(view).expect("a job"))
    }

    const A: &str = "01M7YVGCFCM54YTD4HWH511JAP";
    const B: &str = "01M7YVGCFCM54YTD4HWH511JAQ";
    const C: &str = "01M7YVHA4MWQFYWNHPZPHN8PVT";

    #[test]
    fn an_id_may_be_begun_and_the_last_one_named() {
        let all = || [job(A, "image", "queued"), job(C, "tts", "failed"), job(B, "image", "running")].into_iter();
        let found = |text: &str| -> Vec<String> {
            Meant::parse(text).expect(text).of(all()).iter().map(|view| view.id.to_string()).collect()
        };
        assert_eq!(found("last"), [C]);
        assert_eq!(found("01m7yvg"), [B, A]);
        assert_eq!(found(A), [A]);
        assert_eq!(found("0"), [C, B, A]);
        assert_eq!(found("02"), [""; 0]);
    }

    #[test]
    fn what_no_id_begins_with_is_none() {
        for text in ["", "!", "8", "Z", "01M7YVGCFCM54YTD4HWH511JAPX", "01 M", "ä"] {
            assert_eq!(Meant::parse(text), None, "{text}");
        }
    }

    #[test]
    fn one_that_is_told_twice_counts_once_and_the_first_time() {
        let twice = [job(A, "image", "running"), job(A, "image", "queued")];
        let found = Meant::Last.of(twice.into_iter());
        assert_eq!(found.iter().map(|view| view.state).collect::<Vec<_>>(), [JobState::Running]);
        let many = (10..40).map(|n| job(&format!("01M7YVGCFCM54YTD4HWH5110{n}"), "image", "queued"));
        let ids: Vec<String> =
            Meant::parse("01").expect("a beginning").of(many).iter().map(|v| v.id.to_string()).collect();
        assert_eq!((ids.len(), ids[0].as_str()), (MOST_FOUND, "01M7YVGCFCM54YTD4HWH511039"));
    }

    #[test]
    fn counts_are_by_kind_and_in_the_order_of_a_life() {
        let jobs = [
            job(A, "tts", "running"),
            job(B, "image", "waiting"),
            job(C, "image", "queued"),
            job(C, "image", "queued"),
        ];
        let told: Vec<_> = JobCount::of(jobs.iter().map(|view| (&view.job, view.state)))
            .into_iter()
            .map(|count| (count.job.to_string(), count.state.name(), count.count))
            .collect();
        let line = |job: &str, state, count| (job.to_owned(), state, count);
        assert_eq!(told, [line("image", "queued", 2), line("image", "waiting", 1), line("tts", "running", 1)]);
    }
}
