//! One actor that decides who may hold memory: VRAM card by card, RAM, and pools of the configuration.
//!
//! It touches no process. Supervisors ask it for a [lease](crate::lease::AskLease) before a run begins and tell it how the
//! run fares; it answers with a placement, or with a refusal that says what is missing and who holds it. To make room it
//! asks other supervisors to offload their services.

mod actor;
pub mod admission;
#[cfg(test)]
mod admission_tests;
mod hearing;
pub mod ledger;
pub mod messages;
pub mod need;
pub mod planner;
mod sight;
pub mod view;

pub use actor::{OrchestratorParts, ResourceOrchestrator, lessor};
pub use sight::Sampler;
