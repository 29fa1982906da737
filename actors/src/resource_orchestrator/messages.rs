//! What the orchestrator is told and asked. Questions about leases are [`AskLease`](crate::lease::AskLease)'s.

use std::sync::Arc;

use actix::{Message, WeakAddr};
use tokio::sync::watch;

use super::view::{PlanRefused, PlanView};
use crate::{
    gate::Gate, ids::ServiceName, process_supervisor::ProcessSupervisor, spec::ServiceSpec, state::ServiceStatus,
};

/// Services that may want memory are there, or are configured otherwise. All that come at once are told at once: what is
/// shown is put together anew each time.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Enlist {
    /// Which.
    pub services: Vec<Enlisted>,
}

/// One of them.
#[derive(Debug)]
pub struct Enlisted {
    /// What it is.
    pub spec: Arc<ServiceSpec>,
    /// Its supervisor.
    pub supervisor: WeakAddr<ProcessSupervisor>,
    /// What it is doing.
    pub status: watch::Receiver<ServiceStatus>,
    /// Who uses it.
    pub gate: Gate,
}

/// A service is no more. What it holds is given up when its run has ended.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Strike {
    /// Which.
    pub service: ServiceName,
}

/// What a load of a service would do now; changes nothing.
#[derive(Debug, Message)]
#[rtype(result = "Result<PlanView, PlanRefused>")]
pub struct GetPlan {
    /// Which.
    pub service: ServiceName,
}
