//! Remotes: what answers requests elsewhere and is not started here.
//!
//! [`Remote`] is what is known of one: its URLs, how many requests are on their way to each, and how each fares.
//! [`Health`] judges what looks at a URL have shown, after a reset [`Recovery`] keeps jobs away, [`choose`] says which URL is asked. Who looks and who asks lies
//! outside: nothing in here speaks to anybody.
//!
//! Pure: counts are std atomics, moments are given.

mod choice;
mod health;
mod known;
mod recovery;

pub use choice::{Standing, choose};
pub use health::{Health, Look, Turn};
pub use known::{InFlight, Remote, Remotes, Site, SiteView};
pub use recovery::Recovery;
