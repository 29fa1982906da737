//! TCP ports: which are free, and who listens on one.

mod inet_diag;
mod listeners;

use std::{
    collections::HashSet,
    io,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

pub use listeners::owner;

use crate::{ids::Pid, spec::PortSpec};

/// Somebody who listens on a port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PortHolder {
    /// The process.
    pub pid: Pid,
    /// Its command line, shortened.
    pub command: String,
}

/// Why a port cannot be had.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PortError {
    /// Somebody listens on it.
    #[error("port {port} is in use{}", holder.as_ref().map(|h| format!(" by process {} ({})", h.pid, h.command)).unwrap_or_default())]
    InUse {
        /// The port.
        port: u16,
        /// Who, if that can be seen.
        holder: Option<PortHolder>,
    },
    /// Every port of the range is taken.
    #[error("no port from {from} to {to} is free; widen runtime.ports")]
    Exhausted {
        /// The first one.
        from: u16,
        /// The last one.
        to: u16,
    },
}

/// Who listens on a port, as seen from one service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PortOwner {
    /// Nobody.
    Nobody,
    /// One of the service's own processes.
    Member(Pid),
    /// Somebody else, named if that can be seen.
    Stranger(Option<PortHolder>),
}

/// Hands out ports of one range, no port twice. Clones are the same pool.
#[derive(Debug, Clone)]
pub struct PortPool {
    range: (u16, u16),
    taken: Arc<Mutex<Taken>>,
}

#[derive(Debug)]
struct Taken {
    ports: HashSet<u16>,
    /// Where the next search begins, counted from the start of the range.
    next: u32,
}

/// The right to use a port until it is dropped.
#[derive(Debug)]
pub struct PortLease {
    port: u16,
    taken: Arc<Mutex<Taken>>,
}

impl PortLease {
    /// The port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }
}

impl Drop for PortLease {
    fn drop(&mut self) {
        lock(&self.taken).ports.remove(&self.port);
    }
}

/// Nothing below can panic while the lock is held, so a poisoned lock still guards whole data.
fn lock(taken: &Mutex<Taken>) -> MutexGuard<'_, Taken> {
    taken.lock().unwrap_or_else(PoisonError::into_inner)
}

impl PortPool {
    /// A pool over `from..=to`. It begins somewhere in the middle, so that runtimes side by side rarely reach for the
    /// same port.
    #[must_use]
    pub fn new(from: u16, to: u16) -> Self {
        let size = u32::from(to.saturating_sub(from)) + 1;
        let taken = Taken { ports: HashSet::new(), next: fastrand::u32(0..size) };
        Self { range: (from, to), taken: Arc::new(Mutex::new(taken)) }
    }

    /// Takes a port on which nobody listens.
    ///
    /// # Errors
    /// When the fixed port is in use, or the whole range is.
    pub fn take(&self, port: PortSpec) -> Result<PortLease, PortError> {
        let port = match port {
            PortSpec::Fixed(port) => self.fixed(port)?,
            PortSpec::Assigned => self.assigned()?,
        };
        Ok(PortLease { port, taken: Arc::clone(&self.taken) })
    }

    /// Takes the port of a run that is taken over and listens on it already; `None` when it was given out before.
    #[must_use]
    pub fn adopt(&self, port: u16) -> Option<PortLease> {
        lock(&self.taken).ports.insert(port).then(|| PortLease { port, taken: Arc::clone(&self.taken) })
    }

    fn fixed(&self, port: u16) -> Result<u16, PortError> {
        if is_free(port) && lock(&self.taken).ports.insert(port) {
            return Ok(port);
        }
        let holder = match owner(port, &[]) {
            Ok(PortOwner::Stranger(holder)) => holder,
            Ok(PortOwner::Nobody | PortOwner::Member(_)) | Err(_) => None,
        };
        Err(PortError::InUse { port, holder })
    }

    /// The first free one, searched once around from where the last search ended: a port that was given back rests as
    /// long as possible, because clients may still send to it.
    fn assigned(&self) -> Result<u16, PortError> {
        let (from, to) = self.range;
        let size = u32::from(to.saturating_sub(from)) + 1;
        let mut taken = lock(&self.taken);
        for step in 0..size {
            let offset = (taken.next + step) % size;
            let Ok(port) = u16::try_from(u32::from(from) + offset) else { continue };
            if !taken.ports.contains(&port) && is_free(port) {
                taken.ports.insert(port);
                taken.next = (offset + 1) % size;
                return Ok(port);
            }
        }
        Err(PortError::Exhausted { from, to })
    }
}

/// How many ports of the range nobody listens on at this moment.
#[must_use]
pub fn free_count(from: u16, to: u16) -> usize {
    (from..=to).filter(|port| is_free(*port)).count()
}

/// Whether a listener could be opened on every address. Only "in use" counts: a port below 1024 that this user may
/// not open is the child's affair, and a machine without IPv6 has nobody there.
fn is_free(port: u16) -> bool {
    let addresses: [SocketAddr; 3] =
        [(Ipv4Addr::LOCALHOST, port).into(), (Ipv4Addr::UNSPECIFIED, port).into(), (Ipv6Addr::LOCALHOST, port).into()];
    let in_use = |address| matches!(TcpListener::bind(address), Err(e) if e.kind() == io::ErrorKind::AddrInUse);
    !addresses.into_iter().any(in_use)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::os::clock;

    /// A listener on a port that the kernel chose.
    fn listener(address: &str) -> (TcpListener, u16) {
        let listener = TcpListener::bind((address, 0)).expect("a listener");
        let port = listener.local_addr().expect("an address").port();
        (listener, port)
    }

    /// A child that another test has just begun holds what was open here until it is its program.
    #[track_caller]
    fn wait_free(port: u16) {
        assert!(clock::wait_until(Duration::from_secs(30), || is_free(port)), "{port}");
    }

    #[test]
    fn no_port_is_given_out_twice_until_it_is_given_back() {
        let pool = PortPool::new(23_110, 23_113);
        let mut leases: Vec<PortLease> = std::iter::from_fn(|| pool.take(PortSpec::Assigned).ok()).collect();
        let mut ports: Vec<u16> = leases.iter().map(PortLease::port).collect();
        ports.sort_unstable();
        ports.dedup();
        assert_eq!(ports.len(), leases.len());
        assert!(!ports.is_empty());
        assert!(matches!(pool.take(PortSpec::Assigned), Err(PortError::Exhausted { from: 23_110, to: 23_113 })));
        let back = leases.pop().expect("a lease").port();
        assert_eq!(pool.take(PortSpec::Assigned).map(|l| l.port()), Ok(back));
    }

    #[test]
    fn a_fixed_port_that_somebody_listens_on_is_refused_with_his_name() {
        let (_listener, port) = listener("127.0.0.1");
        let error = PortPool::new(1, 1).take(PortSpec::Fixed(port)).expect_err("in use");
        let PortError::InUse { holder: Some(holder), .. } = &error else { panic!("no holder in {error:?}") };
        assert_eq!(holder.pid, Pid(std::process::id()));
        assert!(error.to_string().contains(&format!("port {port} is in use by process")), "{error}");
    }

    #[test]
    fn a_listener_on_any_address_makes_the_port_busy() {
        for address in ["127.0.0.1", "0.0.0.0"] {
            let (listener, port) = listener(address);
            assert!(!is_free(port), "{address}");
            drop(listener);
            wait_free(port);
        }
    }

    #[test]
    fn a_port_that_is_in_use_can_be_taken_over_once() {
        let (_listener, port) = listener("127.0.0.1");
        let pool = PortPool::new(port, port);
        let lease = pool.adopt(port).expect("nobody of ours has it");
        assert!(pool.adopt(port).is_none());
        drop(lease);
        assert!(pool.adopt(port).is_some());
    }

    #[test]
    fn the_same_fixed_port_is_not_given_twice() {
        let (listener, port) = listener("127.0.0.1");
        drop(listener);
        wait_free(port);
        let pool = PortPool::new(1, 1);
        let lease = pool.take(PortSpec::Fixed(port)).expect("free");
        assert_eq!(pool.take(PortSpec::Fixed(port)).map(|l| l.port()), Err(PortError::InUse { port, holder: None }));
        drop(lease);
        assert!(pool.take(PortSpec::Fixed(port)).is_ok());
    }
}
