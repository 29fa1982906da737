//! The door: where model traffic comes in. A plain reverse proxy, which loads what a request names and holds a permit of
//! it for as long as the answer lasts.
//!
//! [`listen`] opens the addresses, [`server`] runs the workers and ends them, `unit` is its place in the ordered stop,
//! [`routes`] are the paths. `names` says whom a request means, `keys` who may ask, `headers` which headers go on: these
//! three decide and touch nothing. `outgoing` is a request's body on its way to a service, `upstream` the connections of
//! one worker, `relay` an answer on its way back, `refusal` what is said where there is none. `models` tells what there
//! is, `peers` is what the users of other such programs know, with `tails` for their logs.
//!
//! Nothing in here decides about memory or processes, and no answer is collected before it is sent on.

mod headers;
pub(super) mod keys;
pub mod listen;
mod models;
mod names;
mod outgoing;
mod peers;
mod priority;
mod refusal;
mod relay;
pub mod routes;
pub mod server;
mod tails;
pub mod unit;
mod upstream;

pub use listen::{DoorError, Listeners};
pub use server::{OpenDoor, open};
