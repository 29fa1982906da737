//! What somebody has of a gate as long as he keeps it.

use std::{
    future::Future,
    pin::Pin,
    sync::{Arc, atomic::Ordering},
    task::{Context, Poll},
};

use super::{
    shared::Shared,
    word::{self, admits, has_line, is_drained, is_left_alone, is_open, shuts},
};

/// The right to use a service. Leaves with its drop.
#[derive(Debug)]
#[must_use = "it leaves as soon as it is dropped"]
pub struct Permit(pub(super) Arc<Shared>);

/// A veto against offloading, until it is dropped.
#[derive(Debug)]
#[must_use = "it ends as soon as it is dropped"]
pub struct Hold(pub(super) Arc<Shared>);

/// Nobody comes in until it is dropped, whatever else becomes of the gate. Those who are in stay in.
///
/// Whoever shuts a gate is in, so that he knows who else is: he keeps his [`Permit`] for as long as he wants to be
/// [`alone`](Self::alone).
#[derive(Debug)]
#[must_use = "it ends as soon as it is dropped"]
pub struct Shut(pub(super) Arc<Shared>);

/// Ready once nobody is in but those who shut the gate.
#[derive(Debug)]
#[must_use = "a future does nothing before it is polled"]
pub struct Alone(Arc<Shared>);

impl Shut {
    /// Waits until all others have left. Several who shut the same gate wait for everybody but each other.
    pub fn alone(&self) -> Alone {
        Alone(Arc::clone(&self.0))
    }
}

/// Another service that needs this one, until it is dropped.
#[derive(Debug)]
#[must_use = "it is counted as long as this is kept"]
pub struct Needed(pub(super) Arc<Shared>);

/// Ready once the gate is closed and nobody is in.
#[derive(Debug)]
#[must_use = "a future does nothing before it is polled"]
pub struct Drained(pub(super) Arc<Shared>);

impl Permit {
    /// A piece of the answer has come: whoever asks whether the service gets on sees it.
    pub fn moves(&self) {
        self.0.moves.fetch_add(1, Ordering::Relaxed);
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.moves();
        // An error means that the count is at its end, where it stays.
        let Ok(before) = self.0.change(word::leave) else { return };
        self.0.tell_if_quiet(before - 1);
        if admits(before) && has_line(before) {
            self.0.advance();
        }
    }
}

impl Drop for Shut {
    fn drop(&mut self) {
        // An error means that the count is at its end, where it stays.
        let Ok(before) = self.0.change(word::unshut) else { return };
        if shuts(before) == 1 && is_open(before) && has_line(before) {
            self.0.advance();
        }
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        // An error means that the count is at its end, where it stays.
        self.0.change(word::let_go).ok();
    }
}

impl Drop for Needed {
    fn drop(&mut self) {
        self.0.needed.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Future for Drained {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.0.poll_quiet(is_drained, cx)
    }
}

impl Future for Alone {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.0.poll_quiet(is_left_alone, cx)
    }
}
