//! Everything has a bound: restarts, stops, and what a child inherits.

#[path = "../common/mod.rs"]
mod common;
mod inherit;
mod moments;
mod restarts;
mod shutdown;
