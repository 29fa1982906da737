//! What stands: raised, and not over yet. Pure.

use std::{collections::BTreeMap, time::Instant};

use crate::{event::Severity, ids::ServiceName, watchdog::deed::Alert};

/// Something that needs attention and is not over.
#[derive(Debug, Clone, PartialEq)]
pub struct StandingAlert {
    /// A short name of the condition.
    pub alert: &'static str,
    /// How bad it is.
    pub severity: Severity,
    /// Whose, if it is about a service.
    pub service: Option<ServiceName>,
    /// What happened and what to do.
    pub message: String,
    /// When it was raised first.
    pub since: Instant,
}

/// Everything that stands. Holds one entry for each condition and service, and so is bounded by the configuration.
#[derive(Debug, Default)]
pub struct Standing(BTreeMap<(Option<ServiceName>, &'static str), StandingAlert>);

impl Standing {
    /// Notes what was raised. One that stands already keeps its beginning.
    pub fn raise(&mut self, alert: &Alert, at: Instant) {
        let Alert { alert: name, severity, service, message } = alert.clone();
        let since = self.0.get(&(service.clone(), name)).map_or(at, |standing| standing.since);
        let entry = StandingAlert { alert: name, severity, service: service.clone(), message, since };
        self.0.insert((service, name), entry);
    }

    /// Notes that it is over; false if it did not stand.
    pub fn clear(&mut self, alert: &'static str, service: Option<&ServiceName>) -> bool {
        self.0.remove(&(service.cloned(), alert)).is_some()
    }

    /// Whether it stands.
    #[must_use]
    pub fn has(&self, alert: &'static str, service: Option<&ServiceName>) -> bool {
        self.0.contains_key(&(service.cloned(), alert))
    }

    /// Whether any of these stands, whosever it is.
    #[must_use]
    pub fn any(&self, alerts: &[&str]) -> bool {
        self.0.keys().any(|(_, alert)| alerts.contains(alert))
    }

    /// All of it: the worst first, and of those the oldest.
    #[must_use]
    pub fn all(&self) -> Vec<StandingAlert> {
        let mut all: Vec<_> = self.0.values().cloned().collect();
        all.sort_by(|a, b| b.severity.cmp(&a.severity).then(a.since.cmp(&b.since)));
        all
    }
}
