//! Another run in the place of one that nobody uses, without a moment in which somebody could come in unseen.

use actix::{ActorFutureExt, AsyncContext, Context, WrapFuture};

use super::{actor::ProcessSupervisor, drain::BusyQuestion, lifecycle::Event};

impl ProcessSupervisor {
    /// Whether nobody uses it, and nobody waits for it.
    fn is_idle(&self) -> bool {
        self.gate.in_flight() == 0 && self.gate.waiting().count == 0
    }

    /// Has another run take the place of this one, unless somebody uses it. One that can say that it works is asked first.
    pub(super) fn recycle_when_idle(&mut self, reason: String, ctx: &mut Context<Self>) {
        if !self.is_idle() {
            return;
        }
        let (view, entries) = (self.life.view(), self.gate.entries());
        let question = view.port.and_then(|port| BusyQuestion::of(&self.run.spec, port));
        let asked = async move {
            match question {
                Some(question) => !question.is_busy().await,
                None => true,
            }
        };
        ctx.spawn(asked.into_actor(self).map(move |is_idle, this, ctx| {
            if is_idle && this.life.view().run == view.run {
                this.recycle_unless_used(entries, reason, ctx);
            }
        }));
    }

    /// The same, unless somebody came in since so many had, or is there.
    fn recycle_unless_used(&mut self, entries: u64, reason: String, ctx: &mut Context<Self>) {
        // Before those inside are counted, so that nobody comes in between.
        self.gate.close();
        if self.is_idle() && self.gate.entries() == entries {
            return self.step(Event::Recycle { reason }, ctx);
        }
        self.set_gate(self.life.view().state);
    }
}
