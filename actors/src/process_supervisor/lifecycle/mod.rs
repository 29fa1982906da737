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
//! A service that somebody uses is drained before it is stopped: its gate is closed before the event comes here, so that
//! [`Moment::in_flight`] counts those who are left. A service that is to outlive the runtime is let go of instead of being
//! ended: its run stays as it was shown, and nothing is done to it any more.
//!
//! A run begins only with memory that was granted: what wants to begin asks first ([`Effect::AskLease`]) and rests as it
//! was if it is refused. What becomes of a run with a lease is told ([`Effect::TellLease`]), and after its end the service
//! is `reclaiming` until the memory is measured back. To make room a service is drained *softly*: whoever is still in
//! when the drain is over keeps it where it is. Then it is stopped, or put to sleep where its engine can do that.
//!
//! Invariants (held by the property tests):
//! - no run begins while another is live, and none without a grant;
//! - of every run that was granted memory the end is told exactly once, unless it was let go of; of a run that was never
//!   asked for, nothing is told;
//! - after a stop under answers that come at all, the state is `stopped` or `stuck`, and nothing begins any more;
//! - a run that was let go of is neither stopped nor killed;
//! - what is in quarantine begins for nobody but a person or a changed configuration;
//! - without enough health in between, failures in a row never exceed `restart.max`;
//! - news of an earlier run, and timers that were set for an earlier situation, change nothing.

mod condemn;
mod ending;
mod event;
mod hearing;
mod lease;
mod machine;
mod offload;
mod state;
mod wishes;

pub use event::{Alert, Effect, Event, Moment, RunNews, Sentence};
pub use machine::{LifeSpec, Lifecycle};
pub use state::View;
