//! The actor around the schedule: sends what it decides and keeps its time.

use std::{collections::BTreeMap, time::Duration};

use actix::{
    Actor,
    AsyncContext,
    Context,
    Handler,
    MessageResult,
    Recipient,
    SpawnHandle,
    dev::SendError, // what `try_send` says
};
use tokio::sync::oneshot;

use super::{
    graph::{GraphError, UnitIndex},
    messages::{
        BeginShutdown, ChangeNeeds, ForceShutdown, Register, StopOutcome, StopReport, StopUnit, UnitStopped, Unregister,
    },
    schedule::{Effect, Input, Schedule},
};
use crate::{
    event::{EventBus, EventKind},
    os::clock,
};

/// Stops everything that has registered, in order. See the [module](super).
#[derive(Debug)]
pub struct ShutdownCoordinator {
    schedule: Schedule,
    /// Who stops each unit, by its place in the order of registration.
    units: BTreeMap<UnitIndex, Recipient<StopUnit>>,
    bus: EventBus,
    done: Option<oneshot::Sender<StopReport>>,
    alarm: Option<SpawnHandle>,
}

impl ShutdownCoordinator {
    /// A coordinator whose stop takes `deadline` at most, and [`LAST_BOUND`](super::LAST_BOUND) for what has to be
    /// ended by force then. It tells the beginning on `bus` as `runtime.state stopping`, and hands its report to `done`.
    #[must_use]
    pub fn new(deadline: Duration, bus: EventBus, done: oneshot::Sender<StopReport>) -> Self {
        Self { schedule: Schedule::new(deadline), units: BTreeMap::new(), bus, done: Some(done), alarm: None }
    }

    fn step(&mut self, input: Input, ctx: &mut Context<Self>) {
        for effect in self.schedule.step(input, clock::now()) {
            match effect {
                Effect::Announce(reason) => {
                    self.bus.emit(EventKind::RuntimeState { state: "stopping".to_owned(), reason: Some(reason) });
                }
                Effect::Tell { unit, until, force } => self.tell(unit, until, force, ctx),
                Effect::WakeAt(time) => {
                    if let Some(earlier) = self.alarm.take() {
                        ctx.cancel_future(earlier);
                    }
                    let wait = time.saturating_duration_since(clock::now());
                    self.alarm = Some(ctx.run_later(wait, |actor, ctx| {
                        actor.alarm = None;
                        actor.step(Input::Wake, ctx);
                    }));
                }
                Effect::Finish(report) => self.finish(report, ctx),
            }
        }
    }

    fn tell(&mut self, unit: UnitIndex, until: std::time::Instant, force: bool, ctx: &mut Context<Self>) {
        let Some(recipient) = self.units.get(&unit) else { return };
        let name = self.schedule.name(unit).to_owned();
        let stop = StopUnit { name: name.clone(), until, force, answer: ctx.address().recipient() };
        match recipient.try_send(stop) {
            Ok(()) => {}
            // A full mailbox is no reason not to stop; `do_send` knows no limit.
            Err(SendError::Full(stop)) => recipient.do_send(stop),
            // By our own mailbox, so that one effect is done before the next step is taken.
            Err(SendError::Closed(_)) => {
                tracing::error!(unit = %name, "the actor that should stop this unit is gone");
                let outcome = StopOutcome::Stuck("the actor that should stop it is gone".to_owned());
                ctx.notify(UnitStopped { name, outcome });
            }
        }
    }

    fn finish(&mut self, report: StopReport, ctx: &mut Context<Self>) {
        if let Some(alarm) = self.alarm.take() {
            ctx.cancel_future(alarm);
        }
        for unit in report.units.iter().filter(|u| !matches!(u.outcome, StopOutcome::Clean | StopOutcome::Kept { .. }))
        {
            tracing::warn!(unit = %unit.name, outcome = ?unit.outcome, seconds = unit.seconds, "did not stop cleanly");
        }
        if let Some(done) = self.done.take()
            && done.send(report).is_err()
        {
            tracing::warn!("nobody waits for the report of the stop");
        }
    }
}

impl Actor for ShutdownCoordinator {
    type Context = Context<Self>;
}

impl Handler<Register> for ShutdownCoordinator {
    type Result = Result<(), GraphError>;

    fn handle(&mut self, msg: Register, _: &mut Self::Context) -> Self::Result {
        let unit = self.schedule.register(&msg.name, &msg.depends_on, msg.bound)?;
        self.units.insert(unit, msg.stop);
        Ok(())
    }
}

impl Handler<Unregister> for ShutdownCoordinator {
    type Result = Result<(), GraphError>;

    fn handle(&mut self, msg: Unregister, _: &mut Self::Context) -> Self::Result {
        let unit = self.schedule.unregister(&msg.name)?;
        self.units.remove(&unit);
        Ok(())
    }
}

impl Handler<ChangeNeeds> for ShutdownCoordinator {
    type Result = Result<(), GraphError>;

    fn handle(&mut self, msg: ChangeNeeds, _: &mut Self::Context) -> Self::Result {
        self.schedule.change(&msg.name, &msg.depends_on, msg.bound).map(drop)
    }
}

impl Handler<BeginShutdown> for ShutdownCoordinator {
    type Result = ();

    fn handle(&mut self, msg: BeginShutdown, ctx: &mut Self::Context) {
        self.step(Input::Begin { reason: msg.reason }, ctx);
    }
}

impl Handler<ForceShutdown> for ShutdownCoordinator {
    type Result = ();

    fn handle(&mut self, _: ForceShutdown, ctx: &mut Self::Context) {
        self.step(Input::Force, ctx);
    }
}

impl Handler<UnitStopped> for ShutdownCoordinator {
    type Result = MessageResult<UnitStopped>;

    fn handle(&mut self, msg: UnitStopped, ctx: &mut Self::Context) -> Self::Result {
        self.step(Input::Stopped { unit: msg.name, outcome: msg.outcome }, ctx);
        MessageResult(())
    }
}

#[cfg(test)]
#[path = "actor_tests.rs"]
mod tests;
