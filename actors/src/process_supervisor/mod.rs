//! One actor per service: starts, watches, restarts and ends its processes.
//!
//! Decisions are pure ([`lifecycle`], [`restart_policy`], [`classify`], the splitter of [`output`]); effects are in
//! [`run`], the future that owns one run's processes from the first to the last, and in [`probe`]. The actor carries
//! messages to the lifecycle and its effects to the run. Bytes never pass a mailbox, and neither do the orders to stop
//! and to kill: those have a `watch` of their own into the run.

mod actor;
mod awaited;
pub mod classify;
pub mod dependencies;
mod drain;
mod hearing;
pub mod lifecycle;
#[cfg(test)]
mod lifecycle_tests;
pub mod messages;
pub mod output;
pub mod probe;
mod publish;
mod recycle;
pub mod restart_policy;
pub mod run;

pub use actor::{ProcessSupervisor, SupervisorParts};
pub(crate) use drain::BusyQuestion;
pub use run::{AdoptedRun, Inherited, end_of};
