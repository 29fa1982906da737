//! Whether a run can be used: readiness first, liveness from then on.
//!
//! [`watch_health`] is part of the future that owns the run and is dropped with it. What a try means is decided by pure
//! pieces: `patience` says how long to wait for readiness, `pauses` how often to try, `pulse` what a row of failures
//! amounts to, `token` when an engine is asked for a token and what it means that none comes. An answer on a port counts only if the listener is one of the run's own processes: a stranger that answers
//! `/health` is not this service.

mod attempt;
pub mod busy;
mod generation;
mod health;
pub mod http;
mod loading;
mod patience;
mod pauses;
mod pulse;
mod token;

pub use health::{Health, Known, watch_health};
