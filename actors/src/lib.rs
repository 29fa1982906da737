//! The actor system of Greenroom.

pub mod event;
pub mod ids;
pub mod os;
pub mod spec;
pub mod state;
pub mod template;
pub mod time;
pub mod units;
