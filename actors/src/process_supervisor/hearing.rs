//! Each message as the event that it is to the lifecycle.

use actix::{Context, Handler, Message, MessageResult, StreamHandler};

use super::{
    actor::ProcessSupervisor,
    awaited::DependencyChanged,
    lifecycle::{Event, RunNews},
    messages::{
        AdoptService, CondemnService, LoadService, OffloadService, Reconfigure, RecycleService, ResetService,
        RestartService, RetireService, StartService, StopService,
    },
};
use crate::{ids::RunId, lease::LeaseAnswer, shutdown_coordinator::messages::StopUnit};

/// News of a run, from the children's thread.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(super) struct News {
    pub run: RunId,
    pub news: RunNews,
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

impl Handler<LeaseAnswer> for ProcessSupervisor {
    type Result = ();

    fn handle(&mut self, LeaseAnswer { run, verdict }: LeaseAnswer, ctx: &mut Self::Context) {
        self.step(Event::Lease(run, verdict), ctx);
    }
}

impl Handler<StartService> for ProcessSupervisor {
    type Result = ();

    fn handle(&mut self, StartService { wish }: StartService, ctx: &mut Self::Context) {
        self.step(Event::Start(wish), ctx);
    }
}

impl Handler<LoadService> for ProcessSupervisor {
    type Result = ();

    fn handle(&mut self, LoadService { wish, lifts }: LoadService, ctx: &mut Self::Context) {
        self.step(Event::Load { wish, lifts }, ctx);
    }
}

impl Handler<StopService> for ProcessSupervisor {
    type Result = ();

    fn handle(&mut self, StopService { reason }: StopService, ctx: &mut Self::Context) {
        self.step(Event::Stop { reason }, ctx);
    }
}

impl Handler<OffloadService> for ProcessSupervisor {
    type Result = MessageResult<OffloadService>;

    fn handle(&mut self, OffloadService { reason }: OffloadService, ctx: &mut Self::Context) -> Self::Result {
        MessageResult(self.offload(reason, ctx))
    }
}

impl Handler<RestartService> for ProcessSupervisor {
    type Result = ();

    fn handle(&mut self, RestartService { reason }: RestartService, ctx: &mut Self::Context) {
        self.step(Event::Restart { reason }, ctx);
    }
}

impl Handler<RecycleService> for ProcessSupervisor {
    type Result = ();

    fn handle(&mut self, RecycleService { reason, when_idle }: RecycleService, ctx: &mut Self::Context) {
        if when_idle {
            self.recycle_when_idle(reason, ctx);
        } else {
            self.step(Event::Recycle { reason }, ctx);
        }
    }
}

impl Handler<CondemnService> for ProcessSupervisor {
    type Result = ();

    fn handle(&mut self, condemned: CondemnService, ctx: &mut Self::Context) {
        let CondemnService { run, class, reason, at_once, sentence } = condemned;
        self.step(Event::Condemn { run, class, reason, at_once, sentence }, ctx);
    }
}

impl Handler<ResetService> for ProcessSupervisor {
    type Result = ();

    fn handle(&mut self, _: ResetService, ctx: &mut Self::Context) {
        self.step(Event::Reset, ctx);
    }
}

impl Handler<Reconfigure> for ProcessSupervisor {
    type Result = ();

    fn handle(&mut self, change: Reconfigure, ctx: &mut Self::Context) {
        self.reconfigure(change, ctx);
    }
}

impl Handler<AdoptService> for ProcessSupervisor {
    type Result = ();

    fn handle(&mut self, _: AdoptService, ctx: &mut Context<Self>) {
        if let Some(inherited) = &self.adopt {
            let (run, pid, port) = (inherited.run(), inherited.pid(), inherited.port());
            self.step(Event::Adopt { run, pid, port }, ctx);
        }
    }
}

impl Handler<RetireService> for ProcessSupervisor {
    type Result = ();

    fn handle(&mut self, RetireService { reason }: RetireService, ctx: &mut Self::Context) {
        self.step(Event::Retire { reason }, ctx);
    }
}

impl Handler<StopUnit> for ProcessSupervisor {
    type Result = ();

    fn handle(&mut self, StopUnit { name, until, force, answer }: StopUnit, ctx: &mut Self::Context) {
        self.asked.push((name, answer));
        self.step(Event::Close { until, force }, ctx);
    }
}
