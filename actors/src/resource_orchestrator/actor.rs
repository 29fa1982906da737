//! The actor: messages in, effects out. It decides nothing; see [`admission`](super::admission).

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use actix::{Actor, ActorFutureExt, Addr, AsyncContext, Context, Recipient, SpawnHandle, StreamHandler, WrapFuture};
use futures_util::{StreamExt, stream};

use super::{
    admission::{Admission, Effect, Event},
    need::NeedBook,
    sight::{Known, Sampler, Sight},
    view::MemoryBoard,
};
use crate::{
    event::{EventBus, EventKind},
    ids::{Pid, RunId, ServiceName},
    lease::{Fate, LeaseAnswer, LeaseVerdict, Lessor, Wish},
    os::{clock, containment::Containment, gpu::Reading, host::Host},
    process_supervisor::messages::{LoadService, OffloadService},
    spec::RuntimeSpec,
};

/// While memory is on its way back, or somebody waits for it.
const PRESSED: Duration = Duration::from_millis(5);
/// While somebody holds memory, or is to come back.
const CALM: Duration = Duration::from_secs(1);
/// While nobody does.
const ASLEEP: Duration = Duration::from_secs(10);
/// The board follows readings no faster than people can see.
const BOARD: Duration = Duration::from_millis(100);

/// Everything it is given at its birth.
#[derive(Debug)]
pub struct OrchestratorParts {
    /// `[resources]` among others.
    pub spec: Arc<RuntimeSpec>,
    /// Whose processes are whose.
    pub containment: Arc<dyn Containment>,
    /// Where decisions are told.
    pub bus: EventBus,
    /// Who knows what services need.
    pub needs: Box<dyn NeedBook>,
    /// Who measures the cards.
    pub cards: Box<dyn Sampler>,
    /// Who measures the host.
    pub host: Box<dyn Host>,
    /// Where the newest state is shown.
    pub board: MemoryBoard,
}

/// Decides who may hold memory.
#[derive(Debug)]
pub struct ResourceOrchestrator {
    pub(super) admission: Admission,
    pub(super) containment: Arc<dyn Containment>,
    pub(super) bus: EventBus,
    pub(super) needs: Box<dyn NeedBook>,
    /// Let go of at the end, so that the thread behind it can be ended.
    pub(super) cards: Option<Box<dyn Sampler>>,
    pub(super) host: Box<dyn Host>,
    board: MemoryBoard,
    pub(super) known: HashMap<ServiceName, Known>,
    /// Who is to be answered about which run.
    pub(super) answers: HashMap<RunId, Recipient<LeaseAnswer>>,
    /// The next moment that is waited for.
    timer: Option<(Instant, SpawnHandle)>,
    pace: Duration,
    /// When the board was put up last.
    shown: Option<Instant>,
    /// What may be given out at the most, as the need book knows it; `None` until it has been told.
    capacities: Option<(Vec<u64>, u64)>,
    /// The processes that the sampler was told of.
    pub(super) watched: Vec<Pid>,
    /// The next look at what runs hold, and whether it comes soon.
    pub(super) looking: Option<SpawnHandle>,
    pub(super) looks_often: bool,
}

/// The ways by which supervisors reach it.
#[must_use]
pub fn lessor(orchestrator: &Addr<ResourceOrchestrator>) -> Lessor {
    Lessor { ask: orchestrator.clone().recipient(), tell: orchestrator.clone().recipient() }
}

impl ResourceOrchestrator {
    /// One that nobody has asked yet.
    #[must_use]
    pub fn new(parts: OrchestratorParts) -> Self {
        let OrchestratorParts { spec, containment, bus, needs, cards, host, board } = parts;
        Self {
            admission: Admission::new(Arc::new(spec.resources.clone()), spec.gateway.fairness),
            containment,
            bus,
            needs,
            cards: Some(cards),
            host,
            board,
            known: HashMap::new(),
            answers: HashMap::new(),
            timer: None,
            pace: Duration::ZERO,
            shown: None,
            capacities: None,
            watched: Vec::new(),
            looking: None,
            looks_often: false,
        }
    }

    /// One step of the admission, and what comes of it.
    pub(super) fn step(&mut self, event: Event, ctx: &mut Context<Self>) {
        let moves = self.admission.is_moved_by(&event);
        let is_news = !matches!(event, Event::Read(_) | Event::Measured(_) | Event::Due);
        let has_effects = self.take(event, ctx);
        if moves {
            self.follow_up(is_news || has_effects, ctx);
        }
    }

    /// The step alone; to be followed up. Whether anything came of it.
    pub(super) fn take(&mut self, event: Event, ctx: &mut Context<Self>) -> bool {
        let effects = self.admission.step(event, &Sight { host: &*self.host, known: &self.known });
        let any = !effects.is_empty();
        for effect in effects {
            self.carry_out(effect, ctx);
        }
        any
    }

    /// What depends on the state of the admission: the next moment, the pace of the measuring, the board.
    pub(super) fn follow_up(&mut self, is_news: bool, ctx: &mut Context<Self>) {
        self.arm(ctx);
        self.keep_pace();
        self.show(is_news);
    }

    fn carry_out(&mut self, effect: Effect, ctx: &mut Context<Self>) {
        match effect {
            Effect::Answer(run, verdict) => self.answer(run, verdict),
            Effect::Offload { service, run, reason } => self.offload(service, run, reason, ctx),
            Effect::Reload(service) => {
                if let Some(supervisor) = self.known.get(&service).and_then(|known| known.supervisor.upgrade()) {
                    supervisor.do_send(LoadService { wish: Wish::Reload, lifts: false });
                }
            }
            Effect::Tell(event) => match *event {
                // It may be forgotten already, with the service.
                EventKind::AlertCleared { alert, service } => self.bus.clear(&alert, service.as_ref()),
                event => drop(self.bus.emit(event)),
            },
            Effect::ReadCards => {
                if let Some(cards) = &self.cards {
                    cards.read_now();
                }
            }
            Effect::Learn { spec, placement, peak, end } => self.needs.measured(&spec, &placement, &peak, end),
        }
    }

    pub(super) fn answer(&mut self, run: RunId, verdict: LeaseVerdict) {
        // One that sleeps, or shall go on sleeping, has an end of which it is to be told. Of a run that holds nothing there
        // is no more to be said.
        let is_last = !matches!(verdict, LeaseVerdict::Pending(_)) && !self.admission.knows(run);
        if let Some(answer) = self.answers.get(&run) {
            answer.do_send(LeaseAnswer { run, verdict });
        }
        if is_last {
            self.answers.remove(&run);
        }
    }

    fn offload(&mut self, service: ServiceName, run: Option<RunId>, reason: String, ctx: &mut Context<Self>) {
        let supervisor = self.known.get(&service).and_then(|known| known.supervisor.upgrade());
        let Some(supervisor) = supervisor else { return };
        let asked = supervisor.send(OffloadService { reason }).into_actor(self);
        ctx.spawn(asked.map(move |answer, this, ctx| {
            // No answer at all: it is gone, and its end is told in its own way.
            if let (Ok(Err(_held)), Some(run)) = (answer, run) {
                this.step(Event::Held { service, run }, ctx);
            }
        }));
    }

    /// Tells when a run that is being drained has finished its work.
    pub(super) fn follow_drain(&mut self, service: &ServiceName, run: RunId, ctx: &mut Context<Self>) {
        let Some(mut status) = self.known.get(service).map(|known| known.status.clone()) else { return };
        let drained = async move {
            let idle = |now: &crate::state::ServiceStatus| now.state != crate::state::ServiceState::Draining;
            // An error means that the supervisor is gone, and with it the run.
            status.wait_for(idle).await.is_ok()
        };
        ctx.spawn(drained.into_actor(self).map(move |_, this, ctx| this.step(Event::Drained(run), ctx)));
    }

    fn arm(&mut self, ctx: &mut Context<Self>) {
        let now = clock::now();
        let due = self.admission.due(now);
        if due == self.timer.as_ref().map(|(at, _)| *at) {
            return;
        }
        if let Some((_, handle)) = self.timer.take() {
            ctx.cancel_future(handle);
        }
        self.timer = due.map(|at| {
            let handle = ctx.run_later(at.saturating_duration_since(now), |this, ctx| {
                this.timer = None;
                this.step(Event::Due, ctx);
            });
            (at, handle)
        });
    }

    fn keep_pace(&mut self) {
        let pace = match () {
            () if self.admission.is_pressed() => PRESSED,
            () if self.admission.is_hopeful() || self.admission.leases().next().is_some() => CALM,
            () => ASLEEP,
        };
        if pace != self.pace
            && let Some(cards) = &self.cards
        {
            self.pace = pace;
            cards.pace(pace);
        }
    }

    /// Puts up the newest state: at once if something has happened, and else not too often.
    pub(super) fn show(&mut self, is_news: bool) {
        let now = clock::now();
        let lately = self.shown.is_some_and(|shown| now.saturating_duration_since(shown) < BOARD);
        if is_news || !lately {
            self.shown = Some(now);
            self.board.put_up(self.admission.snapshot(now));
        }
    }

    /// A reading, with what its thread does not know: that the driver hangs.
    fn take_in(&mut self, reading: &Arc<Reading>, ctx: &mut Context<Self>) {
        let problem = self.cards.as_ref().and_then(|cards| cards.problem());
        let reading = match problem {
            Some(_) if reading.problem != problem => Arc::new(Reading { problem, ..(**reading).clone() }),
            _ => Arc::clone(reading),
        };
        self.step(Event::Read(reading), ctx);
        let capacities = self.admission.capacities();
        if self.capacities.as_ref() != Some(&capacities) {
            self.needs.capacities(&capacities.0, capacities.1);
            self.capacities = Some(capacities);
        }
    }

    /// Sees whether the driver hangs, for how long by now, and whether it does so no more.
    pub(super) fn check_driver(&mut self, ctx: &mut Context<Self>) {
        let Some(cards) = &self.cards else { return };
        if cards.problem().as_deref() != self.admission.driver_problem() {
            let reading = Arc::clone(&cards.readings().borrow());
            self.take_in(&reading, ctx);
        }
    }
}

impl Actor for ResourceOrchestrator {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        if let Ok(memory) = self.host.memory() {
            self.admission.note_host(memory);
        }
        if let Some(cards) = &self.cards {
            let mut readings = cards.readings();
            let first = Arc::clone(&readings.borrow_and_update());
            let following = stream::unfold(readings, |mut readings| async move {
                readings.changed().await.ok()?;
                let reading = Arc::clone(&readings.borrow_and_update());
                Some((reading, readings))
            });
            ctx.add_stream(following.boxed());
            self.take_in(&first, ctx);
        }
        let stopping = stream::unfold(self.bus.subscribe(None), |mut events| async move {
            while let Some(event) = events.next().await {
                if matches!(event.kind, EventKind::RuntimeState { ref state, .. } if state == "stopping") {
                    return Some((Stopping, events));
                }
            }
            None
        });
        ctx.add_stream(stopping.boxed());
        self.look(ctx);
    }
}

/// The runtime ends.
pub(super) struct Stopping;

impl StreamHandler<Stopping> for ResourceOrchestrator {
    fn handle(&mut self, _: Stopping, ctx: &mut Self::Context) {
        self.step(Event::Closing, ctx);
    }

    fn finished(&mut self, _: &mut Self::Context) {
        // By default that would stop this actor.
    }
}

impl StreamHandler<Arc<Reading>> for ResourceOrchestrator {
    fn handle(&mut self, reading: Arc<Reading>, ctx: &mut Self::Context) {
        self.take_in(&reading, ctx);
    }

    fn finished(&mut self, _: &mut Self::Context) {
        // The thread has ended. What was measured last counts, and its age is shown.
    }
}

impl ResourceOrchestrator {
    /// How a run fares, with what has to be seen to at such a moment.
    pub(super) fn fared(&mut self, service: ServiceName, run: RunId, fate: Fate, ctx: &mut Context<Self>) {
        match fate {
            Fate::RanOut => {
                let model = self.model_of(run);
                return self.step(Event::RanOut { service, run, model }, ctx);
            }
            // Its need is learned from what it holds now, not from what it held a second ago.
            Fate::Ready => self.measure(ctx),
            Fate::Leaving => self.follow_drain(&service, run, ctx),
            Fate::Withdrawn | Fate::Stays | Fate::Asleep | Fate::Ended { .. } => {}
        }
        let withdrawn = fate == Fate::Withdrawn;
        self.step(Event::Fared { service, run, fate }, ctx);
        if withdrawn {
            self.answers.remove(&run);
        }
    }
}
