//! The actor system of Greenroom.

#[cfg(not(target_os = "linux"))]
compile_error!("Greenroom runs on Linux only: it holds processes by cgroups, pidfds and /proc.");

pub mod admit;
pub mod assembly;
pub mod base64;
pub mod cause;
mod digest;

pub mod engines;
pub mod estimate;
pub mod event;
pub mod failure;
pub mod gate;
pub mod history_store;
pub mod ids;
pub mod job;
pub mod job_queue;
pub mod lease;
pub mod memory;
pub mod os;
pub mod plain;
pub mod probe;
pub mod process_supervisor;
pub mod remote;
pub mod resource_orchestrator;
pub mod services;
pub mod shutdown_coordinator;
pub mod spec;
pub mod state;
pub mod template;
pub mod time;
pub mod units;
pub mod watchdog;
pub mod witness;
