//! The actor system of Greenroom.

pub mod assembly;
pub mod cause;
pub mod engines;
pub mod event;
pub mod failure;
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
