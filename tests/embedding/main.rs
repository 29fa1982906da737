//! Greenroom inside of other programs: the two example applications, however they end, and runtimes in this very process.

mod app;
#[path = "../common/mod.rs"]
mod common;
mod ends;
mod jobs;
mod manners;
mod several;
