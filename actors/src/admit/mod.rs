//! The way in: the right to use a service, for whoever has work for it: a request, an application, a job.
//!
//! Where its gate is open, there is room, and nobody waits, this is one compare-and-swap and a look at its status. Otherwise
//! the service is loaded if need be, and whoever waits stands in line at its gate until he is in, gives up, or is dropped.
//! What to do next is decided in `judgement`, which is pure; `wait` does it.

mod judgement;
mod wait;

pub use judgement::{AdmitError, Mark, Step, is_dead_end, is_kept_down, may_be_started, next};
pub use wait::{Admitted, Applicant, BY_REQUEST, RunEndpoint, any_changes, enter, tell_dependencies};
