//! Greenroom keeps many generative-AI processes on one GPU box in order.
//!
//! The library is the runtime itself: [`runtime::Runtime`] is started from a checked configuration and told what to do
//! through a [`runtime::RuntimeHandle`]. The `greenroom` binary is a thin launcher around it.

pub mod cli;
pub mod config;
pub mod gateway;
pub mod runtime;
pub mod signals;
#[doc(hidden)]
pub mod stand_in;
pub mod telemetry;

pub use greenroom_actors as actors;
