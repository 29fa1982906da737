//! What can be told to a service, and why it may not end as wanted. Pure.

use greenroom_actors::{gate::Held, ids::ServiceName};

use super::view::ServiceView;

/// Why a command on a service did not end as wanted.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum CommandError {
    /// There is no such service.
    #[error("there is no service `{name}`; there are: {}", known.join(", "))]
    UnknownService {
        /// What was asked for.
        name: String,
        /// What there is.
        known: Vec<String>,
    },
    /// The runtime is stopping.
    #[error("the runtime is stopping and starts nothing")]
    Stopping,
    /// It ended in another state than wanted; the view says why.
    #[error("`{}` is {}{}", .0.name, .0.state.name(), .0.reason.as_ref().map(|r| format!(": {r}")).unwrap_or_default())]
    NotReached(Box<ServiceView>),
    /// Somebody holds it, so it is not offloaded.
    #[error("`{0}` is not offloaded")]
    Held(ServiceName, #[source] Held),
    /// The history cannot be read.
    #[error("the history cannot be read: {0}")]
    History(String),
}

/// What can be told to a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ServiceCommand {
    /// Start it and what it depends on.
    Start,
    /// Stop it and keep it down.
    Stop,
    /// Stop and start it.
    Restart,
    /// Into memory: start it, without a word about what is wanted of it.
    Load,
    /// Out of memory: stop it, without a word about what is wanted of it. Refused while somebody holds it.
    Offload,
    /// Forget failures.
    Reset,
}
