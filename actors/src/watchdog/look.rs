//! Takes samples: what every live tree holds, the machine, this process.
//!
//! A look at a tree is a walk through it, never through the whole process table. Even that is left out where it can tell
//! nothing new: as long as no process of the machine begins or ends, all counts are what they were. Memory and descriptors,
//! which change without that, are measured in turns, one service in [`TURNS`] at each sample; but at every sample where a
//! limit is set on memory.

use std::{collections::HashMap, fmt, sync::Arc, time::Instant};

use super::sample::{ActorSample, HostSample, OwnSample, Pressure, Sample, ServiceSample};
use crate::{
    ids::{Pid, RunId},
    os::{
        containment::{Containment, ContainmentKind},
        host::Host,
        proc,
        vitals::{self, Bustle, MemoryPressure},
    },
    resource_orchestrator::view::{LeaseView, MemoryBoard},
    services::{ServiceSet, Supervised},
    witness::Witness,
};

/// A service whose memory nobody limits is measured at one sample of so many.
pub const TURNS: usize = 5;
/// Processes of one tree that are measured at the most, at about 20 us each. A tree of more has run away, which is seen by
/// its count.
const MEASURED: usize = 512;
/// In the layer that finds a tree only by reading every process of the machine: so many services are counted at each
/// sample, all others in turns.
const SEARCHED: usize = 2;

/// What is looked at.
pub struct Scene {
    /// The services.
    pub services: ServiceSet,
    /// The workers of jobs.
    pub workers: ServiceSet,
    /// Whose processes are whose.
    pub containment: Arc<dyn Containment>,
    /// Where measured leases are shown.
    pub memory: MemoryBoard,
    /// Who works with whom.
    pub witness: Witness,
    /// Who measures the host.
    pub host: Box<dyn Host>,
}

impl fmt::Debug for Scene {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scene").field("containment", &self.containment).finish_non_exhaustive()
    }
}

/// Looks, and remembers of each live run what does not need to be looked at again.
#[derive(Debug)]
pub struct Looker {
    scene: Scene,
    pressure: MemoryPressure,
    bustle: Bustle,
    known: HashMap<RunId, Seen>,
    /// Samples so far: whose turn it is.
    turn: usize,
}

/// What was seen of a run.
#[derive(Debug, Clone, Copy, Default)]
struct Seen {
    processes: u32,
    ram: Option<u64>,
    descriptors: u32,
    /// The sample in which it was seen last.
    turn: usize,
}

/// How closely one service is looked at.
#[derive(Debug, Clone, Copy)]
struct Care {
    /// Its processes are counted.
    count: bool,
    /// Memory and descriptors are measured.
    measure: bool,
}

impl Looker {
    /// One that has seen nothing yet.
    #[must_use]
    pub fn new(scene: Scene) -> Self {
        let (pressure, bustle) = (MemoryPressure::new(), Bustle::new());
        Self { scene, pressure, bustle, known: HashMap::new(), turn: 0 }
    }

    /// Everything at this moment. `actors` are reported as they are.
    pub fn look(&mut self, at: Instant, actors: Vec<ActorSample>) -> Sample {
        self.turn = self.turn.wrapping_add(1);
        let is_busy = self.bustle.since_last();
        let leases = self.scene.memory.look();
        let (services, workers) = (self.scene.services.all(), self.scene.workers.all());
        let mut samples = Vec::new();
        for (place, service) in services.iter().chain(workers.iter()).enumerate() {
            let care = self.care(place, is_busy, service);
            let lease = leases.leases.get(&service.spec.name);
            samples.extend(self.service(service, care, lease));
        }
        let turn = self.turn;
        self.known.retain(|_, seen| seen.turn == turn);
        Sample { at, host: self.host(), services: samples, own: own(), actors }
    }

    /// The members of a live run, looked up anew. Nobody of a run that is over.
    #[must_use]
    pub fn members(&self, service: &Supervised) -> Vec<Pid> {
        let run = service.status.borrow().run_id;
        run.and_then(|run| self.scene.containment.members(&service.spec.name, run).ok()).unwrap_or_default()
    }

    fn care(&self, place: usize, is_busy: bool, service: &Supervised) -> Care {
        let is_its_turn = place % TURNS == self.turn % TURNS;
        let limits = &service.spec.limits;
        let is_searched = self.scene.containment.kind() == ContainmentKind::BestEffort;
        let measure = is_its_turn || limits.ram.is_some() && !is_searched;
        Care { count: measure || is_busy && (!is_searched || place < SEARCHED), measure }
    }

    /// One service, if a process of it runs.
    fn service(&mut self, service: &Supervised, care: Care, lease: Option<&LeaseView>) -> Option<ServiceSample> {
        let (run, state) = {
            let status = service.status.borrow();
            (status.run_id?, status.state)
        };
        if !state.is_live() {
            return None;
        }
        let lease = lease.filter(|lease| lease.run_id == run);
        // Whoever has a lease is measured by whoever gave it, every second.
        let leased = lease.map(|lease| lease.measured.ram).filter(|ram| *ram > 0);
        let before = self.known.get(&run).copied();
        let care = if before.is_none() { Care { count: true, measure: true } } else { care };
        let mut seen = before.unwrap_or_default();
        if care.count {
            // No hold yet, or one that does not say: what was seen last counts.
            match self.scene.containment.members(&service.spec.name, run) {
                Ok(members) => seen.take(&members, care.measure, leased.is_none()),
                Err(_) if before.is_none() => return None,
                Err(_) => {}
            }
        }
        seen.turn = self.turn;
        self.known.insert(run, seen);
        let gate = &service.gate;
        let name = &service.spec.name;
        Some(ServiceSample {
            spec: Arc::clone(&service.spec),
            run,
            state,
            processes: seen.processes,
            ram: leased.or(seen.ram),
            vram: lease.map_or(0, |lease| lease.measured.total_vram()),
            descriptors: seen.descriptors,
            idle: gate.in_flight() == 0 && gate.waiting().count == 0 && !self.scene.witness.has_job(name),
        })
    }

    fn host(&self) -> Option<HostSample> {
        let memory = self.scene.host.memory().ok()?;
        let pressure = self.pressure.look().map(|stall| Pressure { some: stall.some, full: stall.full });
        Some(HostSample { total: memory.total, available: memory.available, pressure })
    }
}

impl Seen {
    fn take(&mut self, members: &[Pid], measure: bool, is_unleased: bool) {
        self.processes = u32::try_from(members.len()).unwrap_or(u32::MAX);
        if measure {
            let few = &members[..members.len().min(MEASURED)];
            self.descriptors = u32::try_from(vitals::descriptors(few)).unwrap_or(u32::MAX);
            if is_unleased {
                self.ram = Some(proc::anonymous_bytes(few));
            }
        }
    }
}

fn own() -> OwnSample {
    OwnSample {
        ram: vitals::own_memory(),
        descriptors: vitals::own_descriptors(),
        descriptors_limit: vitals::own_descriptors_limit(),
    }
}
