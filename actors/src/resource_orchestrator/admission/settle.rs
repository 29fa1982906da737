//! Goes through those who wait, in the order of their turns, and answers whom it can.

use std::{
    collections::BTreeSet,
    sync::Arc,
    time::{Duration, Instant},
};

use super::{
    Around, Effect,
    ask::Ask,
    choice::{Choice, Query},
    demand::names,
    event::{leaving_bound, passing_bound},
    machine::Admission,
};
use crate::{
    event::EventKind,
    ids::{RunId, ServiceName},
    lease::{LeaseVerdict, Wish},
    memory::{Amounts, Holder, NeedSource, Placement, Pool, Refusal, RefusalKind, Shortage, Stays, VramNeed},
    resource_orchestrator::{
        ledger::{Claim, Lease, Lens, Stage},
        planner::Plan,
    },
};

/// A reading that was older than this when something was asked for says too little about the moment.
const FRESH: Duration = Duration::from_millis(500);

impl Admission {
    pub(super) fn settle(&mut self, around: &dyn Around) {
        let now = around.now();
        self.take_back(now);
        self.look = None;
        self.standing.clear();
        self.ledger.leases.values_mut().for_each(|lease| lease.promised = false);
        if self.asks.is_empty() && self.returning.is_empty() {
            return;
        }
        if let Some(host) = around.host() {
            self.ledger.host = host;
        }
        self.note_use(around);
        self.line_up(around);
        let mut claims = Vec::new();
        let mut at = 0;
        while at < self.asks.len() {
            if self.asks[at].question.wish == Wish::Adopted {
                let ask = self.asks.remove(at);
                self.note_before(&ask, around);
                self.adopt(ask, now);
                continue;
            }
            if self.is_unmeasured(&self.asks[at]) {
                at += self.await_reading(at, now, around);
                continue;
            }
            if self.falls_asleep(&self.asks[at]) {
                self.asks[at].held_up = false;
                self.pend(at, "waits until it has fallen asleep".to_owned());
                at += 1;
                continue;
            }
            let choice = self.choose(query_of(&self.asks[at], &claims), around);
            self.asks[at].held_up = false;
            match choice {
                Choice::Now(placement) => {
                    let mut ask = self.asks.remove(at);
                    self.note_before(&ask, around);
                    ask.course.planned.get_or_insert(now);
                    self.announce(&mut ask, &placement, &[]);
                    self.grant(ask, placement, now);
                }
                Choice::Never(refusal) => {
                    let ask = self.asks.remove(at);
                    self.refuse(ask, *refusal, around);
                }
                choice if self.asks[at].deadline() <= now => {
                    let ask = self.asks.remove(at);
                    let refusal = self.not_in_time(&ask, &choice, &claims);
                    self.refuse(ask, refusal, around);
                }
                Choice::Later(plan) => {
                    match self.users_of(&plan, &self.asks[at].turn, around) {
                        Some(users) => self.let_finish(at, &plan, users, now),
                        None => self.make_room(at, &plan, now),
                    }
                    let service = self.asks[at].question.service.clone();
                    claims.push(Claim { service, amounts: plan.placement.lease });
                    at += 1;
                }
                Choice::Behind(ahead) => {
                    self.stand_behind(at, &ahead);
                    at += 1;
                }
            }
        }
        self.standing = self.stand(around).collect();
        self.bring_back(claims, around);
    }

    /// Takes down how often somebody had entered, so that it is seen whether anybody enters the run that begins.
    fn note_before(&mut self, ask: &Ask, around: &dyn Around) {
        let service = &ask.question.service;
        if let Some(member) = self.members.get_mut(service) {
            member.before = around.usage(service).entries;
        }
    }

    /// Whether the cards were not measured since, or shortly before, this was asked: other programs may have come or gone.
    /// Or not since somebody was ready, of whom the driver does not say what it uses: that is in the figures or still to
    /// come, and so counts twice.
    fn is_unmeasured(&self, ask: &Ask) -> bool {
        let measured = self.ledger.working().any(|book| book.card.used.is_some());
        let old = |read: Instant| ask.course.asked.saturating_duration_since(read) > FRESH;
        let unsettled = |lease: &Lease| lease.ready.is_some() && !lease.settled && lease.gives_back().is_none();
        let unsaid = |lease: &Lease| lease.placement.gpus.iter().any(|gpu| !lease.listed.contains_key(gpu));
        let counts_twice = || self.ledger.leases.values().any(|lease| unsettled(lease) && unsaid(lease));
        let needs_a_card = ask.question.need.vram != VramNeed::None;
        measured && needs_a_card && (self.ledger.read.is_some_and(old) || counts_twice())
    }

    /// Whether what it has given back is still being measured: it is woken with memory that is there. That has an end before
    /// the question has.
    fn falls_asleep(&self, ask: &Ask) -> bool {
        let lease = self.ledger.leases.get(&ask.question.run);
        lease.is_some_and(|lease| matches!(lease.stage, Stage::Dozing { .. }))
    }

    /// Waits for a reading, which comes soon while somebody waits; says how many asks to step over.
    fn await_reading(&mut self, at: usize, now: Instant, around: &dyn Around) -> usize {
        if self.asks[at].deadline() <= now {
            let ask = self.asks.remove(at);
            let kind = RefusalKind::NoCard { problem: "the cards could not be measured in time".to_owned() };
            let service = ask.question.service.clone();
            self.refuse(ask, Refusal { service, kind, missing: Vec::new(), holders: Vec::new() }, around);
            return 0;
        }
        self.asks[at].held_up = false;
        self.pend(at, "waits until the cards are measured".to_owned());
        1
    }

    /// Asks those to leave whom the plan names, and waits for them and for those who are on their way out already.
    fn make_room(&mut self, at: usize, plan: &Plan, now: Instant) {
        let reclaim = self.ledger.rules.reclaim_timeout;
        let asker = self.asks[at].question.service.clone();
        for name in &plan.offload {
            let may_leave = |stage| matches!(stage, Stage::Resident | Stage::Asleep);
            let resident = |lease: &&mut Lease| lease.service == *name && may_leave(lease.stage);
            let Some(lease) = self.ledger.leases.values_mut().find(resident) else { continue };
            lease.told = Some(asker.clone());
            lease.pushed_out = true;
            let (service, run) = (name.clone(), Some(lease.run));
            self.effect(Effect::Offload { service, run, reason: format!("makes room for {asker}") });
        }
        let wanted = &plan.placement.lease;
        let matters = |lease: &&Lease| lease.is_leaving() && overlaps(&lease.gives(), wanted);
        let leaving: Vec<&Lease> = self.ledger.leases.values().filter(matters).collect();
        let awaits: BTreeSet<ServiceName> = leaving.iter().map(|lease| lease.service.clone()).collect();
        let reason = waits_for(&leaving);
        let bounds: Vec<_> =
            leaving.iter().map(|lease| (lease.service.clone(), leaving_bound(&lease.spec, reclaim))).collect();

        let mut ask = self.asks.remove(at);
        bounds.iter().for_each(|(service, bound)| ask.allow(service, *bound));
        ask.course.planned.get_or_insert(now);
        ask.course.waited = true;
        ask.course.from.extend(plan.offload.iter().cloned());
        if ask.announced.is_none() || !plan.offload.is_empty() {
            self.announce(&mut ask, &plan.placement, &plan.offload);
        }
        ask.awaits = awaits;
        ask.claim = Some(plan.placement.lease.clone());
        self.asks.insert(at, ask);
        self.pend(at, reason);
    }

    fn stand_behind(&mut self, at: usize, ahead: &[ServiceName]) {
        let reclaim = self.ledger.rules.reclaim_timeout;
        let ask = &mut self.asks[at];
        // Until it is due, others of a higher priority go first.
        ask.be_patient(self.fairness);
        for name in ahead {
            if let Some(member) = self.members.get(name) {
                ask.allow(name, passing_bound(&member.spec, reclaim));
            }
        }
        ask.awaits = ahead.iter().cloned().collect();
        ask.claim = None;
        self.pend(at, format!("waits until {} is loaded", names(ahead)));
    }

    pub(super) fn pend(&mut self, at: usize, reason: String) {
        let ask = &mut self.asks[at];
        if ask.reason.as_ref() != Some(&reason) {
            let run = ask.question.run;
            ask.reason = Some(reason.clone());
            self.answer(run, LeaseVerdict::Pending(reason));
        }
    }

    fn refuse(&mut self, ask: Ask, refusal: Refusal, around: &dyn Around) {
        self.release(&ask);
        let nowhere = Placement::default();
        let question = &ask.question;
        self.decided(question.run, &question.service, source(&ask), &nowhere, &[], Some(Box::new(refusal.clone())));
        self.answer(question.run, LeaseVerdict::Refused(Arc::new(refusal)));
        self.note_refused(&ask, around);
    }

    /// Tells where it goes, unless that was told before.
    fn announce(&mut self, ask: &mut Ask, placement: &Placement, offload: &[ServiceName]) {
        if ask.announced.as_ref() == Some(placement) && offload.is_empty() {
            return;
        }
        ask.announced = Some(placement.clone());
        self.decided(ask.question.run, &ask.question.service, source(ask), placement, offload, None);
    }

    fn decided(
        &mut self,
        run_id: RunId,
        service: &ServiceName,
        need: NeedSource,
        placement: &Placement,
        offload: &[ServiceName],
        refusal: Option<Box<Refusal>>,
    ) {
        let Placement { gpus, gpu_layers, lease } = placement.clone();
        let (service, offload) = (service.clone(), offload.to_vec());
        self.tell(EventKind::PlanDecided { service, run_id, need, gpus, lease, gpu_layers, offload, refusal });
    }

    /// Why somebody who had a plan has no memory after all this time.
    fn not_in_time(&self, ask: &Ask, choice: &Choice, claims: &[Claim]) -> Refusal {
        let wanted = match choice {
            Choice::Now(placement) => placement.lease.clone(),
            Choice::Later(plan) => plan.placement.lease.clone(),
            Choice::Behind(_) | Choice::Never(_) => ask.announced.clone().unwrap_or_default().lease,
        };
        let free = self.ledger.free(Lens { claims, ..Lens::default() }).room;
        let room_of = |pool: &Pool| match pool {
            Pool::Vram(gpu) => free.cards.iter().find(|card| card.id == *gpu).map(|card| card.room),
            Pool::Ram => Some(free.ram),
            Pool::Custom(name) => free.custom.get(name).copied(),
        };
        let missing = wanted.iter().filter_map(|(pool, needed)| {
            let room = room_of(&pool).unwrap_or_default();
            (needed > room.free).then_some(Shortage { pool, needed, free: room.free, capacity: room.capacity })
        });
        let missing: Vec<Shortage> = missing.collect();
        let awaited = self.ledger.leases.values().filter(|lease| ask.awaits.contains(&lease.service));
        let holders = awaited.flat_map(|lease| {
            let why = match lease.stage {
                Stage::Reserved | Stage::Loading => Stays::Loading,
                Stage::Resident | Stage::Draining => Stays::Busy,
                Stage::Asleep | Stage::Dozing { .. } | Stage::Reclaiming { .. } => Stays::NotBack,
            };
            let gives = lease.gives();
            let pools = missing.iter().map(|shortage| shortage.pool.clone());
            let short = pools.map(|pool| (gives.of(&pool), pool)).filter(|(amount, _)| *amount > 0);
            let service = lease.service.clone();
            short.map(move |(amount, pool)| Holder::new(Some(service.clone()), pool, amount, why)).collect::<Vec<_>>()
        });
        let holders = holders.collect();
        Refusal { service: ask.question.service.clone(), kind: RefusalKind::NotInTime, missing, holders }
    }
}

pub(super) fn query_of<'a>(ask: &'a Ask, claims: &'a [Claim]) -> Query<'a> {
    let question = &ask.question;
    let (run, spared) = (Some(question.run), &ask.spared);
    let (spec, need, wish) = (&*question.spec, &question.need, question.wish);
    Query { spec, need, wish, run, turn: ask.turn, spared, claims }
}

fn source(ask: &Ask) -> NeedSource {
    let need = &ask.question.need;
    if need.vram_source == NeedSource::Nothing { need.ram_source } else { need.vram_source }
}

fn overlaps(gives: &Amounts, wanted: &Amounts) -> bool {
    wanted.iter().any(|(pool, amount)| amount > 0 && gives.of(&pool) > 0)
}

/// `waits for chat to leave`, or for its memory, when it has left.
fn waits_for(leaving: &[&Lease]) -> String {
    let (gone, here): (Vec<&&Lease>, Vec<&&Lease>) =
        leaving.iter().partition(|lease| matches!(lease.stage, Stage::Dozing { .. } | Stage::Reclaiming { .. }));
    if !here.is_empty() {
        return format!("waits for {} to leave", names(here.iter().map(|lease| &lease.service)));
    }
    if gone.is_empty() {
        return "waits until there is room as measured".to_owned();
    }
    format!("waits for the memory of {} to come back", names(gone.iter().map(|lease| &lease.service)))
}
