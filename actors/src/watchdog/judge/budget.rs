//! How often a limit may cost a service its run. Pure.

use std::{
    collections::{BTreeMap, VecDeque},
    time::{Duration, Instant},
};

use crate::{ids::ServiceName, spec::RestartSpec};

/// Restarts that are remembered of one service, at most.
const MOST: u32 = 16;

/// Restarts that limits have cost lately. Of each service no more than `restart.max` within `restart.reset_after` are granted,
/// as of failures: a limit that is always passed soon is wrong, and not a reason to restart something for ever. Holds an
/// entry for each service that was restarted within its `restart.reset_after`.
#[derive(Debug, Default)]
pub struct Budget(BTreeMap<ServiceName, Lately>);

#[derive(Debug)]
struct Lately {
    within: Duration,
    times: VecDeque<Instant>,
}

impl Lately {
    fn forget(&mut self, at: Instant) {
        while self.times.front().is_some_and(|time| at.saturating_duration_since(*time) >= self.within) {
            self.times.pop_front();
        }
    }
}

impl Budget {
    /// Takes one, if there is any left.
    pub fn take(&mut self, service: &ServiceName, spec: &RestartSpec, at: Instant) -> bool {
        let empty = || Lately { within: spec.reset_after, times: VecDeque::new() };
        let lately = self.0.entry(service.clone()).or_insert_with(empty);
        lately.within = spec.reset_after;
        lately.forget(at);
        let most = usize::try_from(spec.max.clamp(1, MOST)).unwrap_or(1);
        if lately.times.len() >= most {
            return false;
        }
        lately.times.push_back(at);
        true
    }

    /// Forgets what is of no matter any more.
    pub fn forget(&mut self, at: Instant) {
        self.0.retain(|_, lately| {
            lately.forget(at);
            !lately.times.is_empty()
        });
    }

    /// Services of which anything is remembered.
    #[cfg(test)]
    pub fn len(&self) -> usize {
        self.0.len()
    }
}
