//! What people are told of an alert. Pure.

use serde::Serialize;

use crate::{
    event::{Event, EventKind, Severity},
    ids::ServiceName,
    plain::is_acted_on,
    time::Timestamp,
};

/// Longest message for a program, in characters: what it makes of it is a bubble or a line of chat.
const LONGEST: usize = 1000;

/// An alert, as a webhook gets it in JSON.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Notice {
    /// The runtime's name.
    pub runtime: String,
    /// A short name of the condition.
    pub alert: String,
    /// How bad it is.
    pub severity: Severity,
    /// Whose, if it is about a service.
    pub service: Option<ServiceName>,
    /// What happened and what to do.
    pub message: String,
    /// When it was raised.
    pub at: Timestamp,
}

impl Notice {
    /// Of this event of the runtime of that name, if it is an alert.
    #[must_use]
    pub fn of(event: &Event, runtime: &str) -> Option<Self> {
        let EventKind::AlertRaised { alert, severity, service, message } = &event.kind else { return None };
        Some(Self {
            runtime: runtime.to_owned(),
            alert: alert.clone(),
            severity: *severity,
            service: service.clone(),
            message: message.clone(),
            at: event.at,
        })
    }

    /// As one line for people, without control characters: it may quote what a program has printed.
    #[must_use]
    pub fn line(&self) -> String {
        let severity = match self.severity {
            Severity::Warning => "warning",
            Severity::Critical => "critical",
            Severity::Emergency => "emergency",
        };
        let whose = self.service.as_ref().map(|service| format!(" of {service}")).unwrap_or_default();
        let line = format!("{}: {severity}: {}{whose}: {}", self.runtime, self.alert, self.message);
        line.chars().map(|c| if is_acted_on(c) { ' ' } else { c }).take(LONGEST).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::EventId;

    fn event(kind: EventKind) -> Event {
        Event { id: EventId { epoch: 1, sequence: 2 }, at: Timestamp::from_micros(0), kind }
    }

    fn raised(message: &str) -> Event {
        let service = Some("chat".parse().expect("a name"));
        let (alert, severity) = ("runaway".to_owned(), Severity::Emergency);
        event(EventKind::AlertRaised { alert, severity, service, message: message.to_owned() })
    }

    #[test]
    fn only_what_is_raised_is_told() {
        let cleared = event(EventKind::AlertCleared { alert: "runaway".to_owned(), service: None });
        assert_eq!(Notice::of(&cleared, "studio"), None);
        let notice = Notice::of(&raised("21 processes"), "studio").expect("an alert");
        assert_eq!(notice.line(), "studio: emergency: runaway of chat: 21 processes");
        let json = serde_json::to_value(&notice).expect("JSON");
        assert_eq!((&json["severity"], &json["service"]), (&"emergency".into(), &"chat".into()));
        assert_eq!(json["at"], "1970-01-01T00:00:00.000000Z");
    }

    #[test]
    fn what_a_program_has_printed_commands_no_terminal_and_is_not_endless() {
        let line =
            Notice::of(&raised(&format!("\u{1b}]0;x\u{7}\0\n\u{202e}{}", "y".repeat(5000))), "r").expect("one").line();
        assert!(!line.contains(is_acted_on), "{line:?}");
        assert_eq!(line.chars().count(), LONGEST);
    }
}
