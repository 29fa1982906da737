//! What the processes of jobs have printed, as a part of a bundle: of which jobs, and how much.
//!
//! Which jobs have a log is seen on the disk, so that a history that cannot be read takes away none of them.

use std::{collections::HashSet, fs, io, path::Path, time::SystemTime};

use super::{
    parts::{Had, last_of_log},
    source::Source,
};
use crate::{
    history_store::HistoryReader,
    job::JobId,
    os::service_log::{CURRENT, log_dir_of_job},
};

/// Logs of jobs in a bundle.
const LOGS: usize = 16;

/// The jobs whose logs belong into a bundle with this message: first those that the message names, then those that are being
/// worked on, then those whose processes have printed last.
///
/// # Errors
/// When the folder of all jobs cannot be read.
pub(super) fn logged_jobs(source: &Source, message: &str) -> Result<Vec<JobId>, String> {
    let found = with_logs(&source.state_dir).map_err(|error| error.to_string())?;
    if found.is_empty() {
        return Ok(Vec::new());
    }
    // Without it those that have just printed come first, which are nearly always the same.
    let at_work = HistoryReader::open(&source.history).and_then(|reader| reader.jobs_at_work()).unwrap_or_default();
    Ok(choose(found, &at_work.into_iter().collect(), message))
}

/// The last lines of the processes of a job, all attempts.
pub(super) fn job_log(source: &Source, id: JobId) -> Had {
    Ok(last_of_log(&log_dir_of_job(&source.state_dir, id)))
}

/// Every job that has a log, and when that was written last.
fn with_logs(state_dir: &Path) -> io::Result<Vec<(JobId, SystemTime)>> {
    let entries = match fs::read_dir(state_dir.join("jobs")) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let log = |entry: io::Result<fs::DirEntry>| {
        let id: JobId = entry.ok()?.file_name().to_str()?.parse().ok()?;
        // Not what a link leads to, nor a pipe: it would be waited for.
        let file = fs::symlink_metadata(log_dir_of_job(state_dir, id).join(CURRENT)).ok()?;
        Some((id, file.modified().ok().filter(|_| file.is_file())?))
    };
    Ok(entries.filter_map(log).collect())
}

fn choose(mut found: Vec<(JobId, SystemTime)>, at_work: &HashSet<JobId>, message: &str) -> Vec<JobId> {
    found.sort_by_cached_key(|(id, written)| {
        let is_named = message.contains(&id.to_string());
        std::cmp::Reverse((is_named, at_work.contains(id), *written))
    });
    found.truncate(LOGS);
    found.into_iter().map(|(id, _)| id).collect()
}

#[cfg(test)]
mod tests {
    use std::{os::unix::fs::symlink, time::Duration};

    use super::*;

    #[test]
    fn who_is_named_comes_first_and_then_who_is_at_work() {
        let ids: Vec<JobId> = (0..20).map(|_| JobId::fresh()).collect();
        let since = |n: u64| SystemTime::UNIX_EPOCH + Duration::from_secs(n);
        let found: Vec<(JobId, SystemTime)> = ids.iter().copied().zip((0..20).map(since)).collect();
        let chosen = choose(found, &HashSet::from([ids[1], ids[3]]), &format!("job {} stands still", ids[0]));
        assert_eq!(chosen.len(), LOGS);
        assert_eq!(chosen[..5], [ids[0], ids[3], ids[1], ids[19], ids[18]]);
    }

    #[test]
    fn only_jobs_that_have_printed_have_a_log() {
        let dir = tempfile::tempdir().expect("a folder");
        assert_eq!(with_logs(dir.path()).expect("read"), []);
        let [silent, printed, linked] = [(); 3].map(|()| JobId::fresh());
        for id in [silent, printed, linked] {
            fs::create_dir_all(log_dir_of_job(dir.path(), id)).expect("made");
        }
        fs::create_dir_all(dir.path().join("jobs/notes/log")).expect("made");
        for file in [log_dir_of_job(dir.path(), printed), dir.path().join("jobs/notes/log")] {
            fs::write(file.join(CURRENT), "text").expect("written");
        }
        let link = log_dir_of_job(dir.path(), linked).join(CURRENT);
        symlink(log_dir_of_job(dir.path(), printed).join(CURRENT), link).expect("linked");
        let found = with_logs(dir.path()).expect("read");
        assert_eq!(found.iter().map(|(id, _)| *id).collect::<Vec<_>>(), [printed]);
    }
}
