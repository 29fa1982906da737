//! What was seen at one moment. Pure.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use crate::{
    ids::{RunId, ServiceName},
    spec::ServiceSpec,
    state::ServiceState,
};

/// Everything at one moment.
#[derive(Debug, Clone)]
pub struct Sample {
    /// When.
    pub at: Instant,
    /// The machine, as far as it could be read.
    pub host: Option<HostSample>,
    /// Every service and worker of which something runs.
    pub services: Vec<ServiceSample>,
    /// This process.
    pub own: OwnSample,
    /// Every actor, and how long it took to answer; of one that has not yet, how long it has been waited for.
    pub actors: Vec<ActorSample>,
}

/// The machine.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct HostSample {
    /// Memory that there is, in bytes, the limits above us counted.
    pub total: u64,
    /// Memory that could be had, in bytes.
    pub available: u64,
    /// Pressure on memory, where the kernel tells (`/proc/pressure/memory`).
    pub pressure: Option<Pressure>,
}

/// Share of the last ten seconds that somebody (`some`), or everybody (`full`), waited for memory, in percent.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Pressure {
    /// At least one process waited.
    pub some: f64,
    /// All of them did.
    pub full: f64,
}

/// One service.
#[derive(Debug, Clone)]
pub struct ServiceSample {
    /// What it is.
    pub spec: Arc<ServiceSpec>,
    /// The run that is looked at.
    pub run: RunId,
    /// What it is doing.
    pub state: ServiceState,
    /// Processes of its tree, with those that have ended and that nobody there waits for.
    pub processes: u32,
    /// How many of them have ended.
    pub unreaped: u32,
    /// Anonymous and shared memory of its tree, in bytes; `None` until it was measured.
    pub ram: Option<u64>,
    /// Memory on all cards, in bytes; 0 where nobody measures.
    pub vram: u64,
    /// Open descriptors of its tree.
    pub descriptors: u32,
    /// Whether nobody uses it: no request, no job, and nobody waits for it.
    pub idle: bool,
}

impl ServiceSample {
    /// Its name.
    #[must_use]
    pub fn name(&self) -> &ServiceName {
        &self.spec.name
    }
}

/// This process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct OwnSample {
    /// Memory that nobody can take from it, in bytes.
    pub ram: u64,
    /// Open descriptors.
    pub descriptors: u64,
    /// The most it may open.
    pub descriptors_limit: u64,
}

/// One actor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ActorSample {
    /// Its name, for example `orchestrator` or `service chat`.
    pub name: String,
    /// How long its answer took, or has been waited for.
    pub lag: Duration,
    /// Whether it has answered.
    pub answered: bool,
}
