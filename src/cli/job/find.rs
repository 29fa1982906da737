//! Which job somebody means.

use greenroom_actors::job::{JobId, JobView};
use serde_json::Value;

use crate::cli::{
    ask::{Asked, get, named_path, read},
    failure::Failure,
};

/// Letters of a whole id.
const WHOLE: usize = 26;

/// The id that `text` stands for: an id, what only one begins with, or `last`.
///
/// # Errors
/// When there is none, or several.
pub async fn find(asked: &Asked, text: &str) -> Result<JobId, Failure> {
    if let (WHOLE, Ok(id)) = (text.len(), text.parse()) {
        return Ok(id);
    }
    let path = named_path("/api/jobs?id=", text, "");
    let found: Vec<JobView> = read(&path, get(asked, &path).await?)?;
    match found.as_slice() {
        [one] => Ok(one.id),
        [] => Err(Failure::NoJob(text.to_owned())),
        several => {
            let ids = several.iter().map(|job| format!("{} ({}, {})", job.id, job.job, job.state.name())).collect();
            Err(Failure::WhichJob { text: text.to_owned(), ids })
        }
    }
}

/// A path of the API with a job's id in it.
#[must_use]
pub fn job_path(id: JobId, rest: &str) -> String {
    format!("/api/jobs/{id}{rest}")
}

/// The job, as it came and as it is read.
///
/// # Errors
/// When nobody knows it.
pub async fn look(asked: &Asked, id: JobId) -> Result<(JobView, Value), Failure> {
    let path = job_path(id, "");
    let value = get(asked, &path).await?;
    Ok((read(&path, value.clone())?, value))
}
