//! The board of the watchdog: what it saw last and what stands, for whoever wants to see it, without a wait.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use arc_swap::ArcSwap;
use serde::Serialize;

use super::{
    judge::StandingAlert,
    sample::{ActorSample, HostSample, OwnSample, Sample, ServiceSample},
};
use crate::{ids::ServiceName, time::Timestamp};

pub use crate::event::AlertView;

/// Where the newest view is. Clones are the same board.
#[derive(Debug, Clone, Default)]
pub struct WatchBoard(Arc<ArcSwap<WatchView>>);

impl WatchBoard {
    /// What is on it; an empty view until the first sample, and where nothing is watched.
    #[must_use]
    pub fn look(&self) -> Arc<WatchView> {
        self.0.load_full()
    }

    /// Puts up another one.
    pub fn put_up(&self, view: WatchView) {
        self.0.store(Arc::new(view));
    }
}

/// What the watchdog saw last.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct WatchView {
    /// When; nothing until the first sample.
    pub sampled_at: Option<Timestamp>,
    /// What needs attention, the worst first.
    pub alerts: Vec<AlertView>,
    /// Every service and worker of which something runs.
    pub services: BTreeMap<ServiceName, ServiceFigures>,
    /// The machine, as far as it could be read.
    pub host: Option<HostFigures>,
    /// This process.
    pub own: OwnFigures,
    /// Every actor, and for how many seconds its answer took or has been waited for.
    pub actors: BTreeMap<String, f64>,
}

/// What one service has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct ServiceFigures {
    /// Processes of its tree.
    pub processes: u32,
    /// Anonymous and shared memory of its tree, in bytes; nothing until it was measured.
    pub ram: Option<u64>,
    /// Memory on all cards, in bytes.
    pub vram: u64,
    /// Open descriptors of its tree.
    pub descriptors: u32,
}

/// What the machine has.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct HostFigures {
    /// Memory that there is, in bytes.
    pub total: u64,
    /// Memory that could be had, in bytes.
    pub available: u64,
    /// Share of the last ten seconds in which everybody waited for memory, in percent, where the kernel tells.
    pub pressure: Option<f64>,
}

/// What this process has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct OwnFigures {
    /// Memory that nobody can take from it, in bytes.
    pub ram: u64,
    /// Open descriptors.
    pub descriptors: u64,
    /// The most it may open.
    pub descriptors_limit: u64,
}

impl WatchView {
    /// What this sample and these alerts look like. `wall` is the time of day at which the sample was taken.
    #[must_use]
    pub fn of(sample: &Sample, standing: &[StandingAlert], wall: Timestamp) -> Self {
        let alert = |s: &StandingAlert| AlertView {
            alert: s.alert.to_owned(),
            severity: s.severity,
            service: s.service.clone(),
            message: s.message.clone(),
            since: before(wall, sample.at.saturating_duration_since(s.since)),
        };
        Self {
            sampled_at: Some(wall),
            alerts: standing.iter().map(alert).collect(),
            services: sample.services.iter().map(|s| (s.name().clone(), s.into())).collect(),
            host: sample.host.map(Into::into),
            own: sample.own.into(),
            actors: sample.actors.iter().map(|a: &ActorSample| (a.name.clone(), a.lag.as_secs_f64())).collect(),
        }
    }
}

/// The point in time so long before another one.
fn before(wall: Timestamp, earlier: Duration) -> Timestamp {
    let micros = i64::try_from(earlier.as_micros()).unwrap_or(i64::MAX);
    Timestamp::from_micros(wall.as_micros().saturating_sub(micros))
}

impl From<&ServiceSample> for ServiceFigures {
    fn from(seen: &ServiceSample) -> Self {
        Self { processes: seen.processes, ram: seen.ram, vram: seen.vram, descriptors: seen.descriptors }
    }
}

impl From<HostSample> for HostFigures {
    fn from(seen: HostSample) -> Self {
        Self { total: seen.total, available: seen.available, pressure: seen.pressure.map(|p| p.full) }
    }
}

impl From<OwnSample> for OwnFigures {
    fn from(seen: OwnSample) -> Self {
        Self { ram: seen.ram, descriptors: seen.descriptors, descriptors_limit: seen.descriptors_limit }
    }
}
