//! Where shims come from: the present guardian, whichever process that is.

use std::{
    io,
    os::fd::{AsFd, OwnedFd},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use nix::sys::signal::Signal;

use super::{
    socket,
    wire::{ShimOrders, ToGuardian},
};
use crate::os::pidfd;

/// The way to a guardian.
#[derive(Debug)]
struct Way {
    /// To its standard input.
    socket: Arc<OwnedFd>,
    /// Its pidfd.
    process: Option<OwnedFd>,
}

/// Asks the present guardian for shims. Clones are the same: all of them follow when another guardian takes over.
#[derive(Debug, Clone, Default)]
pub struct Nursery {
    guardian: Arc<Mutex<Option<Arc<Way>>>>,
}

impl Nursery {
    /// Of the guardian at the other end of a socket; `process` is its pidfd.
    pub(in crate::os) fn of(socket: Arc<OwnedFd>, process: Option<OwnedFd>) -> Self {
        Self { guardian: Arc::new(Mutex::new(Some(Arc::new(Way { socket, process })))) }
    }

    /// From now on asks the guardian that `other` asks now.
    pub fn follow(&self, other: &Self) {
        let way = other.guardian().clone();
        *self.guardian() = way;
    }

    /// Wakes the guardian, if there is one: while it is stopped (SIGSTOP), nobody ends what a dead shim has left.
    pub(in crate::os) fn wake(&self) {
        if let Some(process) = self.guardian().as_ref().and_then(|way| way.process.as_ref()) {
            // Fails when it has died, and then another one takes over.
            drop(pidfd::send(process, Signal::SIGCONT));
        }
    }

    /// From now on asks nobody: the guardian leaves.
    pub fn close(&self) {
        *self.guardian() = None;
    }

    /// Orders a shim; gives this side's end of its control socket. Does not wait for it: what comes first on the socket
    /// says whether there is one. A guardian that has been stopped is woken for it.
    ///
    /// # Errors
    /// `NotConnected` without a guardian, `WouldBlock` when it is far behind, or the kernel's own (it has died, or there
    /// are no descriptors left).
    pub(in crate::os) fn order(&self, orders: &ShimOrders) -> io::Result<OwnedFd> {
        let guardian = self.guardian().clone();
        let guardian =
            guardian.ok_or_else(|| io::Error::new(io::ErrorKind::NotConnected, "there is no guardian to hold it"))?;
        let (own, far) = socket::pair()?;
        self.wake();
        socket::send(&guardian.socket, &ToGuardian::Shim(orders.clone()), &[far.as_fd()])?;
        Ok(own)
    }

    fn guardian(&self) -> MutexGuard<'_, Option<Arc<Way>>> {
        // Nothing can panic while the lock is held, so a poisoned one still guards whole data.
        self.guardian.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ORDERS: ShimOrders = ShimOrders { namespace: false, keep: None };

    #[test]
    fn orders_go_to_the_present_guardian() {
        let nursery = Nursery::default();
        let clone = nursery.clone();
        assert_eq!(clone.order(&ORDERS).expect_err("nobody there").kind(), io::ErrorKind::NotConnected);
        let (own, guardian) = socket::pair().expect("a pair");
        nursery.follow(&Nursery::of(Arc::new(own), None));
        let near = clone.order(&ORDERS).expect("ordered");
        let (message, descriptors) = socket::receive::<ToGuardian>(&guardian).expect("received").expect("a message");
        assert_eq!((message, descriptors.len()), (ToGuardian::Shim(ORDERS), 1));
        // Nobody but the guardian has the other end, so its death ends it.
        drop(descriptors);
        assert!(socket::receive::<ToGuardian>(&near).expect("received").is_none());
        clone.close();
        assert!(nursery.order(&ORDERS).is_err());
        assert!(socket::receive::<ToGuardian>(&guardian).expect("received").is_none(), "the socket is still open");
    }
}
