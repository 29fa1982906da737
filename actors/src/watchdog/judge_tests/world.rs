//! A machine that is told what to look like.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use crate::{
    event::Severity,
    ids::RunId,
    os::clock,
    process_supervisor::messages::Sentence,
    spec::{BundleOn, ServiceSpec, WatchdogSpec, sample},
    state::ServiceState,
    watchdog::{
        deed::Deed,
        judge::Judge,
        sample::{HostSample, OwnSample, Sample, ServiceSample},
    },
};

pub const MIB: u64 = 1 << 20;
pub const GIB: u64 = 1 << 30;
/// Between two samples.
pub const INTERVAL: Duration = Duration::from_secs(2);

/// A service that is ready, has one process and nobody in it.
pub fn service(spec: ServiceSpec) -> ServiceSample {
    ServiceSample {
        spec: Arc::new(spec),
        run: RunId::fresh(),
        state: ServiceState::Ready,
        unreaped: 0,
        processes: 1,
        ram: Some(100 * MIB),
        vram: 0,
        descriptors: 5,
        idle: true,
    }
}

/// One with these limits.
pub fn limited(name: &str, limits: impl FnOnce(&mut ServiceSpec)) -> ServiceSample {
    let mut spec = sample::service(name);
    spec.restart.reset_after = Duration::from_secs(600);
    limits(&mut spec);
    service(spec)
}

/// The judge and what it is shown.
pub struct World {
    pub judge: Judge,
    pub sample: Sample,
}

impl World {
    /// Half of the memory is in use; these services run. No bundles.
    pub fn of(services: Vec<ServiceSample>) -> Self {
        Self::with_bundles(services, vec![])
    }

    /// The same, with bundles on these.
    pub fn with_bundles(services: Vec<ServiceSample>, on: Vec<BundleOn>) -> Self {
        let mut spec = WatchdogSpec::default();
        spec.bundles.on = on;
        let host = Some(HostSample { total: 32 * GIB, available: 16 * GIB, pressure: None });
        let own = OwnSample { ram: 20 * MIB, descriptors: 50, descriptors_limit: 1024 };
        let sample = Sample { at: clock::now(), host, services, own, actors: Vec::new() };
        Self { judge: Judge::new(&spec), sample }
    }

    /// Shows the sample as it is, and lets an interval pass.
    pub fn look(&mut self) -> Vec<Deed> {
        let deeds = self.judge.look(&self.sample);
        self.sample.at += INTERVAL;
        deeds
    }

    /// Several times the same.
    pub fn looks(&mut self, times: u32) -> Vec<Deed> {
        (0..times).flat_map(|_| self.look()).collect()
    }

    /// The first service.
    pub fn first(&mut self) -> &mut ServiceSample {
        &mut self.sample.services[0]
    }

    pub fn now(&self) -> Instant {
        self.sample.at
    }
}

/// `alert warning`, `alert over`, `bundle alert`, `condemn restart`, `recycle when idle`: what a person would say.
pub fn said(deeds: &[Deed]) -> Vec<String> {
    deeds.iter().map(word).collect()
}

fn word(deed: &Deed) -> String {
    match deed {
        Deed::Raise(alert) => {
            let severity = match alert.severity {
                Severity::Warning => "warning",
                Severity::Critical => "critical",
                Severity::Emergency => "emergency",
            };
            format!("{} {severity}", alert.alert)
        }
        Deed::Clear { alert, .. } => format!("{alert} over"),
        Deed::Bundle { occasion, .. } => format!("bundle {}", occasion.what),
        Deed::Condemn { sentence, at_once, .. } => {
            let sentence = match sentence {
                Sentence::Restart => "restart",
                Sentence::Stop => "stop",
                Sentence::Quarantine => "quarantine",
            };
            format!("condemn {sentence}{}", if *at_once { " at once" } else { "" })
        }
        Deed::RecycleWhenIdle { .. } => "recycle when idle".to_owned(),
        Deed::Recycle { .. } => "recycle".to_owned(),
        Deed::NoteMemory => "note memory".to_owned(),
    }
}

/// Alerts and their ends alone.
pub fn alerts(deeds: &[Deed]) -> Vec<String> {
    let told = |deed: &&Deed| matches!(deed, Deed::Raise(_) | Deed::Clear { .. });
    deeds.iter().filter(told).map(word).collect()
}

/// The message of the first alert among them.
pub fn message(deeds: &[Deed]) -> String {
    let raised = |deed: &Deed| if let Deed::Raise(alert) = deed { Some(alert.message.clone()) } else { None };
    deeds.iter().find_map(raised).unwrap_or_default()
}
