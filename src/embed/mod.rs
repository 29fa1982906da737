//! The library as an application sees it: a runtime is put together, started, held, and ended with a report.
//!
//! What is here adapts; the runtime itself is in [`runtime`](crate::runtime). Every future works on any executor and
//! without any ([`block_on`]): time is kept on the runtime's own threads.

mod builder;
mod demand;
mod events;
mod handle;
mod job;
mod loading;
mod park;
mod progress;
mod service;

pub use builder::RuntimeBuilder;
pub use events::{Events, Filter, Lagged};
pub use greenroom_actors::{
    engines::{Engine, LoadStep},
    gate::{Hold, Permit},
    job::{JobId, JobProgress, JobState, JobView},
    job_queue::messages::{Contents, JobSpec, SubmitError},
    state::LoadProgress,
};
pub use handle::{EndError, Handle};
pub use job::{Job, JobDone, JobFailed, JobSteps};
pub use loading::{Endpoint, LoadError, Loading};
pub use park::block_on;
pub use progress::Progress;
pub use service::{Logs, Service};
