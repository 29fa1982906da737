//! Which refusal of a job gets which status and code. Pure.

use actix_web::http::StatusCode;
use greenroom_actors::job_queue::messages::SubmitError;
use serde_json::Value;

use crate::{gateway::errors::ApiError, runtime::JobRefusal};

impl From<JobRefusal> for ApiError {
    fn from(refusal: JobRefusal) -> Self {
        let message = refusal.to_string();
        match refusal {
            JobRefusal::Submit(error) => not_accepted(error, message),
            JobRefusal::Unknown(_) => Self::new(StatusCode::NOT_FOUND, "job_not_found", message),
            JobRefusal::Over { .. } => Self::new(StatusCode::CONFLICT, "job_over", message),
            JobRefusal::Open { .. } => Self::new(StatusCode::CONFLICT, "job_open", message),
            JobRefusal::Expired(_) => Self::new(StatusCode::NOT_FOUND, "output_expired", message),
            JobRefusal::NoFile { .. } => {
                Self { param: Some("file"), ..Self::new(StatusCode::NOT_FOUND, "file_not_found", message) }
            }
            JobRefusal::Unreadable(_) => Self::new(StatusCode::INTERNAL_SERVER_ERROR, "output_unreadable", message),
            JobRefusal::History(_) => Self::new(StatusCode::INTERNAL_SERVER_ERROR, "history_unavailable", message),
            JobRefusal::Stopping => Self::stopping(),
        }
    }
}

fn not_accepted(error: SubmitError, message: String) -> ApiError {
    match error {
        SubmitError::UnknownJob { .. } => {
            ApiError { param: Some("job"), ..ApiError::new(StatusCode::NOT_FOUND, "unknown_job", message) }
        }
        SubmitError::Params(wrong) => {
            let refused = ApiError::new(StatusCode::BAD_REQUEST, "bad_params", message);
            ApiError { param: Some("params"), problems: wrong.into_iter().map(Value::from).collect(), ..refused }
        }
        SubmitError::Full { retry_after, .. } => {
            ApiError::new(StatusCode::TOO_MANY_REQUESTS, "jobs_full", message).again_after(retry_after)
        }
        SubmitError::NotWritten(_) => ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "not_written", message),
        SubmitError::Stopping => ApiError::stopping(),
    }
}

/// The body of a submission is larger than it may be.
pub(super) fn too_large(most: u64) -> ApiError {
    let message = format!("the body is larger than gateway.max_body, which is {most} bytes");
    ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", message)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use actix_web::ResponseError;

    use super::*;

    #[test]
    fn all_that_is_wrong_with_parameters_is_told_and_a_full_queue_says_when_to_come_again() {
        let wrong = ["`prompt` is missing".to_owned(), "there is no `promt`".to_owned()];
        let error = ApiError::from(JobRefusal::Submit(SubmitError::Params(wrong.to_vec())));
        assert_eq!((error.status.as_u16(), error.code), (400, "bad_params"));
        assert_eq!(error.body()["error"]["problems"], serde_json::json!(wrong));
        let full = SubmitError::Full { queued: 7, retry_after: Duration::from_millis(1500) };
        let answer = ApiError::from(JobRefusal::Submit(full)).error_response();
        assert_eq!(answer.status().as_u16(), 429);
        assert_eq!(answer.headers().get("retry-after").and_then(|value| value.to_str().ok()), Some("2"));
    }
}
