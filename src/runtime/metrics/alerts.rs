//! How many alerts there were, whoever raised them. Which of them stand is known to the event bus.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use greenroom_actors::event::{EventKind, Severity};

/// Counts of alerts by name and severity. Alerts are rare, so a lock does. Names come from the code, so that their number is
/// bounded.
#[derive(Debug, Default)]
pub struct Alerts(Mutex<BTreeMap<(String, Severity), u64>>);

impl Alerts {
    /// Takes an event; any other than an alert is passed over.
    pub fn hear(&self, kind: &EventKind) {
        if let EventKind::AlertRaised { alert, severity, .. } = kind {
            *self.lock().entry((alert.clone(), *severity)).or_default() += 1;
        }
    }

    /// How many were raised, by name and severity.
    #[must_use]
    pub fn raised(&self) -> BTreeMap<(String, Severity), u64> {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<(String, Severity), u64>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_counted_by_its_severity_and_its_end_is_not() {
        let (alerts, name) = (Alerts::default(), "runaway".to_owned());
        for severity in [Severity::Warning, Severity::Emergency, Severity::Warning] {
            alerts.hear(&EventKind::AlertRaised {
                alert: name.clone(),
                severity,
                service: None,
                message: String::new(),
            });
        }
        alerts.hear(&EventKind::AlertCleared { alert: name.clone(), service: None });
        let expected = [((name.clone(), Severity::Warning), 2), ((name, Severity::Emergency), 1)];
        assert_eq!(alerts.raised(), expected.into());
    }
}
