//! Watches what runs: process counts, memory, leaks, silent actors, and what others have seen fail. It looks, judges and
//! tells; ending and restarting is done by the supervisors.
//!
//! [`sample`] is what was seen at one moment. [`judge`] takes one after the other and says what is to be done: pure, with
//! hysteresis, so that one sample never decides. [`actor`] looks every `watchdog.interval`, on a thread of its own, so that
//! it still sees when the thread of all other actors hangs: [`look`] takes the samples, [`heartbeat`] asks the actors,
//! [`notify`] tells people, [`bundle`] writes down what somebody needs who was not there. [`board`] is where the newest of
//! it can be seen by anybody.

pub mod actor;
pub mod alerts;
pub mod board;
pub mod bundle;
pub mod deed;
pub mod heartbeat;
mod idleness;
pub mod judge;
#[cfg(test)]
mod judge_tests;
pub mod kin;
pub mod look;
mod memory_log;
pub mod notify;
pub mod sample;
