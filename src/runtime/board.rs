//! The board: everything at a glance, put up by the control thread, so that whoever looks neither waits nor measures.
//!
//! A state is put up as soon as it changes. Memory costs reads in `/proc`, so it is measured once a second and only
//! while somebody looks: for [`INTEREST`] after the last look. When nothing changes and nobody looks, nothing is done.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use arc_swap::ArcSwapOption;
use futures_util::{FutureExt, StreamExt, stream::FuturesUnordered};
use greenroom_actors::{os::clock, services::Supervised, state::ServiceStatus};
use tokio::sync::{Notify, watch};

use super::{
    RuntimeHandle,
    view::{MemoryView, RuntimeView, ServiceContainmentView, ServiceView},
};

/// How long a look counts as interest in memory figures.
pub const INTEREST: Duration = Duration::from_secs(5);
/// How often memory is measured meanwhile.
const MEASURE: Duration = Duration::from_secs(1);

/// A runtime and its services at one moment.
#[derive(Debug, Clone, PartialEq)]
pub struct Snapshot {
    /// The runtime.
    pub runtime: RuntimeView,
    /// Its services, in the order of the configuration. Memory and processes are at most some seconds old while somebody
    /// looks, and as they were measured last otherwise.
    pub services: Vec<Arc<ServiceView>>,
}

/// Where the newest snapshot is.
#[derive(Debug, Default)]
pub(super) struct Board {
    newest: ArcSwapOption<Snapshot>,
    /// When somebody has looked last.
    looked: Mutex<Option<Instant>>,
    /// Whether the control thread measures, and need not be woken for a look.
    measures: AtomicBool,
    wake: Notify,
}

impl Board {
    /// What is on it; nothing before it was put up first.
    pub(super) fn look(&self) -> Option<Arc<Snapshot>> {
        *self.looked.lock().unwrap_or_else(PoisonError::into_inner) = Some(clock::now());
        if !self.measures.load(Ordering::Acquire) {
            self.wake.notify_one();
        }
        self.newest.load_full()
    }

    /// Something has changed that no service's status tells.
    pub(super) fn nudge(&self) {
        self.wake.notify_one();
    }

    fn put_up(&self, snapshot: Snapshot) {
        self.newest.store(Some(Arc::new(snapshot)));
    }

    fn is_of_interest(&self, now: Instant) -> bool {
        let looked = *self.looked.lock().unwrap_or_else(PoisonError::into_inner);
        looked.is_some_and(|at| now.saturating_duration_since(at) < INTEREST)
    }
}

/// Keeps the board of a runtime. Runs on the control thread until it is aborted.
pub(super) async fn keep_board(handle: RuntimeHandle) {
    let board = &handle.inner.board;
    let mut guardian = handle.inner.guardian.clone();
    let mut set = handle.inner.roster.services().changes();
    let mut followed = Followed::new(&handle);
    followed.put_up(&handle, None);
    let mut measured: Option<Instant> = None;
    loop {
        let now = clock::now();
        let measures = board.is_of_interest(now);
        board.measures.store(measures, Ordering::Release);
        let due = measures.then(|| measured.map_or(now, |at| at + MEASURE));
        let moment = async {
            match due {
                Some(due) => tokio::time::sleep_until(due.into()).await,
                None => std::future::pending().await,
            }
        };
        let what = tokio::select! {
            changed = followed.changed() => Some(changed),
            Ok(()) = guardian.changed() => Some(Vec::new()),
            Ok(()) = set.changed() => Some(Vec::new()),
            () = board.wake.notified() => Some(Vec::new()),
            () = moment => None,
        };
        if what.is_none() {
            measured = Some(clock::now());
        }
        followed.put_up(&handle, what);
    }
}

/// The services whose changes are put up.
struct Followed {
    /// Of whom; another one where services came or went.
    services: Arc<Vec<Supervised>>,
    views: Vec<Arc<ServiceView>>,
    changes: FuturesUnordered<futures_util::future::BoxFuture<'static, Change>>,
}

/// Service `n` has another status; its stream goes on unless its supervisor is gone.
struct Change(usize, Option<watch::Receiver<ServiceStatus>>);

async fn next_change(n: usize, mut status: watch::Receiver<ServiceStatus>) -> Change {
    let goes_on = status.changed().await.is_ok();
    Change(n, goes_on.then_some(status))
}

impl Followed {
    fn new(handle: &RuntimeHandle) -> Self {
        let services = handle.services();
        let mut followed = Self { services, views: Vec::new(), changes: FuturesUnordered::new() };
        followed.begin(handle);
        followed
    }

    fn begin(&mut self, handle: &RuntimeHandle) {
        self.services = handle.services();
        self.changes.clear();
        for (n, mut status) in self.services.iter().map(|s| s.status.clone()).enumerate() {
            status.mark_unchanged();
            self.changes.push(next_change(n, status).boxed());
        }
        self.views = handle.measured_views();
    }

    /// Which services have changed since, at least one. Waits forever where there is none. Dropping it loses nothing.
    async fn changed(&mut self) -> Vec<usize> {
        let mut changed = Vec::new();
        match self.changes.next().await {
            Some(change) => self.note(change, &mut changed),
            None => std::future::pending().await,
        }
        // A burst is put up once.
        while let Some(Some(change)) = self.changes.next().now_or_never() {
            self.note(change, &mut changed);
        }
        changed
    }

    fn note(&mut self, Change(n, status): Change, changed: &mut Vec<usize>) {
        changed.push(n);
        if let Some(status) = status {
            self.changes.push(next_change(n, status).boxed());
        }
    }

    /// Puts up these services anew, or, with `None`, measures all.
    fn put_up(&mut self, handle: &RuntimeHandle, changed: Option<Vec<usize>>) {
        match changed {
            // Services have come, gone or changed: all numbers are other ones.
            _ if !Arc::ptr_eq(&self.services, &handle.services()) => self.begin(handle),
            None => self.views = handle.measured_views(),
            Some(changed) => {
                for n in changed {
                    if let Some(view) = self.views.get_mut(n)
                        && let Some(fresh) = handle.refreshed(view)
                    {
                        *view = Arc::new(fresh);
                    }
                }
            }
        }
        handle.inner.board.put_up(Snapshot { runtime: handle.runtime(), services: self.views.clone() });
    }
}

impl RuntimeHandle {
    /// Everything at a glance, as it was put up last: reads nothing from the system and waits for nobody.
    #[must_use]
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.inner.board.look().unwrap_or_else(|| Arc::new(self.look_itself()))
    }

    /// For the moment before the board is there: states without figures.
    fn look_itself(&self) -> Snapshot {
        let services = self.services().iter().map(|s| Arc::new(self.unmeasured(s))).collect();
        Snapshot { runtime: self.runtime(), services }
    }

    fn unmeasured(&self, service: &Supervised) -> ServiceView {
        let status = service.status.borrow().clone();
        ServiceView::new(&service.spec, status, self.inner.containment.kind(), MemoryView::default(), 0)
            .with_users(service.gate.in_flight(), service.gate.waiting().count, clock::wall())
            .with_memory(&self.memory())
    }

    /// A service as it is now, with the figures that `before` has of the same run.
    fn refreshed(&self, before: &ServiceView) -> Option<ServiceView> {
        let fresh = self.unmeasured(&self.find(before.name.as_str()).ok()?);
        let same = fresh.run_id == before.run_id && fresh.state.is_live();
        let (ram, processes) = if same { (before.memory.ram, before.containment.processes) } else { (0, 0) };
        let memory = MemoryView { ram, ..fresh.memory };
        Some(ServiceView { memory, containment: ServiceContainmentView { processes, ..fresh.containment }, ..fresh })
    }

    fn measured_views(&self) -> Vec<Arc<ServiceView>> {
        self.services().iter().map(|s| Arc::new(self.view(s))).collect()
    }
}
