//! One service's life, decided without touching anything. Pure.
//!
//! [`Lifecycle::step`] takes what happened ([`Event`]) and answers with what is to be done ([`Effect`]); the actor around
//! it does nothing else than carry messages in and effects out.
//!
//! The heart of it is one rule: a service has **at most one live run**, and that run is over only when its owner says
//! that its containment is empty ([`RunNews::Ended`]). Whatever is asked in the meantime is written down as what comes
//! `Next` and done then. So a restart can never overlap two copies, `stopped` is never said too early, and
//! a service with something in it that outlived SIGKILL starts nothing in its place.
//!
//! Invariants (held by the property tests):
//! - no run begins while another is live;
//! - after a stop under answers that come at all, the state is `stopped` or `stuck`, and nothing begins any more;
//! - without enough health in between, failures in a row never exceed `restart.max`;
//! - news of an earlier run, and timers that were set for an earlier situation, change nothing.

mod event;
mod machine;
mod state;

pub use event::{Alert, Effect, Event, Moment, RunNews};
pub use machine::{LifeSpec, Lifecycle};
pub use state::View;
