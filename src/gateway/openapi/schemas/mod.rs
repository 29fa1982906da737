//! The shapes of what is answered. Pure.
//!
//! A running Greenroom's answers are held to them by a test, field by field: one that is new in the code and not here is
//! found, and the other way round.

mod all;
mod common;
mod jobs;
mod memory;
mod models;
mod past;
mod remotes;
mod services;
mod watch;

pub use all::schemas;
