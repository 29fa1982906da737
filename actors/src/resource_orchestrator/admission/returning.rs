//! Who comes back when there is room: those who were pushed out and have `reload = "when_free"`, and those who are wanted up
//! and did not fit.
//!
//! Room that somebody waits for is never used for it, and nobody is pushed out. A load that fails is tried again after a
//! pause that doubles, for `offload.retries` times; then it stays off the list until somebody asks for the service, and an
//! alert says why.

use std::{
    cmp::Reverse,
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use super::{
    Around, Effect,
    ask::Ask,
    choice::{Choice, Query},
    machine::Admission,
    turn::Turn,
};
use crate::{
    event::Severity,
    ids::{RunId, ServiceName},
    lease::Wish,
    memory::Placement,
    resource_orchestrator::ledger::{Claim, Lease, Stage},
    spec::{ReloadPolicy, ServiceSpec},
};

/// How long a service that was told to load may take to ask for its memory: it may wait for others that it depends on.
const CALL: Duration = Duration::from_secs(10);

/// Somebody who is to come back.
#[derive(Debug, Clone)]
pub struct Return {
    /// As what it ran.
    pub spec: Arc<ServiceSpec>,
    /// Where it was; `None`: nowhere yet.
    pub placement: Option<Placement>,
    /// Since when it waits.
    since: Instant,
    /// Loads that failed.
    failures: u32,
    phase: Phase,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// For room, and for this moment.
    Waits(Instant),
    /// It was told to load, and has not asked for memory yet.
    Called(Instant),
    /// It loads.
    Loads(RunId),
}

impl Return {
    fn new(spec: Arc<ServiceSpec>, placement: Option<Placement>, now: Instant) -> Self {
        Self { spec, placement, since: now, failures: 0, phase: Phase::Waits(now) }
    }

    /// Its run has got memory.
    pub(super) fn begin(&mut self, run: RunId) {
        self.phase = Phase::Loads(run);
    }

    /// Not at once again.
    pub(super) fn pause(&mut self, now: Instant) {
        self.phase = Phase::Waits(now + self.spec.memory.offload.backoff.min);
    }

    fn fail(&mut self, now: Instant) {
        let backoff = self.spec.memory.offload.backoff;
        let doubled = 2u32.saturating_pow(self.failures.min(16));
        self.failures += 1;
        self.phase = Phase::Waits(now + backoff.min.saturating_mul(doubled).min(backoff.max));
    }
}

impl Admission {
    /// Told of a run that leaves memory: is it to come back?
    pub(super) fn note_out(&mut self, run: RunId, now: Instant) {
        let Some(lease) = self.ledger.leases.get_mut(&run).filter(|lease| !lease.has_ended()) else { return };
        let pushed_out = std::mem::take(&mut lease.pushed_out);
        let policy = lease.spec.memory.offload.reload;
        if pushed_out && policy == ReloadPolicy::WhenFree && !self.closing {
            let back = Return::new(Arc::clone(&lease.spec), Some(lease.placement.clone()), now);
            self.returning.insert(lease.service.clone(), back);
        }
    }

    /// Told of a refusal: an eager start or a restart is made up for when there is room.
    pub(super) fn note_refused(&mut self, ask: &Ask, around: &dyn Around) {
        let (question, now) = (&ask.question, around.now());
        let wanted = matches!(question.wish, Wish::Eager | Wish::Restart) && !around.outlook(&question.service).down;
        if let Some(back) = self.returning.get_mut(&question.service) {
            back.pause(now);
        } else if wanted && !self.closing {
            let mut back = Return::new(Arc::clone(&question.spec), None, now);
            back.pause(now);
            self.returning.insert(question.service.clone(), back);
        }
    }

    /// Told of an end: a load that was tried may have failed.
    pub(super) fn note_ended(&mut self, service: &ServiceName, run: RunId, failed: bool, around: &dyn Around) {
        let Some(back) = self.returning.get_mut(service).filter(|back| back.phase == Phase::Loads(run)) else { return };
        if !failed {
            return back.pause(around.now());
        }
        back.fail(around.now());
        let (failures, retries) = (back.failures, back.spec.memory.offload.retries);
        if failures > retries {
            self.returning.remove(service);
            let cause = around.outlook(service).cause.unwrap_or_else(|| "it ended before it was ready".to_owned());
            let message = format!(
                "{service} was to come back into memory and failed {failures} times: {cause}; it is tried again when \
                 somebody asks for it"
            );
            self.raise("reload_failed", Severity::Critical, service, message);
        }
    }

    /// Calls those for whom there is room, higher priorities first.
    pub(super) fn bring_back(&mut self, mut claims: Vec<Claim>, around: &dyn Around) {
        let now = around.now();
        self.returning.retain(|service, _| !around.outlook(service).down);
        let mut order: Vec<(ServiceName, Return)> =
            self.returning.iter().map(|(service, back)| (service.clone(), back.clone())).collect();
        order.sort_by_key(|(_, back)| (Reverse(back.spec.memory.priority), back.since));
        for (service, back) in order {
            let asleep_or_gone = self.ledger.live(&service).is_none_or(|lease| lease.stage == Stage::Asleep);
            let asks = self.asks.iter().any(|ask| ask.question.service == service);
            match back.phase {
                Phase::Called(until) if until > now => {
                    let amounts = back.placement.map(|placement| placement.lease).unwrap_or_default();
                    claims.push(Claim { service, amounts });
                }
                Phase::Waits(from) if from > now => {}
                Phase::Loads(_) => {}
                Phase::Waits(_) | Phase::Called(_) if asks || !asleep_or_gone => {}
                Phase::Waits(_) | Phase::Called(_) => {
                    if let Some(placement) = self.room_for(&service, &claims, around) {
                        claims.push(Claim { service: service.clone(), amounts: placement.lease });
                        if let Some(back) = self.returning.get_mut(&service) {
                            back.phase = Phase::Called(now + CALL);
                        }
                        self.effect(Effect::Reload(service));
                    }
                }
            }
        }
    }

    fn room_for(&self, service: &ServiceName, claims: &[Claim], around: &dyn Around) -> Option<Placement> {
        let member = self.members.get(service)?;
        let run = self.ledger.live(service).map(|lease: &Lease| lease.run);
        let spared = BTreeMap::new();
        let turn = Turn { arrival: around.now(), priority: 0, begun: false };
        let (spec, need) = (&*member.spec, &member.need);
        let query = Query { spec, need, wish: Wish::Reload, run, turn, spared: &spared, claims };
        match self.choose(query, around) {
            Choice::Now(placement) => Some(placement),
            Choice::Later(_) | Choice::Behind(_) | Choice::Never(_) => None,
        }
    }

    /// When the next one may be called, memory apart.
    pub(super) fn return_due(&self, now: Instant) -> Option<Instant> {
        let due = self.returning.values().filter_map(|back| match back.phase {
            Phase::Waits(at) | Phase::Called(at) => Some(at).filter(|at| *at > now),
            Phase::Loads(_) => None,
        });
        due.min()
    }

    /// Whether somebody waits for room that other programs may give up at any time.
    #[must_use]
    pub fn is_hopeful(&self) -> bool {
        !self.returning.is_empty()
    }
}
