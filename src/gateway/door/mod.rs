//! The door: where model traffic comes in. A plain reverse proxy, which loads what a request names and holds a permit of
//! it for as long as the answer lasts.
//!
//! [`listen`] opens the addresses, [`server`] runs the workers and ends them, `unit` is its place in the ordered stop,
//! [`routes`] are the paths. Whom a request means is said by `names` (in its path), `model` (in its body) and `table`
//! (whose name it is); `keys` says who may ask, `headers` which headers go on: these decide and touch nothing. `desk` is
//! what one worker has at hand, `pass` takes a request to its service: `outgoing` is its body on its way there, `upstream`
//! the connections, `far` takes one to a remote, `jobs` has a job answer it, `relay` and `events` an answer on its way back, `refusal` what is said
//! where there is none, `ending` what is said to one who has had half of it, and `loading` to one who waits. `websocket` is
//! for what is no request any more, `own` for doors of one service alone. `account` is what is told of a request at its
//! end, `accounting` carries it there, and `unread` sees to what a client still sends then. `models` tells what there is,
//! `peers` is what the users of other such programs know, with `tails` for their logs.
//!
//! Nothing in here decides about memory or processes, and no answer is collected before it is sent on.

mod account;
mod accounting;
mod desk;
mod ending;
mod events;
mod far;
mod headers;
mod jobs;
pub(super) mod keys;
pub mod listen;
mod loading;
mod model;
mod models;
mod names;
mod outgoing;
mod overheard;
mod own;
mod pass;
mod peers;
mod priority;
mod refusal;
mod relay;
pub mod routes;
pub mod server;
mod table;
mod tails;
pub mod unit;
mod unread;
mod upstream;
mod websocket;

pub(super) use headers::{Way, X_API_KEY, to_service as headers_to_service};
pub use listen::{DoorError, Listeners};
pub use outgoing::BodyError;
pub(super) use refusal::body_error;
pub use server::{OpenDoor, open};
