//! The workers of jobs, and the place of the jobs in the order of the stop.

use std::{sync::Arc, time::Duration};

use super::roster::{HISTORY_UNIT, JOBS_UNIT, KILL_BOUND, MEMORY_UNIT, Roster, RosterError, unit_name};
use crate::{
    ids::ServiceName,
    job_queue::attempt::worker_name,
    services::{ServiceSet, Supervised},
    shutdown_coordinator::{
        graph::GraphError,
        messages::{ChangeNeeds, UnitName},
    },
    spec::{JobDefinition, JobWork, ServiceSpec},
};

/// What the workers of a kind of job are: one for each that may be done at a time; none for jobs that are requests.
#[must_use]
pub fn workers_of(job: &JobDefinition) -> Vec<ServiceSpec> {
    let JobWork::Process(process) = &job.work else { return Vec::new() };
    let named = |slot| Some(ServiceSpec { name: worker_name(&job.name, slot)?, ..process.service.clone() });
    (1..=job.max_parallel.max(1)).filter_map(named).collect()
}

impl Roster {
    /// The workers of jobs, each for one job at a time; they are no services.
    #[must_use]
    pub fn workers(&self) -> &ServiceSet {
        &self.workers
    }

    /// Adds the workers that these kinds of job need and that are not there, and starts nothing. Those that are there are left
    /// as they are: each is configured anew for each of its jobs.
    ///
    /// # Errors
    /// See [`RosterError`]; those before the one that failed are there then.
    pub async fn add_workers(&self, jobs: &[JobDefinition]) -> Result<(), RosterError> {
        let mut added = Vec::new();
        for spec in jobs.iter().flat_map(workers_of) {
            let spec = Arc::new(spec);
            let supervised = match self.workers.find(spec.name.as_str()) {
                Some(there) => Supervised { spec, ..there },
                None => {
                    let supervised = self.bring_up(spec, None).await?;
                    added.push(supervised.clone());
                    supervised
                }
            };
            self.workers.put(&supervised);
        }
        self.enlist(added).await?;
        self.jobs_need_all_but(None).await
    }

    /// Stops a worker for good and takes it out. Waits for its end, as [`remove`](Self::remove) does.
    ///
    /// # Errors
    /// See [`RosterError`]. One that is stuck stays in the set.
    pub async fn remove_worker(&self, name: &ServiceName) -> Result<(), RosterError> {
        let worker = self.workers.find(name.as_str()).ok_or_else(|| RosterError::Unknown(name.clone()))?;
        self.retire(&worker).await?;
        self.workers.remove(name);
        self.bus.forget(name);
        Ok(())
    }

    /// Lets the queue of jobs need all services and workers that there are, but the one that is `leaving`, so that it is
    /// stopped before them. Does nothing before the queue is there.
    pub(super) async fn jobs_need_all_but(&self, leaving: Option<&ServiceName>) -> Result<(), RosterError> {
        let (depends_on, bound) = (self.needs_of_jobs(leaving), self.jobs_bound());
        let change = ChangeNeeds { name: JOBS_UNIT.to_owned(), depends_on, bound };
        match self.ask(change).await? {
            Err(GraphError::NotThere(_)) => Ok(()),
            changed => Ok(changed?),
        }
    }

    /// Everything that jobs need.
    pub(super) fn needs_of_jobs(&self, leaving: Option<&ServiceName>) -> Vec<UnitName> {
        let (services, workers) = (self.services.all(), self.workers.all());
        let all = services.iter().chain(workers.iter()).filter(|one| Some(&one.spec.name) != leaving);
        let all = all.map(|one| unit_name(&one.spec));
        [HISTORY_UNIT, MEMORY_UNIT].map(str::to_owned).into_iter().chain(all).collect()
    }

    /// How long the stop of all jobs may take: as long as what runs may go on, and then as long as the slowest of their
    /// workers and services takes to stop.
    pub(super) fn jobs_bound(&self) -> Duration {
        let (services, workers) = (self.services.all(), self.workers.all());
        let slowest = services.iter().chain(workers.iter()).map(|one| one.spec.stop.grace).max().unwrap_or_default();
        self.drain.saturating_add(slowest).saturating_add(KILL_BOUND)
    }
}
