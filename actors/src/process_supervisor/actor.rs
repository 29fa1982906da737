//! The actor: messages in, effects out. It decides nothing and owns no process.

use std::{path::PathBuf, rc::Rc, sync::Arc, time::Duration};

use actix::{Actor, ActorFutureExt, AsyncContext, Context, Recipient, SpawnHandle, WrapFuture};
use actix_rt::ArbiterHandle;
use tokio::sync::watch;

use super::{
    awaited::Dependencies,
    drain::{BusyQuestion, idle},
    hearing::News,
    lifecycle::{Effect, Event, LifeSpec, Lifecycle, Moment, RunNews},
    messages::{Awaited, Reconfigure},
    publish::Publisher,
    run::{Inherited, Order, Orders, Origin, Reporter, RunContext, own},
};
use crate::{
    event::EventBus,
    gate::{Gate, Held},
    history_store::{HistorySink, messages::Record},
    ids::RunId,
    lease::{AskLease, LeaseNews, Lessor},
    os::{clock, containment::Containment, ports::PortPool, registry::Registry},
    shutdown_coordinator::messages::{UnitName, UnitStopped},
    spec::{ServiceLogSpec, ServiceSpec},
    state::{ExitReport, ServiceState, ServiceStatus},
    witness::Witness,
};

/// Everything a supervisor is given at its birth; it looks nothing up.
#[derive(Debug)]
pub struct SupervisorParts {
    /// The service.
    pub spec: Arc<ServiceSpec>,
    /// Where its trees are held.
    pub containment: Arc<dyn Containment>,
    /// Where its port comes from.
    pub ports: PortPool,
    /// Where its runs are written down for a sweep.
    pub registry: Registry,
    /// Where its state changes and alerts are told.
    pub bus: EventBus,
    /// Where its runs are remembered.
    pub history: HistorySink,
    /// How its log is rotated.
    pub logs: ServiceLogSpec,
    /// The runtime's folder: logs and data lie below it.
    pub state_dir: PathBuf,
    /// The thread on which its runs live. It must outlive them.
    pub children: ArbiterHandle,
    /// Where its status is published. What it holds at first says what is wanted of the service.
    pub status: watch::Sender<ServiceStatus>,
    /// What must be so of whom before it is started.
    pub dependencies: Vec<Awaited>,
    /// Opened and closed by nobody else.
    pub gate: Gate,
    /// `runtime.shutdown.drain`.
    pub drain: Duration,
    /// Where what it is seen to do wrong is told.
    pub witness: Witness,
    /// Who gives out memory.
    pub lessor: Lessor,
    /// Its run of an earlier runtime, if there is one.
    pub adopt: Option<Inherited>,
}

/// Supervises one service.
pub struct ProcessSupervisor {
    pub(super) life: Lifecycle,
    pub(super) run: Arc<RunContext>,
    drain: Duration,
    pub(super) gate: Gate,
    history: HistorySink,
    children: ArbiterHandle,
    publisher: Publisher,
    dependencies: Dependencies,
    /// Asked before a run begins, and told how it fares.
    lessor: Lessor,
    /// Taken by [`AdoptService`](super::messages::AdoptService).
    pub(super) adopt: Option<Inherited>,
    /// The ways into the live run. Dropped only after its end: a run without anybody to order it kills itself.
    live: Option<LiveRun>,
    /// The wait for those who still use the service.
    draining: Option<SpawnHandle>,
    /// Those who wait for the end of all.
    pub(super) asked: Vec<(UnitName, Recipient<UnitStopped>)>,
}

/// The ways into the live run.
struct LiveRun {
    run: RunId,
    /// What it was begun with: the service may be configured otherwise before it has told of its beginning.
    context: Arc<RunContext>,
    order: watch::Sender<Order>,
    spec: watch::Sender<Arc<ServiceSpec>>,
}

impl ProcessSupervisor {
    /// A supervisor of a service of which nothing runs. It starts nothing before it is told to.
    #[must_use]
    pub fn new(parts: SupervisorParts) -> Self {
        let SupervisorParts { spec, containment, ports, registry, bus, history, logs, drain, gate, .. } = parts;
        let life = LifeSpec::of(&spec, drain);
        let disposition = parts.status.borrow().disposition;
        let publisher = Publisher::new(spec.name.clone(), bus.clone(), parts.status);
        let state_dir = parts.state_dir;
        gate.limit(spec.door.max_concurrency);
        Self {
            life: Lifecycle::new(life, disposition),
            run: Arc::new(RunContext {
                spec,
                containment,
                ports,
                registry,
                bus,
                logs,
                state_dir,
                witness: parts.witness,
                gate: gate.clone(),
                placement: Arc::default(),
            }),
            drain,
            gate,
            history,
            children: parts.children,
            publisher,
            dependencies: Dependencies::new(parts.dependencies),
            lessor: parts.lessor,
            adopt: parts.adopt,
            live: None,
            draining: None,
            asked: Vec::new(),
        }
    }

    pub(super) fn step(&mut self, event: Event, ctx: &mut Context<Self>) {
        if event.may_drain() {
            // Before those inside are counted, so that nobody comes in between. Opened again below if nothing came of it.
            self.gate.close();
        }
        let at = Moment {
            now: clock::now(),
            next_run: RunId::fresh(),
            chance: fastrand::f64(),
            in_flight: self.gate.in_flight(),
            waiting: self.gate.waiting().count,
            needed: self.gate.needed(),
        };
        let effects = self.life.step(event, &at);
        self.dependencies.need(self.life.needs_others());
        let view = self.life.view();
        // Before it is told: whoever hears of `ready` gets in, and whoever hears of anything else knows that nobody does.
        self.set_gate(view.state);
        if view.state != ServiceState::Draining
            && let Some(wait) = self.draining.take()
        {
            ctx.cancel_future(wait);
        }
        // Told first: whoever is answered below finds the status as the answer says.
        self.publisher.publish(&view, at.now);
        for effect in effects {
            self.carry_out(effect, &at, ctx);
        }
    }

    /// Open exactly while it can be used.
    pub(super) fn set_gate(&self, state: ServiceState) {
        if state == ServiceState::Ready {
            self.gate.open();
        } else {
            self.gate.close();
        }
    }

    /// Offloads, unless somebody holds the service.
    pub(super) fn offload(&mut self, reason: String, ctx: &mut Context<Self>) -> Result<(), Held> {
        self.gate.close_unless_held()?;
        self.step(Event::Offload { reason }, ctx);
        Ok(())
    }

    pub(super) fn reconfigure(&mut self, change: Reconfigure, ctx: &mut Context<Self>) {
        let Reconfigure { spec, dependencies, restart } = change;
        self.run = Arc::new(RunContext { spec: Arc::clone(&spec), ..(*self.run).clone() });
        // One that is to go is ended as it was configured.
        if let Some(live) = self.live.as_ref().filter(|_| !restart) {
            live.spec.send_replace(Arc::clone(&spec));
        }
        self.gate.limit(spec.door.max_concurrency);
        self.dependencies.replace(dependencies, ctx);
        let blocked = self.dependencies.blocked();
        self.step(Event::Reconfigure { spec: LifeSpec::of(&spec, self.drain), restart, blocked }, ctx);
    }

    fn carry_out(&mut self, effect: Effect, at: &Moment, ctx: &mut Context<Self>) {
        match effect {
            Effect::AskLease { run, wish } => {
                let (service, spec) = (self.run.spec.name.clone(), Arc::clone(&self.run.spec));
                let answer = ctx.address().recipient();
                self.lessor.ask.do_send(AskLease { service, run, spec, wish, answer });
            }
            Effect::TellLease { run, fate } => {
                let service = self.run.spec.name.clone();
                self.lessor.tell.do_send(LeaseNews { service, run, fate });
            }
            Effect::StartRun(run) => self.own_run(Origin::Fresh(run), ctx),
            Effect::AdoptRun(run) => match self.adopt.take().filter(|inherited| inherited.run() == run) {
                Some(Inherited::Lives(adopted)) => self.own_run(Origin::Adopted(adopted), ctx),
                Some(Inherited::Ended { news, .. }) => self.step(Event::Run(run, news), ctx),
                None => self.lose(run, "it was handed to nobody", ctx),
            },
            Effect::AwaitDrain { run, ask } => {
                if let Some(earlier) = self.draining.take() {
                    ctx.cancel_future(earlier);
                }
                let port = self.life.view().port.filter(|_| ask);
                let question = port.and_then(|port| BusyQuestion::of(&self.run.spec, port));
                let drained = idle(self.gate.clone(), question).into_actor(self);
                self.draining = Some(ctx.spawn(drained.map(move |(), this, ctx| this.step(Event::Drained(run), ctx))));
            }
            Effect::SleepRun { run, by } => self.order(run, Order::Sleep { by }),
            Effect::WakeRun(run) => self.order(run, Order::Wake),
            Effect::ReleaseRun(run) => self.order(run, Order::Release),
            Effect::StopRun { run, kill_at } => self.order(run, Order::Stop { kill_at }),
            Effect::KillRun(run) => self.order(run, Order::Kill),
            Effect::Arm { timer, at: due } => {
                let wait = due.saturating_duration_since(at.now);
                ctx.run_later(wait, move |this, ctx| this.step(Event::Due(timer), ctx));
            }
            Effect::NoteStarted { run, pid } => {
                let (service, port) = (self.run.spec.name.clone(), self.life.view().port);
                let context = self.live.as_ref().map_or(&self.run, |live| &live.context);
                let command = context.command(port);
                self.history.record(Record::RunStarted { run, service, pid, command, at: clock::wall() });
            }
            Effect::NoteReady(run) => self.history.record(Record::RunReady { run, at: clock::wall() }),
            Effect::NoteEnded { run, exit, wanted } => self.history.record(Record::RunEnded { run, exit, wanted }),
            Effect::Raise(alert, message) => self.publisher.raise(alert, message),
            Effect::Clear(alert) => self.publisher.clear(alert),
            Effect::Answer(outcome) => {
                for (name, answer) in self.asked.drain(..) {
                    answer.do_send(UnitStopped { name, outcome: outcome.clone() });
                }
            }
        }
    }

    fn own_run(&mut self, origin: Origin, ctx: &mut Context<Self>) {
        let run = origin.run();
        let placement = match &origin {
            Origin::Fresh(_) => self.life.view().placement.unwrap_or_default(),
            Origin::Adopted(adopted) => Arc::new(adopted.placement.clone()),
        };
        let context = Arc::new(RunContext { placement, ..(*self.run).clone() });
        let (order, ordered) = watch::channel(Order::Run);
        let (spec, configured) = watch::channel(Arc::clone(&self.run.spec));
        self.live = Some(LiveRun { run, context: Arc::clone(&context), order, spec });
        let orders = Orders { order: ordered, spec: configured };
        let supervisor = ctx.address();
        let begun = self.children.spawn_fn(move || {
            let report: Reporter = Rc::new(move |news| supervisor.do_send(News { run, news }));
            drop(actix_rt::spawn(own(context, origin, orders, report)));
        });
        if !begun {
            self.lose(run, "the thread that holds all children has ended", ctx);
        }
    }

    /// A run that nobody owns is over.
    fn lose(&self, run: RunId, cause: &str, ctx: &mut Context<Self>) {
        let exit = ExitReport { code: None, signal: None, class: None, stderr: Vec::new(), at: clock::wall() };
        let cause = Some(cause.to_owned());
        ctx.notify(News { run, news: RunNews::Ended { exit, cause, killed: false } });
    }

    fn order(&self, run: RunId, order: Order) {
        if let Some(live) = self.live.as_ref().filter(|live| live.run == run) {
            live.order.send_if_modified(|now| {
                // Nothing takes a kill back.
                let heard = *now != Order::Kill;
                if heard {
                    *now = order;
                }
                heard
            });
        }
    }

    pub(super) fn check_dependencies(&mut self, ctx: &mut Context<Self>) {
        let blocked = self.dependencies.blocked();
        self.step(Event::Dependencies(blocked), ctx);
    }
}

impl Actor for ProcessSupervisor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        self.dependencies.follow(ctx);
        if !self.dependencies.is_empty() {
            self.check_dependencies(ctx);
        }
    }
}
