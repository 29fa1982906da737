//! The runtime as applications and the launcher see it: built from a spec, started, held by handles, ended with a
//! report.

mod admit;
mod announce;
mod aside;
mod board;
pub(crate) mod bundle;
mod command;
mod control;
mod door;
mod far;
mod ground;
mod guardian_watch;
mod handle;
pub(crate) mod job_files;
mod job_kinds;
mod job_view;
mod jobs;
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
mod systemd;
mod timer;
pub(crate) mod told;
pub(crate) mod uploads;
pub mod view;
mod why;
mod why_memory;

pub use admit::Arrival;
pub use board::Snapshot;
pub use command::{CommandError, ServiceCommand};
pub use door::{ControlError, DoorError};
#[cfg(feature = "gateway")]
pub(crate) use greenroom_actors::admit::enter;
pub use greenroom_actors::admit::{AdmitError, Admitted, RunEndpoint};
pub use handle::RuntimeHandle;
pub use job_view::{JobCount, JobRefusal, MOST_FOUND, Meant, OutputFile};
pub(crate) use launch::Manners;
pub use launch::{Runtime, StartError};
pub use reload::{Action, ReloadError, ReloadReport, Reloader, ServiceReload};
pub use remotes::{RemoteView, UrlView};
pub use report::{ShutdownReport, json_path as shutdown_json, log_path as shutdown_log};
