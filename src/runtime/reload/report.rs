//! What a reload did, as the API answers it and people read it. Pure.

use greenroom_actors::{
    ids::{Pid, ServiceName},
    job::JobName,
    state::ServiceState,
};
use serde::{Deserialize, Serialize};

use super::diff::Change;
use crate::config::KeyChange;

/// `POST /api/reload`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ReloadReport {
    /// Every key whose value is another one than before.
    pub changed: Vec<KeyChange>,
    /// The services that it touched, each after what it depends on, and then those that are no more.
    pub services: Vec<ServiceReload>,
    /// The kinds of job that are new, done otherwise from their next attempt on, or no more.
    #[serde(default)]
    pub jobs: Vec<JobName>,
    /// How many services it did not touch.
    pub unchanged: usize,
    /// Keys that differ from what is in force and wait for the next start of the runtime.
    pub next_start: Vec<String>,
    /// Warnings about the configuration.
    pub warnings: Vec<String>,
}

/// What came of it for one service.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ServiceReload {
    /// Which.
    pub name: ServiceName,
    /// What was done.
    pub action: Action,
    /// The keys that changed, below `service.NAME`; empty for one that came or went.
    pub keys: Vec<String>,
    /// Its main process before.
    pub before: Option<Pid>,
    /// Its main process now.
    pub pid: Option<Pid>,
    /// Its state now; `null` for one that is no more.
    pub state: Option<ServiceState>,
    /// Why it is not as it should be.
    pub error: Option<String>,
}

/// What was done with a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// It has new values and the same process.
    Live,
    /// It was stopped and started anew; one that rested was only told.
    Restart,
    /// It is new.
    Added,
    /// It is no more.
    Removed,
}

impl ReloadReport {
    /// Whether a service is not as the configuration wants it.
    #[must_use]
    pub fn has_failed(&self) -> bool {
        self.services.iter().any(|service| service.error.is_some())
    }

    /// Whether nothing was to be done and nothing is to be said.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.changed.is_empty() && self.services.is_empty() && self.jobs.is_empty() && self.next_start.is_empty()
    }

    /// The services with which this was done.
    pub fn names(&self, action: Action) -> impl Iterator<Item = &ServiceName> {
        self.services.iter().filter(move |service| service.action == action).map(|service| &service.name)
    }
}

impl ServiceReload {
    /// One that is about to be touched, as `change` says; `None` for one that is left alone.
    pub(super) fn planned(name: &ServiceName, change: &Change, before: Option<Pid>) -> Option<Self> {
        let (action, keys) = match change {
            Change::Unchanged => return None,
            Change::Live { keys } => (Action::Live, keys.as_slice()),
            Change::Restart { keys } => (Action::Restart, keys.as_slice()),
            Change::Added => (Action::Added, &[][..]),
        };
        let keys = keys.iter().map(|key| (*key).to_owned()).collect();
        Some(Self { name: name.clone(), action, keys, before, pid: before, state: None, error: None })
    }

    /// One that is about to go.
    pub(super) fn removal(name: &ServiceName, before: Option<Pid>) -> Self {
        let (name, action) = (name.clone(), Action::Removed);
        Self { name, action, keys: Vec::new(), before, pid: None, state: None, error: None }
    }
}
