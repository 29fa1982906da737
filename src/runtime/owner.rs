//! The owner's thread of a runtime: it starts the runtime, waits for its end, cleans up after the actors, and audits.
//!
//! It is a thread of the runtime's own, so that the end is seen to also when whoever started the runtime has let go of it.

use std::{
    path::Path,
    sync::{Arc, mpsc},
    thread::JoinHandle,
    time::{Duration, Instant},
};

use greenroom_actors::{
    history_store::append_shutdown_report,
    os::{
        audit::{AuditBaseline, AuditReport, AuditScope, Whose},
        clock,
        containment::Containment,
        state_dir::StateDirClaim,
    },
    shutdown_coordinator::messages::{StopOutcome, StopReport},
    spec::RuntimeSpec,
};
use tokio::sync::{oneshot, watch};

use super::{Runtime, RuntimeHandle, ShutdownReport, StartError};
use crate::{embed::Handle, signals::Signals};

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
    /// The control thread has ended; without a report before this, something went wrong.
    Left,
}

/// A running runtime, as its owner holds it.
#[derive(Debug)]
pub(super) struct Running {
    pub handle: RuntimeHandle,
    pub thread: JoinHandle<()>,
    pub progress: mpsc::Receiver<Progress>,
    pub baseline: AuditBaseline,
    pub whose: Whose,
    /// Held for its lock: another runtime may claim the state dir once it is dropped.
    pub claim: StateDirClaim,
    pub containment: Arc<dyn Containment>,
    pub spec: Arc<RuntimeSpec>,
}

/// The life of the owner's thread: starts the runtime, answers, and stays until it has ended.
pub(super) fn live(runtime: Runtime, reply: oneshot::Sender<Result<Handle, StartError>>) {
    // Before anything else, so that a signal during the start is not lost.
    let signals = runtime.manners.signals.then(Signals::install).transpose().map_err(StartError::Signals);
    let begun = signals.and_then(|signals| Ok((signals, runtime.begin()?)));
    let (signals, running) = match begun {
        Ok(begun) => begun,
        Err(error) => {
            // An error means that the starter has gone.
            drop(reply.send(Err(error)));
            return;
        }
    };
    let (report, ended) = watch::channel(None);
    if let Some(signals) = &signals {
        signals.attach(&running.handle);
    }
    // A starter that has gone gets no handle, and the one that comes back here is the last one: the end begins.
    drop(reply.send(Ok(Handle::new(running.handle.clone(), ended))));
    report.send_replace(Some(Arc::new(running.wait())));
}

impl Running {
    /// Waits until somebody asks for the end and it has come, then audits. Bounded once the end has been asked for:
    /// `runtime.shutdown.deadline` and a few seconds.
    fn wait(self) -> ShutdownReport {
        let Self { handle, thread, progress, baseline, whose, claim, containment, spec } = self;
        let epoch = handle.runtime().epoch;
        let (stop, ports) = wait_for_end(&progress, spec.shutdown.deadline, handle);
        if stop.forced {
            // Whatever is left of the trees; an error is for the audit to see.
            drop(containment.kill_all());
        }
        let all = whose == Whose::All;
        let cgroup_roots = containment.cgroup_root().into_iter().collect();
        let scope = AuditScope { cgroup_roots, ports, processes: containment.remains(), whose };
        // Without `/proc` nothing is known, and that is not a clean end.
        let mut audit = baseline.settle(&scope, SETTLE).unwrap_or_else(|e| unknown(&e));
        // It ends the other threads before itself. Where everything counts it has been looked at.
        if !all && !clock::wait_until(SETTLE, || thread.is_finished()) {
            audit.threads.push("control".to_owned());
        }
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

/// The coordinator's report, or one that says that it never came; and the ports that services had when the end began.
/// The handle is let go of then: it keeps actors, bus and descriptors alive.
fn wait_for_end(
    progress: &mpsc::Receiver<Progress>,
    deadline: Duration,
    handle: RuntimeHandle,
) -> (StopReport, Vec<u16>) {
    let mut since = clock::now();
    let lost = |reason: &str, since: Instant| StopReport {
        reason: reason.to_owned(),
        units: Vec::new(),
        forced: true,
        seconds: clock::now().saturating_duration_since(since).as_secs_f64(),
    };
    let first = progress.recv();
    let ports = handle.ports();
    drop(handle);
    let mut next = match first {
        Ok(Progress::Began) => {
            since = clock::now();
            None
        }
        Ok(other) => Some(other),
        Err(mpsc::RecvError) => Some(Progress::Left),
    };
    loop {
        let left = (deadline + OVERTIME).saturating_sub(clock::now().saturating_duration_since(since));
        let news = match next.take() {
            Some(news) => Ok(news),
            None => progress.recv_timeout(left),
        };
        let report = match news {
            Ok(Progress::Began) => continue,
            Ok(Progress::Done(report)) => report,
            Ok(Progress::Left) | Err(mpsc::RecvTimeoutError::Disconnected) => {
                lost("the control thread ended without a report", since)
            }
            Err(mpsc::RecvTimeoutError::Timeout) => lost("the control thread did not end by its deadline", since),
        };
        return (report, ports);
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
