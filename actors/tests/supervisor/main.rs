//! The supervisor with real processes: start, output, failure, restart and end.
//!
//! Processes are held by best effort, which works on every machine; the layers with the kernel's help have the tests of
//! the whole program.

mod changes;
mod condemned;
mod counts;
mod jobs;
mod lives;
mod loading;
mod memory;
mod requests;
mod rig;
mod roster;
mod stops;
mod swaps;
mod telling;
mod watch;
mod web;
mod wedged;
