//! One lease: reserved, loading, resident, draining, asleep or reclaiming, then gone.

use std::{collections::BTreeMap, sync::Arc, time::Instant};

use crate::{
    ids::{Pid, RunId, ServiceName},
    lease::Wish,
    memory::{Amounts, GpuId, Need, Placement},
    spec::{OffloadHow, ServiceSpec},
};

/// Where a lease stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Granted; no process of the run has been seen.
    Reserved,
    /// Its processes take what they need.
    Loading,
    /// Its service is ready.
    Resident,
    /// Its gate is closed, and it is drained or ended.
    Draining,
    /// Its engine has given memory back, which is being measured.
    Dozing {
        /// Since when.
        began: Instant,
        /// Whether the cards were measured since.
        measured: bool,
        /// The latest moment for that.
        until: Instant,
        /// Since when no more has come back.
        still: Instant,
        /// What it took at that moment.
        taken: u64,
        /// Whether its process is being ended meanwhile.
        ends: bool,
    },
    /// It sleeps, and holds what was measured.
    Asleep,
    /// Its run has ended; its VRAM has not been measured back yet. Its RAM has come back with the end.
    Reclaiming {
        /// When it ended.
        ended: Instant,
        /// The latest moment for its memory to be back.
        until: Instant,
        /// Whether the cards were measured since. Before that, it may have left more than was ever seen of it.
        measured: bool,
    },
}

impl Stage {
    /// Its name in the API.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Reserved => "reserved",
            Self::Loading => "loading",
            Self::Resident => "resident",
            Self::Draining => "draining",
            Self::Asleep => "asleep",
            Self::Dozing { .. } | Self::Reclaiming { .. } => "reclaiming",
        }
    }
}

/// What one run may hold, and what it does hold.
#[derive(Debug, Clone)]
pub struct Lease {
    /// Whose.
    pub service: ServiceName,
    /// Of which run.
    pub run: RunId,
    /// What it runs as.
    pub spec: Arc<ServiceSpec>,
    /// What it was thought to need.
    pub need: Need,
    /// On whose wish.
    pub wish: Wish,
    /// Where it is, awake.
    pub placement: Placement,
    /// What it may hold now: the amounts of its placement, or what it keeps asleep.
    pub holds: Amounts,
    /// Where it stands.
    pub stage: Stage,
    /// For whom it has been asked to leave, until it has left or stays.
    pub told: Option<ServiceName>,
    /// Whether it is to be asked to leave for somebody who lets those finish who use it: what it gives is as good as gone.
    pub promised: bool,
    /// Whether it was asked to leave to make room, and has not been found to stay.
    pub pushed_out: bool,
    /// When it was granted.
    pub granted: Instant,
    /// When it was ready.
    pub ready: Option<Instant>,
    /// Whether the cards were measured since it was ready: what it needs was taken by then, and is in their figures.
    pub settled: bool,
    /// Whether it has fallen asleep, and was not granted more since.
    pub slept: bool,
    /// Its processes; after its end those that it had.
    pub pids: Vec<Pid>,
    /// What the driver says its processes use, card by card. A card that is not here: it does not say.
    pub listed: BTreeMap<GpuId, u64>,
    /// Of one whose memory is on its way back, card by card: what none of its processes uses, and is not back yet.
    pub owed: BTreeMap<GpuId, u64>,
    /// Anonymous and shared memory of its processes.
    pub ram: u64,
    /// The most that was measured.
    pub peak: Amounts,
    /// Of that, what was told to be remembered.
    pub learned: Amounts,
    /// What to configure, as is said when its memory is back.
    pub advice: Option<String>,
}

impl Lease {
    /// One that has just been granted.
    #[must_use]
    pub fn new(
        ask: (ServiceName, RunId, Wish),
        spec: Arc<ServiceSpec>,
        need: Need,
        placement: Placement,
        now: Instant,
    ) -> Self {
        let (service, run, wish) = ask;
        Self {
            service,
            run,
            spec,
            need,
            wish,
            holds: placement.lease.clone(),
            placement,
            stage: Stage::Reserved,
            told: None,
            promised: false,
            pushed_out: false,
            granted: now,
            ready: None,
            settled: false,
            slept: false,
            pids: Vec::new(),
            listed: BTreeMap::new(),
            owed: BTreeMap::new(),
            ram: 0,
            peak: Amounts::default(),
            learned: Amounts::default(),
            advice: None,
        }
    }

    /// Whether its run is over.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        matches!(self.stage, Stage::Reclaiming { .. })
    }

    /// Of one whose memory is on its way back, with the end of its run or because its engine falls asleep: whether the
    /// cards were measured since that began.
    #[must_use]
    pub fn gives_back(&self) -> Option<bool> {
        match self.stage {
            Stage::Reclaiming { measured, .. } | Stage::Dozing { measured, .. } => Some(measured),
            Stage::Reserved | Stage::Loading | Stage::Resident | Stage::Draining | Stage::Asleep => None,
        }
    }

    /// Whether it is on its way in.
    #[must_use]
    pub fn is_coming(&self) -> bool {
        matches!(self.stage, Stage::Reserved | Stage::Loading)
    }

    /// Whether it is on its way out.
    #[must_use]
    pub fn is_leaving(&self) -> bool {
        match self.stage {
            Stage::Draining | Stage::Dozing { .. } | Stage::Reclaiming { .. } => true,
            Stage::Resident | Stage::Asleep => self.told.is_some(),
            Stage::Reserved | Stage::Loading => false,
        }
    }

    /// Whether it is on its way out, or promised to somebody: no plan can have it.
    #[must_use]
    pub fn is_taken(&self) -> bool {
        self.promised || self.is_leaving()
    }

    /// What its processes use of a card, as part of what was measured last. Where the driver does not say, one that was
    /// ready by then is taken to have had what it may hold, and one that loaded to have had nothing: its whole amount is
    /// still kept for it.
    #[must_use]
    pub fn used(&self, gpu: &GpuId) -> u64 {
        if self.has_ended() {
            return 0;
        }
        let is_whole = self.settled && self.gives_back().is_none();
        let unsaid = if is_whole { self.holds.vram.get(gpu).copied().unwrap_or(0) } else { 0 };
        self.listed.get(gpu).copied().unwrap_or(unsaid)
    }

    /// What is its own of a card for certain: what its processes use, and what it has given up and is not back.
    #[must_use]
    pub fn taken(&self, gpu: &GpuId) -> u64 {
        let owed = if self.gives_back().is_some() { self.owed.get(gpu).copied().unwrap_or(0) } else { 0 };
        self.used(gpu).saturating_add(owed)
    }

    /// What must be counted as its own on a card: what it may hold, or more if it has taken more.
    #[must_use]
    pub fn vram(&self, gpu: &GpuId) -> u64 {
        if matches!(self.stage, Stage::Reclaiming { measured: true, .. }) {
            return self.taken(gpu);
        }
        self.holds.vram.get(gpu).copied().unwrap_or(0).max(self.taken(gpu))
    }

    /// What it may have taken, or may still take, of a card on top of what was measured.
    #[must_use]
    pub fn vram_to_come(&self, gpu: &GpuId) -> u64 {
        self.vram(gpu) - self.taken(gpu)
    }

    /// What must be counted as its own of the host's memory.
    #[must_use]
    pub fn host(&self) -> u64 {
        self.holds.ram.max(self.ram)
    }

    /// What is left of it on a card when it has left. How an engine on several cards divides what it keeps asleep nobody
    /// says, so all of it may be left on each of them.
    #[must_use]
    pub fn vram_kept(&self, gpu: &GpuId) -> u64 {
        if self.leaves_asleep() { self.vram_asleep(gpu) } else { 0 }
    }

    /// What it keeps of a card when it sleeps, as far as it is known.
    #[must_use]
    pub fn vram_asleep(&self, gpu: &GpuId) -> u64 {
        let had = self.placement.lease.vram.get(gpu).copied().unwrap_or(0);
        self.need.asleep.unwrap_or(0).min(had)
    }

    /// Whether it makes room by sleeping, which gives back VRAM alone. One that sleeps already makes room by its end.
    #[must_use]
    pub fn leaves_asleep(&self) -> bool {
        match self.stage {
            Stage::Reclaiming { .. } => false,
            Stage::Dozing { ends, .. } => !ends,
            _ => !self.slept && self.spec.memory.offload.how == OffloadHow::Sleep,
        }
    }

    /// What becomes free when it leaves.
    #[must_use]
    pub fn gives(&self) -> Amounts {
        let cards = self.holds.vram.keys().chain(self.listed.keys()).chain(self.owed.keys());
        let vram = cards.map(|gpu| (gpu.clone(), self.vram(gpu).saturating_sub(self.vram_kept(gpu)))).collect();
        match self.leaves_asleep() || self.has_ended() {
            true => Amounts { vram, ..Amounts::default() },
            false => Amounts { vram, ram: self.host(), custom: self.holds.custom.clone() },
        }
    }

    /// What its processes hold, as measured; VRAM that no driver measures is left out.
    #[must_use]
    pub fn measured(&self) -> Amounts {
        let vram = if self.has_ended() { &self.owed } else { &self.listed };
        Amounts { vram: vram.clone(), ram: self.ram, custom: self.holds.custom.clone() }
    }

    /// Remembers the most that was measured.
    pub fn note_peak(&mut self) {
        for (gpu, bytes) in &self.listed {
            let peak = self.peak.vram.entry(gpu.clone()).or_default();
            *peak = (*peak).max(*bytes);
        }
        self.peak.ram = self.peak.ram.max(self.ram);
    }
}
