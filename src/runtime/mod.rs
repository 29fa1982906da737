//! The runtime as applications and the launcher see it: built from a spec, started, held by handles, ended with a
//! report.

mod admission;
mod admit;
mod announce;
mod board;
mod command;
mod control;
mod door;
mod ground;
mod guardian_watch;
mod handle;
mod launch;
pub mod metrics;
mod narrate;
mod orders;
mod outcome;
mod owner;
mod past;
mod reload;
mod remotes;
mod report;
mod run_end;
pub mod service_log;
mod timer;
pub(crate) mod told;
pub mod view;
mod why;
mod why_memory;

pub use admission::AdmitError;
#[cfg(feature = "gateway")]
pub(crate) use admit::enter;
pub use admit::{Admitted, Arrival, RunEndpoint};
pub use board::Snapshot;
pub use command::{CommandError, ServiceCommand};
pub use door::{ControlError, DoorError};
pub use handle::RuntimeHandle;
pub(crate) use launch::Manners;
pub use launch::{Runtime, StartError};
pub use reload::{Action, ReloadError, ReloadReport, Reloader, ServiceReload};
pub use remotes::{RemoteView, UrlView};
pub use report::{ShutdownReport, json_path as shutdown_json, log_path as shutdown_log};
