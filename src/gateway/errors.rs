//! The one shape of every refusal over HTTP, and which refusal gets which status and code. Pure but for the response.
//!
//! `{"error":{"message","type","param","code",...},"src":"greenroom"}`: the shape that clients of inference servers
//! know, with `src` telling that the answer is not the engine's.

use std::{sync::Arc, time::Duration};

use actix_web::{HttpResponse, ResponseError, http::StatusCode};
use greenroom_actors::{
    cause::chain,
    engines::hint,
    memory::{Amounts, Pool, Refusal},
    spec::FailureClass,
    state::{Disposition, ExitReport, ServiceState},
};
use serde::Serialize;
use serde_json::{Value, json};

use crate::runtime::{CommandError, ReloadError, view::ServiceView};

/// A refusal.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ApiError {
    /// The HTTP status.
    pub status: StatusCode,
    /// A short word for programs, for example `service_not_found`.
    pub code: &'static str,
    /// A sentence for people.
    pub message: String,
    /// The parameter that is to blame, if one is.
    pub param: Option<&'static str>,
    /// What a failed start left to say.
    pub cause: Option<Box<Cause>>,
    /// All that is wrong with a configuration, or, each in a sentence, with the parameters of a job.
    pub problems: Vec<Value>,
    /// Why there is no memory.
    pub refusal: Option<Arc<Refusal>>,
    /// Seconds after which it is of use to ask again (`Retry-After`), where that is known.
    pub retry_after: Option<u64>,
}

/// Why a start failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Cause {
    /// The class of the failure, where one is known.
    pub class: Option<FailureClass>,
    /// What to do about a failure of that class.
    pub remedy: Option<&'static str>,
    /// The last lines of stderr, oldest first.
    pub stderr: Vec<String>,
    /// Exit status of the last run.
    pub exit_code: Option<i32>,
    /// Signal that ended the last run.
    pub signal: Option<i32>,
}

impl ApiError {
    /// A refusal without a parameter or a cause.
    pub fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        let message = message.into();
        let problems = Vec::new();
        Self { status, code, message, param: None, cause: None, problems, refusal: None, retry_after: None }
    }

    /// 400 `invalid_request`: `param` does not say what it should.
    pub fn bad_param(param: &'static str, message: impl Into<String>) -> Self {
        Self { param: Some(param), ..Self::new(StatusCode::BAD_REQUEST, "invalid_request", message) }
    }

    /// 502 `start_failed`, with what the last run has left to say.
    pub fn start_failed(exit: Option<&ExitReport>, message: impl Into<String>) -> Self {
        let cause = Cause {
            class: exit.and_then(|e| e.class),
            remedy: exit.and_then(|e| e.class).map(hint),
            stderr: exit.map(|e| e.stderr.clone()).unwrap_or_default(),
            exit_code: exit.and_then(|e| e.code),
            signal: exit.and_then(|e| e.signal),
        };
        Self { cause: Some(Box::new(cause)), ..Self::new(StatusCode::BAD_GATEWAY, "start_failed", message) }
    }

    /// 503 `stopping`.
    #[must_use]
    pub fn stopping() -> Self {
        CommandError::Stopping.into()
    }

    /// The same, with the word that it is of use to ask again after so long, in whole seconds.
    #[must_use]
    pub fn again_after(self, wait: Duration) -> Self {
        let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
        Self { retry_after: Some(seconds), ..self }
    }

    /// 404 `metrics_disabled`.
    #[must_use]
    pub fn no_metrics() -> Self {
        let message = "there are no figures: the configuration says metrics.enabled = false";
        Self::new(StatusCode::NOT_FOUND, "metrics_disabled", message)
    }

    fn kind(&self) -> &'static str {
        match self.status {
            StatusCode::UNAUTHORIZED => "authentication_error",
            StatusCode::TOO_MANY_REQUESTS => "rate_limit_error",
            status if status.is_client_error() => "invalid_request_error",
            _ => "server_error",
        }
    }

    /// The body.
    #[must_use]
    pub fn body(&self) -> Value {
        let mut error = json!({
            "message": self.message,
            "type": self.kind(),
            "param": self.param,
            "code": self.code,
        });
        if let (Some(cause), Some(object)) = (&self.cause, error.as_object_mut()) {
            object.insert("class".to_owned(), json!(cause.class));
            object.insert("remedy".to_owned(), json!(cause.remedy));
            object.insert("stderr".to_owned(), json!(cause.stderr));
            object.insert("exit_code".to_owned(), json!(cause.exit_code));
            object.insert("signal".to_owned(), json!(cause.signal));
        }
        if let (false, Some(object)) = (self.problems.is_empty(), error.as_object_mut()) {
            object.insert("problems".to_owned(), json!(self.problems));
        }
        if let (Some(refusal), Some(object)) = (&self.refusal, error.as_object_mut()) {
            let (mut needed, mut free) = (Amounts::default(), Amounts::default());
            for shortage in &refusal.missing {
                put(&mut needed, &shortage.pool, shortage.needed);
                put(&mut free, &shortage.pool, shortage.free);
            }
            object.insert("needed".to_owned(), json!(needed));
            object.insert("free".to_owned(), json!(free));
            object.insert("holders".to_owned(), json!(refusal.holders));
            object.insert("remedy".to_owned(), json!(format!("greenroom why {}", refusal.service)));
        }
        json!({ "error": error, "src": "greenroom" })
    }
}

/// So much of this pool.
fn put(amounts: &mut Amounts, pool: &Pool, amount: u64) {
    match pool {
        Pool::Vram(gpu) => drop(amounts.vram.insert(gpu.clone(), amount)),
        Pool::Ram => amounts.ram = amount,
        Pool::Custom(name) => drop(amounts.custom.insert(name.clone(), amount)),
    }
}

impl ResponseError for ApiError {
    fn status_code(&self) -> StatusCode {
        self.status
    }

    fn error_response(&self) -> HttpResponse {
        let mut response = HttpResponse::build(self.status);
        if let Some(seconds) = self.retry_after {
            response.insert_header(("retry-after", seconds));
        }
        response.json(self.body())
    }
}

impl From<CommandError> for ApiError {
    fn from(error: CommandError) -> Self {
        let message = error.to_string();
        match error {
            CommandError::UnknownService { .. } => Self::new(StatusCode::NOT_FOUND, "service_not_found", message),
            CommandError::Held(_, source) => Self::new(StatusCode::CONFLICT, "held", format!("{message}: {source}")),
            CommandError::Stopping => Self::new(StatusCode::SERVICE_UNAVAILABLE, "stopping", message),
            CommandError::History(_) => Self::new(StatusCode::INTERNAL_SERVER_ERROR, "history_unavailable", message),
            CommandError::NotReached(view) => not_reached(&view, message),
        }
    }
}

impl From<ReloadError> for ApiError {
    fn from(error: ReloadError) -> Self {
        let message = chain(&error);
        match error {
            ReloadError::Config(errors) => {
                let problems = errors.0.iter().map(|problem| json!(problem)).collect();
                Self { problems, ..Self::new(StatusCode::BAD_REQUEST, "bad_config", message) }
            }
            ReloadError::NoSource => Self::new(StatusCode::CONFLICT, "not_reloadable", message),
            ReloadError::Busy => Self::new(StatusCode::SERVICE_UNAVAILABLE, "busy", message),
            ReloadError::Stopping => Self::stopping(),
            ReloadError::Order(_) | ReloadError::Thread(_) => {
                Self::new(StatusCode::INTERNAL_SERVER_ERROR, "reload_failed", message)
            }
        }
    }
}

fn not_reached(view: &ServiceView, message: String) -> ApiError {
    if view.state == ServiceState::Stuck {
        return ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "stuck", message);
    }
    if let Some(refusal) = &view.refusal {
        let refusal = Some(Arc::new(refusal.as_ref().clone()));
        return ApiError { refusal, ..ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "insufficient_memory", message) };
    }
    if view.state == ServiceState::Stopped && view.disposition == Disposition::Down {
        return ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "service_stopped", message);
    }
    if matches!(view.state, ServiceState::Ready | ServiceState::Unready) {
        return ApiError::new(StatusCode::CONFLICT, "in_use", message);
    }
    ApiError::start_failed(view.last_exit.as_ref(), message)
}
