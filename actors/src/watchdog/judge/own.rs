//! The runtime itself, by the same measures as everybody. Pure.

use std::time::{Duration, Instant};

use super::{
    docket::Docket,
    growth::Growth,
    level::{Change, Ladder, Reading},
};
use crate::{
    event::Severity,
    units::ByteSize,
    watchdog::{
        alerts::{OWN_DESCRIPTORS, OWN_MEMORY},
        deed::Alert,
        sample::OwnSample,
    },
};

/// Growth of the runtime's own memory beyond this within [`WINDOW`] is a leak: more than twice of what it holds when it is
/// idle.
const GROWTH: u64 = 64 << 20;
/// Long enough that everything a runtime does now and then lies in it.
const WINDOW: Duration = Duration::from_secs(3600);
/// Share of the descriptors it may open from which it is a warning, critical, and clearly below.
const DESCRIPTORS: ([f64; 2], f64) = ([0.80, 0.95], 0.78);

/// What is remembered of the runtime itself.
#[derive(Debug, Default)]
pub struct OwnWatch {
    memory: Option<Growth>,
    descriptors: Ladder,
}

impl OwnWatch {
    /// Judges a sample.
    pub fn look(&mut self, at: Instant, own: OwnSample, docket: &mut Docket<'_>) {
        self.memory(at, own, docket);
        self.descriptors(own, docket);
    }

    fn memory(&mut self, at: Instant, own: OwnSample, docket: &mut Docket<'_>) {
        let growth = self.memory.get_or_insert_with(|| Growth::new(GROWTH, WINDOW, at));
        // What could not be read is not less than before.
        match growth.note(at, (own.ram > 0).then_some(own.ram)) {
            Change::Up { .. } => {
                let message = format!(
                    "Greenroom itself holds {} and has grown by {} within an hour: please report it with a bundle \
                     (`greenroom bundle`); a restart of the runtime helps until then",
                    ByteSize(own.ram),
                    bytes(growth.pace().unwrap_or(0.0)),
                );
                docket.raise([alert(OWN_MEMORY, Severity::Warning, message)], None);
            }
            Change::Over => docket.clear(OWN_MEMORY, None),
            Change::Same => {}
        }
    }

    fn descriptors(&mut self, own: OwnSample, docket: &mut Docket<'_>) {
        if own.descriptors_limit == 0 {
            return;
        }
        #[allow(clippy::cast_precision_loss)]
        let share = own.descriptors as f64 / own.descriptors_limit as f64;
        match self.descriptors.step(Reading::of(&share, &DESCRIPTORS.0, &DESCRIPTORS.1)) {
            Change::Up { from, to } => {
                let message = format!(
                    "Greenroom itself has {} of at most {} files and sockets open: raise the limit (`ulimit -n`, \
                     `LimitNOFILE=` of its unit), or let fewer clients in at once",
                    own.descriptors, own.descriptors_limit,
                );
                let severities = [Severity::Warning, Severity::Critical];
                let passed = &severities[usize::from(from)..usize::from(to)];
                docket.raise(passed.iter().map(|s| alert(OWN_DESCRIPTORS, *s, message.clone())), None);
            }
            Change::Over => docket.clear(OWN_DESCRIPTORS, None),
            Change::Same => {}
        }
    }
}

fn alert(alert: &'static str, severity: Severity, message: String) -> Alert {
    Alert { alert, severity, service: None, message }
}

/// A computed amount as people read it.
pub fn bytes(amount: f64) -> ByteSize {
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    ByteSize(amount.max(0.0).round() as u64)
}
