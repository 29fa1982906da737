//! Takes away the folders of jobs that ended long ago.
//!
//! Only folders below `jobs/` whose name is that of a job are ever touched, and no link is followed. First the disk is looked
//! at, then the queue says which of the jobs found are open, and then the others are judged: a job that was not open after
//! its folder was found never is again, so no folder is taken away from one that needs it.

use std::{
    collections::{BTreeMap, HashMap},
    fs,
    path::Path,
    sync::Arc,
    time::Duration,
};

use super::attempt::JobFolder;
use crate::{
    cause::chain,
    history_store::HistoryReader,
    job::{JobId, JobName, JobView},
    spec::JobDefinition,
    time::Timestamp,
};

/// Between two looks.
pub(super) const PAUSE: Duration = Duration::from_secs(600);
/// How long the folder of a job of an unknown kind is kept where there are no kinds at all.
const KEPT: Duration = Duration::from_secs(7 * 24 * 3600);

/// How long each kind of job keeps what it made.
#[derive(Debug, Clone)]
pub(super) struct Keep {
    kinds: HashMap<JobName, Duration>,
}

impl Keep {
    pub fn of(definitions: &BTreeMap<JobName, Arc<JobDefinition>>) -> Self {
        Self { kinds: definitions.iter().map(|(name, one)| (name.clone(), one.keep_output)).collect() }
    }

    /// One of a kind that nobody knows any more is kept as long as any.
    fn longest(&self) -> Duration {
        self.kinds.values().max().copied().unwrap_or(KEPT)
    }

    fn shortest(&self) -> Duration {
        self.kinds.values().min().copied().unwrap_or(KEPT)
    }

    /// Whether a job that is not open has been kept for long enough. Of one without a row, only its id says how old it is.
    fn is_over(&self, id: JobId, row: Option<&Ended>, now: Timestamp) -> bool {
        let kept = row.and_then(|row| self.kinds.get(&row.job)).copied().unwrap_or_else(|| self.longest());
        let since = row.and_then(|row| row.at).unwrap_or_else(|| id.made());
        now.since(since) > kept
    }
}

/// A job that has ended, as it is remembered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Ended {
    pub job: JobName,
    pub at: Option<Timestamp>,
}

impl Ended {
    pub fn of(view: &JobView) -> Self {
        Self { job: view.job.clone(), at: view.finished }
    }
}

/// Folders that may have been kept for long enough, with what the history knows of their jobs. Waits for the disk. While the
/// history cannot be read nothing is found: what it would say is not known.
pub(super) fn find(state_dir: &Path, history: &Path, keep: &Keep, now: Timestamp) -> Vec<(JobId, Option<Ended>)> {
    let old = |id: &JobId| now.since(id.made()) > keep.shortest();
    let found: Vec<JobId> = folders(&state_dir.join("jobs")).filter(old).collect();
    if found.is_empty() {
        return Vec::new();
    }
    let rows = HistoryReader::open(history).and_then(|reader| {
        let row = |id: &JobId| Ok((*id, reader.job(*id)?));
        found.iter().map(row).collect::<Result<Vec<_>, _>>()
    });
    // What is open in the history and could not be read at the start is done by the next runtime.
    let ended = |(id, row): (JobId, Option<JobView>)| match row {
        Some(view) if !view.state.is_final() => None,
        row => Some((id, row.map(|view| Ended::of(&view)))),
    };
    match rows {
        Ok(rows) => rows.into_iter().filter_map(ended).collect(),
        // A build without a history, or one that was lost: the ids say how old they are.
        Err(error) if is_absent(&error) => found.into_iter().map(|id| (id, None)).collect(),
        Err(error) => {
            tracing::warn!(error = %chain(&error), "what old jobs have made is kept until the history can be read");
            Vec::new()
        }
    }
}

/// The jobs whose names folders have.
fn folders(jobs: &Path) -> impl Iterator<Item = JobId> {
    let entries = fs::read_dir(jobs).into_iter().flatten().flatten();
    entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())).filter_map(|entry| {
        let name = entry.file_name();
        let name = name.to_str()?;
        name.parse::<JobId>().ok().filter(|id| id.to_string() == name)
    })
}

/// Those of `found` that go: not open, and kept for long enough.
pub(super) fn choose(
    found: Vec<(JobId, Option<Ended>)>,
    is_open: impl Fn(JobId) -> bool,
    known: impl Fn(JobId) -> Option<Ended>,
    keep: &Keep,
    now: Timestamp,
) -> Vec<JobId> {
    let goes = |(id, row): &(JobId, Option<Ended>)| {
        // What the queue knows is newer than what the history says.
        !is_open(*id) && keep.is_over(*id, known(*id).as_ref().or(row.as_ref()), now)
    };
    found.into_iter().filter(goes).map(|(id, _)| id).collect()
}

/// Takes these folders away. Waits for the disk.
pub(super) fn remove(state_dir: &Path, ids: &[JobId]) {
    for id in ids {
        let folder = JobFolder::of(state_dir, *id);
        match super::folder::remove(Some(&folder), &[]) {
            Ok(()) => tracing::debug!(%id, "what this job has made was kept for long enough"),
            Err(error) => tracing::warn!(%id, %error, "cannot take away {}", folder.path().display()),
        }
    }
}

#[cfg(feature = "history")]
fn is_absent(error: &crate::history_store::HistoryError) -> bool {
    matches!(error, crate::history_store::HistoryError::Absent(_))
}

#[cfg(not(feature = "history"))]
fn is_absent(error: &crate::history_store::HistoryError) -> bool {
    matches!(error, crate::history_store::HistoryError::NotBuilt)
}
