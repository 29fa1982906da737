//! All that is counted, in one hand.

use std::sync::Arc;

use greenroom_actors::{
    event::{EventBus, EventId},
    history_store::messages::RequestRow,
};

use super::{Alerts, EndedJobs, Ledger, Refused, Requests, Swaps};

/// Everything that is counted, and the way of requests into the history.
#[derive(Debug)]
pub struct Metrics {
    /// By service and status.
    pub requests: Requests,
    /// By reason: requests that got no further than the gateway's guard.
    pub refused: Refused,
    /// By who left and who came.
    pub swaps: Swaps,
    /// By kind and state: jobs that have ended.
    pub jobs: EndedJobs,
    /// By name and severity: alerts.
    pub alerts: Alerts,
    /// What goes to the history.
    pub ledger: Arc<Ledger>,
    /// Processes of an earlier runtime that were ended at the start.
    pub swept: u64,
    epoch: u64,
}

/// A request for a model that has ended.
#[derive(Debug, Clone, PartialEq)]
pub struct EndedRequest {
    /// What became of it.
    pub row: RequestRow,
    /// Whether a service let it in, so that `row.waited` is the time that this took.
    pub entered: bool,
    /// Whether it was work. What only looked at a service is counted and not written down.
    pub work: bool,
}

impl Metrics {
    /// Nothing has been counted but what the start has found.
    #[must_use]
    pub fn new(epoch: u64, swept: u64) -> Self {
        Self {
            requests: Requests::default(),
            refused: Refused::default(),
            swaps: Swaps::default(),
            jobs: EndedJobs::default(),
            alerts: Alerts::default(),
            ledger: Arc::new(Ledger::new(epoch)),
            swept,
            epoch,
        }
    }

    /// Takes a request that has ended. One call for each, from any thread; it takes no lock and waits for nobody.
    pub fn ended(&self, request: EndedRequest) {
        self.requests.count(&request);
        if request.work {
            self.ledger.enter(request.row);
        }
    }

    /// Counts the swaps, the ends of jobs and the alerts that the bus tells of, from the start of the runtime on until it is
    /// gone.
    pub async fn listen(self: Arc<Self>, bus: EventBus) {
        let mut events = bus.subscribe(Some(EventId { epoch: self.epoch, sequence: 0 }));
        drop(bus);
        while let Some(event) = events.next().await {
            self.swaps.hear(&event.kind);
            self.jobs.hear(&event.kind);
            self.alerts.hear(&event.kind);
        }
    }
}
