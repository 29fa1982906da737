//! How a supervisor follows what its service depends on.

use actix::{AsyncContext, Context, SpawnHandle};
use futures_util::{StreamExt, stream};

use super::{actor::ProcessSupervisor, dependencies::blocked, messages::Awaited};

/// What one service waits for.
#[derive(Debug)]
pub(super) struct Dependencies {
    awaited: Vec<Awaited>,
    followed: Vec<SpawnHandle>,
}

/// The status of a dependency has changed.
pub(super) struct DependencyChanged;

impl Dependencies {
    pub(super) fn new(awaited: Vec<Awaited>) -> Self {
        Self { awaited, followed: Vec::new() }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.awaited.is_empty()
    }

    /// Hears of every change from now on.
    pub(super) fn follow(&mut self, ctx: &mut Context<ProcessSupervisor>) {
        for (.., status) in &self.awaited {
            let changes = stream::unfold(status.clone(), |mut status| async move {
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
        self.awaited = awaited;
        self.follow(ctx);
    }

    /// What is waited for; `None` if nothing is.
    pub(super) fn blocked(&self) -> Option<String> {
        let states: Vec<_> = self.awaited.iter().map(|(n, c, status)| (n, *c, status.borrow().clone())).collect();
        blocked(states.iter().map(|(name, condition, status)| (*name, *condition, status)))
    }
}
