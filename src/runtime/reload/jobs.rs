//! The kinds of job and their workers, for a reload.
//!
//! A worker that a new kind needs is there before the queue learns of the kind. One that is not needed any more goes once
//! nobody is at work on a job of its kind: what runs comes to its end. Until then its kind is remembered by its worker alone.

use std::collections::BTreeSet;

use greenroom_actors::{
    assembly::workers_of,
    cause::chain,
    event::{EventKind, EventStream},
    ids::ServiceName,
    job::{JobName, JobState},
    spec::{JobDefinition, RuntimeSpec, ServiceSpec},
};

use crate::runtime::RuntimeHandle;

/// The kinds of job that come, go, or are done otherwise; in the order of the new configuration, those that go last.
pub(super) fn changed(old: &[JobDefinition], new: &[JobDefinition]) -> Vec<JobName> {
    let differs = |job: &&JobDefinition| !old.contains(job);
    let is_gone = |job: &&JobDefinition| new.iter().all(|other| other.name != job.name);
    new.iter().filter(differs).chain(old.iter().filter(is_gone)).map(|job| job.name.clone()).collect()
}

impl RuntimeHandle {
    /// Takes out the workers whose names services are to have, before those are brought up: like services that are removed,
    /// they are waited for, for as long as their drain and their grace. What went wrong, in sentences.
    pub(super) async fn clear_names_of_workers(&self, old: &RuntimeSpec, new: &RuntimeSpec) -> Vec<String> {
        let wanted = |name: &ServiceName| new.services.iter().any(|service| service.name == *name);
        let in_the_way: Vec<ServiceName> =
            self.worker_names().into_iter().map(|(name, _)| name).filter(wanted).collect();
        if in_the_way.is_empty() {
            return Vec::new();
        }
        // Nothing more of them is begun; of new kinds, neither: their workers are not there yet.
        let stays = |job: &&JobDefinition| new.jobs.iter().any(|other| other.name == job.name);
        self.redefine_jobs(&old.jobs.iter().filter(stays).cloned().collect::<Vec<_>>());
        self.remove_workers(in_the_way).await
    }

    /// These are the kinds of job from now on. What went wrong, in sentences.
    pub(super) async fn settle_jobs(&self, jobs: &[JobDefinition]) -> Vec<String> {
        let added = self.inner.roster.add_workers(jobs).await;
        self.redefine_jobs(jobs);
        added.err().map(|error| format!("a kind of job has no worker: {}", chain(&error))).into_iter().collect()
    }

    /// Takes out the workers that these kinds of job do not need and whose kind nobody is at work on. The kinds of those
    /// that are left to be taken out later.
    pub(super) async fn sweep_workers(&self, jobs: &[JobDefinition]) -> BTreeSet<JobName> {
        let needed: BTreeSet<ServiceName> = jobs.iter().flat_map(workers_of).map(|worker| worker.name).collect();
        let surplus: Vec<(ServiceName, JobName)> =
            self.worker_names().into_iter().filter(|(name, _)| !needed.contains(name)).collect();
        if surplus.is_empty() {
            return BTreeSet::new();
        }
        // Asked after the queue was told of the kinds, so that nothing more can begin on these.
        // When the runtime stops, they are stopped with everything else.
        let Ok(at_work) = self.kinds_at_work().await else { return BTreeSet::new() };
        let (later, now): (Vec<_>, Vec<_>) = surplus.into_iter().partition(|(_, job)| at_work.contains(job));
        for problem in self.remove_workers(now.into_iter().map(|(name, _)| name).collect()).await {
            tracing::warn!("{problem}");
        }
        later.into_iter().map(|(_, job)| job).collect()
    }

    async fn remove_workers(&self, names: Vec<ServiceName>) -> Vec<String> {
        let mut problems = Vec::new();
        for name in names {
            if let Err(error) = self.inner.roster.remove_worker(&name).await {
                problems.push(format!("the worker `{name}` cannot be taken out: {}", chain(&error)));
            }
        }
        problems
    }

    /// The workers there are, each with its kind of job.
    fn worker_names(&self) -> Vec<(ServiceName, JobName)> {
        let workers = self.inner.roster.workers().all();
        let of = |spec: &ServiceSpec| Some((spec.name.clone(), spec.worker.as_ref()?.job.clone()));
        workers.iter().filter_map(|worker| of(&worker.spec)).collect()
    }
}

/// Returns when a job of one of these kinds may have come to its end, or was taken back from work.
pub(super) async fn one_ends(mut events: EventStream, kinds: &BTreeSet<JobName>) -> Option<()> {
    loop {
        match events.next().await?.kind {
            EventKind::JobState { job, to, .. }
                if kinds.contains(&job) && (to.is_final() || to == JobState::Queued) =>
            {
                return Some(());
            }
            EventKind::Gap { .. } => return Some(()),
            _ => {}
        }
    }
}
