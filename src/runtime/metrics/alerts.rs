//! Alerts as the event bus tells them, whoever raised them: how many there were, and what stands.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use greenroom_actors::{
    event::{Event, EventKind, Severity},
    ids::ServiceName,
    watchdog::board::AlertView,
};

/// Counts of alerts by name and severity, and those that stand. Alerts are rare, so a lock does. Names come from the code and
/// from the configuration, so that their number is bounded.
#[derive(Debug, Default)]
pub struct Alerts(Mutex<Book>);

#[derive(Debug, Default)]
struct Book {
    raised: BTreeMap<(String, Severity), u64>,
    standing: BTreeMap<(Option<ServiceName>, String), AlertView>,
}

impl Alerts {
    /// Takes an event; any other than an alert or its end is passed over. One that is raised again with another severity or
    /// message stands since the first time.
    pub fn hear(&self, event: &Event) {
        match &event.kind {
            EventKind::AlertRaised { alert, severity, service, message } => {
                let mut book = self.lock();
                *book.raised.entry((alert.clone(), *severity)).or_default() += 1;
                let key = (service.clone(), alert.clone());
                let since = book.standing.get(&key).map_or(event.at, |standing| standing.since);
                let (alert, service, message) = (alert.clone(), service.clone(), message.clone());
                book.standing.insert(key, AlertView { alert, severity: *severity, service, message, since });
            }
            EventKind::AlertCleared { alert, service } => {
                self.lock().standing.remove(&(service.clone(), alert.clone()));
            }
            _ => {}
        }
    }

    /// How many were raised, by name and severity.
    #[must_use]
    pub fn raised(&self) -> BTreeMap<(String, Severity), u64> {
        self.lock().raised.clone()
    }

    /// What stands, the worst first, and of those the oldest.
    #[must_use]
    pub fn standing(&self) -> Vec<AlertView> {
        let mut standing: Vec<AlertView> = self.lock().standing.values().cloned().collect();
        standing.sort_by(|a, b| b.severity.cmp(&a.severity).then(a.since.cmp(&b.since)));
        standing
    }

    fn lock(&self) -> MutexGuard<'_, Book> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use greenroom_actors::{event::EventId, time::Timestamp};

    use super::*;

    /// An event of this second.
    fn event(second: u32, kind: EventKind) -> Event {
        let at = Timestamp::from_micros(i64::from(second) * 1_000_000);
        Event { id: EventId { epoch: 1, sequence: u64::from(second) }, at, kind }
    }

    fn raised(alert: &str, severity: Severity, service: Option<&str>) -> EventKind {
        let service = service.map(|name| name.parse().expect("a name"));
        EventKind::AlertRaised { alert: alert.to_owned(), severity, service, message: format!("{severity:?}") }
    }

    fn cleared(alert: &str, service: Option<&str>) -> EventKind {
        let service = service.map(|name| name.parse().expect("a name"));
        EventKind::AlertCleared { alert: alert.to_owned(), service }
    }

    #[test]
    fn what_was_raised_stands_until_it_is_cleared_and_is_counted_for_good() {
        let alerts = Alerts::default();
        let shown = || {
            let standing = alerts.standing().into_iter();
            standing.map(|a| (a.alert, a.severity, a.since.as_micros() / 1_000_000)).collect::<Vec<_>>()
        };
        alerts.hear(&event(1, raised("memory", Severity::Warning, None)));
        alerts.hear(&event(2, raised("runaway", Severity::Warning, Some("chat"))));
        alerts.hear(&event(3, raised("runaway", Severity::Emergency, Some("chat"))));
        alerts.hear(&event(4, raised("runaway", Severity::Warning, Some("tts"))));
        alerts.hear(&event(5, EventKind::Gap { missed: 0 }));
        let runaway = "runaway".to_owned();
        let all = [
            (runaway.clone(), Severity::Emergency, 2),
            ("memory".to_owned(), Severity::Warning, 1),
            (runaway.clone(), Severity::Warning, 4),
        ];
        assert_eq!(shown(), all);
        assert_eq!(alerts.standing()[0].message, "Emergency", "the newest word");
        alerts.hear(&event(6, cleared("runaway", Some("chat"))));
        alerts.hear(&event(7, cleared("memory", Some("chat"))));
        assert_eq!(shown(), all[1..], "only what was cleared is over");
        let counts = alerts.raised();
        assert_eq!(counts[&(runaway.clone(), Severity::Warning)], 2);
        assert_eq!(counts[&(runaway, Severity::Emergency)], 1);
    }
}
