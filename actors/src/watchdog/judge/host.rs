//! The memory of the machine: how much is in use, and who waits for it. Pure.

use std::{fmt::Write as _, time::Duration};

use super::{
    docket::Docket,
    level::{Change, Ladder, Reading},
};
use crate::{
    event::Severity,
    spec::WatchdogSpec,
    units::ByteSize,
    watchdog::{
        alerts::{MEMORY, MEMORY_PRESSURE},
        deed::Alert,
        sample::{HostSample, Pressure, Sample},
    },
};

/// So much below the warning a share of memory is clearly below it.
const CLEARLY: f64 = 0.02;
/// Percent of the last ten seconds in which nobody got on for want of memory (`full avg10` of the kernel's
/// `/proc/pressure/memory`, see Documentation/accounting/psi.rst): from here a warning, since programs that compute on a
/// card hardly ever wait for host memory at all. The figures are our own.
const PRESSURE_WARNING: f64 = 10.0;
/// From here it is critical: the machine thrashes, and kernels kill soon after.
const PRESSURE_CRITICAL: f64 = 40.0;
/// This and less is clearly below.
const PRESSURE_CALM: f64 = 7.5;
/// Services that are named as the holders of most.
const NAMED: usize = 3;

/// What is remembered of the machine.
#[derive(Debug, Default)]
pub struct HostWatch {
    memory: Ladder,
    pressure: Ladder,
}

impl HostWatch {
    /// Judges a sample.
    pub fn look(&mut self, sample: &Sample, spec: &WatchdogSpec, docket: &mut Docket<'_>) {
        let Some(host) = sample.host else { return };
        self.memory(host, sample, spec, docket);
        if let Some(pressure) = host.pressure {
            self.pressure(pressure, sample, docket);
        }
    }

    fn memory(&mut self, host: HostSample, sample: &Sample, spec: &WatchdogSpec, docket: &mut Docket<'_>) {
        let Some(used) = used(host) else { return };
        let levels = [spec.memory_warning, spec.memory_critical];
        match self.memory.step(Reading::of(&used, &levels, &(spec.memory_warning - CLEARLY))) {
            Change::Up { from, to } => {
                let message = format!(
                    "{:.0} % of the machine's memory is in use, {} of {} can still be had{}: take out of memory what is not \
                     needed (`greenroom offload NAME`), or give less to it",
                    used * 100.0,
                    ByteSize(host.available),
                    ByteSize(host.total),
                    holders(sample),
                );
                docket.raise(alerts(MEMORY, from, to, &message), None);
            }
            Change::Over => docket.clear(MEMORY, None),
            Change::Same => {}
        }
    }

    fn pressure(&mut self, pressure: Pressure, sample: &Sample, docket: &mut Docket<'_>) {
        let reading = Reading::of(&pressure.full, &[PRESSURE_WARNING, PRESSURE_CRITICAL], &PRESSURE_CALM);
        match self.pressure.step(reading) {
            Change::Up { from, to } => {
                let message = format!(
                    "in {:.0} % of the last ten seconds every process waited for memory{}: the machine has too little for \
                     what runs; take something out of memory (`greenroom offload NAME`)",
                    pressure.full,
                    holders(sample),
                );
                docket.raise(alerts(MEMORY_PRESSURE, from, to, &message), None);
            }
            Change::Over => docket.clear(MEMORY_PRESSURE, None),
            Change::Same => {}
        }
    }
}

/// Share of the memory that cannot be had.
fn used(host: HostSample) -> Option<f64> {
    #[allow(clippy::cast_precision_loss)]
    let share = host.available as f64 / host.total as f64;
    (host.total > 0).then_some(1.0 - share)
}

/// One alert for each level that was passed, the mildest first.
fn alerts(alert: &'static str, from: u8, to: u8, message: &str) -> Vec<Alert> {
    [(1, Severity::Warning), (2, Severity::Critical)]
        .into_iter()
        .filter(|(level, _)| (from + 1..=to).contains(level))
        .map(|(_, severity)| Alert { alert, severity, service: None, message: message.to_owned() })
        .collect()
}

/// `; the most is held by a (3GiB), b (2GiB)`.
fn holders(sample: &Sample) -> String {
    let mut holders: Vec<_> = sample.services.iter().filter_map(|s| Some((s.ram?, s.name()))).collect();
    holders.sort_by_key(|(ram, _)| std::cmp::Reverse(*ram));
    let mut text = String::new();
    for (i, (ram, name)) in holders.iter().take(NAMED).enumerate() {
        let lead = if i == 0 { "; of what runs here the most is held by" } else { "," };
        // Writing to a string does not fail.
        let _fits = write!(text, "{lead} {name} ({})", ByteSize(*ram));
    }
    text
}

/// While memory is an alert, what everything holds is noted this often.
pub const NOTE_EVERY: Duration = Duration::from_secs(10);
