//! What somebody has of a gate as long as he keeps it.

use std::{
    future::Future,
    pin::Pin,
    sync::{Arc, atomic::Ordering},
    task::{Context, Poll},
};

use super::{
    shared::Shared,
    word::{self, has_line, is_drained, is_open},
};

/// The right to use a service. Leaves with its drop.
#[derive(Debug)]
#[must_use = "it leaves as soon as it is dropped"]
pub struct Permit(pub(super) Arc<Shared>);

/// A veto against offloading, until it is dropped.
#[derive(Debug)]
#[must_use = "it ends as soon as it is dropped"]
pub struct Hold(pub(super) Arc<Shared>);

/// Another service that needs this one, until it is dropped.
#[derive(Debug)]
#[must_use = "it is counted as long as this is kept"]
pub struct Needed(pub(super) Arc<Shared>);

/// Ready once the gate is closed and nobody is in.
#[derive(Debug)]
#[must_use = "a future does nothing before it is polled"]
pub struct Drained(pub(super) Arc<Shared>);

impl Drop for Permit {
    fn drop(&mut self) {
        // An error means that the count is at its end, where it stays.
        let Ok(before) = self.0.change(word::leave) else { return };
        self.0.tell_if_drained(before - 1);
        if is_open(before) && has_line(before) {
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
        let shared = &self.0;
        if is_drained(shared.word()) {
            return Poll::Ready(());
        }
        let mut waiting = shared.drained();
        if !waiting.iter().any(|waker| waker.will_wake(cx.waker())) {
            waiting.push(cx.waker().clone());
        }
        // Looked at again under the lock: whoever left since then has either seen the waker or is seen here.
        if is_drained(shared.word()) { Poll::Ready(()) } else { Poll::Pending }
    }
}
