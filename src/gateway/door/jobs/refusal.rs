//! What is said where a job brings no image: which failure gets which status and code. Pure but for the status.

use std::time::Duration;

use actix_web::http::StatusCode;
use greenroom_actors::{
    cause::chain,
    engines::hint,
    job::{JobError, JobId, JobOutcome, JobView},
    job_queue::messages::SubmitError,
};

use super::{sending::Unsendable, wait::GivenUp};
use crate::{
    gateway::errors::{ApiError, Cause},
    runtime::JobRefusal,
};

/// 400 `invalid_request`: there is a job of that name, and it answers nothing at this path.
pub fn not_there(model: &str) -> ApiError {
    let message = format!("`{model}` makes images: ask /v1/images/generations or /sdapi/v1/txt2img");
    ApiError::bad_param("model", message)
}

/// Why a job was not accepted, in the words of model traffic.
pub fn not_accepted(refusal: JobRefusal) -> ApiError {
    let message = refusal.to_string();
    match refusal {
        JobRefusal::Submit(SubmitError::UnknownJob { .. }) => {
            ApiError::new(StatusCode::NOT_FOUND, "model_not_found", message)
        }
        JobRefusal::Submit(SubmitError::Full { retry_after, .. }) => {
            ApiError::new(StatusCode::TOO_MANY_REQUESTS, "queue_full", message).again_after(retry_after)
        }
        other => other.into(),
    }
}

/// Why the outcome of a job was not waited for; `patience` is for how long it would have been until it began.
pub fn given_up(id: JobId, why: GivenUp, patience: Duration) -> ApiError {
    match why {
        GivenUp::Closing => ApiError::stopping(),
        GivenUp::NotBegun => {
            let within = patience.as_secs_f64();
            let message =
                format!("job {id} could not be begun within {within} s (gateway.queue.max_wait): it is cancelled");
            ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "wait_timeout", message)
        }
        GivenUp::Gone => failed(format!("nobody knows any more what became of job {id}")),
    }
}

/// Why there is no image, where the job has come to another end than it should.
pub fn came_to_nothing(job: &JobView) -> ApiError {
    let (id, kind) = (job.id, &job.job);
    let Some(error) = &job.error else { return failed(format!("job {id} ({kind}) failed")) };
    if job.outcome == Some(JobOutcome::Cancelled) {
        let message = format!("job {id} ({kind}) was cancelled: {}", error.message);
        return ApiError::new(StatusCode::CONFLICT, "job_cancelled", message);
    }
    if error.no_memory {
        let message = format!("job {id} ({kind}) failed: {}", error.message);
        return ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "insufficient_memory", message);
    }
    let class = error.class.map(|class| format!(" ({})", class.name())).unwrap_or_default();
    let attempts = if job.attempt > 1 { format!(" after {} attempts", job.attempt) } else { String::new() };
    let refused = failed(format!("job {id} ({kind}) failed{attempts}{class}: {}", error.message));
    ApiError { cause: Some(Box::new(cause(error))), ..refused }
}

/// Why an image that was made is not sent.
pub fn not_sent(id: JobId, error: &Unsendable) -> ApiError {
    let why = chain(error);
    match error {
        Unsendable::File { .. } => failed(format!("job {id} is done, and what it made cannot be sent: {why}")),
        Unsendable::TooLarge(_) => {
            let message =
                format!("job {id} is done, and what it made is not sent: {why}; ask with `response_format` `url`");
            ApiError::new(StatusCode::BAD_GATEWAY, "answer_too_large", message)
        }
    }
}

/// 502 `job_failed`, where a job has succeeded without an image.
pub fn no_image(job: &JobView) -> ApiError {
    failed(format!("job {} ({}) is done and has made no image", job.id, job.job))
}

fn failed(message: String) -> ApiError {
    ApiError::new(StatusCode::BAD_GATEWAY, "job_failed", message)
}

fn cause(error: &JobError) -> Cause {
    Cause {
        class: error.class,
        remedy: error.class.map(hint),
        stderr: error.stderr.clone(),
        exit_code: error.code,
        signal: error.signal,
    }
}
