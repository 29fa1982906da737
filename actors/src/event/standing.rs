//! Which alerts stand: raised, and not over yet. Pure.
//!
//! Whoever raises an alert clears it when what it was about is over. But a service, a worker or a remote may be taken out
//! before that, and whoever has raised something about it may have gone with it. So the one book of all of them is kept where
//! they are told, and [what is no more](super::EventBus::forget) needs nobody's attention.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{EventKind, Severity};
use crate::{ids::ServiceName, time::Timestamp};

/// One thing that needs attention.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct AlertView {
    /// A short name of the condition, for example `runaway`.
    pub alert: String,
    /// How bad it is.
    pub severity: Severity,
    /// Whose, if it is about a service.
    pub service: Option<ServiceName>,
    /// What happened and what to do.
    pub message: String,
    /// Since when it stands.
    pub since: Timestamp,
}

/// Those that stand. Names come from the code and from the configuration, so that their number is bounded.
#[derive(Debug, Default)]
pub(super) struct Standing(BTreeMap<(Option<ServiceName>, String), AlertView>);

impl Standing {
    /// Takes what was told at this time; anything but an alert or its end is passed over. One that is raised again with
    /// another severity or message stands since the first time.
    pub(super) fn hear(&mut self, kind: &EventKind, at: Timestamp) {
        match kind {
            EventKind::AlertRaised { alert, severity, service, message } => {
                let key = (service.clone(), alert.clone());
                let since = self.0.get(&key).map_or(at, |standing| standing.since);
                let (alert, service, message) = (alert.clone(), service.clone(), message.clone());
                self.0.insert(key, AlertView { alert, severity: *severity, service, message, since });
            }
            EventKind::AlertCleared { alert, service } => {
                self.0.remove(&(service.clone(), alert.clone()));
            }
            EventKind::ServiceState { .. }
            | EventKind::ServiceLoad { .. }
            | EventKind::RuntimeState { .. }
            | EventKind::ConfigReloaded { .. }
            | EventKind::PlanDecided { .. }
            | EventKind::SwapDone { .. }
            | EventKind::JobState { .. }
            | EventKind::JobProgress { .. }
            | EventKind::Gap { .. } => {}
        }
    }

    /// Whether this one stands.
    pub(super) fn has(&self, alert: &str, service: Option<&ServiceName>) -> bool {
        self.0.contains_key(&(service.cloned(), alert.to_owned()))
    }

    /// The names of those about this service.
    pub(super) fn about(&self, service: &ServiceName) -> Vec<String> {
        let own = self.0.keys().filter(|(whose, _)| whose.as_ref() == Some(service));
        own.map(|(_, alert)| alert.clone()).collect()
    }

    /// All of them, the worst first, and of those the oldest.
    pub(super) fn all(&self) -> Vec<AlertView> {
        let mut all: Vec<AlertView> = self.0.values().cloned().collect();
        all.sort_by(|a, b| b.severity.cmp(&a.severity).then(a.since.cmp(&b.since)));
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> ServiceName {
        text.parse().expect("a name")
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_micros(second * 1_000_000)
    }

    fn raised(alert: &str, severity: Severity, service: Option<&str>) -> EventKind {
        let service = service.map(name);
        EventKind::AlertRaised { alert: alert.to_owned(), severity, service, message: format!("{severity:?}") }
    }

    fn cleared(alert: &str, service: Option<&str>) -> EventKind {
        EventKind::AlertCleared { alert: alert.to_owned(), service: service.map(name) }
    }

    #[test]
    fn what_was_raised_stands_until_it_is_cleared() {
        use Severity::{Emergency, Warning};
        let mut standing = Standing::default();
        standing.hear(&raised("memory", Warning, None), at(1));
        standing.hear(&raised("runaway", Warning, Some("chat")), at(2));
        standing.hear(&raised("runaway", Emergency, Some("chat")), at(3));
        standing.hear(&raised("runaway", Warning, Some("tts")), at(4));
        standing.hear(&EventKind::Gap { missed: 0 }, at(5));
        let shown = |standing: &Standing| -> Vec<(String, Severity, Timestamp)> {
            standing.all().into_iter().map(|alert| (alert.alert, alert.severity, alert.since)).collect()
        };
        let runaway = "runaway".to_owned();
        let all = [
            (runaway.clone(), Emergency, at(2)),
            ("memory".to_owned(), Warning, at(1)),
            (runaway.clone(), Warning, at(4)),
        ];
        assert_eq!(shown(&standing), all);
        assert_eq!(standing.all()[0].message, "Emergency", "the newest word");
        assert_eq!(standing.about(&name("chat")), [runaway]);
        standing.hear(&cleared("runaway", Some("chat")), at(6));
        standing.hear(&cleared("memory", Some("chat")), at(7));
        assert_eq!(shown(&standing), all[1..], "only what was cleared is over");
        assert!(standing.has("memory", None) && !standing.has("memory", Some(&name("chat"))));
    }
}
