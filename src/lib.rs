//! Greenroom keeps many generative-AI processes on one GPU box in order.
//!
//! The library is the runtime itself: [`Runtime::builder`] puts one together, [`Runtime::start_blocking`] or
//! [`Runtime::start`] starts it on threads of its own, and a [`Handle`] tells it what to do. The `greenroom` binary is a
//! thin launcher around it.
//!
//! Cargo features, all on by default: `history` remembers what happened in SQLite, `gateway` opens the control socket,
//! `cli` builds the `greenroom` program (and needs `gateway`). Without `history` no SQLite is linked.
//!
//! An application calls [`guardian::init`] first thing in `main`; `docs/embedding.md` says why, and shows the rest.

#[cfg(not(target_os = "linux"))]
compile_error!("Greenroom runs on Linux only: it holds processes by cgroups, pidfds and /proc.");

#[cfg(feature = "cli")]
pub mod cli;
pub mod config;
pub mod embed;
#[cfg(feature = "gateway")]
pub mod gateway;
pub mod guardian;
pub mod runtime;
pub mod signals;
#[cfg(feature = "cli")]
#[doc(hidden)]
pub mod stand_in;
#[cfg(feature = "cli")]
pub mod telemetry;

pub use config::{Config, JobConfig, ServiceConfig};
pub use embed::{
    Contents, EndError, Endpoint, Engine, Events, Filter, Handle, Hold, Job, JobDone, JobFailed, JobId, JobProgress,
    JobSpec, JobState, JobSteps, JobView, Lagged, LoadError, LoadProgress, LoadStep, Loading, Logs, Permit, Progress,
    RuntimeBuilder, Service, SubmitError, block_on,
};
pub use greenroom_actors as actors;
pub use guardian::Guardian;
pub use runtime::{CommandError, JobRefusal, ReloadError, ReloadReport, Runtime, ShutdownReport, Snapshot, StartError};

/// The code in the documents, compiled.
#[cfg(doctest)]
mod documents {
    #[doc = include_str!("../docs/engines.md")]
    struct Engines;
    #[doc = include_str!("../docs/embedding.md")]
    struct Embedding;
    #[doc = include_str!("../README.md")]
    struct Readme;
}
