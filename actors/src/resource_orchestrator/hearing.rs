//! Each message as the event that it is to the admission.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use actix::{AsyncContext, Context, Handler, MessageResult};

use super::{
    actor::ResourceOrchestrator,
    admission::{Event, Question},
    ledger::Figures,
    messages::{Enlist, Enlisted, GetPlan, Strike},
    sight::{Known, Sight},
};
use crate::{
    ids::RunId,
    lease::{AskLease, LeaseNews, Wish},
    memory::{Layered, VramNeed},
    os::proc,
    shutdown_coordinator::messages::{StopOutcome, StopUnit, UnitStopped},
    spec::{Figure, GpuLayers, OnRuntimeExit, ServiceSpec},
};

/// Between two looks at what runs hold, while one of them loads, while there is one, and while there is none.
const LOADING: Duration = Duration::from_millis(250);
const RUNNING: Duration = Duration::from_secs(1);
const NOTHING: Duration = Duration::from_secs(5);

impl Handler<Enlist> for ResourceOrchestrator {
    type Result = ();

    fn handle(&mut self, Enlist { services }: Enlist, ctx: &mut Self::Context) {
        for Enlisted { spec, supervisor, status, gate } in services {
            self.known.insert(spec.name.clone(), Known { supervisor, status, gate });
            let need = self.needs.need(&spec);
            self.take(Event::Enlisted { spec, need }, ctx);
        }
        self.follow_up(true, ctx);
    }
}

impl Handler<Strike> for ResourceOrchestrator {
    type Result = ();

    fn handle(&mut self, Strike { service }: Strike, ctx: &mut Self::Context) {
        self.known.remove(&service);
        self.step(Event::Struck(service), ctx);
        // Whoever asked for it is not answered any more; what its last run left behind is still heard of.
        self.answers.retain(|run, _| self.admission.knows(*run));
    }
}

impl Handler<AskLease> for ResourceOrchestrator {
    type Result = ();

    fn handle(&mut self, ask: AskLease, ctx: &mut Self::Context) {
        let AskLease { service, run, spec, wish, answer } = ask;
        let need = self.needs.need(&spec);
        self.answers.insert(run, answer);
        if !need.is_nothing() {
            self.check_driver(ctx);
            // The host says what is free at this moment; what runs have of it is to be known of the same moment.
            self.measure(ctx);
        }
        let pids = match wish {
            // Where it lies already is where it stays.
            Wish::Adopted => self.containment.members(&service, run).unwrap_or_default(),
            Wish::Reload | Wish::Eager | Wish::Restart | Wish::Wanted => Vec::new(),
        };
        self.step(Event::Asked(Question { service, run, spec, need, wish, pids }), ctx);
        self.look_soon(ctx);
    }
}

impl Handler<LeaseNews> for ResourceOrchestrator {
    type Result = ();

    fn handle(&mut self, LeaseNews { service, run, fate }: LeaseNews, ctx: &mut Self::Context) {
        // Most runs hold nothing: nobody waits for them here.
        if self.admission.knows(run) {
            self.fared(service, run, fate, ctx);
        }
    }
}

impl Handler<GetPlan> for ResourceOrchestrator {
    type Result = MessageResult<GetPlan>;

    fn handle(&mut self, GetPlan { service }: GetPlan, _: &mut Self::Context) -> Self::Result {
        if let Some(spec) = self.admission.spec_of(&service).cloned() {
            let need = self.needs.need(&spec);
            self.admission.note_need(&service, need);
        }
        MessageResult(self.admission.preview(&service, &Sight { host: &*self.host, known: &self.known }))
    }
}

impl Handler<StopUnit> for ResourceOrchestrator {
    type Result = ();

    /// Every service has ended before. Nobody waits here for memory to be measured back.
    fn handle(&mut self, StopUnit { name, answer, .. }: StopUnit, ctx: &mut Self::Context) {
        self.step(Event::Closing, ctx);
        let lives_on = |lease: &&super::ledger::Lease| lease.spec.stop.on_runtime_exit == OnRuntimeExit::Keep;
        let left = self.admission.leases().filter(|lease| !lease.has_ended() && !lives_on(lease));
        let left: Vec<String> = left.map(|lease| format!("{} ({})", lease.service, lease.stage.name())).collect();
        let outcome = match left.is_empty() {
            true => StopOutcome::Clean,
            false => StopOutcome::Stuck(format!("these still hold memory: {}", left.join(", "))),
        };
        self.cards = None;
        answer.do_send(UnitStopped { name, outcome });
    }
}

impl ResourceOrchestrator {
    /// A run that was just granted is looked at soon, and the driver while somebody waits for memory.
    fn look_soon(&mut self, ctx: &mut Context<Self>) {
        let coming = self.admission.leases().any(super::ledger::Lease::is_coming);
        if !self.looks_often && (coming || self.admission.is_pressed()) {
            self.look_after(LOADING, ctx);
        }
    }

    fn look_after(&mut self, pause: Duration, ctx: &mut Context<Self>) {
        if let Some(earlier) = self.looking.take() {
            ctx.cancel_future(earlier);
        }
        self.looks_often = pause == LOADING;
        self.looking = Some(ctx.run_later(pause, |this, ctx| {
            this.looking = None;
            this.look(ctx);
        }));
    }

    /// What the layers of a run's model take, if it could be chosen how many go to the card.
    pub(super) fn model_of(&mut self, run: RunId) -> Option<Layered> {
        let spec = self.admission.leases().find(|lease| lease.run == run).map(|lease| Arc::clone(&lease.spec))?;
        let mut free = ServiceSpec { gpu_layers: GpuLayers::Auto, ..(*spec).clone() };
        free.memory.vram = Figure::Auto;
        match self.needs.need(&Arc::new(free)).vram {
            VramNeed::Layers(model) => Some(model),
            VramNeed::None | VramNeed::Bytes(_) | VramNeed::WholeCard => None,
        }
    }

    /// Looks at the runs now and from now on.
    pub(super) fn look(&mut self, ctx: &mut Context<Self>) {
        self.check_driver(ctx);
        self.measure(ctx);
        let loading = self.admission.leases().any(super::ledger::Lease::is_coming);
        let pause = match self.admission.leases().next() {
            Some(_) if loading => LOADING,
            Some(_) => RUNNING,
            None if self.admission.is_pressed() => RUNNING,
            None => NOTHING,
        };
        self.look_after(pause, ctx);
    }

    /// What runs with a lease hold now: their processes, and the memory of these.
    pub(super) fn measure(&mut self, ctx: &mut Context<Self>) {
        let mut figures = BTreeMap::new();
        for lease in self.admission.leases().filter(|lease| !lease.has_ended()) {
            // No hold, or one that does not say: what was seen last counts.
            let Ok(pids) = self.containment.members(&lease.service, lease.run) else { continue };
            let ram = proc::anonymous_bytes(&pids);
            figures.insert(lease.run, Figures { pids, ram });
        }
        if figures.is_empty() {
            return;
        }
        let mut pids: Vec<_> = figures.values().flat_map(|figures| figures.pids.iter().copied()).collect();
        pids.sort_unstable();
        if pids != self.watched
            && let Some(cards) = &self.cards
        {
            cards.watch_pids(pids.clone());
            self.watched = pids;
        }
        self.step(Event::Measured(figures), ctx);
    }
}
