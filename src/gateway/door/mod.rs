//! The door: where model traffic comes in. A plain reverse proxy, which loads what a request names and holds a permit of
//! it for as long as the answer lasts.
//!
//! [`listen`] opens the addresses, [`server`] runs the workers and ends them, `unit` is its place in the ordered stop,
//! [`routes`] are the paths. `names` says whom a request means, `keys` who may ask, `headers` which headers go on: these
//! three decide and touch nothing. `outgoing` is a request's body on its way to a service, `upstream` the connections of
//! one worker, `relay` an answer on its way back, `refusal` what is said where there is none.
//!
//! Nothing in here decides about memory or processes, and no answer is collected before it is sent on.

mod headers;
mod keys;
pub mod listen;
mod names;
mod outgoing;
mod refusal;
mod relay;
pub mod routes;
pub mod server;
pub mod unit;
mod upstream;

pub(super) use headers::to_service as headers_to_service;
pub use listen::{DoorError, Listeners};
pub use outgoing::BodyError;
#[cfg(test)]
pub(super) use outgoing::Outgoing;
pub(super) use refusal::body_error;
pub use server::{OpenDoor, open};
