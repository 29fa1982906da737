//! The runtime as applications and the launcher see it: built from a spec, started, held by handles, ended with a
//! report.

mod announce;
mod guardian_watch;
mod handle;
mod launch;
mod narrate;
mod outcome;
mod report;
mod running;
pub mod view;
mod why;

pub use handle::{CommandError, RuntimeHandle, ServiceCommand};
pub use launch::{Runtime, StartError};
pub use report::{ShutdownReport, json_path as shutdown_json, log_path as shutdown_log};
pub use running::RunningRuntime;
