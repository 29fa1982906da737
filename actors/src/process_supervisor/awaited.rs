//! How a supervisor follows what its service depends on.

use actix::{AsyncContext, Context, SpawnHandle};
use futures_util::{StreamExt, stream};

use super::{actor::ProcessSupervisor, dependencies::blocked, messages::Awaited};
use crate::gate::Needed;

/// What one service waits for.
#[derive(Debug)]
pub(super) struct Dependencies {
    awaited: Vec<Awaited>,
    /// Kept while the service is up, or on its way: those on whom it depends are missed then.
    needed: Vec<Needed>,
    followed: Vec<SpawnHandle>,
}

/// The status of a dependency has changed.
pub(super) struct DependencyChanged;

impl Dependencies {
    pub(super) fn new(awaited: Vec<Awaited>) -> Self {
        Self { awaited, needed: Vec::new(), followed: Vec::new() }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.awaited.is_empty()
    }

    /// Hears of every change from now on.
    pub(super) fn follow(&mut self, ctx: &mut Context<ProcessSupervisor>) {
        for awaited in &self.awaited {
            let changes = stream::unfold(awaited.status.clone(), |mut status| async move {
                status.changed().await.ok().map(|()| (DependencyChanged, status))
            });
            self.followed.push(ctx.add_stream(changes.boxed()));
        }
    }

    /// Waits for others from now on.
    pub(super) fn replace(&mut self, awaited: Vec<Awaited>, ctx: &mut Context<ProcessSupervisor>) {
        for followed in self.followed.drain(..) {
            ctx.cancel_future(followed);
        }
        let is_needed = !self.needed.is_empty();
        self.awaited = awaited;
        self.need(false);
        self.need(is_needed);
        self.follow(ctx);
    }

    /// Tells them whether they are needed.
    pub(super) fn need(&mut self, is_needed: bool) {
        if !is_needed {
            self.needed.clear();
        } else if self.needed.is_empty() {
            self.needed = self.awaited.iter().map(|awaited| awaited.gate.need()).collect();
        }
    }

    /// What is waited for; `None` if nothing is.
    pub(super) fn blocked(&self) -> Option<String> {
        let states = self.awaited.iter().map(|one| (&one.service, one.condition, one.status.borrow().clone()));
        let states: Vec<_> = states.collect();
        blocked(states.iter().map(|(name, condition, status)| (*name, *condition, status)))
    }
}
