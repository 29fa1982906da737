//! How runs fare, and what that means for the books.

use std::time::Instant;

use super::{
    Around, Effect,
    machine::{Admission, learn},
};
use crate::{
    event::EventKind,
    ids::{RunId, ServiceName},
    lease::{Fate, LeaseVerdict},
    memory::{GpuId, Stays},
    resource_orchestrator::ledger::Stage,
};

impl Admission {
    pub(super) fn fared(&mut self, service: &ServiceName, run: RunId, fate: &Fate, around: &dyn Around) {
        let now = around.now();
        match fate {
            Fate::Withdrawn => self.withdrawn(service, run, now),
            Fate::Ready => self.ready(service, run, now),
            Fate::Leaving => self.leaving(run),
            Fate::Stays => self.stays(service, run, Stays::Busy, now),
            Fate::Asleep => self.asleep(run, now),
            // Comes as an event of its own, with what is known of the model.
            Fate::RanOut => {}
            Fate::Ended { failed } => self.ended(service, run, *failed, around),
        }
    }

    /// Somebody holds a service that was asked to leave.
    pub(super) fn held(&mut self, service: &ServiceName, run: RunId) {
        let asked = |stage| matches!(stage, Stage::Resident | Stage::Loading);
        if self.ledger.leases.get(&run).is_some_and(|lease| asked(lease.stage)) {
            self.spare(service, run, Stays::Held);
        }
    }

    pub(super) fn drained(&mut self, run: RunId, now: Instant) {
        let Some(lease) = self.ledger.leases.get(&run) else { return };
        for ask in self.asks.iter_mut().filter(|ask| ask.awaits.contains(&lease.service)) {
            ask.course.idle = Some(now);
        }
    }

    fn withdrawn(&mut self, service: &ServiceName, run: RunId, now: Instant) {
        if let Some(at) = self.asks.iter().position(|ask| ask.question.run == run) {
            let ask = self.asks.remove(at);
            self.release(&ask);
        } else if self.ledger.leases.get(&run).is_some_and(|lease| lease.stage == Stage::Reserved) {
            self.ledger.leases.remove(&run);
        }
        self.courses.remove(&run);
        if let Some(back) = self.returning.get_mut(service) {
            back.pause(now);
        }
    }

    fn ready(&mut self, service: &ServiceName, run: RunId, now: Instant) {
        self.returning.remove(service);
        self.clear("reload_failed", service);
        self.clear("reclaim_timeout", service);
        self.note_fits(service, run);
        let Some(lease) = self.ledger.leases.get_mut(&run).filter(|lease| !lease.has_ended()) else { return };
        // Ready again after a failed probe is no news.
        let came = lease.is_coming();
        lease.stage = Stage::Resident;
        lease.ready.get_or_insert(now);
        lease.told = None;
        let (granted, learned) = (lease.granted, learn(lease, false));
        self.effect(learned);
        if let Some(member) = self.members.get_mut(service) {
            member.used = now;
            if came {
                member.loaded_in = Some(now.saturating_duration_since(granted));
            }
        }
        if let Some(course) = self.courses.remove(&run).filter(|course| course.waited) {
            let seconds = course.seconds(now);
            self.tell(EventKind::SwapDone { service: service.clone(), run_id: run, from: course.from, seconds });
        }
    }

    fn leaving(&mut self, run: RunId) {
        // A sleeper that had asked to be woken asks no more: it is being stopped.
        if let Some(at) = self.asks.iter().position(|ask| ask.question.run == run) {
            let ask = self.asks.remove(at);
            self.release(&ask);
        }
        let Some(lease) = self.ledger.leases.get_mut(&run) else { return };
        match &mut lease.stage {
            Stage::Reclaiming { .. } => {}
            // What it has given back is on its way all the same.
            Stage::Dozing { ends, .. } => *ends = true,
            stage => *stage = Stage::Draining,
        }
    }

    fn stays(&mut self, service: &ServiceName, run: RunId, why: Stays, now: Instant) {
        if let Some(lease) = self.ledger.leases.get_mut(&run).filter(|lease| lease.stage == Stage::Draining) {
            lease.stage = Stage::Resident;
        }
        if let Some(member) = self.members.get_mut(service) {
            member.used = now;
        }
        self.spare(service, run, why);
    }

    /// Those who wait for it do without it.
    fn spare(&mut self, service: &ServiceName, run: RunId, why: Stays) {
        if let Some(lease) = self.ledger.leases.get_mut(&run) {
            lease.told = None;
            lease.pushed_out = false;
        }
        for ask in self.asks.iter_mut().filter(|ask| ask.awaits.contains(service)) {
            ask.spared.insert(service.clone(), why);
            ask.course.from.retain(|name| name != service);
        }
    }

    fn asleep(&mut self, run: RunId, now: Instant) {
        let until = now + self.ledger.rules.reclaim_timeout;
        let Some(lease) = self.ledger.leases.get_mut(&run).filter(|lease| !lease.has_ended()) else { return };
        let gpus = lease.placement.gpus.iter();
        let given_up = |gpu: &GpuId| lease.taken(gpu) - lease.listed.get(gpu).copied().unwrap_or(0);
        lease.owed = gpus.map(|gpu| (gpu.clone(), given_up(gpu))).collect();
        lease.stage = Stage::Dozing { began: now, measured: false, until, still: now, taken: 0, ends: false };
        lease.told = None;
        let service = lease.service.clone();
        self.note_gone(&service, run, now);
        self.note_out(run, now);
        self.effect(Effect::ReadCards);
    }

    fn ended(&mut self, service: &ServiceName, run: RunId, failed: bool, around: &dyn Around) {
        let now = around.now();
        if let Some(at) = self.asks.iter().position(|ask| ask.question.run == run) {
            let ask = self.asks.remove(at);
            self.release(&ask);
        }
        self.courses.remove(&run);
        self.note_gone(service, run, now);
        self.note_out(run, now);
        self.note_ended(service, run, failed, around);
        let until = now + self.ledger.rules.reclaim_timeout;
        let Some(lease) = self.ledger.leases.get_mut(&run) else { return };
        // Told twice, it has ended once.
        if lease.has_ended() {
            return;
        }
        let learned = learn(lease, true);
        lease.owed = lease.placement.gpus.iter().map(|gpu| (gpu.clone(), lease.taken(gpu))).collect();
        lease.stage = Stage::Reclaiming { ended: now, until, measured: false };
        lease.told = None;
        lease.ram = 0;
        self.effect(learned);
        self.effect(Effect::ReadCards);
    }

    /// Takes down for those who wait when the last of those before them was gone.
    fn note_gone(&mut self, service: &ServiceName, run: RunId, now: Instant) {
        if self.ledger.leases.get(&run).is_none_or(crate::resource_orchestrator::ledger::Lease::has_ended) {
            return;
        }
        for ask in self.asks.iter_mut().filter(|ask| ask.awaits.contains(service)) {
            ask.course.ended = Some(now);
            ask.course.idle.get_or_insert(now);
        }
    }

    /// The answer that the supervisor waits for.
    pub(super) fn reclaimed(&mut self, run: RunId, told: Option<String>) {
        self.answer(run, LeaseVerdict::Reclaimed(told));
    }
}
