//! The actor: messages in, effects out. It decides nothing and owns no process.

use std::{path::PathBuf, rc::Rc, sync::Arc};

use actix::{Actor, AsyncContext, Context, Handler, Message, Recipient, StreamHandler};
use actix_rt::ArbiterHandle;
use futures_util::{StreamExt, stream};
use tokio::sync::watch;

use super::{
    dependencies::blocked,
    lifecycle::{Effect, Event, LifeSpec, Lifecycle, Moment, RunNews},
    messages::{ResetService, RestartService, StartService, StopService},
    publish::Publisher,
    run::{Order, Reporter, RunContext, own},
};
use crate::{
    event::EventBus,
    history_store::{HistorySink, messages::Record},
    ids::{RunId, ServiceName},
    os::{clock, containment::Containment, ports::PortPool, registry::Registry},
    shutdown_coordinator::messages::{StopUnit, UnitName, UnitStopped},
    spec::{DependencyCondition, ServiceLogSpec, ServiceSpec},
    state::{ExitReport, ServiceStatus},
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
    pub dependencies: Vec<(ServiceName, DependencyCondition, watch::Receiver<ServiceStatus>)>,
}

/// Supervises one service.
pub struct ProcessSupervisor {
    life: Lifecycle,
    run: Arc<RunContext>,
    history: HistorySink,
    children: ArbiterHandle,
    publisher: Publisher,
    dependencies: Vec<(ServiceName, DependencyCondition, watch::Receiver<ServiceStatus>)>,
    /// The orders to the live run. Dropped only after its end: a run without anybody to order it kills itself.
    orders: Option<(RunId, watch::Sender<Order>)>,
    /// Those who wait for the end of all.
    asked: Vec<(UnitName, Recipient<UnitStopped>)>,
}

/// News of a run, from the children's thread.
#[derive(Debug, Message)]
#[rtype(result = "()")]
struct News {
    run: RunId,
    news: RunNews,
}

/// The status of a dependency has changed.
struct DependencyChanged;

impl ProcessSupervisor {
    /// A supervisor of a service of which nothing runs. It starts nothing before it is told to.
    #[must_use]
    pub fn new(parts: SupervisorParts) -> Self {
        let SupervisorParts { spec, containment, ports, registry, bus, history, logs, .. } = parts;
        let life = LifeSpec { restart: spec.restart, grace: spec.stop.grace };
        let disposition = parts.status.borrow().disposition;
        let publisher = Publisher::new(spec.name.clone(), bus.clone(), parts.status);
        let state_dir = parts.state_dir;
        Self {
            life: Lifecycle::new(life, disposition),
            run: Arc::new(RunContext { spec, containment, ports, registry, bus, logs, state_dir }),
            history,
            children: parts.children,
            publisher,
            dependencies: parts.dependencies,
            orders: None,
            asked: Vec::new(),
        }
    }

    fn step(&mut self, event: Event, ctx: &mut Context<Self>) {
        let at = Moment { now: clock::now(), next_run: RunId::fresh(), chance: fastrand::f64() };
        let effects = self.life.step(event, &at);
        // Told first: whoever is answered below finds the status as the answer says.
        self.publisher.publish(&self.life.view(), at.now);
        for effect in effects {
            self.carry_out(effect, &at, ctx);
        }
    }

    fn carry_out(&mut self, effect: Effect, at: &Moment, ctx: &mut Context<Self>) {
        match effect {
            Effect::StartRun(run) => self.start_run(run, ctx),
            Effect::StopRun { run, kill_at } => self.order(run, Order::Stop { kill_at }),
            Effect::KillRun(run) => self.order(run, Order::Kill),
            Effect::Arm { timer, at: due } => {
                let wait = due.saturating_duration_since(at.now);
                ctx.run_later(wait, move |this, ctx| this.step(Event::Due(timer), ctx));
            }
            Effect::NoteStarted { run, pid } => {
                let (service, port) = (self.run.spec.name.clone(), self.life.view().port);
                let command = self.run.command(port);
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

    fn start_run(&mut self, run: RunId, ctx: &mut Context<Self>) {
        let (orders, receiver) = watch::channel(Order::Run);
        self.orders = Some((run, orders));
        let (context, supervisor) = (self.run.clone(), ctx.address());
        let begun = self.children.spawn_fn(move || {
            let report: Reporter = Rc::new(move |news| supervisor.do_send(News { run, news }));
            drop(actix_rt::spawn(own(context, run, receiver, report)));
        });
        if !begun {
            let exit = ExitReport { code: None, signal: None, class: None, stderr: Vec::new(), at: clock::wall() };
            let cause = Some("the thread that holds all children has ended".to_owned());
            ctx.notify(News { run, news: RunNews::Ended { exit, cause, killed: false } });
        }
    }

    fn order(&self, run: RunId, order: Order) {
        if let Some((live, orders)) = &self.orders
            && *live == run
        {
            orders.send_replace(order);
        }
    }

    fn check_dependencies(&mut self, ctx: &mut Context<Self>) {
        let states: Vec<_> = self.dependencies.iter().map(|(n, c, status)| (n, *c, status.borrow().clone())).collect();
        let blocked = blocked(states.iter().map(|(name, condition, status)| (*name, *condition, status)));
        self.step(Event::Dependencies(blocked), ctx);
    }
}

impl Actor for ProcessSupervisor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        for (.., status) in &self.dependencies {
            let changes = stream::unfold(status.clone(), |mut status| async move {
                status.changed().await.ok().map(|()| (DependencyChanged, status))
            });
            ctx.add_stream(changes.boxed());
        }
        if !self.dependencies.is_empty() {
            self.check_dependencies(ctx);
        }
    }
}

impl StreamHandler<DependencyChanged> for ProcessSupervisor {
    fn handle(&mut self, _: DependencyChanged, ctx: &mut Self::Context) {
        self.check_dependencies(ctx);
    }

    fn finished(&mut self, _: &mut Self::Context) {
        // A dependency's supervisor is gone. By default that would stop this actor.
    }
}

impl Handler<News> for ProcessSupervisor {
    type Result = ();

    fn handle(&mut self, News { run, news }: News, ctx: &mut Self::Context) {
        self.step(Event::Run(run, news), ctx);
    }
}

impl Handler<StartService> for ProcessSupervisor {
    type Result = ();

    fn handle(&mut self, _: StartService, ctx: &mut Self::Context) {
        self.step(Event::Start, ctx);
    }
}

impl Handler<StopService> for ProcessSupervisor {
    type Result = ();

    fn handle(&mut self, StopService { reason }: StopService, ctx: &mut Self::Context) {
        self.step(Event::Stop { reason }, ctx);
    }
}

impl Handler<RestartService> for ProcessSupervisor {
    type Result = ();

    fn handle(&mut self, RestartService { reason }: RestartService, ctx: &mut Self::Context) {
        self.step(Event::Restart { reason }, ctx);
    }
}

impl Handler<ResetService> for ProcessSupervisor {
    type Result = ();

    fn handle(&mut self, _: ResetService, ctx: &mut Self::Context) {
        self.step(Event::Reset, ctx);
    }
}

impl Handler<StopUnit> for ProcessSupervisor {
    type Result = ();

    fn handle(&mut self, StopUnit { name, until, force, answer }: StopUnit, ctx: &mut Self::Context) {
        self.asked.push((name, answer));
        self.step(Event::Close { until, force }, ctx);
    }
}
