//! Services that outlive their runtime and are taken over by the next one.

#[path = "../common/mod.rs"]
mod common;
mod counting;
mod doubts;
mod ends;
mod survives;
mod unit;
mod wishes;
