//! Ports for a test alone.

use std::os::{
    linux::net::SocketAddrExt,
    unix::net::{SocketAddr, UnixListener},
};

/// Ports that no other test uses, as long as this lives: of the service, and of whoever answers in its stead.
#[derive(Debug)]
pub struct Ports {
    /// The first one, and the last.
    pub range: (u16, u16),
    /// The claim: an abstract socket, which leaves no file and goes with the process.
    _claim: UnixListener,
}

impl Ports {
    /// Ports of one claim.
    const EACH: u16 = 16;
    /// Below the range from which the kernel gives ports to clients, and beside that of the tests of the whole program.
    const ALL: std::ops::Range<u16> = 12_000..20_000;

    pub fn claim() -> Self {
        let slots = (Self::ALL.end - Self::ALL.start) / Self::EACH;
        // Begun anywhere, so that a port that was in use just now is not the first choice.
        let begin = fastrand::u16(0..slots);
        let claim = |slot: u16| {
            let address = SocketAddr::from_abstract_name(format!("greenroom-supervisor-ports-{slot}")).ok()?;
            let first = Self::ALL.start + slot * Self::EACH;
            Some(Self { range: (first, first + Self::EACH - 1), _claim: UnixListener::bind_addr(&address).ok()? })
        };
        (0..slots).find_map(|n| claim((begin + n) % slots)).expect("fewer tests at once than there are ranges")
    }
}
