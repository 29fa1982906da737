//! What the command line reads of the control API's answers about memory: as in `seen`, the fields it shows alone.
//!
//! These are not the types that the runtime answers with (`resource_orchestrator/view.rs`), though they look like them: the
//! runtime on the other side may be of another version, older or newer, and what is not shown must not be asked for.

use std::collections::BTreeMap;

use greenroom_actors::{
    ids::ServiceName,
    memory::{Amounts, GpuId, Refusal},
};
use serde::Deserialize;

/// `GET /api/gpus`.
#[derive(Debug, Clone, Deserialize)]
pub struct Memory {
    /// Who measures.
    pub backend: String,
    /// What is wrong with that driver.
    pub problem: Option<String>,
    /// Seconds since it was asked.
    pub age: Option<f64>,
    /// Every card.
    pub cards: Vec<Card>,
    /// Host memory.
    pub ram: PoolSeen,
    /// Further pools.
    pub custom: BTreeMap<String, PoolSeen>,
    /// Who may hold what.
    pub leases: BTreeMap<ServiceName, Lease>,
    /// Who waits.
    pub waiting: Vec<Waiting>,
    /// Memory that was not measured back in time.
    pub reclaim_timeouts: u64,
}

/// One card.
#[derive(Debug, Clone, Deserialize)]
pub struct Card {
    /// Its UUID.
    pub id: GpuId,
    /// Its place in the driver's list.
    pub index: u32,
    /// Its name.
    pub name: String,
    /// `works` or `lost`.
    pub state: String,
    /// What is wrong with it.
    pub problem: Option<String>,
    /// All of its memory, in bytes.
    pub total: u64,
    /// By service.
    pub services: BTreeMap<ServiceName, u64>,
    /// Of other programs.
    pub strangers: u64,
    /// What may be given out now.
    pub free: u64,
    /// What may be given out at the very most.
    pub capacity: u64,
    /// Percent of the time that it works.
    pub utilization: Option<u32>,
    /// Degrees Celsius.
    pub temperature: Option<u32>,
}

/// A pool that is not a card.
#[derive(Debug, Clone, Copy, Deserialize)]
pub struct PoolSeen {
    /// What may be given out at the very most.
    pub capacity: u64,
    /// What may be given out now.
    pub free: u64,
}

/// One lease.
#[derive(Debug, Clone, Deserialize)]
pub struct Lease {
    /// How far it is.
    pub state: String,
    /// What it may hold.
    pub amounts: Amounts,
}

/// Somebody who waits.
#[derive(Debug, Clone, Deserialize)]
pub struct Waiting {
    /// Who.
    pub service: ServiceName,
    /// For what.
    pub reason: String,
    /// Seconds it has waited.
    pub waited: f64,
}

/// `GET /api/plan/{name}`.
#[derive(Debug, Clone, Deserialize)]
pub struct Plan {
    /// Who.
    pub service: ServiceName,
    /// Whether it is in memory already.
    pub resident: bool,
    /// Layers on the cards, where they are chosen.
    pub gpu_layers: Option<u32>,
    /// What it might hold.
    pub lease: Amounts,
    /// Who would leave for it.
    pub offload: Vec<Leaver>,
    /// Why there is no way.
    pub refusal: Option<Refusal>,
    /// In sentences.
    pub because: Vec<String>,
}

/// Somebody who would leave.
#[derive(Debug, Clone, Deserialize)]
pub struct Leaver {
    /// Who.
    pub service: ServiceName,
    /// Whether it works now.
    pub busy: bool,
    /// What that gives.
    pub gives: Amounts,
    /// Seconds of loading that are likely to come of it.
    pub cost: f64,
}
