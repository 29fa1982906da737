//! What a running runtime can be asked over HTTP: the control API on the unix socket of the state dir, and the [`door`]
//! for model traffic, which answers the control API as well.
//!
//! For the control API, [`server`] owns the socket and the worker, [`control`] has the routes, [`errors`] the shape of every refusal, `jobs` those of jobs, `sse`
//! and [`service_log`](crate::runtime::service_log) the two streams. [`guard`] says who may come in by the gateway,
//! `origin` from which pages, `patience` how long a body is waited for, and `closing` that nobody waits longer than the server is there. Whatever a route answers comes from a [`Control`], which in earnest is a
//! [`RuntimeHandle`](crate::runtime::RuntimeHandle) and in tests a fake.
//!
//! Nothing in here decides about processes or memory, and no stream is ever collected before it is sent on.

mod api;
mod bundle;
mod closing;
pub mod control;
// Its client is built like that of the command line.
#[cfg(all(test, feature = "cli"))]
mod control_tests;
pub mod door;
pub mod errors;
#[cfg(all(test, feature = "cli"))]
mod fake_control;
pub mod guard;
#[cfg(test)]
mod guard_tests;
mod jobs;
#[cfg(all(test, feature = "cli"))]
mod jobs_tests;
pub mod metrics;
pub mod openapi;
mod origin;
mod patience;
pub mod query;
mod remotes;
pub mod server;
mod sse;

pub use api::Control;
pub use remotes::{FarConnections, Postman};
