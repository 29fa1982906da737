//! The owner's side of a running runtime: waits for its end, cleans up after the actors, and audits.

use std::{
    path::Path,
    sync::{Arc, mpsc},
    thread::JoinHandle,
    time::{Duration, Instant},
};

use greenroom_actors::{
    history_store::append_shutdown_report,
    os::{
        audit::{AuditBaseline, AuditReport, AuditScope},
        clock,
        containment::Containment,
        state_dir::StateDirClaim,
    },
    shutdown_coordinator::messages::{StopOutcome, StopReport},
    spec::RuntimeSpec,
};

use super::{RuntimeHandle, ShutdownReport};

/// How long threads and processes that are on their way out get before the audit counts them.
const SETTLE: Duration = Duration::from_secs(2);
/// Past the deadline: the coordinator's last round, and then the control thread itself is given up.
const OVERTIME: Duration = Duration::from_secs(4);

/// What the control thread tells the owner.
#[derive(Debug)]
pub enum Progress {
    /// The ordered stop has begun.
    Began,
    /// It has ended.
    Done(StopReport),
}

/// A running runtime. Dropping it without [`wait_blocking`](Self::wait_blocking) leaves the end to the guardian.
#[derive(Debug)]
pub struct RunningRuntime {
    pub(super) handle: RuntimeHandle,
    pub(super) thread: JoinHandle<()>,
    pub(super) progress: mpsc::Receiver<Progress>,
    pub(super) baseline: AuditBaseline,
    /// Held for its lock: another runtime may claim the state dir once it is dropped.
    pub(super) claim: StateDirClaim,
    pub(super) containment: Arc<dyn Containment>,
    pub(super) spec: Arc<RuntimeSpec>,
}

impl RunningRuntime {
    /// A handle on it.
    #[must_use]
    pub fn handle(&self) -> RuntimeHandle {
        self.handle.clone()
    }

    /// Waits until somebody asks for the end and it has come, then audits. Bounded once the end has been asked for:
    /// `runtime.shutdown.deadline` and a few seconds.
    #[must_use]
    pub fn wait_blocking(self) -> ShutdownReport {
        let Self { handle, thread, progress, baseline, claim, containment, spec } = self;
        let epoch = handle.runtime().epoch;
        let ports = handle.ports();
        // It keeps actors, bus and descriptors alive.
        drop(handle);
        let stop = wait_for_end(&progress, spec.shutdown.deadline);
        if stop.forced {
            // Whatever is left of the trees; an error is for the audit to see.
            drop(containment.kill_all());
        }
        let scope =
            AuditScope { cgroup_roots: containment.cgroup_root().into_iter().collect(), ports, processes: Vec::new() };
        // Without `/proc` nothing is known, and that is not a clean end.
        let audit = baseline.settle(&scope, SETTLE).unwrap_or_else(|e| unknown(&e));
        if thread.is_finished() {
            // A panic in it has been reported by the panic hook.
            drop(thread.join());
        }
        let report = ShutdownReport {
            epoch,
            at: clock::wall(),
            reason: stop.reason,
            forced: stop.forced || stop.units.iter().any(|u| u.outcome == StopOutcome::CutShort),
            seconds: stop.seconds,
            units: stop.units,
            audit,
        };
        keep(&report, claim.path(), &spec.history.path);
        report
    }
}

/// The coordinator's report, or one that says that it never came.
fn wait_for_end(progress: &mpsc::Receiver<Progress>, deadline: Duration) -> StopReport {
    let lost = |reason: &str, since: Instant| StopReport {
        reason: reason.to_owned(),
        units: Vec::new(),
        forced: true,
        seconds: clock::now().saturating_duration_since(since).as_secs_f64(),
    };
    let started = clock::now();
    match progress.recv() {
        Ok(Progress::Done(report)) => return report,
        Ok(Progress::Began) => {}
        Err(mpsc::RecvError) => return lost("the control thread ended without a report", started),
    }
    let began = clock::now();
    loop {
        let left = (deadline + OVERTIME).saturating_sub(clock::now().saturating_duration_since(began));
        match progress.recv_timeout(left) {
            Ok(Progress::Done(report)) => return report,
            Ok(Progress::Began) => {}
            Err(mpsc::RecvTimeoutError::Timeout) => {
                return lost("the control thread did not end by its deadline", began);
            }
            Err(mpsc::RecvTimeoutError::Disconnected) => {
                return lost("the control thread ended without a report", began);
            }
        }
    }
}

/// An audit that could not look.
fn unknown(error: &std::io::Error) -> AuditReport {
    AuditReport { children: vec![format!("unknown, as /proc cannot be read: {error}")], ..AuditReport::default() }
}

fn keep(report: &ShutdownReport, state_dir: &Path, history: &Path) {
    if let Err(error) = report.save(state_dir) {
        tracing::error!("the shutdown report could not be written to {}: {error}", state_dir.display());
    }
    let Ok(value) = serde_json::to_value(report) else { return };
    if let Err(error) = append_shutdown_report(history, report.epoch, report.at, &value) {
        tracing::error!("the shutdown report could not be added to the history: {error}");
    }
}
