//! What is counted of the requests that come in and of the swaps they cause, and what of the requests is written down.
//!
//! `histogram`, `requests` and `refused` are atomics alone: the hot path adds to them and waits for nobody. `swaps`, `jobs` and `alerts`
//! listen to the event bus. `ledger` takes each request to the history, some at a time. Whoever shows the figures reads them here and
//! takes the rest from the runtime's snapshots.
//!
//! Labels are names of services, statuses and reasons: nothing that a stranger sends becomes one, so that their number is bounded.

mod alerts;
mod counted;
mod histogram;
mod jobs;
mod ledger;
mod refused;
mod requests;
mod swaps;

pub use alerts::Alerts;
pub use counted::{EndedRequest, Metrics};
pub use histogram::{Histogram, Reading};
pub use jobs::EndedJobs;
pub use ledger::Ledger;
pub use refused::{Refused, Turned};
pub use requests::{RequestCounts, Requests};
pub use swaps::Swaps;
