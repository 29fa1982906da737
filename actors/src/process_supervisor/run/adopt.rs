//! Runs of an earlier runtime: one that lives is taken over, and of one that has ended its end is told.

use std::{os::unix::process::ExitStatusExt, path::Path, process::ExitStatus};

use super::{
    context::{AdoptedRun, TakeOverError, TakenOver},
    waits::exit_of,
};
use crate::{
    engines::FailureRules,
    ids::{Pid, RunId},
    memory::Placement,
    os::{
        clock,
        keep::{Adoptable, EndedRun, Found},
        ports::PortPool,
        service_log::{log_dir, tail},
    },
    process_supervisor::{
        classify::{Exit, classify},
        lifecycle::RunNews,
        output::{OutputView, Source},
    },
    spec::ServiceSpec,
    state::ExitReport,
};

/// How far back in the log of a run that has ended its last words are looked for, in bytes.
const LAST_WORDS: u64 = 64 * 1024;

/// What an earlier runtime has left of a service that was to be kept.
#[derive(Debug)]
pub enum Inherited {
    /// It lives.
    Lives(AdoptedRun),
    /// It has ended meanwhile.
    Ended {
        /// Its id, as the history knows it.
        run: RunId,
        /// What was its main process.
        pid: Pid,
        /// What was its port.
        port: Option<u16>,
        /// How it ended: [`RunNews::Ended`].
        news: RunNews,
    },
}

impl From<AdoptedRun> for Inherited {
    fn from(adopted: AdoptedRun) -> Self {
        Self::Lives(adopted)
    }
}

impl Inherited {
    /// Which run.
    #[must_use]
    pub fn run(&self) -> RunId {
        match self {
            Self::Lives(adopted) => adopted.run,
            Self::Ended { run, .. } => *run,
        }
    }

    /// What is, or was, its main process.
    #[must_use]
    pub fn pid(&self) -> Pid {
        match self {
            Self::Lives(adopted) => adopted.pid,
            Self::Ended { pid, .. } => *pid,
        }
    }

    /// What is, or was, its port.
    #[must_use]
    pub fn port(&self) -> Option<u16> {
        match self {
            Self::Lives(adopted) => adopted.port,
            Self::Ended { port, .. } => *port,
        }
    }

    /// Takes what there is of this service out of what was found. The port of one that lives is taken at once.
    #[must_use]
    pub fn of(spec: &ServiceSpec, found: &mut Found, ports: &PortPool, state_dir: &Path) -> Option<Self> {
        if let Some(at) = found.adoptable.iter().position(|run| run.entry.service == spec.name) {
            return Some(Self::Lives(adopted(found.adoptable.swap_remove(at), ports)));
        }
        let at = found.ended.iter().position(|run| run.entry.service == spec.name)?;
        let ended = found.ended.swap_remove(at);
        let (exit, cause) = end_of(Some(spec), state_dir, &ended);
        let EndedRun { entry, .. } = ended;
        let news = RunNews::Ended { exit, cause, killed: false };
        Some(Self::Ended { run: entry.run, pid: entry.main.pid, port: entry.port, news })
    }
}

fn adopted(run: Adoptable, ports: &PortPool) -> AdoptedRun {
    let (id, pid, port) = (run.entry.run, run.entry.main.pid, run.entry.port);
    let placed = run.entry.kept.as_ref().map(|kept| (kept.gpus.clone(), kept.gpu_layers));
    let (gpus, gpu_layers) = placed.unwrap_or_default();
    let placement = Placement { gpus, gpu_layers, ..Placement::default() };
    let lease = port.and_then(|port| ports.adopt(port));
    let take = move |ctx: &super::RunContext| {
        let (hold, spawned) = ctx.containment.take_over(run).map_err(TakeOverError)?;
        Ok(TakenOver { hold, spawned, lease })
    };
    AdoptedRun { run: id, pid, port, placement, take: Box::new(take) }
}

/// How a run ended while no runtime was there, and the line that names the cause. Without its spec nothing is looked for
/// in the log.
#[must_use]
pub fn end_of(spec: Option<&ServiceSpec>, state_dir: &Path, run: &EndedRun) -> (ExitReport, Option<String>) {
    let exit = run.status.map_or(Exit::Unknown, |status| exit_of(ExitStatus::from_raw(status)));
    let view = spec.and_then(|spec| {
        // The patterns were compiled when the configuration was checked.
        let mut view = OutputView::new(FailureRules::new(&spec.engine, &spec.failure).ok()?, None, None);
        view.take(Source::Stderr, &tail(&log_dir(state_dir, &run.entry.service), LAST_WORDS));
        view.finish();
        Some(view)
    });
    let cause = view.as_ref().and_then(OutputView::cause);
    let report = ExitReport {
        code: exit.code(),
        signal: exit.signal(),
        class: classify(exit, cause.map(|cause| cause.class)),
        stderr: view.as_ref().map(OutputView::last_lines).unwrap_or_default(),
        at: run.at.unwrap_or_else(clock::wall),
    };
    let lost =
        (exit == Exit::Unknown).then(|| "it ended while no runtime was there, and nobody could say how".to_owned());
    (report, lost.or_else(|| cause.map(|cause| cause.line.clone())))
}
