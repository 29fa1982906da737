//! What a row of samples means: what needs attention, what is over, and what is to be done. Pure.
//!
//! [`Judge::look`] takes one sample after the other. Nothing is decided on one of them: a [`level::Ladder`] goes up when two
//! in a row are at or above a level, and comes down when three in a row are clearly below. [`Judge::failure`] takes what
//! others have seen fail. Both answer with deeds, in the order in which they are to be done.
//!
//! The judge must never hold on to what is gone: it keeps one entry for each service of which something runs, and beside it
//! only what a rule needs for longer than one run, for as long as that rule says. Nothing in here grows with time: windows
//! are rings of a fixed number of points (see [`growth`] and [`processes`]).

mod actors;
mod budget;
mod docket;
mod failure;
pub mod growth;
mod host;
pub mod level;
mod limit;
mod own;
pub mod processes;
mod service;
mod standing;
mod verdicts;

pub use self::{standing::StandingAlert, verdicts::Judge};
