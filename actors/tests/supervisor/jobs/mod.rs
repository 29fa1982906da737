//! Jobs by processes of their own, on a worker with the whole of the actors behind it.

mod attempts;
mod begun;
mod memory;
mod queue;

pub use begun::{Begun, Which, definition, rim};
