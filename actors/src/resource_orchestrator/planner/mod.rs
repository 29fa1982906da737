//! Where a service goes, and who leaves for it. Pure: no clock, no actor; the same question has the same answer.
//!
//! [`plan`] goes through these in order and takes the first kind of place that can be had, with everybody gone who may
//! be pushed out; within one kind, the place that costs least:
//!
//! 1. one card;
//! 2. the fewest cards that do together;
//! 3. where layers may lie on either side: as many layers as fit, the rest in RAM; at the very last none.
//!
//! So a whole place with somebody leaving is preferred to a partial one with nobody leaving: a reload is paid once, and
//! layers in RAM are paid with every token of every answer. One card comes before several for a like reason: most engines
//! that are not language models work on one card only.
//!
//! **What it costs** ([`likely_cost`]). A resident that leaves costs its reload time x the likelihood that it is used
//! again soon, `1 / (1 + idle / 5 min)`: times between uses have a long tail, and with a Lomax distribution (the plain
//! one with such a tail) the rate of return after `t` idle is in proportion to `1 / (1 + t / scale)`. One that works now
//! costs half a minute more, for its drain. Costs are first compared among those of the highest priority, then the next
//! one, and so on: to spare a higher priority is worth any cost at a lower one.
//!
//! **How exact it is.** Residents who hold nothing of what is short never come into question. With up to 20 left at each
//! of up to 8 places the answer is the best there is; with more, the best that a bounded search finds (`cover`), and where
//! more than 10 cards may be combined, among the 10 that can give most. In every case nobody leaves without whom it would
//! fit as well.
//!
//! Invariants, held by an oracle that tries everything (`oracle_tests`): nobody leaves who stays; no pool is given out
//! beyond what is free and becomes free, nor beyond its capacity; no refusal while there is a way.

mod cost;
mod cover;
mod decide;
mod explain;
mod places;
mod problem;
mod refuse;
mod share;
mod table;

#[cfg(test)]
mod oracle_tests;
#[cfg(test)]
mod rules_tests;

pub use cost::likely_cost;
pub use decide::plan;
pub use explain::explain;
pub use problem::{CardRoom, Demand, Plan, PoolRoom, Resident, Room};
