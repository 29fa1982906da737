//! Takes samples: what every live tree holds, the machine, this process.
//!
//! A look at a tree is a walk through it, never through the whole process table. Even that is left out where it can tell
//! nothing new: as long as no process of the machine begins or ends, all counts are what they were, and where everybody in a
//! tree descends from one process, whoever has begun since the last look says by its parents to which tree it has come.
//! Memory and descriptors, which change without that, are measured in turns, one service in [`TURNS`] at each sample; but at
//! every sample where a limit is set on memory, or on its growth within a short time. Who has ended and is not waited for is
//! looked for at every [`TURNS`]th of a service's turns.

use std::{
    collections::{BTreeSet, HashMap},
    fmt,
    sync::Arc,
    time::{Duration, Instant},
};

use super::{
    idleness::Idleness,
    kin,
    sample::{ActorSample, HostSample, OwnSample, Pressure, Sample, ServiceSample},
};
use crate::{
    ids::{Pid, RunId},
    os::{
        containment::{Containment, ContainmentKind},
        host::Host,
        proc,
        vitals::{self, Births, MemoryPressure, Stir, StirWatch},
    },
    resource_orchestrator::view::{LeaseView, MemoryBoard},
    services::{ServiceSet, Supervised},
    witness::Witness,
};

/// A service whose memory nobody limits is measured at one sample of so many. A tree to which nobody comes any more is
/// walked as often: only then it shows that somebody of it has ended.
pub const TURNS: usize = 5;
/// Growth within less than this is measured at every sample: a value that is several samples old makes steps of a slope.
const SOON: Duration = Duration::from_secs(300);
/// Ids given away for each tree that may be spared a walk, up to which newborns are looked up. That takes from 2 us for one
/// that is over to 10 us, and a walk 30 us.
const LOOKED_UP: usize = 2;
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
    stir: StirWatch,
    idleness: Idleness,
    known: HashMap<RunId, Seen>,
    /// Samples so far: whose turn it is.
    turn: usize,
}

/// What was seen of a run.
#[derive(Debug, Default)]
struct Seen {
    members: Vec<Pid>,
    /// Who takes the orphans of its tree.
    reaper: Option<Pid>,
    /// Processes of its tree that have ended and are not waited for.
    unreaped: u32,
    ram: Option<u64>,
    descriptors: u32,
    /// The sample in which it was seen last.
    turn: usize,
    /// The last sample before which somebody came to its tree or left it.
    lively: usize,
}

/// Whose count may have changed since the last sample.
#[derive(Debug)]
enum Changed {
    /// Nobody's.
    None,
    /// Those of these runs, and of all whose newborns cannot be told by their parents.
    Runs(BTreeSet<RunId>),
    /// Everybody's.
    All,
}

/// How closely one service is looked at.
#[derive(Debug, Clone, Copy)]
struct Care {
    /// Its processes are counted.
    count: bool,
    /// Memory and descriptors are measured.
    measure: bool,
    /// Who has ended and is not waited for is looked for.
    zombies: bool,
}

impl Care {
    /// For one that was never looked at.
    const ALL: Self = Self { count: true, measure: true, zombies: true };
}

impl Changed {
    /// Whether somebody has come to the tree of this run.
    fn names(&self, run: RunId) -> bool {
        matches!(self, Self::Runs(runs) if runs.contains(&run))
    }
}

impl Looker {
    /// One that has seen nothing yet.
    #[must_use]
    pub fn new(scene: Scene) -> Self {
        let (pressure, stir) = (MemoryPressure::new(), StirWatch::new());
        Self { scene, pressure, stir, idleness: Idleness::default(), known: HashMap::new(), turn: 0 }
    }

    /// Everything at this moment. `actors` are reported as they are.
    pub fn look(&mut self, at: Instant, actors: Vec<ActorSample>) -> Sample {
        self.turn = self.turn.wrapping_add(1);
        let changed = self.changed();
        let leases = self.scene.memory.look();
        let (services, workers) = (self.scene.services.all(), self.scene.workers.all());
        let mut samples = Vec::new();
        for (place, service) in services.iter().chain(workers.iter()).enumerate() {
            let lease = leases.leases.get(&service.spec.name);
            samples.extend(self.service(at, place, service, &changed, lease));
        }
        let turn = self.turn;
        self.known.retain(|_, seen| seen.turn == turn);
        self.idleness.retain(|run| self.known.contains_key(&run));
        Sample { at, host: self.host(), services: samples, own: own(), actors }
    }

    /// The members of a live run, looked up anew. Nobody of a run that is over.
    #[must_use]
    pub fn members(&self, service: &Supervised) -> Vec<Pid> {
        let run = service.status.borrow().run_id;
        run.and_then(|run| self.scene.containment.members(&service.spec.name, run).ok()).unwrap_or_default()
    }

    fn changed(&mut self) -> Changed {
        // Only these trees are spared a walk by it.
        let told_by_parents = self.known.values().filter(|seen| seen.reaper.is_some()).count();
        match self.stir.since_last() {
            Stir::Calm => Changed::None,
            Stir::Births(births) if births.count() <= LOOKED_UP * told_by_parents => {
                Changed::Runs(self.joined(&births))
            }
            Stir::Births(_) | Stir::Unknown => Changed::All,
        }
    }

    /// The runs to whose trees one of these has come.
    fn joined(&self, births: &Births) -> BTreeSet<RunId> {
        let newborns: HashMap<Pid, Pid> =
            births.ids().filter_map(|pid| Some((pid, proc::stat(pid).ok()?.parent))).collect();
        if newborns.is_empty() {
            return BTreeSet::new();
        }
        let kin = |(run, seen): (&RunId, &Seen)| seen.kin().map(|pid| (pid, *run)).collect::<Vec<_>>();
        kin::parents_of(&self.known.iter().flat_map(kin).collect(), &newborns)
    }

    fn care(&self, place: usize, service: &Supervised, run: RunId, changed: &Changed) -> Care {
        let Some(seen) = self.known.get(&run) else { return Care::ALL };
        let is_its_turn = place % TURNS == self.turn % TURNS;
        let zombies = is_its_turn && place / TURNS % TURNS == self.turn / TURNS % TURNS;
        let limits = &service.spec.limits;
        let is_searched = self.scene.containment.kind() == ContainmentKind::BestEffort;
        let is_limited = limits.ram.is_some() || limits.growth.is_some_and(|growth| growth.within < SOON);
        let measure = is_its_turn || is_limited && !is_searched;
        let has_changed = match changed {
            Changed::None => false,
            Changed::Runs(_) => {
                // Somebody who came lately may have gone again, which no newborn tells.
                let is_lively = self.turn.wrapping_sub(seen.lively) < TURNS;
                seen.reaper.is_none() || is_lively || changed.names(run)
            }
            Changed::All => true,
        };
        Care { count: measure || has_changed && (!is_searched || place < SEARCHED), measure, zombies }
    }

    /// One service, if a process of it runs.
    fn service(
        &mut self,
        at: Instant,
        place: usize,
        service: &Supervised,
        changed: &Changed,
        lease: Option<&LeaseView>,
    ) -> Option<ServiceSample> {
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
        let care = self.care(place, service, run, changed);
        let name = &service.spec.name;
        let is_new = !self.known.contains_key(&run);
        if care.count {
            // No hold yet, or one that does not say: what was seen last counts.
            match self.scene.containment.members(name, run) {
                Ok(members) => {
                    let seen = self.known.entry(run).or_default();
                    // The same as long as the run lives: should it die, its tree is ended.
                    seen.reaper = seen.reaper.or_else(|| self.scene.containment.reaper(name, run));
                    if changed.names(run) || members != seen.members {
                        seen.lively = self.turn;
                    }
                    seen.take(members, care, leased.is_none());
                }
                Err(_) if is_new => return None,
                Err(_) => {}
            }
        }
        let seen = self.known.get_mut(&run)?;
        seen.turn = self.turn;
        let (gate, has_job) = (&service.gate, self.scene.witness.has_job(name));
        let is_unused = gate.in_flight() == 0 && gate.waiting().count == 0 && !has_job;
        Some(ServiceSample {
            spec: Arc::clone(&service.spec),
            run,
            state,
            processes: u32::try_from(seen.members.len()).unwrap_or(u32::MAX).saturating_add(seen.unreaped),
            unreaped: seen.unreaped,
            ram: leased.or(seen.ram),
            vram: lease.map_or(0, |lease| lease.measured.total_vram()),
            descriptors: seen.descriptors,
            idle: is_unused && self.idleness.look(service, run, at),
        })
    }

    fn host(&self) -> Option<HostSample> {
        let memory = self.scene.host.memory().ok()?;
        let pressure = self.pressure.look().map(|stall| Pressure { some: stall.some, full: stall.full });
        Some(HostSample { total: memory.total, available: memory.available, pressure })
    }
}

impl Seen {
    fn take(&mut self, members: Vec<Pid>, care: Care, is_unleased: bool) {
        let few = &members[..members.len().min(MEASURED)];
        if care.measure {
            self.descriptors = u32::try_from(vitals::descriptors(few)).unwrap_or(u32::MAX);
            if is_unleased {
                self.ram = Some(proc::anonymous_bytes(few));
            }
        }
        if care.zombies {
            self.unreaped = vitals::unreaped(few);
        }
        self.members = members;
    }

    /// Those whose children are of its tree.
    fn kin(&self) -> impl Iterator<Item = Pid> {
        self.members.iter().chain(&self.reaper).copied()
    }
}

fn own() -> OwnSample {
    OwnSample {
        ram: vitals::own_memory(),
        descriptors: vitals::own_descriptors(),
        descriptors_limit: vitals::own_descriptors_limit(),
    }
}
