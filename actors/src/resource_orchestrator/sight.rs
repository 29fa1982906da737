//! What the orchestrator sees: the services it knows, the host, the cards.

use std::{collections::HashMap, fmt, sync::Arc, time::Duration, time::Instant};

use actix::WeakAddr;
use tokio::sync::watch;

use super::admission::{Around, Outlook, Usage};
use crate::{
    gate::Gate,
    ids::{Pid, ServiceName},
    os::{
        clock,
        gpu::{GpuSampler, Reading},
        host::{Host, HostMemory},
    },
    process_supervisor::ProcessSupervisor,
    state::{Disposition, ServiceState, ServiceStatus},
};

/// Who measures the cards, on a thread of its own. Nothing here waits for it.
pub trait Sampler: fmt::Debug + Send {
    /// Every reading as it comes.
    fn readings(&self) -> watch::Receiver<Arc<Reading>>;
    /// What is wrong with the driver as a whole, a driver that hangs among it.
    fn problem(&self) -> Option<String>;
    /// Sets the time between two readings, and takes one now.
    fn pace(&self, pace: Duration);
    /// Takes a reading as soon as it can, one that begins from here on.
    fn read_now(&self);
    /// Whose use is of interest.
    fn watch_pids(&self, pids: Vec<Pid>);
}

impl Sampler for Arc<GpuSampler> {
    fn readings(&self) -> watch::Receiver<Arc<Reading>> {
        GpuSampler::readings(self)
    }

    fn problem(&self) -> Option<String> {
        GpuSampler::problem(self)
    }

    fn pace(&self, pace: Duration) {
        GpuSampler::pace(self, pace);
    }

    fn read_now(&self) {
        GpuSampler::read_now(self);
    }

    fn watch_pids(&self, pids: Vec<Pid>) {
        GpuSampler::watch_pids(self, pids);
    }
}

/// A service that it knows.
#[derive(Debug)]
pub(super) struct Known {
    /// Weak, as whoever looks at a supervisor must not keep it.
    pub supervisor: WeakAddr<ProcessSupervisor>,
    pub status: watch::Receiver<ServiceStatus>,
    pub gate: Gate,
}

/// One look around.
pub(super) struct Sight<'a> {
    pub host: &'a dyn Host,
    pub known: &'a HashMap<ServiceName, Known>,
}

impl Around for Sight<'_> {
    fn now(&self) -> Instant {
        clock::now()
    }

    fn host(&self) -> Option<HostMemory> {
        match self.host.memory() {
            Ok(memory) => Some(memory),
            Err(error) => {
                tracing::warn!(%error, "the host's memory cannot be read; what was read last counts");
                None
            }
        }
    }

    fn usage(&self, service: &ServiceName) -> Usage {
        let Some(Known { gate, .. }) = self.known.get(service) else { return Usage::default() };
        Usage {
            open: gate.is_open(),
            in_flight: gate.in_flight(),
            holds: gate.holds(),
            entries: gate.entries(),
            waiting: gate.waiting(),
        }
    }

    fn outlook(&self, service: &ServiceName) -> Outlook {
        let Some(known) = self.known.get(service) else { return Outlook { down: true, ..Outlook::default() } };
        let status = known.status.borrow();
        let gave_up = matches!(status.state, ServiceState::Failed | ServiceState::Quarantined | ServiceState::Stuck);
        // Who sleeps uses nobody, and who is stuck must not keep others from leaving for ever.
        let live = status.state.is_live() && !matches!(status.state, ServiceState::Sleeping | ServiceState::Stuck);
        Outlook { down: gave_up || status.disposition == Disposition::Down, cause: status.reason.clone(), live }
    }
}
