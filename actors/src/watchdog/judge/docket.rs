//! What one look comes to: deeds in their order, and what stands after them. Pure.

use std::time::Instant;

use super::standing::Standing;
use crate::{
    event::Severity,
    failure::FailureClass,
    ids::ServiceName,
    spec::BundleOn,
    watchdog::deed::{Alert, Deed, Occasion},
};

/// Collects deeds.
pub struct Docket<'a> {
    /// When the look was taken.
    pub at: Instant,
    standing: &'a mut Standing,
    bundle_on: &'a [BundleOn],
    deeds: Vec<Deed>,
}

impl<'a> Docket<'a> {
    /// An empty one.
    pub fn new(at: Instant, standing: &'a mut Standing, bundle_on: &'a [BundleOn]) -> Self {
        Self { at, standing, bundle_on, deeds: Vec::new() }
    }

    /// Raises these, the mildest first, and has one bundle made of the state then if any of them asks for it. What follows is
    /// to be asked for afterwards, so that it does not take the evidence along.
    pub fn raise(&mut self, alerts: impl IntoIterator<Item = Alert>, class: Option<FailureClass>) {
        let mut occasion = None;
        for alert in alerts {
            self.standing.raise(&alert, self.at);
            if self.asks_for_a_bundle(alert.severity, class) || occasion.is_some() {
                let Alert { alert: what, service, message, severity } = alert.clone();
                occasion =
                    Some(Deed::Bundle { occasion: Occasion { what: what.to_owned(), service, message }, severity });
            }
            self.deeds.push(Deed::Raise(alert));
        }
        self.deeds.extend(occasion);
    }

    /// Tells that it is over, if it stood.
    pub fn clear(&mut self, alert: &'static str, service: Option<&ServiceName>) {
        if self.standing.clear(alert, service) {
            self.deeds.push(Deed::Clear { alert, service: service.cloned() });
        }
    }

    /// Whether it stands.
    pub fn stands(&self, alert: &'static str, service: Option<&ServiceName>) -> bool {
        self.standing.has(alert, service)
    }

    /// One more thing to do.
    pub fn push(&mut self, deed: Deed) {
        self.deeds.push(deed);
    }

    /// All that is to be done.
    pub fn deeds(self) -> Vec<Deed> {
        self.deeds
    }

    fn asks_for_a_bundle(&self, severity: Severity, class: Option<FailureClass>) -> bool {
        self.bundle_on.iter().any(|on| match on {
            BundleOn::Warning => severity == Severity::Warning,
            BundleOn::Critical => severity == Severity::Critical,
            BundleOn::Emergency => severity == Severity::Emergency,
            BundleOn::Class(wanted) => class == Some(*wanted),
        })
    }
}
