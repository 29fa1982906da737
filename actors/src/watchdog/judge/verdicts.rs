//! The judge: everything that is remembered from one sample to the next. Pure.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use super::{
    actors::ActorsWatch,
    budget::Budget,
    docket::Docket,
    failure::Failures,
    host::{HostWatch, NOTE_EVERY},
    own::OwnWatch,
    service::{OF_A_RUN, Watched},
    standing::{Standing, StandingAlert},
};
use crate::{
    ids::ServiceName,
    spec::WatchdogSpec,
    watchdog::{
        alerts::{LEAK, MEMORY, MEMORY_PRESSURE, RAM_LIMIT},
        deed::Deed,
        sample::Sample,
    },
    witness::FailureSeen,
};

/// While any of these stands, what everything holds is written into the memory log.
const OF_MEMORY: [&str; 4] = [MEMORY, MEMORY_PRESSURE, RAM_LIMIT, LEAK];

/// Judges samples and failures.
#[derive(Debug)]
pub struct Judge {
    spec: WatchdogSpec,
    standing: Standing,
    host: HostWatch,
    services: BTreeMap<ServiceName, Watched>,
    budget: Budget,
    failures: Failures,
    own: OwnWatch,
    actors: ActorsWatch,
    /// When the memory log was written last.
    noted: Option<Instant>,
}

impl Judge {
    /// One that has seen nothing.
    #[must_use]
    pub fn new(spec: &WatchdogSpec) -> Self {
        Self {
            spec: spec.clone(),
            standing: Standing::default(),
            host: HostWatch::default(),
            services: BTreeMap::new(),
            budget: Budget::default(),
            failures: Failures::default(),
            own: OwnWatch::default(),
            actors: ActorsWatch::default(),
            noted: None,
        }
    }

    /// Other thresholds from now on; what stands goes on standing until it is over by them.
    pub fn reconfigure(&mut self, spec: &WatchdogSpec) {
        self.spec = spec.clone();
    }

    /// Judges a sample. Samples come in the order in which they were taken.
    pub fn look(&mut self, sample: &Sample) -> Vec<Deed> {
        let Self { spec, standing, host, services, budget, failures, own, actors, noted } = self;
        let mut docket = Docket::new(sample.at, standing, &spec.bundles.on);
        host.look(sample, spec, &mut docket);
        forget_the_gone(services, sample, &mut docket);
        budget.forget(sample.at);
        for seen in &sample.services {
            // Looked up first: a name is copied only for a run that is new.
            let watched = match services.get_mut(seen.name()) {
                Some(watched) => watched,
                None => services.entry(seen.name().clone()).or_insert_with(|| Watched::new(seen.run)),
            };
            watched.look(seen, spec, budget, &mut docket);
        }
        failures.look(sample, &mut docket);
        own.look(sample.at, sample.own, &mut docket);
        actors.look(&sample.actors, spec.actor_heartbeat, &mut docket);
        let mut deeds = docket.deeds();
        if !standing.any(&OF_MEMORY) {
            *noted = None;
        } else if noted.is_none_or(|noted| sample.at.saturating_duration_since(noted) >= NOTE_EVERY) {
            *noted = Some(sample.at);
            deeds.push(Deed::NoteMemory);
        }
        deeds
    }

    /// Judges a failure of a program that goes on running. `reset_after`: its `restart.reset_after`; `has_job`: whether a job
    /// works with it.
    pub fn failure(&mut self, seen: &FailureSeen, reset_after: Duration, has_job: bool, at: Instant) -> Vec<Deed> {
        let mut docket = Docket::new(at, &mut self.standing, &self.spec.bundles.on);
        self.failures.seen(seen, reset_after, has_job, &mut docket);
        docket.deeds()
    }

    /// What needs attention now, the worst first.
    #[must_use]
    pub fn standing(&self) -> Vec<StandingAlert> {
        self.standing.all()
    }

    /// Entries of any kind that are kept.
    #[cfg(test)]
    pub fn size(&self) -> usize {
        self.services.len() + self.budget.len() + self.failures.len() + self.standing.all().len()
    }
}

/// Forgets runs that are not looked at any more; what was told of them is over.
fn forget_the_gone(services: &mut BTreeMap<ServiceName, Watched>, sample: &Sample, docket: &mut Docket<'_>) {
    let now: BTreeMap<_, _> = sample.services.iter().map(|seen| (seen.name(), seen.run)).collect();
    services.retain(|name, watched| {
        let stays = now.get(name) == Some(&watched.run);
        if !stays {
            for alert in OF_A_RUN {
                docket.clear(alert, Some(name));
            }
        }
        stays
    });
}
