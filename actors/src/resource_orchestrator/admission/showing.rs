//! What people see of it.

use std::{collections::BTreeMap, time::Instant};

use super::{
    Around,
    choice::{Choice, Query},
    line::waits_for,
    machine::Admission,
    turn::Turn,
};
use crate::{
    ids::ServiceName,
    lease::Wish,
    memory::{Need, NeedSource, Placement, VramNeed},
    resource_orchestrator::{
        ledger::{CardBook, Free, Lease, Lens, Stage},
        planner::{Plan, Resident, explain},
        view::{
            CardView, LeaseView, MemorySnapshot, NeedView, OffloadView, PlanRefused, PlanView, PoolView, WaitingView,
        },
    },
};

impl Admission {
    /// The memory at this moment.
    #[must_use]
    pub fn snapshot(&self, now: Instant) -> MemorySnapshot {
        let free = self.ledger.free(Lens::default());
        let measured = self.ledger.cards.iter().any(|book| book.card.used.is_some());
        let read = self.ledger.read.filter(|_| measured);
        MemorySnapshot {
            backend: self.ledger.backend.to_owned(),
            problem: self.ledger.problem.clone(),
            age: read.map(|read| now.saturating_duration_since(read).as_secs_f64()),
            measured_at: read,
            cards: self.ledger.cards.iter().map(|book| self.card_view(book, &free)).collect(),
            ram: PoolView { capacity: free.room.ram.capacity, free: free.room.ram.free },
            custom: free
                .room
                .custom
                .iter()
                .map(|(name, room)| (name.clone(), PoolView { capacity: room.capacity, free: room.free }))
                .collect(),
            leases: self.lease_views(now),
            needs: self.members.iter().map(|(name, member)| (name.clone(), need_view(&member.need))).collect(),
            waiting: self
                .asks
                .iter()
                .map(|ask| WaitingView {
                    service: ask.question.service.clone(),
                    reason: ask.reason.clone().unwrap_or_default(),
                    waited: now.saturating_duration_since(ask.course.asked).as_secs_f64(),
                })
                .collect(),
            reclaim_timeouts: self.timeouts,
        }
    }

    fn card_view(&self, book: &CardBook, free: &Free) -> CardView {
        let card = &book.card;
        let on_it = self.ledger.leases.values().filter(|lease| lease.vram(&card.id) > 0);
        let mut services: BTreeMap<ServiceName, u64> = BTreeMap::new();
        for lease in on_it {
            let used = if card.used.is_some() { lease.taken(&card.id) } else { lease.vram(&card.id) };
            *services.entry(lease.service.clone()).or_default() += used;
        }
        let room = free.room.cards.iter().find(|room| room.id == card.id);
        CardView {
            id: card.id.clone(),
            index: card.index,
            name: card.name.clone(),
            state: if book.works() { "works" } else { "lost" }.to_owned(),
            problem: book.problem(),
            total: card.total,
            used: card.used,
            services,
            strangers: book.strangers,
            free: room.map_or(0, |room| room.room.free),
            capacity: self.ledger.vram_capacity(book),
            utilization: card.utilization,
            temperature: card.temperature,
        }
    }

    fn lease_views(&self, now: Instant) -> BTreeMap<ServiceName, LeaseView> {
        let mut views = BTreeMap::new();
        let (ended, live): (Vec<&Lease>, Vec<&Lease>) =
            self.ledger.leases.values().partition(|lease| lease.has_ended());
        // The newest run's lease is the one that is shown.
        for lease in ended.into_iter().chain(live) {
            let view = LeaseView {
                run_id: lease.run,
                state: lease.stage.name().to_owned(),
                amounts: lease.holds.clone(),
                gpu_layers: lease.placement.gpu_layers,
                measured: lease.measured(),
                idle_for: self.idle_for(lease, now),
            };
            views.insert(lease.service.clone(), view);
        }
        views
    }

    /// Since when nobody has used what is ready.
    fn idle_for(&self, lease: &Lease, now: Instant) -> Option<f64> {
        let member = self.members.get(&lease.service).filter(|_| lease.stage == Stage::Resident)?;
        Some(now.saturating_duration_since(member.used).as_secs_f64())
    }

    /// What a load would do now. Nothing is done.
    ///
    /// # Errors
    /// When nobody knows the service.
    pub fn preview(&mut self, service: &ServiceName, around: &dyn Around) -> Result<PlanView, PlanRefused> {
        if let Some(host) = around.host() {
            self.ledger.host = host;
        }
        self.note_use(around);
        let member = self.members.get(service).ok_or_else(|| PlanRefused::Unknown(service.clone()))?;
        let live = self.ledger.live(service);
        let (spared, claims) = (BTreeMap::new(), self.claims());
        let run = live.filter(|lease| lease.stage == Stage::Asleep).map(|lease| lease.run);
        let (spec, need) = (&*member.spec, &member.need);
        let turn = Turn { arrival: around.now(), priority: 0, begun: false };
        let query = Query { spec, need, wish: Wish::Wanted, run, turn, spared: &spared, claims: &claims };
        let mut view = PlanView {
            service: service.clone(),
            resident: false,
            need: need_view(need),
            gpus: Vec::new(),
            gpu_layers: None,
            lease: crate::memory::Amounts::default(),
            offload: Vec::new(),
            refusal: None,
            because: Vec::new(),
        };
        if let Some(lease) = live.filter(|lease| lease.stage != Stage::Asleep) {
            view.resident = true;
            place(&mut view, &lease.placement);
            view.because.push(format!("it is in memory already ({})", lease.stage.name()));
            return Ok(view);
        }
        if need.is_nothing() {
            view.because.push("it needs nothing that is counted".to_owned());
            return Ok(view);
        }
        self.fill_in(view, query, around)
    }

    fn fill_in(&self, mut view: PlanView, query: Query<'_>, around: &dyn Around) -> Result<PlanView, PlanRefused> {
        let free = self.ledger.free(Lens { later: true, own: query.run, claims: query.claims });
        let residents = self.residents(query, &free, false, around);
        let demand = self.demand_of(query);
        let decision = match self.choose(query, around) {
            Choice::Now(placement) => Ok(Plan { placement, offload: Vec::new(), cost: 0.0 }),
            Choice::Later(plan) => {
                if plan.offload.is_empty() {
                    view.because.push("it waits for memory that is on its way back".to_owned());
                }
                if let Some(users) = self.users_of(&plan, &query.turn, around) {
                    view.because.push(format!("it {}", waits_for(&users.names, false, self.fairness)));
                }
                Ok(plan)
            }
            Choice::Behind(ahead) => {
                view.because.push(format!("it waits until {} is loaded", super::demand::names(&ahead)));
                return Ok(view);
            }
            Choice::Never(refusal) => Err(*refusal),
        };
        view.because.extend(explain(&demand, &free.room, &residents, &decision));
        match decision {
            Ok(plan) => {
                place(&mut view, &plan.placement);
                let leaves =
                    |name: &ServiceName| residents.iter().find(|resident: &&Resident| resident.service == *name);
                view.offload = plan.offload.iter().filter_map(leaves).map(offload_view).collect();
            }
            Err(refusal) => view.refusal = Some(Box::new(refusal)),
        }
        Ok(view)
    }

    /// What is kept for those who wait.
    fn claims(&self) -> Vec<crate::resource_orchestrator::ledger::Claim> {
        let claims = self.asks.iter().filter_map(|ask| {
            let amounts = ask.claim.clone()?;
            Some(crate::resource_orchestrator::ledger::Claim { service: ask.question.service.clone(), amounts })
        });
        claims.collect()
    }
}

fn place(view: &mut PlanView, placement: &Placement) {
    view.gpus.clone_from(&placement.gpus);
    view.gpu_layers = placement.gpu_layers;
    view.lease = placement.lease.clone();
}

fn offload_view(resident: &Resident) -> OffloadView {
    OffloadView {
        service: resident.service.clone(),
        busy: resident.busy,
        gives: resident.gives.clone(),
        cost: crate::resource_orchestrator::planner::likely_cost(resident),
    }
}

fn need_view(need: &Need) -> NeedView {
    let (vram, layers) = match need.vram {
        VramNeed::None => (Some(0), None),
        VramNeed::Bytes(bytes) => (Some(bytes), None),
        VramNeed::Layers(layered) => (Some(layered.vram(layered.layers)), Some(layered.layers)),
        VramNeed::WholeCard => (None, None),
    };
    let source = if need.vram_source == NeedSource::Nothing { need.ram_source } else { need.vram_source };
    NeedView { source, vram, ram: need.ram, ram_source: need.ram_source, layers }
}
