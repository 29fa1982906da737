//! Ports for a test alone, also while other tests run in other processes.

use std::{
    os::{
        linux::net::SocketAddrExt,
        unix::net::{SocketAddr, UnixListener},
    },
    process,
};

/// Ports a test has.
pub const PER_TEST: u16 = 24;
/// The last ones of them are for the test itself, the others are handed out by its runtime.
pub const OWN: u16 = 6;
/// Below the range from which the kernel gives ports to clients.
const RANGE: std::ops::Range<u16> = 20_000..32_000;

/// A range of ports that no other test uses as long as this lives.
#[derive(Debug)]
pub struct Ports {
    first: u16,
    /// The claim: an abstract socket, which leaves no file and goes with the process.
    _claim: UnixListener,
}

impl Ports {
    pub fn claim() -> Self {
        let slots = (RANGE.end - RANGE.start) / PER_TEST;
        // Begin anywhere, so that ports of a test that has just ended (in TIME_WAIT) are not the first choice.
        let begin = (process::id() % u32::from(slots)) as u16;
        let claim = |slot: u16| {
            let address = SocketAddr::from_abstract_name(format!("greenroom-test-ports-{slot}")).ok()?;
            let claim = UnixListener::bind_addr(&address).ok()?;
            Some(Self { first: RANGE.start + slot * PER_TEST, _claim: claim })
        };
        (0..slots).find_map(|n| claim((begin + n) % slots)).expect("fewer tests at once than there are ranges")
    }

    /// For `runtime.ports`.
    pub fn range(&self) -> String {
        format!("{}-{}", self.first, self.first + PER_TEST - OWN - 1)
    }

    /// The first port of the runtime's range.
    pub fn first(&self) -> u16 {
        self.first
    }

    /// One of the test's own ports, `n` from 0 to 5.
    pub fn own(&self, n: u16) -> u16 {
        assert!(n < OWN, "a test has {OWN} ports of its own");
        self.first + PER_TEST - OWN + n
    }
}
