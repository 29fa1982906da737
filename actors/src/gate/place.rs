//! A place in the line before a gate.

use std::{
    future::Future,
    mem,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Waker},
};

use super::{guards::Permit, line::Turn, shared::Shared};

/// A place in the line before a gate: a future that gives the right to use the service when its turn has come, that is,
/// the gate is open, there is room, and nobody is before it. Leaves the line with its drop.
///
/// From the moment its turn has come it counts as one who is in, polled or not.
#[derive(Debug)]
#[must_use = "it leaves the line as soon as it is dropped"]
pub struct Place {
    shared: Arc<Shared>,
    /// `None` where there was room at once.
    turn: Option<Turn>,
    /// Whether the permit was handed out.
    is_over: bool,
}

impl Place {
    pub(super) fn new(shared: &Arc<Shared>, turn: Option<Turn>) -> Self {
        Self { shared: Arc::clone(shared), turn, is_over: false }
    }

    /// Its place from 1; `None` once its turn has come.
    #[must_use]
    pub fn position(&self) -> Option<u32> {
        self.shared.line().position(self.turn.as_ref()?)
    }

    /// The permit, if its turn has come, without a wait.
    pub fn take(&mut self) -> Option<Permit> {
        let has_come = !self.is_over && self.position().is_none();
        has_come.then(|| self.hand_out())
    }

    #[cfg(test)]
    pub(super) fn is_over(&self) -> bool {
        self.is_over
    }

    /// Whom to wake when its turn has come; gives back who it was before, to be dropped without the lock, or nothing where
    /// the turn has come.
    fn wake_by(&self, mut waker: Option<Waker>) -> Option<Option<Waker>> {
        let mut line = self.shared.line();
        mem::swap(line.of(self.turn.as_ref()?)?, &mut waker);
        Some(waker)
    }

    fn hand_out(&mut self) -> Permit {
        self.is_over = true;
        Permit(Arc::clone(&self.shared))
    }
}

impl Future for Place {
    type Output = Permit;

    /// Pending for good once it has given its permit.
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Permit> {
        if self.is_over {
            return Poll::Pending;
        }
        let fresh = cx.waker().clone();
        match self.wake_by(Some(fresh)) {
            Some(_stale) => Poll::Pending,
            None => Poll::Ready(self.hand_out()),
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if self.is_over {
            return;
        }
        let left = self.turn.and_then(|turn| self.shared.with_line(|line| line.leave(&turn)));
        if left.is_none() {
            // Its turn has come and it has not been there: it leaves as one who was in.
            drop(self.hand_out());
        }
    }
}
