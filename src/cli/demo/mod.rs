//! `demo`: the real runtime at work in a state dir of its own, with every figure measured while one watches.
//!
//! [`stage`] starts, asks and ends a `greenroom run` in a process of its own; [`census`] counts what lives by looking
//! at `/proc`, not by asking the runtime; [`show`] is the whole demo, [`incidents`], [`jobs`], [`memory`] and
//! [`watch`] replay one incident alone. A
//! step that does not hold ends the demo with exit code 1. Whatever happens, Ctrl-C included, [`play`] ends everything
//! it started and removes its files.

mod census;
mod incidents;
mod jobs;
mod memory;
mod play;
mod show;
mod stage;
mod watch;

pub use play::run;
