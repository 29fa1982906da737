//! What is said where there is no answer: which refusal gets which status and code. Pure but for the status.

use std::{error::Error, sync::Arc};

use actix_web::http::StatusCode;
use greenroom_actors::{cause::chain, ids::ServiceName, memory::Refusal, state::ExitReport};

use super::{outgoing::BodyError, table::Unrouted};
use crate::{gateway::errors::ApiError, runtime::AdmitError};

impl From<AdmitError> for ApiError {
    fn from(error: AdmitError) -> Self {
        let message = error.to_string();
        let unavailable = |code, message| Self::new(StatusCode::SERVICE_UNAVAILABLE, code, message);
        match error {
            AdmitError::Gone(_) => Self::new(StatusCode::NOT_FOUND, "model_not_found", message),
            AdmitError::Stopping => Self::stopping(),
            AdmitError::Down(_) => Self::new(StatusCode::SERVICE_UNAVAILABLE, "service_stopped", message),
            AdmitError::NoMemory { refusal, .. } => no_memory(refusal, message),
            AdmitError::Failed(status) => Self::start_failed(status.last_exit.as_ref(), message),
            AdmitError::Dependency { on, .. } => match on.refusal {
                Some(refusal) => no_memory(refusal, message),
                None => Self::start_failed(on.last_exit.as_ref(), message),
            },
            AdmitError::Stuck { .. } => unavailable("stuck", message),
            AdmitError::QueueFull { retry_after, .. } => {
                Self::new(StatusCode::TOO_MANY_REQUESTS, "queue_full", message).again_after(retry_after)
            }
            AdmitError::TooLate { retry_after, .. } => {
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "wait_timeout", message).again_after(retry_after)
            }
        }
    }
}

impl From<Unrouted> for ApiError {
    fn from(error: Unrouted) -> Self {
        let message = error.to_string();
        let refused = match error {
            Unrouted::Unknown { .. } => Self::new(StatusCode::NOT_FOUND, "model_not_found", message),
            Unrouted::NoModel { .. } => Self::new(StatusCode::BAD_REQUEST, "no_model", message),
        };
        Self { param: Some("model"), ..refused }
    }
}

impl From<BodyError> for ApiError {
    fn from(error: BodyError) -> Self {
        let message = error.to_string();
        match error {
            BodyError::TooLarge(_) => Self::new(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", message),
            BodyError::Broken(_) => Self::bad_param("body", message),
        }
    }
}

/// 503 `insufficient_memory`, with what is missing and who holds it.
fn no_memory(refusal: Arc<Refusal>, message: String) -> ApiError {
    let refused = ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "insufficient_memory", message);
    ApiError { refusal: Some(refusal), ..refused }
}

/// 503 `not_loaded`: it is not ready, and this request does not load it.
pub fn not_loaded(service: &ServiceName, method: &str, path: &str) -> ApiError {
    let message = format!("`{service}` is not loaded, and {method} {path} does not load it (wake_on)");
    ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "not_loaded", message)
}

/// 502 `upstream_closed`: the service did not answer, though it was ready.
pub fn upstream_closed(error: &(dyn Error + 'static)) -> ApiError {
    let message = format!("the service gave no answer: {}", chain(error));
    ApiError::new(StatusCode::BAD_GATEWAY, "upstream_closed", message)
}

/// 502 `upstream_closed`, in the middle of an answer: how its service has ended, where that is known.
pub fn broken_off(service: &ServiceName, exit: Option<&ExitReport>, said: &str) -> ApiError {
    let how = match exit {
        Some(exit) => format!("`{service}` ended{}", told(exit)),
        None => format!("the connection to `{service}` broke off ({said})"),
    };
    let error = ApiError::start_failed(exit, format!("the answer is not whole: {how}"));
    let cause = error.cause.filter(|_| exit.is_some());
    ApiError { code: "upstream_closed", cause, ..error }
}

/// A run's end in a few words, with the last one of its own.
fn told(exit: &ExitReport) -> String {
    let how = match (exit.code, exit.signal) {
        (Some(code), _) => format!(" with exit status {code}"),
        (None, Some(signal)) => format!(" by signal {signal}"),
        (None, None) => String::new(),
    };
    let class = exit.class.map(|class| format!(" ({})", class.name())).unwrap_or_default();
    let last = exit.stderr.last().map(|line| format!(": {line}")).unwrap_or_default();
    format!("{how}{class}{last}")
}

/// `upstream_refused`: the service has answered with this where an event stream was promised. Its own status where that says
/// an error, else 502.
pub fn answered_otherwise(status: u16, text: &str) -> ApiError {
    let message = match text.trim() {
        "" => format!("the service answered with status {status}"),
        text => text.to_owned(),
    };
    let error = ApiError::new(StatusCode::BAD_GATEWAY, "upstream_refused", message);
    let own = StatusCode::from_u16(status).ok().filter(|own| own.is_client_error() || own.is_server_error());
    ApiError { status: own.unwrap_or(error.status), ..error }
}

/// Why a request could not be sent: through the fault of its own body, or because the service is gone.
pub fn not_sent(error: &(dyn Error + 'static)) -> ApiError {
    body_error(error).unwrap_or_else(|| upstream_closed(error))
}

/// What is said where a request could not be sent through the fault of its own body.
pub fn body_error(error: &(dyn Error + 'static)) -> Option<ApiError> {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if let Some(body) = error.downcast_ref::<BodyError>() {
            return Some(body.clone().into());
        }
        cause = error.source();
    }
    None
}

#[cfg(test)]
mod tests {
    use greenroom_actors::{spec::FailureClass, time::Timestamp};

    use super::*;

    #[test]
    fn an_answer_of_another_kind_is_told_with_its_text() {
        let told = answered_otherwise(400, "{\"error\":\"too long\"}");
        assert_eq!((told.status.as_u16(), told.message.as_str()), (400, "{\"error\":\"too long\"}"));
        assert_eq!(answered_otherwise(200, "{}").status.as_u16(), 502);
        assert_eq!(answered_otherwise(503, " \n").message, "the service answered with status 503");
    }

    #[test]
    fn a_broken_answer_says_how_its_service_ended_where_that_is_known() {
        let service: ServiceName = "chat".parse().expect("a name");
        let exit = ExitReport {
            code: Some(1),
            signal: None,
            class: Some(FailureClass::OomGpu),
            stderr: vec!["first".to_owned(), "out of memory".to_owned()],
            at: Timestamp::from_micros(0),
        };
        let known = broken_off(&service, Some(&exit), "connection reset");
        assert_eq!(
            (known.code, known.message.as_str()),
            ("upstream_closed", "the answer is not whole: `chat` ended with exit status 1 (oom_gpu): out of memory")
        );
        assert_eq!(known.cause.map(|cause| cause.stderr), Some(exit.stderr));
        let unknown = broken_off(&service, None, "connection reset");
        assert_eq!(unknown.message, "the answer is not whole: the connection to `chat` broke off (connection reset)");
        assert_eq!((unknown.status.as_u16(), unknown.cause), (502, None));
    }
}
