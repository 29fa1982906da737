//! Jobs that serve a name: a client that asks for an image gets one, and knows nothing of jobs.
//!
//! Its request becomes a job, waits in the queue like any other, and is answered when the outcome is known. `wish` reads
//! what is asked (`form` where that is a form), `mapping` turns it into the parameters of the job, `answer` what the job
//! has made into the answer that the client knows, `refusal` into the one where there is none: these decide and touch
//! nothing. `works` is the queue, `held` the job as long as its client waits, `wait` the waiting, `sending` the images on
//! their way, and `serve` puts it together.
//!
//! No image is collected in memory, and no job goes on for a client that has left.

mod answer;
mod form;
mod held;
mod mapping;
mod refusal;
#[cfg(test)]
mod sample;
mod sending;
mod serve;
#[cfg(test)]
mod serve_tests;
mod wait;
mod wish;
mod works;

pub use refusal::not_there;
pub use serve::Maker;
pub use wish::Call;
pub use works::Works;
