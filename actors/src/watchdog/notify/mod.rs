//! Tells people of alerts: `watchdog.notify`.
//!
//! [`Notice`] is what they are told (pure). [`Notifier`] has one queue and one task for each way, so that one that hangs holds
//! up neither the other nor whoever raises alerts; what does not fit into a queue is dropped, with a line in the log. A
//! program runs in a hold of its own, as everything does that is started here.

mod exec;
mod notice;
mod notifier;

pub use notice::Notice;
pub use notifier::{Means, Notifier, Post, Posting};
