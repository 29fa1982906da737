//! The state, and the step.

use std::{
    collections::{BTreeMap, BTreeSet},
    mem,
    sync::Arc,
    time::{Duration, Instant},
};

use super::{
    Around, Effect, Event, Question,
    ask::Ask,
    returning::Return,
    smaller::{OOM_ON_LOAD, Smaller, loads_alike},
    swap::Course,
};
use crate::{
    event::{EventKind, Severity},
    ids::{RunId, ServiceName},
    lease::LeaseVerdict,
    memory::{GpuId, Need, Placement},
    os::host::HostMemory,
    resource_orchestrator::ledger::{Lease, Ledger, Stage},
    spec::{ResourcesSpec, ServiceSpec},
};

/// A service that may want memory.
#[derive(Debug, Clone)]
pub(super) struct Member {
    pub spec: Arc<ServiceSpec>,
    pub need: Need,
    /// What its last load took, from the grant to ready.
    pub loaded_in: Option<Duration>,
    /// When it was seen to be used last.
    pub used: Instant,
    /// How often somebody had entered by then.
    pub entries: u64,
    /// How often somebody had entered when its last run was granted.
    pub before: u64,
    /// When it was asked to leave for being idle.
    pub dismissed: Option<Instant>,
    /// What it may take since a load ran out of GPU memory.
    pub smaller: Option<Smaller>,
}

/// Decides who may hold memory. See the [module](super).
#[derive(Debug)]
pub struct Admission {
    pub(super) ledger: Ledger,
    /// The longest that those who use what is in memory may overtake those who wait for what is not.
    pub(super) fairness: Duration,
    pub(super) members: BTreeMap<ServiceName, Member>,
    /// In the order of their turns, as of the last look.
    pub(super) asks: Vec<Ask>,
    /// Who is to come back.
    pub(super) returning: BTreeMap<ServiceName, Return>,
    /// The moments of runs that were granted and are not ready.
    pub(super) courses: BTreeMap<RunId, Course>,
    /// Memory that was not measured back in time.
    pub(super) timeouts: u64,
    /// Alerts of services that stand.
    pub(super) alerts: BTreeSet<(&'static str, ServiceName)>,
    /// What was told to be lost: cards, and with `None` the driver as a whole.
    pub(super) quarantined: BTreeSet<Option<GpuId>>,
    pub(super) closing: bool,
    /// When it was looked at last whether somebody is idle.
    pub(super) looked: Option<Instant>,
    /// When to look again whether those are idle for whom others wait.
    pub(super) look: Option<Instant>,
    /// Who could not be asked to leave for whom at the last look: the run of the one who asks, and that of the resident.
    pub(super) standing: Vec<(RunId, RunId)>,
    out: Vec<Effect>,
}

impl Admission {
    /// Nobody holds anything, and nobody is known. For `fairness` see [`turn`](super::turn).
    #[must_use]
    pub fn new(rules: Arc<ResourcesSpec>, fairness: Duration) -> Self {
        Self {
            ledger: Ledger::new(rules),
            fairness,
            members: BTreeMap::new(),
            asks: Vec::new(),
            returning: BTreeMap::new(),
            courses: BTreeMap::new(),
            timeouts: 0,
            alerts: BTreeSet::new(),
            quarantined: BTreeSet::new(),
            closing: false,
            looked: None,
            look: None,
            standing: Vec::new(),
            out: Vec::new(),
        }
    }

    /// Takes what happened; says what is to be done, in this order.
    pub fn step(&mut self, event: Event, around: &dyn Around) -> Vec<Effect> {
        let now = around.now();
        match event {
            Event::Enlisted { spec, need } => self.enlist(spec, need, now),
            Event::Struck(service) => {
                self.members.remove(&service);
                self.returning.remove(&service);
                self.forget_asks_of(&service);
                self.clear("reload_failed", &service);
                self.clear("reclaim_timeout", &service);
                self.clear(OOM_ON_LOAD, &service);
            }
            // Most services need nothing. They are granted without a look at anything.
            Event::Asked(question) if question.need.is_nothing() => {
                self.forget_asks_of(&question.service);
                self.returning.remove(&question.service);
                return vec![Effect::Answer(question.run, LeaseVerdict::Granted(Placement::default()))];
            }
            Event::Asked(question) => self.ask(question, now),
            Event::Fared { service, run, fate } => self.fared(&service, run, &fate, around),
            Event::RanOut { service, run, model } => self.ran_out(&service, run, model),
            Event::Held { service, run } => self.held(&service, run),
            Event::Drained(run) => self.drained(run, now),
            Event::Read(reading) => {
                self.ledger.read(&reading);
                self.watch_cards();
            }
            Event::Measured(figures) => {
                if let Some(host) = around.host() {
                    self.ledger.host = host;
                }
                self.ledger.measure(&figures);
                self.learn();
                // Seldom looked at, a short use long ago would be taken for one just now.
                self.note_use(around);
            }
            Event::Due => {
                self.dismiss_idle(around);
                if self.out.is_empty() && self.is_mere_look(around) {
                    return Vec::new();
                }
            }
            Event::Closing => {
                self.closing = true;
                self.returning.clear();
            }
        }
        self.settle(around);
        mem::take(&mut self.out)
    }

    /// Whether more can come of this than an answer. Most services need nothing, and their questions move nothing as long
    /// as they have none that waits and are not to come back.
    #[must_use]
    pub fn is_moved_by(&self, event: &Event) -> bool {
        let Event::Asked(question) = event else { return true };
        let service = &question.service;
        !question.need.is_nothing()
            || self.returning.contains_key(service)
            || self.asks.iter().any(|ask| ask.question.service == *service)
    }

    /// Runs whose memory is not back, or who have not ended.
    pub fn leases(&self) -> impl Iterator<Item = &Lease> {
        self.ledger.leases.values()
    }

    /// What a service is thought to need; `None`: nobody has enlisted it.
    #[must_use]
    pub fn spec_of(&self, service: &ServiceName) -> Option<&Arc<ServiceSpec>> {
        self.members.get(service).map(|member| &member.spec)
    }

    /// Whether a run has a lease, or asks for one.
    #[must_use]
    pub fn knows(&self, run: RunId) -> bool {
        self.ledger.leases.contains_key(&run) || self.asks.iter().any(|ask| ask.question.run == run)
    }

    /// What is known of a service's need has changed.
    pub fn note_need(&mut self, service: &ServiceName, need: Need) {
        if let Some(member) = self.members.get_mut(service) {
            member.need = need;
        }
    }

    /// The host's memory at this moment.
    pub fn note_host(&mut self, host: HostMemory) {
        self.ledger.host = host;
    }

    /// What is wrong with the driver of the cards as a whole.
    #[must_use]
    pub fn driver_problem(&self) -> Option<&str> {
        self.ledger.problem.as_deref()
    }

    /// What can be given out at the very most, in bytes: of each card, and of RAM.
    #[must_use]
    pub fn capacities(&self) -> (Vec<u64>, u64) {
        let cards = self.ledger.cards.iter().map(|book| self.ledger.vram_capacity(book)).collect();
        (cards, self.ledger.ram_pool().capacity)
    }

    /// Whether memory is expected to come back, or somebody waits for it: the cards are to be measured often. Who lets others
    /// finish does not wait for memory yet.
    #[must_use]
    pub fn is_pressed(&self) -> bool {
        self.asks.iter().any(|ask| !ask.held_up) || self.ledger.leases.values().any(Lease::is_leaving)
    }

    pub(super) fn effect(&mut self, effect: Effect) {
        self.out.push(effect);
    }

    pub(super) fn tell(&mut self, event: EventKind) {
        self.out.push(Effect::Tell(Box::new(event)));
    }

    pub(super) fn answer(&mut self, run: RunId, verdict: LeaseVerdict) {
        self.out.push(Effect::Answer(run, verdict));
    }

    /// About a service that was taken out meanwhile it is told, and over at once: it would stand for ever.
    pub(super) fn raise(&mut self, alert: &'static str, severity: Severity, service: &ServiceName, message: String) {
        self.alerts.insert((alert, service.clone()));
        let whose = Some(service.clone());
        self.tell(EventKind::AlertRaised { alert: alert.to_owned(), severity, service: whose, message });
        if !self.members.contains_key(service) {
            self.clear(alert, service);
        }
    }

    pub(super) fn clear(&mut self, alert: &'static str, service: &ServiceName) {
        if self.alerts.remove(&(alert, service.clone())) {
            self.tell(EventKind::AlertCleared { alert: alert.to_owned(), service: Some(service.clone()) });
        }
    }

    fn enlist(&mut self, spec: Arc<ServiceSpec>, need: Need, now: Instant) {
        let before = self.members.remove(&spec.name);
        let new =
            Member { spec, need, loaded_in: None, used: now, entries: 0, before: 0, dismissed: None, smaller: None };
        let member = match before {
            Some(before) => {
                let smaller = before.smaller.filter(|_| loads_alike(&before.spec, &new.spec));
                Member { spec: new.spec, need: new.need, smaller, ..before }
            }
            None => new,
        };
        if member.smaller.is_none() {
            self.clear(OOM_ON_LOAD, &member.spec.name);
        }
        self.members.insert(member.spec.name.clone(), member);
    }

    fn ask(&mut self, question: Question, now: Instant) {
        if let Some(member) = self.members.get_mut(&question.service) {
            member.need = question.need.clone();
        }
        let reclaim = self.ledger.rules.reclaim_timeout;
        // Asked again for the same run, it keeps its place in the line.
        if let Some(ask) = self.asks.iter_mut().find(|ask| ask.question.run == question.run) {
            let since = ask.since;
            *ask = Ask::new(question, now, reclaim);
            ask.since = since;
            return;
        }
        self.forget_asks_of(&question.service);
        // One that sleeps, or falls asleep, holds no more than it keeps: all that it had may be somebody else's by now.
        let sleeps = |lease: &&Lease| matches!(lease.stage, Stage::Asleep | Stage::Dozing { .. });
        if let Some(lease) = self.ledger.leases.get(&question.run).filter(|lease| !sleeps(lease)) {
            let placement = lease.placement.clone();
            return self.answer(question.run, LeaseVerdict::Granted(placement));
        }
        self.asks.push(Ask::new(question, now, reclaim));
    }

    /// A service asks for one run at a time.
    fn forget_asks_of(&mut self, service: &ServiceName) {
        if let Some(at) = self.asks.iter().position(|ask| ask.question.service == *service) {
            let ask = self.asks.remove(at);
            self.release(&ask);
        }
    }

    /// Nobody is on the way out for this question any more: who has not begun to leave stays.
    pub(super) fn release(&mut self, ask: &Ask) {
        for lease in self.ledger.leases.values_mut() {
            if lease.told.as_ref() == Some(&ask.question.service) {
                lease.told = None;
            }
        }
    }

    /// Gives a run its lease.
    pub(super) fn grant(&mut self, ask: Ask, placement: Placement, now: Instant) {
        self.release(&ask);
        let Ask { question, mut course, .. } = ask;
        let Question { service, run, spec, need, wish, .. } = question;
        course.granted = Some(now);
        self.courses.insert(run, course);
        if let Some(back) = self.returning.get_mut(&service) {
            back.begin(run);
        }
        self.answer(run, LeaseVerdict::Granted(placement.clone()));
        match self.ledger.leases.get_mut(&run) {
            Some(asleep) => {
                asleep.holds.clone_from(&placement.lease);
                asleep.stage = Stage::Loading;
                (asleep.ready, asleep.settled, asleep.slept) = (None, false, false);
                asleep.granted = now;
                asleep.wish = wish;
            }
            // One that holds nothing has no part in any of this.
            None if placement.lease.is_empty() => {}
            None => {
                self.ledger.leases.insert(run, Lease::new((service, run, wish), spec, need, placement, now));
            }
        }
    }

    /// A run that is here already.
    pub(super) fn adopt(&mut self, ask: Ask, now: Instant) {
        let Question { spec, need, pids, .. } = &ask.question;
        let placement = self.place_of_adopted(spec, need, pids);
        self.grant(ask, placement, now);
    }

    fn watch_cards(&mut self) {
        let alert = "gpu_lost".to_owned();
        let lost = self.ledger.cards.iter().filter(|book| !book.works()).map(|book| Some(book.card.id.clone()));
        let lost: BTreeSet<_> = match &self.ledger.problem {
            // Which cards are lost besides is not known meanwhile.
            Some(_) => self.quarantined.iter().cloned().chain([None]).collect(),
            None => lost.collect(),
        };
        let is_more = !lost.is_subset(&self.quarantined);
        let was_any = !std::mem::replace(&mut self.quarantined, lost).is_empty();
        match self.ledger.problems() {
            Some(problem) if is_more => {
                let message = format!("{problem}; nothing is placed there until it works again");
                self.tell(EventKind::AlertRaised { alert, severity: Severity::Critical, service: None, message });
            }
            None if was_any => {
                self.tell(EventKind::AlertCleared { alert, service: None });
            }
            Some(_) | None => {}
        }
    }

    fn learn(&mut self) {
        let grown = |lease: &&mut Lease| lease.stage == Stage::Resident && lease.peak != lease.learned;
        self.out.extend(self.ledger.leases.values_mut().filter(grown).map(|lease| learn(lease, false)));
    }
}

/// What there is to be remembered of a run.
pub(super) fn learn(lease: &mut Lease, end: bool) -> Effect {
    lease.learned.clone_from(&lease.peak);
    let (spec, placement, peak) = (Arc::clone(&lease.spec), lease.placement.clone(), lease.peak.clone());
    Effect::Learn { spec, placement, peak, end }
}
