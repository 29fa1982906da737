//! What is said where there is no answer: which refusal gets which status and code. Pure but for the status.

use std::{error::Error, sync::Arc};

use actix_web::http::StatusCode;
use greenroom_actors::{cause::chain, ids::ServiceName, memory::Refusal};

use super::{names::Unrouted, outgoing::BodyError};
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
            AdmitError::TooLate { retry_after, .. } => unavailable("wait_timeout", message).again_after(retry_after),
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

/// 401 `unauthorized`.
pub fn unauthorized() -> ApiError {
    let message = "a key is needed: Authorization: Bearer KEY, x-api-key: KEY, or KEY as the password of Basic";
    ApiError::new(StatusCode::UNAUTHORIZED, "unauthorized", message)
}

/// 501 `upgrade_not_supported`.
pub fn no_upgrade() -> ApiError {
    let message = "WebSockets are not passed on by this version; ask the service at its own port";
    ApiError::new(StatusCode::NOT_IMPLEMENTED, "upgrade_not_supported", message)
}

/// 502 `upstream_closed`: the service did not answer, though it was ready.
pub fn upstream_closed(error: &(dyn Error + 'static)) -> ApiError {
    let message = format!("the service gave no answer: {}", chain(error));
    ApiError::new(StatusCode::BAD_GATEWAY, "upstream_closed", message)
}

/// Why a request could not be sent: through the fault of its own body, or because the service is gone.
pub fn not_sent(error: &(dyn Error + 'static)) -> ApiError {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if let Some(body) = error.downcast_ref::<BodyError>() {
            return body.clone().into();
        }
        cause = error.source();
    }
    upstream_closed(error)
}
