//! Supervisors that keep to the protocol, and what is done about the admission's effects.

use std::sync::Arc;

use super::{
    given::ms,
    world::{Doing, Due, World},
};
use crate::{
    ids::{RunId, ServiceName},
    lease::{Fate, LeaseVerdict, Wish},
    memory::{Amounts, Placement},
    resource_orchestrator::admission::{Effect, Event, Question, Usage},
    spec::OffloadHow,
};

impl World {
    /// Somebody wants a service in memory.
    pub fn want(&mut self, service: &ServiceName, wish: Wish) {
        // Whoever decides is told what the runs hold at that moment.
        if !self.of(service).need.is_nothing() {
            self.measure();
        }
        let (run, asleep) = match self.of(service).doing {
            Doing::Nothing => (self.fresh_run(), false),
            Doing::Sleeps | Doing::FallsAsleep => (self.of(service).run.expect("a run that sleeps"), true),
            _ => return,
        };
        let now = self.now;
        let service = self.of(service);
        (service.run, service.doing) = (Some(run), Doing::Asks { since: now, asleep });
        (service.refusal, service.pending, service.wish) = (None, None, wish);
        let (name, spec, need) = (service.spec.name.clone(), Arc::clone(&service.spec), service.need.clone());
        self.step(Event::Asked(Question { service: name, run, spec, need, wish, pids: Vec::new() }));
    }

    /// A person stops it, or takes back the wish.
    pub fn stop(&mut self, service: &ServiceName) {
        self.dismiss(service);
        let Some(run) = self.of(service).run else { return };
        match self.of(service).doing {
            Doing::Asks { asleep: false, .. } => {
                self.of(service).doing = Doing::Nothing;
                self.fate(service, run, Fate::Withdrawn);
            }
            Doing::Asks { .. }
            | Doing::Loads
            | Doing::Works
            | Doing::Drains { .. }
            | Doing::FallsAsleep
            | Doing::Sleeps => {
                self.close(service);
                self.of(service).doing = Doing::Stops { sleep: false };
                self.fate(service, run, Fate::Leaving);
                self.later(ms(20), Due::Ends { service: service.clone(), run });
            }
            Doing::Nothing | Doing::Stops { .. } => {}
        }
    }

    pub fn crash(&mut self, service: &ServiceName) {
        let Some(run) = self.of(service).run else { return };
        let has_process = match self.of(service).doing {
            Doing::Nothing | Doing::Asks { asleep: false, .. } | Doing::Stops { .. } => false,
            Doing::Asks { .. } | Doing::Loads | Doing::Works | Doing::Drains { .. } => true,
            Doing::FallsAsleep | Doing::Sleeps => true,
        };
        if has_process {
            self.end(service, run, true);
        }
    }

    pub fn runs(&mut self, service: &ServiceName, run: RunId) -> bool {
        self.of(service).run == Some(run)
    }

    pub fn take(&mut self, service: &ServiceName, all: bool) {
        let service = self.of(service);
        let part = |amount: u64| amount * service.takes / 100 / if all { 1 } else { 2 };
        service.ram = part(service.placement.lease.ram);
        let cards = service.placement.lease.vram.iter();
        service.vram = cards.map(|(gpu, amount)| (gpu.clone(), part(*amount))).collect();
    }

    /// A supervisor that is asked to offload.
    pub fn offload(&mut self, service: &ServiceName, run: Option<RunId>) {
        let now = self.now;
        let one = self.of(service);
        if one.doing == Doing::Sleeps || one.asks_from_sleep() {
            // One that asks to be woken is stopped like any that sleeps; whoever waits for it asks for another run.
            one.doing = Doing::Sleeps;
            return self.stop(service);
        }
        if one.doing != Doing::Works || (run.is_some() && one.run != run) {
            return;
        }
        let run = one.run.expect("a run that works");
        if one.usage.holds > 0 {
            return self.step(Event::Held { service: service.clone(), run });
        }
        let drain = one.spec.memory.offload.drain;
        self.close(service);
        let one = self.of(service);
        one.doing = Doing::Drains { offload: true, until: now + drain };
        self.fate(service, run, Fate::Leaving);
        self.later(drain, Due::DrainOver { service: service.clone(), run });
        self.drain_if_idle(service);
    }

    pub fn drain_if_idle(&mut self, service: &ServiceName) {
        let one = self.of(service);
        if !matches!(one.doing, Doing::Drains { .. }) || one.usage.in_flight > 0 {
            return;
        }
        let sleep = one.spec.memory.offload.how == OffloadHow::Sleep;
        let run = one.run.expect("a run that is drained");
        one.doing = Doing::Stops { sleep };
        self.step(Event::Drained(run));
        self.later(ms(20), Due::Ends { service: service.clone(), run });
    }

    pub fn fall_asleep(&mut self, service: &ServiceName, run: RunId) {
        let asleep = self.of(service).need.asleep.unwrap_or(0);
        self.leave_behind(service, asleep);
        // It holds what it keeps, and takes no more until it is woken.
        let one = self.of(service);
        let custom = one.placement.lease.custom.clone();
        one.placement.lease = Amounts { vram: one.vram.clone(), ram: one.ram, custom };
        if !one.leased {
            self.of(service).doing = Doing::Sleeps;
            return self.later(ms(0), Due::Asks { service: service.clone() });
        }
        self.waiting.insert(run);
        self.of(service).doing = Doing::FallsAsleep;
        self.fate(service, run, Fate::Asleep);
    }

    pub fn end(&mut self, service: &ServiceName, run: RunId, failed: bool) {
        self.leave_behind(service, 0);
        let one = self.of(service);
        one.usage = Usage { open: false, in_flight: 0, ..one.usage };
        one.ram = 0;
        one.vram.clear();
        one.doing = Doing::Nothing;
        one.placement = Placement::default();
        if std::mem::take(&mut one.leased) {
            self.waiting.insert(run);
        }
        if failed {
            self.dismiss(service);
        }
        self.fate(service, run, Fate::Ended { failed });
        self.ask_for_line(service);
    }

    /// What it gives back is used for some time yet.
    pub fn leave_behind(&mut self, service: &ServiceName, keeps: u64) {
        let (lag, held) = (self.of(service).lag, self.of(service).vram.clone());
        let until = self.now + lag;
        for (gpu, bytes) in held {
            let kept = bytes.min(keeps);
            self.of(service).vram.insert(gpu.clone(), kept);
            let card = self.cards.iter_mut().find(|card| card.id == gpu).expect("a card");
            card.lagging.push((bytes - kept, until));
        }
    }

    pub fn fate(&mut self, service: &ServiceName, run: RunId, fate: Fate) {
        self.step(Event::Fared { service: service.clone(), run, fate });
    }

    pub fn carry_out(&mut self, effect: Effect) {
        match &effect {
            Effect::Learn { .. } | Effect::ReadCards => {}
            Effect::Tell(event) => self.trace.push(format!("{:?} <- {}", self.now - self.began, event.name())),
            other => self.trace.push(format!("{:?} <- {other:?}", self.now - self.began)),
        }
        match effect {
            Effect::Answer(run, verdict) => self.answered(run, verdict),
            Effect::Offload { service, run, reason } => {
                self.check_needed(&service);
                self.check_fair(&service, &reason);
                let one = &self.services[&service];
                if reason.starts_with("makes room") {
                    assert!(!one.spec.memory.pinned, "{service} is pinned and is to leave\n{}", self.story());
                    assert_eq!(one.usage.holds, 0, "{service} is held and is to leave\n{}", self.story());
                    assert!(
                        matches!(one.doing, Doing::Works | Doing::Sleeps) || one.asks_from_sleep(),
                        "{service} is to leave: {:?}\n{}",
                        one.doing,
                        self.story()
                    );
                }
                self.later(ms(1), Due::OffloadArrives { service, run });
            }
            Effect::Reload(service) => self.later(ms(1), Due::ReloadArrives { service }),
            Effect::Tell(event) => self.told.push(*event),
            Effect::ReadCards => self.later(ms(1), Due::Glance),
            Effect::Learn { .. } => {}
        }
    }

    pub fn answered(&mut self, run: RunId, verdict: LeaseVerdict) {
        let Some(service) = self.services.values().find(|one| one.run == Some(run)).map(|one| one.spec.name.clone())
        else {
            // Of an earlier run: only its memory is of interest.
            assert!(matches!(verdict, LeaseVerdict::Reclaimed(_)), "{run}: {verdict:?}\n{}", self.story());
            assert!(self.waiting.remove(&run), "{run} was reclaimed twice\n{}", self.story());
            return;
        };
        let now = self.now;
        if let (Doing::Asks { since, .. }, false) =
            (&self.of(&service).doing, matches!(verdict, LeaseVerdict::Pending(_)))
        {
            let waited = now - *since;
            self.longest = self.longest.max(waited);
        }
        match verdict {
            LeaseVerdict::Pending(reason) => self.of(&service).pending = Some(reason),
            LeaseVerdict::Refused(refusal) => {
                let one = self.of(&service);
                assert!(matches!(one.doing, Doing::Asks { .. }), "refused: {:?}", one.doing);
                one.doing = if one.asks_from_sleep() { Doing::Sleeps } else { Doing::Nothing };
                one.refusal = Some(refusal);
                one.line.clear();
            }
            LeaseVerdict::Granted(placement) => {
                assert!(matches!(self.of(&service).doing, Doing::Asks { .. }), "{service} was granted unasked");
                self.of(&service).leased = !placement.lease.is_empty();
                self.of(&service).placement = placement;
                if self.of(&service).wish != Wish::Adopted {
                    self.check_room(&service);
                }
                self.of(&service).doing = Doing::Loads;
                let (load, fails) = (self.of(&service).load, self.of(&service).fails);
                self.later(load / 4, Due::Takes { service: service.clone(), run, all: false });
                self.later(load / 2, Due::Takes { service: service.clone(), run, all: true });
                let end = match fails {
                    true => Due::Crashes { service: service.clone(), run },
                    false => Due::Ready { service: service.clone(), run },
                };
                self.later(load, end);
            }
            LeaseVerdict::Reclaimed(_) => {
                assert!(self.waiting.remove(&run), "{service} was reclaimed twice\n{}", self.story());
                if self.of(&service).doing == Doing::FallsAsleep {
                    self.of(&service).doing = Doing::Sleeps;
                    // In a step of its own: what else comes of this one is to be carried out first.
                    self.later(ms(0), Due::Asks { service });
                }
            }
        }
    }

    pub fn happen(&mut self, due: Due) {
        match due {
            Due::Comes { service } => self.come(&service),
            Due::Asks { service } => self.ask_for_line(&service),
            Due::Leaves { service, run } => {
                if self.runs(&service, run) {
                    self.use_it(&service, false);
                }
            }
            Due::Glance => self.glance(),
            Due::Look => self.look(),
            Due::ReloadArrives { service } => {
                if !self.of(&service).down {
                    self.want(&service, Wish::Reload);
                }
            }
            Due::OffloadArrives { service, run } => self.offload(&service, run),
            Due::Takes { service, run, all } => {
                if self.runs(&service, run) && self.of(&service).doing == Doing::Loads {
                    self.take(&service, all);
                }
            }
            Due::Ready { service, run } => {
                if self.runs(&service, run) && self.of(&service).doing == Doing::Loads {
                    self.of(&service).doing = Doing::Works;
                    self.open(&service);
                    self.fate(&service, run, Fate::Ready);
                }
            }
            Due::Crashes { service, run } => {
                if self.runs(&service, run) {
                    self.crash(&service);
                }
            }
            Due::DrainOver { service, run } => {
                let now = self.now;
                let over = matches!(self.of(&service).doing, Doing::Drains { until, .. } if until <= now);
                if self.runs(&service, run) && over {
                    self.of(&service).doing = Doing::Works;
                    self.open(&service);
                    self.fate(&service, run, Fate::Stays);
                }
            }
            Due::Ends { service, run } => {
                if !self.runs(&service, run) {
                    return;
                }
                match self.of(&service).doing {
                    Doing::Stops { sleep: true } => self.fall_asleep(&service, run),
                    Doing::Stops { sleep: false } => self.end(&service, run, false),
                    _ => {}
                }
            }
        }
    }
}
