//! What a supervisor is told. None of these is answered: what comes of them is published as
//! [`ServiceStatus`](crate::state::ServiceStatus) and told as events.

use actix::Message;

/// Start it, now or as soon as its dependencies allow. Sets the disposition to up. Clears `failed` and the count of failures.
#[derive(Debug, Clone, Copy, Message)]
#[rtype(result = "()")]
pub struct StartService;

/// Stop it and keep it down.
#[derive(Debug, Clone, Message)]
#[rtype(result = "()")]
pub struct StopService {
    /// Why, for the status and the history.
    pub reason: String,
}

/// Stop it and start it again; does not count as a failure.
#[derive(Debug, Clone, Message)]
#[rtype(result = "()")]
pub struct RestartService {
    /// Why, for the status and the history.
    pub reason: String,
}

/// Forget failures: a `failed` service becomes `stopped` with a clean count.
#[derive(Debug, Clone, Copy, Message)]
#[rtype(result = "()")]
pub struct ResetService;
