//! Closes everything down in order.
//!
//! Actors and services register as *units*, each with the units it needs. When the stop begins, a unit is told to stop
//! once every unit that needs it has answered; those that may stop at the same time do so side by side, told in reverse
//! order of registration. Each has its own bound, the whole has a deadline, and past that (or after a second signal)
//! everything left is told to end by force, at once. One [`StopReport`](messages::StopReport) comes out at the end,
//! exactly once.
//!
//! `graph` and `schedule` decide and know neither actors nor clocks; `actor` sends and waits.
//!
//! It must never wait without a bound, stop a unit before those that need it, or take a registration once it is stopping.

mod actor;
pub mod graph;
pub mod messages;
mod schedule;

pub use actor::ShutdownCoordinator;
pub use schedule::LAST_BOUND;
