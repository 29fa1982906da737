//! Whoever does the work of a job: by a process of its own, or by a request to a service.

mod admission;
mod alarm;
pub mod cleanup;
mod comfyui;
mod dirty;
mod evidence;
mod failing;
pub mod far;
mod found;
mod help;
mod kept;
pub mod process;
pub mod purge;
mod refused;
pub mod request;
mod stillness;
pub mod tidy;
pub mod wire;
mod written;

use std::{path::PathBuf, sync::Arc};

use actix::WeakAddr;
use actix_rt::ArbiterHandle;
use tokio::sync::watch;

use self::{far::Far, tidy::Tidy};
use super::attempt::Doer;
use crate::{
    event::EventBus,
    ids::ServiceName,
    os::containment::Containment,
    resource_orchestrator::{ResourceOrchestrator, view::MemoryBoard},
    services::ServiceSet,
    spec::JobWork,
    witness::Witness,
};

/// What the work of a job needs of the runtime around it. Clones are the same.
#[derive(Debug, Clone)]
pub struct Rim {
    /// The services, for jobs that are requests.
    pub services: ServiceSet,
    /// The workers, for jobs that are processes: `NAME`, `NAME.2` and so on.
    pub workers: ServiceSet,
    /// What is known of memory.
    pub memory: MemoryBoard,
    /// Gives out memory. Weak, as whoever works must not keep actors after the end.
    pub orchestrator: WeakAddr<ResourceOrchestrator>,
    /// Where events and alerts are told.
    pub bus: EventBus,
    /// The folders of the jobs lie below it.
    pub state_dir: PathBuf,
    /// As many may stand in the line at a gate (`gateway.queue.max_waiting`).
    pub max_waiting: u32,
    /// True once the runtime stops.
    pub stopping: watch::Receiver<bool>,
    /// Where the programs of clean-ups are held.
    pub containment: Arc<dyn Containment>,
    /// The remotes, for jobs that are requests to one.
    pub far: Far,
    /// What is known of who has used which service since it was cleaned up.
    pub tidy: Tidy,
    /// Where failures are told, and who has a job at work.
    pub witness: Witness,
}

impl Rim {
    /// Whether there is a service, a worker or a remote of this name.
    #[must_use]
    pub fn knows(&self, name: &ServiceName) -> bool {
        let name = name.as_str();
        self.services.find(name).is_some() || self.workers.find(name).is_some() || self.far.remotes.find(name).is_some()
    }

    /// Whether the runtime stops.
    #[must_use]
    pub fn is_stopping(&self) -> bool {
        *self.stopping.borrow()
    }
}

/// Does the work of jobs on `thread`.
#[must_use]
pub fn doer(rim: Rim, thread: ArbiterHandle) -> Doer {
    Arc::new(move |mut attempt, tell| {
        let rim = rim.clone();
        // The work is made on its thread, which it does not leave: parts of it cannot be sent elsewhere. Where the thread has
        // ended, the teller goes with the attempt, which is over then.
        thread.spawn_fn(move || {
            actix_rt::spawn(async move {
                let definition = Arc::clone(&attempt.definition);
                match &definition.work {
                    JobWork::Process(job) => process::run(&mut attempt, job, &rim, &tell).await,
                    JobWork::Request(job) => request::run(&mut attempt, job, &rim, &tell).await,
                }
            });
        });
    })
}
