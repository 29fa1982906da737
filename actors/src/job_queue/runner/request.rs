//! Does a job by a request to a service, or to a remote.
//!
//! The job stands in line at the gate of the service like every request, and once it is in, its permit keeps the run until
//! all is over: the request, the clean-up, and a restart where that is asked for. From before the outcome is told until the
//! service is clean again, the gate is shut to everybody else, so that nobody meets what the job has left. The outcome
//! itself waits for none of that.
//!
//! It never says that work has stopped that goes on: what cannot be told to stop is restarted.

mod aftermath;
mod at_service;
mod body;
mod errand;
mod remote;
mod reset;
mod restart;

use self::errand::Errand;
use super::{
    Rim,
    kept::KeepError,
    wire::{Letter, WireError},
};
use crate::{
    cause::chain,
    job::JobError,
    job_queue::attempt::{Attempt, AttemptEnd, AttemptNews, Teller},
    spec::RequestJob,
};

/// Why a request has not done what it was for.
#[derive(Debug)]
pub(super) enum Trouble {
    /// Whoever was asked says no: nothing of it goes on there.
    Refused(JobError),
    /// The connection broke.
    Broke(WireError),
    /// Nobody knows what has become of it.
    Lost(String),
    /// What was answered cannot be kept.
    NotKept(String),
}

impl From<WireError> for Trouble {
    fn from(error: WireError) -> Self {
        Self::Broke(error)
    }
}

impl From<KeepError> for Trouble {
    fn from(error: KeepError) -> Self {
        match error {
            KeepError::Wire(error @ (WireError::Refused { .. } | WireError::Broken(_))) => Self::Broke(error),
            KeepError::Wire(error) => Self::Lost(error.to_string()),
            error @ KeepError::Disk { .. } => Self::NotKept(chain(&error)),
        }
    }
}

/// Does one attempt at a job, and tells how it fares. Returns once everything is cleaned up.
pub async fn run(attempt: &mut Attempt, job: &RequestJob, rim: &Rim, tell: &Teller) {
    let end = match body::written(attempt, job).await {
        Ok(body) => {
            let letter = Letter { method: job.method.clone(), path: job.path.clone(), body };
            match rim.far.remotes.iter().find(|remote| *remote.name() == job.service) {
                Some(remote) => remote::run(attempt, remote, &letter, rim, tell).await,
                None => at_service::run(attempt, job.service.as_str(), &letter, rim, tell).await,
            }
        }
        Err(why) => Some(AttemptEnd::Failed(JobError::new(None, why))),
    };
    // What was worked on has told its end itself, before it was cleaned up.
    if let Some(end) = end {
        tell.tell(AttemptNews::Ended(end));
    }
}
