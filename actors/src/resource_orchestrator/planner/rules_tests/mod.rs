//! The rules, one by one.

mod cards;
mod given;
mod layers;
mod leaving;
mod told;

pub(super) use given::{demand, gpu};
