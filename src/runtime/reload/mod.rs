//! Hot reload: a configuration that is read anew changes what runs, and nothing more than it must.
//!
//! [`Reloader`] knows where the configuration comes from. The `desk`, a task of the control thread, takes one request
//! after the other, from the command line, the API, SIGHUP or the `watch` on the files: it has the configuration read
//! and checked whole on a thread of its own, holds it against what is in force (`diff`, `doors`), tells the supervisors
//! (`apply`), and answers with a [`ReloadReport`] of what came of it (`settle`).
//!
//! What it must never do: touch anything for a configuration with a problem, restart a service for a key that is no part
//! of its process, or leave a change unsaid that is not applied.

mod apply;
mod ask;
mod desk;
mod diff;
mod doors;
mod jobs;
mod report;
mod roster;
mod settle;
mod source;
mod watch;

pub(super) use desk::{Bell, Desk, inbox};
pub use report::{Action, ReloadReport, ServiceReload};
pub use source::{ReloadError, Reloader};
