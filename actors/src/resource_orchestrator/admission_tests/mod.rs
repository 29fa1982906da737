//! The admission in a world of its own: a clock, cards whose driver tells the truth late, services with supervisors that keep
//! to the protocol.

mod cases;
mod driver;
mod fair;
mod given;
mod lines;
mod others;
mod promises;
mod random;
mod sleepers;
mod smaller;
mod supervisors;
mod world;
