//! The actor system of Greenroom.

#[cfg(not(target_os = "linux"))]
compile_error!("Greenroom runs on Linux only: it holds processes by cgroups, pidfds and /proc.");

pub mod assembly;
pub mod cause;
pub mod engines;
pub mod event;
pub mod failure;
pub mod gate;
pub mod history_store;
pub mod ids;
pub mod os;
pub mod probe;
pub mod process_supervisor;
pub mod shutdown_coordinator;
pub mod spec;
pub mod state;
pub mod template;
pub mod time;
pub mod units;
