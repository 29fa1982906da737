//! What the orchestrator shows: cards, leases, needs, plans, as the API and the command line print them.

use std::{collections::BTreeMap, sync::Arc, time::Instant};

use arc_swap::ArcSwap;
use serde::Serialize;

use crate::{
    ids::{RunId, ServiceName},
    memory::{Amounts, GpuId, NeedSource, Refusal},
};

/// The memory at one moment.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct MemorySnapshot {
    /// Who measures the cards: `nvml`, `amdgpu`, `declared`, `none`.
    pub backend: String,
    /// What is wrong with that driver as a whole.
    pub problem: Option<String>,
    /// Seconds since the cards were measured; `null` where nobody measures.
    pub age: Option<f64>,
    /// When that was.
    #[serde(skip)]
    pub measured_at: Option<Instant>,
    /// Every card.
    pub cards: Vec<CardView>,
    /// Host memory.
    pub ram: PoolView,
    /// `resources.custom`.
    pub custom: BTreeMap<String, PoolView>,
    /// Every lease, by service. One that ended and whose memory is not back yet is among them.
    pub leases: BTreeMap<ServiceName, LeaseView>,
    /// What every service that was asked about needs.
    pub needs: BTreeMap<ServiceName, NeedView>,
    /// Who waits for memory, first come first.
    pub waiting: Vec<WaitingView>,
    /// Memory that was not measured back in time, since the runtime's start.
    pub reclaim_timeouts: u64,
}

impl MemorySnapshot {
    /// The same, with the age that the measurement has by now: between two of them nobody puts up another snapshot.
    #[must_use]
    pub fn by(self: Arc<Self>, now: Instant) -> Arc<Self> {
        match self.measured_at {
            Some(at) => {
                let age = Some(now.saturating_duration_since(at).as_secs_f64());
                Arc::new(Self { age, ..self.as_ref().clone() })
            }
            None => self,
        }
    }
}

/// One card.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CardView {
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
    /// All of its memory.
    pub total: u64,
    /// Used by whomever; `null` where nobody measures.
    pub used: Option<u64>,
    /// Used by each service: measured, or, where nobody measures that, its lease.
    pub services: BTreeMap<ServiceName, u64>,
    /// Used by other programs.
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct PoolView {
    /// What may be given out at the very most.
    pub capacity: u64,
    /// What may be given out now.
    pub free: u64,
}

/// One lease.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LeaseView {
    /// Of which run.
    pub run_id: RunId,
    /// `reserved`, `loading`, `resident`, `draining`, `asleep`, `reclaiming`.
    pub state: String,
    /// What it may hold.
    pub amounts: Amounts,
    /// Layers on the card, where the planner chose.
    pub gpu_layers: Option<u32>,
    /// What its processes hold, measured.
    pub measured: Amounts,
    /// Seconds since it worked last, 0 while it works; `null` while it is not ready.
    pub idle_for: Option<f64>,
}

/// What a service needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct NeedView {
    /// Where the GPU figure comes from; where it needs no GPU memory, the host figure's.
    pub source: NeedSource,
    /// VRAM in bytes with everything on the card; `null`: nobody knows.
    pub vram: Option<u64>,
    /// RAM in bytes.
    pub ram: u64,
    /// Where the host figure comes from.
    pub ram_source: NeedSource,
    /// Layers of the model, where they may lie on either side.
    pub layers: Option<u32>,
}

/// Somebody who waits.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct WaitingView {
    /// Who.
    pub service: ServiceName,
    /// For what.
    pub reason: String,
    /// Seconds it has waited.
    pub waited: f64,
}

/// `GET /api/plan/{name}`: what a load would do now.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PlanView {
    /// Who.
    pub service: ServiceName,
    /// Whether it is in memory already.
    pub resident: bool,
    /// What it needs.
    pub need: NeedView,
    /// Cards that it would go to.
    pub gpus: Vec<GpuId>,
    /// Layers on them, where the planner chooses.
    pub gpu_layers: Option<u32>,
    /// What it might hold.
    pub lease: Amounts,
    /// Who would leave for it, in this order.
    pub offload: Vec<OffloadView>,
    /// Why there is no way, if there is none.
    pub refusal: Option<Box<Refusal>>,
    /// The decision in sentences.
    pub because: Vec<String>,
}

/// Somebody who would leave.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct OffloadView {
    /// Who.
    pub service: ServiceName,
    /// Whether it works at this moment and would be drained.
    pub busy: bool,
    /// What that gives.
    pub gives: Amounts,
    /// What it costs: seconds of loading that are likely to come.
    pub cost: f64,
}

/// Why there is no answer about a plan.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlanRefused {
    /// No such service.
    #[error("there is no service `{0}`")]
    Unknown(ServiceName),
}

/// Where the newest snapshot is. Clones are the same board; reading waits for nobody.
#[derive(Debug, Clone, Default)]
pub struct MemoryBoard(Arc<ArcSwap<MemorySnapshot>>);

impl MemoryBoard {
    /// What is on it.
    #[must_use]
    pub fn look(&self) -> Arc<MemorySnapshot> {
        self.0.load_full()
    }

    /// Puts up another one.
    pub fn put_up(&self, snapshot: MemorySnapshot) {
        self.0.store(Arc::new(snapshot));
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn the_age_of_a_measurement_grows_until_there_is_another_one() {
        let at = crate::os::clock::now();
        let known = Arc::new(MemorySnapshot { age: Some(0.0), measured_at: Some(at), ..MemorySnapshot::default() });
        assert_eq!(known.by(at + Duration::from_secs(7)).age, Some(7.0));
        let declared = Arc::new(MemorySnapshot::default());
        assert_eq!(declared.by(at).age, None);
    }
}
