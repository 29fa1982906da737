//! The actor: it looks in time, has what it saw judged, and carries out what is to be done. It decides nothing.
//!
//! It lives on a thread of its own, so that it still sees when the thread of all other actors hangs.

use std::{path::PathBuf, time::Duration};

use actix::{Actor, ActorFutureExt, AsyncContext, Context, Handler, SpawnHandle, WrapFuture};

use super::{
    board::{WatchBoard, WatchView},
    bundle::{Bundler, TreeShot},
    deed::{Alert, Deed, Occasion},
    heartbeat::{Heartbeat, Permanent},
    judge::Judge,
    look::{Looker, Scene},
    memory_log::{Line, MemoryLog},
    notify::{Means, Notifier},
    sample::Sample,
};
use crate::{
    event::{EventBus, EventKind, Severity},
    ids::{RunId, ServiceName},
    os::clock,
    process_supervisor::messages::{CondemnService, RecycleService},
    resource_orchestrator::view::MemoryBoard,
    services::{ServiceSet, Supervised},
    shutdown_coordinator::messages::{StopOutcome, StopUnit, UnitStopped},
    spec::WatchdogSpec,
    witness::{FailureSeen, Witness},
};

/// Everything it is given at its birth.
#[derive(Debug)]
pub struct WatchParts {
    /// `[watchdog]`.
    pub spec: WatchdogSpec,
    /// What is looked at.
    pub scene: Scene,
    /// Who is asked for a sign of life, besides all supervisors.
    pub permanent: Vec<Permanent>,
    /// Where alerts are told.
    pub bus: EventBus,
    /// Where what was seen is shown.
    pub board: WatchBoard,
    /// Writes bundles.
    pub bundler: Bundler,
    /// By what people are told.
    pub means: Means,
    /// The memory log lies below it.
    pub state_dir: PathBuf,
}

/// Watches. See the [module](super).
#[derive(Debug)]
pub struct Watchdog {
    interval: Duration,
    judge: Judge,
    looker: Looker,
    heartbeat: Heartbeat,
    services: ServiceSet,
    workers: ServiceSet,
    witness: Witness,
    memory: MemoryBoard,
    bus: EventBus,
    board: WatchBoard,
    bundler: Bundler,
    log: MemoryLog,
    spec: WatchdogSpec,
    /// Taken when it starts.
    means: Option<Means>,
    notifier: Option<Notifier>,
    /// What was seen last.
    seen: Option<Sample>,
    next: Option<SpawnHandle>,
    closed: bool,
}

impl Watchdog {
    /// One that has seen nothing.
    #[must_use]
    pub fn new(parts: WatchParts) -> Self {
        let WatchParts { spec, scene, permanent, bus, board, bundler, means, state_dir } = parts;
        let (services, workers) = (scene.services.clone(), scene.workers.clone());
        Self {
            interval: spec.interval,
            judge: Judge::new(&spec),
            heartbeat: Heartbeat::new(
                permanent,
                services.clone(),
                workers.clone(),
                spec.interval,
                spec.actor_heartbeat,
            ),
            services,
            workers,
            witness: scene.witness.clone(),
            memory: scene.memory.clone(),
            looker: Looker::new(scene),
            bus,
            board,
            bundler,
            log: MemoryLog::below(&state_dir),
            spec,
            means: Some(means),
            notifier: None,
            seen: None,
            next: None,
            closed: false,
        }
    }

    fn look(&mut self, ctx: &mut Context<Self>) {
        let now = clock::now();
        let actors = self.heartbeat.look(now);
        let sample = self.looker.look(now, actors);
        let deeds = self.judge.look(&sample);
        let services = sample.services.len();
        self.seen = Some(sample);
        self.carry_out(deeds);
        let us = u64::try_from(clock::now().saturating_duration_since(now).as_micros()).unwrap_or(u64::MAX);
        tracing::trace!(us, services, "looked");
        // From the end of one look to the next, so that looks that take long do not become the load.
        self.next = Some(ctx.run_later(self.interval, Self::look));
    }

    /// Carries out what is to be done, and shows what stands.
    fn carry_out(&mut self, deeds: Vec<Deed>) {
        for deed in deeds {
            match deed {
                Deed::Raise(alert) => self.raise(alert),
                Deed::Clear { alert, service } => self.bus.clear(alert, service.as_ref()),
                Deed::Bundle { occasion, severity } => self.bundle(occasion, severity),
                Deed::Condemn { service, run, class, reason, at_once, sentence } => {
                    if let Some(supervisor) = self.find(&service).and_then(|found| found.supervisor.upgrade()) {
                        supervisor.do_send(CondemnService { run, class, reason, at_once, sentence });
                    }
                }
                Deed::RecycleWhenIdle { service, run, reason } => self.recycle(&service, run, reason, true),
                Deed::Recycle { service, run, reason } => self.recycle(&service, run, reason, false),
                Deed::NoteMemory => self.note_memory(),
            }
        }
        if let Some(sample) = &self.seen {
            self.board.put_up(WatchView::of(sample, &self.judge.standing(), clock::wall()));
        }
    }

    fn raise(&self, alert: Alert) {
        let Alert { alert, severity, service, message } = alert;
        self.bus.emit(EventKind::AlertRaised { alert: alert.to_owned(), severity, service, message });
    }

    /// The tree is looked at here and now, before anything that follows ends it; the rest is written by whoever has time.
    fn bundle(&self, occasion: Occasion, severity: Severity) {
        let service = occasion.service.as_ref().and_then(|name| self.find(name));
        let shot = service.as_ref().map(|service| TreeShot::take(&self.looker.members(service)));
        let run = service.and_then(|service| service.status.borrow().run_id);
        self.bundler.ask(occasion, shot, run.filter(|_| severity == Severity::Emergency));
    }

    /// What was seen may be over: another run has nothing to do with it. Whoever works with it is not disturbed
    /// `when_idle`.
    fn recycle(&self, name: &ServiceName, run: RunId, reason: String, when_idle: bool) {
        let Some(service) = self.find(name).filter(|found| found.status.borrow().run_id == Some(run)) else { return };
        if when_idle && self.witness.has_job(name) {
            return;
        }
        if let Some(supervisor) = service.supervisor.upgrade() {
            supervisor.do_send(RecycleService { reason, when_idle });
        }
    }

    fn note_memory(&self) {
        if let Some(sample) = &self.seen {
            self.log.note(&Line::of(sample, &self.memory.look(), clock::wall()));
        }
    }

    fn find(&self, name: &ServiceName) -> Option<Supervised> {
        self.services.find(name.as_str()).or_else(|| self.workers.find(name.as_str()))
    }
}

impl Actor for Watchdog {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        self.notifier = self.means.take().and_then(|means| Notifier::start(&self.spec.notify, means));
        self.next = Some(ctx.run_later(self.interval, Self::look));
    }
}

impl Handler<FailureSeen> for Watchdog {
    type Result = ();

    fn handle(&mut self, seen: FailureSeen, _: &mut Self::Context) {
        let Some(service) = self.find(&seen.service).filter(|_| !self.closed) else { return };
        let has_job = self.witness.has_job(&seen.service);
        let deeds = self.judge.failure(&seen, service.spec.restart.reset_after, has_job, clock::now());
        self.carry_out(deeds);
    }
}

impl Handler<StopUnit> for Watchdog {
    type Result = ();

    /// From here on everything ends as it should: nothing is judged any more.
    fn handle(&mut self, StopUnit { name, answer, .. }: StopUnit, ctx: &mut Self::Context) {
        self.closed = true;
        self.witness.dismiss();
        if let Some(next) = self.next.take() {
            ctx.cancel_future(next);
        }
        let notifier = self.notifier.take();
        let end = async move {
            if let Some(notifier) = notifier {
                notifier.end().await;
            }
        };
        ctx.spawn(end.into_actor(self).map(move |(), _, _| {
            answer.do_send(UnitStopped { name, outcome: StopOutcome::Clean });
        }));
    }
}
