//! The one decision: now, later, behind somebody, or never.

use std::collections::BTreeMap;

use super::{
    Around,
    demand::{demand, no_card},
    machine::Admission,
    swap::load_time,
    turn::{Leave, Turn},
};
use crate::{
    ids::{RunId, ServiceName},
    lease::Wish,
    memory::{Amounts, Need, Placement, Refusal, RefusalKind, Stays, VramNeed},
    resource_orchestrator::{
        ledger::{Claim, Free, Lease, Lens, Stage},
        planner::{Demand, Plan, Resident, plan},
    },
    spec::ServiceSpec,
};

/// Who wants what.
#[derive(Debug, Clone, Copy)]
pub(super) struct Query<'a> {
    pub spec: &'a ServiceSpec,
    pub need: &'a Need,
    pub wish: Wish,
    /// The run, where it has a lease already: it sleeps.
    pub run: Option<RunId>,
    /// When its turn comes.
    pub turn: Turn,
    /// Those who stay.
    pub spared: &'a BTreeMap<ServiceName, Stays>,
    /// What is kept for those who came before.
    pub claims: &'a [Claim],
}

/// What comes of it.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Choice {
    /// There is room.
    Now(Placement),
    /// There is room when those who are on their way out, and those whom the plan names, have gone.
    Later(Plan),
    /// There may be room when these are in: then they can be asked to leave.
    Behind(Vec<ServiceName>),
    /// There is none.
    Never(Box<Refusal>),
}

impl Admission {
    pub(super) fn choose(&self, query: Query<'_>, around: &dyn Around) -> Choice {
        let demand = self.demand_of(query);
        let own = query.run.filter(|run| self.ledger.leases.contains_key(run));
        let later = self.ledger.free(Lens { later: true, own, claims: query.claims });
        let second = plan(&demand, &later.room, &self.residents(query, &later, false, around));
        let leaving = self.ledger.leases.values().any(|lease| lease.is_taken() && own != Some(lease.run));
        let first = match leaving {
            // What is there now may be had as long as those who came before find theirs when the others have gone.
            true => {
                let now = self.ledger.free(Lens { later: false, own, claims: &[] }).at_most(&later);
                plan(&demand, &now.room, &self.residents(query, &now, false, around))
            }
            false => second.clone(),
        };
        match (first, second) {
            // Layers that would lie in RAM now may have room on the card in a moment.
            (Ok(now), Ok(then)) if now.offload.is_empty() && now.placement.gpu_layers >= then.placement.gpu_layers => {
                Choice::Now(now.placement)
            }
            (Ok(now), Err(_)) if now.offload.is_empty() => Choice::Now(now.placement),
            (_, Ok(then)) => Choice::Later(then),
            (_, Err(refusal)) => self
                .behind(query, &demand, &later, around)
                .unwrap_or_else(|| Choice::Never(Box::new(self.named(refusal, query, around)))),
        }
    }

    /// Those who load cannot be asked to leave yet. If that would help, they are waited for.
    fn behind(&self, query: Query<'_>, demand: &Demand, later: &Free, around: &dyn Around) -> Option<Choice> {
        if !demand.may_push_out {
            return None;
        }
        let then = plan(demand, &later.room, &self.residents(query, later, true, around)).ok()?;
        let claimed = |name: &ServiceName| query.claims.iter().any(|claim| claim.service == *name);
        let coming = |name: &ServiceName| self.ledger.live(name).is_some_and(Lease::is_coming);
        let awaited: Vec<ServiceName> = then.offload.into_iter().filter(|name| claimed(name) || coming(name)).collect();
        (!awaited.is_empty()).then_some(Choice::Behind(awaited))
    }

    pub(super) fn demand_of(&self, query: Query<'_>) -> Demand {
        let asleep = query.run.and_then(|run| self.ledger.leases.get(&run)).map(|lease| lease.placement.clone());
        let at_most =
            self.members.get(&query.spec.name).and_then(|member| member.smaller).map(|smaller| smaller.at_most);
        let is_small =
            |place: &Placement| at_most.is_none_or(|most| place.gpu_layers.is_none_or(|layers| layers <= most));
        let places = (asleep, self.place_before(query).filter(is_small));
        demand(&self.ledger, query.spec, query.need, query.wish.may_push_out(), places, at_most)
    }

    /// A reload goes where it was, unless it is configured otherwise by now.
    fn place_before(&self, query: Query<'_>) -> Option<Placement> {
        let before = self.returning.get(&query.spec.name).filter(|_| query.wish == Wish::Reload)?;
        before.placement.clone().filter(|_| *before.spec == *query.spec)
    }

    /// Everybody who holds memory and is not on the way out, nor promised to somebody. With `unlocked`, those who load could leave.
    pub(super) fn residents(
        &self,
        query: Query<'_>,
        free: &Free,
        unlocked: bool,
        around: &dyn Around,
    ) -> Vec<Resident> {
        let loading = (!unlocked).then_some(Stays::Loading);
        let (needed, users) = (self.needed_by(query.spec), self.users(query.claims, around));
        let staying = self.ledger.leases.values().filter(|lease| !lease.is_taken() && query.run != Some(lease.run));
        let residents = staying.map(|lease| {
            let usage = around.usage(&lease.service);
            let member = self.members.get(&lease.service);
            let bytes = lease.placement.lease.total_vram().saturating_add(lease.placement.lease.ram);
            // What holds at once is asked of the newest configuration, not of the one that the run was begun with.
            let memory = member.map_or(&lease.spec.memory, |member| &member.spec.memory);
            let found = query.spared.get(&lease.service).copied();
            let stays = match lease.stage {
                _ if memory.pinned => Some(Stays::Pinned),
                _ if usage.holds > 0 => Some(Stays::Held),
                // Without it, who asks could not begin: it would be brought back, and push out in turn.
                _ if needed.contains(&lease.service) => Some(Stays::Needed),
                // It would be taken from under somebody who goes on as if it were there.
                _ if users.contains_key(&lease.service) => Some(Stays::NeededBy),
                Stage::Reserved | Stage::Loading => loading,
                // It is about to wake up.
                Stage::Asleep if self.asks.iter().any(|ask| ask.question.run == lease.run) => loading,
                Stage::Asleep | Stage::Resident | Stage::Draining | Stage::Dozing { .. } | Stage::Reclaiming { .. } => {
                    found
                }
            };
            Resident {
                service: lease.service.clone(),
                gives: less(lease.gives(), &free.overdrawn),
                reload: load_time(member.and_then(|member| member.loaded_in), bytes),
                idle: member.map(|member| around.now().saturating_duration_since(member.used)).unwrap_or_default(),
                priority: memory.priority,
                // One that may stay for now costs a wait, as one does that has to be drained.
                busy: usage.in_flight > 0 || self.leaves(lease, &usage, &query.turn, around.now()) != Leave::Now,
                stays,
            }
        });
        let waiting = query.claims.iter().map(|claim| Resident {
            service: claim.service.clone(),
            gives: less(claim.amounts.clone(), &free.overdrawn),
            reload: load_time(None, claim.amounts.total_vram().saturating_add(claim.amounts.ram)),
            idle: std::time::Duration::ZERO,
            priority: self.members.get(&claim.service).map_or(0, |member| member.spec.memory.priority),
            busy: true,
            stays: match () {
                () if needed.contains(&claim.service) => Some(Stays::Needed),
                () if users.contains_key(&claim.service) => Some(Stays::NeededBy),
                () => loading,
            },
        });
        residents.chain(waiting).collect()
    }

    /// Says what the planner does not know: why there is no card, and by whom those are needed who stay for that.
    fn named(&self, mut refusal: Refusal, query: Query<'_>, around: &dyn Around) -> Refusal {
        let spec = query.spec;
        let users = self.users(query.claims, around);
        for holder in refusal.holders.iter_mut().filter(|holder| holder.why == Stays::NeededBy) {
            holder.needed_by = holder.service.as_ref().and_then(|service| users.get(service).cloned());
        }
        if let RefusalKind::NoCard { problem } = &mut refusal.kind
            && let Some(known) = no_card(&self.ledger, spec)
        {
            *problem = known;
        }
        refusal
    }

    /// Where an adopted run is: the cards on which its processes are listed, else the first that it may use. It is there
    /// already, so nothing is refused; what it has too much is seen by the next plan.
    pub(super) fn place_of_adopted(&self, spec: &ServiceSpec, need: &Need, pids: &[crate::ids::Pid]) -> Placement {
        let listed = |book: &&crate::resource_orchestrator::ledger::CardBook| {
            book.card.processes.iter().any(|(pid, _)| pids.contains(pid))
        };
        let mut gpus: Vec<_> = self.ledger.working().filter(listed).map(|book| book.card.id.clone()).collect();
        if gpus.is_empty() {
            let wanted = demand(&self.ledger, spec, need, false, (None, None), None);
            gpus = wanted.gpus.into_iter().take(if wanted.all_of_them { usize::MAX } else { 1 }).collect();
        }
        let bytes = match need.vram {
            VramNeed::None => {
                gpus.clear();
                0
            }
            VramNeed::Bytes(bytes) => bytes,
            VramNeed::Layers(layered) => layered.vram(layered.layers),
            VramNeed::WholeCard => self
                .ledger
                .working()
                .filter(|book| gpus.contains(&book.card.id))
                .map(|book| self.ledger.vram_capacity(book))
                .sum(),
        };
        let share = bytes / (gpus.len().max(1) as u64);
        let vram = gpus.iter().map(|gpu| (gpu.clone(), share)).collect();
        Placement { gpus, gpu_layers: None, lease: Amounts { vram, ram: need.ram, custom: need.custom.clone() } }
    }
}

/// What is really to be had from somebody: a pool that is overdrawn swallows as much first.
fn less(mut gives: Amounts, overdrawn: &Amounts) -> Amounts {
    gives -= overdrawn;
    gives
}
