//! What a supervisor is told. Only [`OffloadService`] is answered, since it may be refused: what comes of the others is
//! published as [`ServiceStatus`] and told as events.

use std::sync::Arc;

use actix::Message;
use tokio::sync::watch;

pub use super::lifecycle::Sentence;
use crate::{
    failure::FailureClass,
    gate::{Gate, Held},
    ids::{RunId, ServiceName},
    lease::Wish,
    spec::{DependencyCondition, ServiceSpec},
    state::ServiceStatus,
};

/// Somebody who must be there before a service is started.
#[derive(Debug, Clone)]
pub struct Awaited {
    /// Who.
    pub service: ServiceName,
    /// What must be so of it.
    pub condition: DependencyCondition,
    /// How it fares.
    pub status: watch::Receiver<ServiceStatus>,
    /// Where it is told that it is needed.
    pub gate: Gate,
}

/// Start it, now or as soon as its dependencies allow. Sets the disposition to up. Clears `failed`,
/// `quarantined` and the count of failures.
#[derive(Debug, Clone, Copy, Message)]
#[rtype(result = "()")]
pub struct StartService {
    /// On whose wish.
    pub wish: Wish,
}

/// Into memory: start it and leave what is wanted of it as it is. One that is `down` stays so, unless whoever asks `lifts`
/// that: it is wanted again then as its start mode says, or, where that is by hand, up.
#[derive(Debug, Clone, Copy, Message)]
#[rtype(result = "()")]
pub struct LoadService {
    /// On whose wish.
    pub wish: Wish,
    /// Whether it is to come up also where it is kept down. The word of a person or of an application does that; a request
    /// does not, though it was sent before the stop and is heard after it.
    pub lifts: bool,
}

/// Stop it and keep it down.
#[derive(Debug, Clone, Message)]
#[rtype(result = "()")]
pub struct StopService {
    /// Why, for the status and the history.
    pub reason: String,
}

/// Out of memory, by `offload.how`, and leave what is wanted of it as it is. Refused while somebody holds it. One that is
/// busy is drained for `offload.drain`; if that is not enough its gate opens again and it stays.
#[derive(Debug, Clone, Message)]
#[rtype(result = "Result<(), Held>")]
pub struct OffloadService {
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

/// This run does harm, or is of no use: end it. A run that is over is left alone.
#[derive(Debug, Clone, Message)]
#[rtype(result = "()")]
pub struct CondemnService {
    /// Which run.
    pub run: RunId,
    /// What for, as the class of a failure.
    pub class: FailureClass,
    /// What for, for the status and the history.
    pub reason: String,
    /// Kill its whole tree at once, without grace and without a wait for those who use it. Otherwise they are waited for,
    /// within `runtime.shutdown.drain`, and it has its grace.
    pub at_once: bool,
    /// What follows.
    pub sentence: Sentence,
}

/// Stop it and start it again as [`RestartService`] does, and leave what is wanted of it as it is: one that is loaded on
/// demand stays so. One that does not run is left alone.
#[derive(Debug, Clone, Message)]
#[rtype(result = "()")]
pub struct RecycleService {
    /// Why, for the status and the history.
    pub reason: String,
    /// Only if nobody uses it, nobody waits for it and it does not say itself that it works; otherwise nothing happens.
    pub when_idle: bool,
}

/// Forget failures: a `failed` or `quarantined` service becomes `stopped` with a clean count.
#[derive(Debug, Clone, Copy, Message)]
#[rtype(result = "()")]
pub struct ResetService;

/// Its configuration has changed.
#[derive(Debug, Clone, Message)]
#[rtype(result = "()")]
pub struct Reconfigure {
    /// What it is from now on; of the same name.
    pub spec: Arc<ServiceSpec>,
    /// What it waits for from now on.
    pub dependencies: Vec<Awaited>,
    /// Whether a live run is of no use any more: it is drained, stopped as it was configured, and begun anew. Otherwise it
    /// goes on under the same pid and takes what is new about probes, rules and its end.
    pub restart: bool,
}

/// Take over the run that was handed in at its birth, if there is one.
#[derive(Debug, Clone, Copy, Message)]
#[rtype(result = "()")]
pub struct AdoptService;

/// Stop it for good: it takes no start any more.
#[derive(Debug, Clone, Message)]
#[rtype(result = "()")]
pub struct RetireService {
    /// Why, for the status and the history.
    pub reason: String,
}
