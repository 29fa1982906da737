//! The guardian: a small process that outlives a killed runtime just long enough to end its trees.
//!
//! The runtime starts it before any service ([`Guardian::start`]) from its own binary. It watches the runtime's pidfd:
//! a pipe would not do, because one end that leaks into a service keeps it open for ever. When the runtime ends without
//! having dismissed it, it kills everything below the root and removes it, again and again until nothing is left,
//! because a spawn may have been under way.
//!
//! The watch is mutual: the runtime waits for [`Guardian::died`] and starts another one at once. While the guardian
//! works it holds `guardian.lock`, which the next runtime waits for.
//!
//! It has one thread and no executor, its own session, every signal blocked that can be, no descriptor but its own,
//! and touches nothing that belongs to another state dir or another incarnation.

mod brood;
mod charge;
mod ending;
mod handle;
pub(super) mod process;

pub use charge::Charge;
pub use handle::{Guardian, GuardianError};

/// To be called first thing in `main` by every program that embeds the runtime: if this process was started as one of
/// Greenroom's own small ones, gives the exit code to end with at once; `None` otherwise.
#[must_use]
pub fn init() -> Option<i32> {
    let args: Vec<_> = std::env::args_os().skip(1).collect();
    super::entry::dispatch(&args)
}
