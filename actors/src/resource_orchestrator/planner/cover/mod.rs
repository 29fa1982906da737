//! The cheapest set of leavers that frees enough of several pools at once.
//!
//! Branch and bound over at most 64 of them. The bound takes one requirement at a time and lets the last leaver go
//! in part (Dantzig's bound of the knapsack problem); since costs are compared priority by priority, those of a lower
//! priority go first there, whatever they give. Leavers that are no better than another one in anything leave only
//! together with it. The search stops after a number of steps, and the best so far counts; up to 20 leavers it is
//! given enough of them to come to its end.

mod cheapest;
mod first;
mod problem;
mod search;

#[cfg(test)]
mod cover_tests;

pub(super) use cheapest::{Steps, cheapest};
pub(super) use problem::{Item, Requirement};
