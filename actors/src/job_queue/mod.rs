//! Jobs: work that is queued, done to its end, and cleaned up after.
//!
//! A job is accepted once it is on disk. From then on it ends `succeeded`, `failed` or `cancelled`, or is still `queued`,
//! whatever befalls the runtime. Its work is done by a process of its own or by a request to a service; either asks for
//! memory as everybody does, by a place in the line at a gate.
//!
//! How it works: decisions are pure. `order` says whose turn it is, `life` what a single job does next, `queue` holds them
//! all together and knows what is to be waited for, `recover` says what becomes of a job that a kill of the runtime has cut
//! off, `params` whether a job was given what it needs. `actor` carries out what they decide; `submit` takes jobs in,
//! `hearing` takes every other message, `writer` brings rows to the disk in their order, `folder` and `expiry` see to the
//! files. The work itself is none of the queue's business: it hands an [`Attempt`](attempt::Attempt) to a
//! [`Doer`](attempt::Doer), tells it by a `watch` what is wanted, and hears how it fares ([`runner`]).
//!
//! What holds at any moment:
//!
//! - A job that was accepted is open or in the history with its end. An attempt is on disk before it begins, and an outcome
//!   before it is told; where the disk does not take it, an attempt is put off, and an outcome is told all the same.
//! - At most one attempt at a job is made at a time, and never more at a kind of job than it has slots.
//! - Once somebody took a job back and was told so, it is `cancelled`, whatever its work still says, also after a kill.
//! - Numbers of attempts go up, and what is told of an earlier attempt is dropped. Only failures count against `retries`; an
//!   ordered stop of the runtime is none.
//! - All is bounded: the open jobs and their parameters, those that are remembered after their end, and the events.
//!
//! What it must never do: begin work that is not on disk, answer for a job that is not, work on one twice side by side, touch
//! a folder that is no job's, or wait for the disk or for work on the control thread.
//!
//! What a job has made lies in `jobs/ID/output` below the state dir until its kind's `keep_output` has passed since its end;
//! its result names the files also after that.

mod actor;
pub mod attempt;
mod expiry;
mod finished;
mod folder;
mod hearing;
pub mod life;
pub mod messages;
mod names;
pub mod order;
pub mod params;
pub mod queue;
mod recover;
mod remembered;
pub mod runner;
#[cfg(test)]
pub mod sample;
mod submit;
mod writer;

pub use actor::{JobQueue, QueueParts};
pub use recover::Remembered;
pub use remembered::remembered;
pub use writer::Written;
