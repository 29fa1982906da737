//! Who gets memory, who leaves for it, who comes back: the whole runtime with stand-ins on declared cards.

#[path = "../common/mod.rs"]
mod common;

mod driver;
mod house;

mod depends;
mod eager;
mod gpu_lost;
mod makes_room;
mod partial;
mod refuses;
mod returns;
mod strangers;
mod swaps;
mod too_large;
