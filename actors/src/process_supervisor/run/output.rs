//! Where a run's output goes: the log file, the view, and word of trouble with the log.

use std::{cell::Cell, path::PathBuf, rc::Rc};

use bytes::Bytes;
use regex::bytes::{Regex, RegexBuilder};
use tokio::sync::watch;
use tokio_process_stream::Item;

use super::{context::RunContext, telling::Telling};
use crate::{
    engines::{FailureRules, LoadLines, LoadStep},
    event::{EventKind, Severity},
    os::{
        containment::Hold,
        service_log::{log_dir_of_job, tail},
    },
    process_supervisor::output::{LogFile, OutputView, Source, log_dir},
    spec::{OnRuntimeExit, Probe, ServiceSpec},
};

/// The alert about a log that cannot be written.
const ALERT: &str = "log_unwritable";

/// How far back in the log of a run that is taken over its line of readiness is looked for, in bytes.
const LOOK_BACK: u64 = 4 << 20;

/// One run's output.
#[derive(Debug)]
pub(super) struct Output {
    /// `None` where the shim of a kept run writes it.
    log: Option<LogFile>,
    pub(super) view: OutputView,
    ready: watch::Sender<bool>,
    loading: watch::Sender<Option<LoadStep>>,
    /// Who tells of failures, once there is anything to know of its health.
    telling: Option<Telling>,
    /// Bytes so far.
    said: Rc<Cell<u64>>,
    in_trouble: bool,
}

impl Output {
    /// Output that goes to the service's log. The receiver turns true with the line that says "ready".
    pub(super) fn new(ctx: &RunContext) -> Result<(Self, watch::Receiver<bool>), regex::Error> {
        let spec = &ctx.spec;
        let (rules, pattern) = patterns(spec)?;
        let lines = match &spec.worker {
            Some(worker) => LoadLines::of_job(&spec.engine, worker.progress.as_deref())?,
            None => LoadLines::new(&spec.engine)?,
        };
        let view = OutputView::new(rules, pattern, Some(lines));
        let (ready, seen) = watch::channel(false);
        let (loading, _) = watch::channel(None);
        let is_ours = spec.stop.on_runtime_exit == OnRuntimeExit::Stop;
        let log = is_ours.then(|| LogFile::new(folder_of(ctx), ctx.logs));
        let said = Rc::default();
        Ok((Self { log, view, ready, loading, telling: None, said, in_trouble: false }, seen))
    }

    /// Where it is told how the load, or the job, gets on, the latest only. It is looked for while anybody listens.
    pub(super) fn loading(&self) -> watch::Sender<Option<LoadStep>> {
        self.loading.clone()
    }

    /// How many bytes have come so far.
    pub(super) fn said(&self) -> Rc<Cell<u64>> {
        Rc::clone(&self.said)
    }

    /// Lines after which something is to be done are told from now on.
    pub(super) fn tell_by(&mut self, telling: Telling) {
        self.telling = Some(telling);
    }

    /// For a run of an earlier runtime: whether the line that says "ready" stands in the log already. It was printed once,
    /// and nobody was there to see it or has remembered.
    pub(super) fn look_back(&mut self, ctx: &RunContext) {
        let Probe::Log(pattern) = &ctx.spec.ready.probe else { return };
        let said = tail(&log_dir(&ctx.state_dir, &ctx.spec.name), LOOK_BACK);
        if Regex::new(pattern).is_ok_and(|pattern| said.split(|byte| *byte == b'\n').any(|line| pattern.is_match(line)))
        {
            self.ready.send_replace(true);
        }
    }

    /// Tells of the lines after which something is to be done, as soon as the run can be used.
    pub(super) fn tell(&mut self, ctx: &RunContext) {
        let noticed = self.view.take_noticed();
        if let Some(telling) = &mut self.telling {
            telling.tell(ctx, noticed);
        }
    }

    /// Looks for what another spec names, in what comes from now on.
    pub(super) fn replace(&mut self, spec: &ServiceSpec) -> Result<(), regex::Error> {
        let (rules, pattern) = patterns(spec)?;
        self.view.replace(rules, pattern);
        Ok(())
    }

    /// Takes a chunk.
    pub(super) fn take(&mut self, item: &Item<Bytes>) {
        let (source, bytes) = match item {
            Item::Stdout(bytes) => (Source::Stdout, bytes),
            Item::Stderr(bytes) => (Source::Stderr, bytes),
            Item::Done(_) => return,
        };
        if let Some(log) = &mut self.log {
            log.take(bytes);
        }
        self.said.set(self.said.get().wrapping_add(bytes.len() as u64));
        self.view.take(source, bytes);
    }

    /// Nothing more comes at all. What this run has lost of its log is no concern of the next one, and there may be none: that
    /// one tells for itself whether its log can be written.
    pub(super) fn finish(&mut self, ctx: &RunContext, hold: &dyn Hold) {
        self.view.finish();
        self.pause(ctx, hold);
        if std::mem::take(&mut self.in_trouble) {
            ctx.bus.clear(ALERT, Some(&ctx.spec.name));
        }
    }

    /// Nothing more comes at the moment: what is here becomes visible.
    pub(super) fn pause(&mut self, ctx: &RunContext, hold: &dyn Hold) {
        if let Some(log) = &mut self.log {
            log.flush();
        }
        if self.view.is_ready() {
            self.ready.send_if_modified(|ready| !std::mem::replace(ready, true));
        }
        self.view.watch_load(!self.loading.is_closed());
        if let Some(step) = self.view.take_step() {
            self.loading.send_replace(Some(step));
        }
        self.tell(ctx);
        let trouble = match &self.log {
            Some(log) => log.trouble().map(str::to_owned),
            None => hold.log_trouble(),
        };
        if trouble.is_some() == self.in_trouble {
            return;
        }
        let service = Some(ctx.spec.name.clone());
        let alert = ALERT.to_owned();
        ctx.bus.emit(match trouble {
            Some(message) => EventKind::AlertRaised { alert, severity: Severity::Warning, service, message },
            None => EventKind::AlertCleared { alert, service },
        });
        self.in_trouble = !self.in_trouble;
    }
}

/// Where the output of a run lies: with the service's logs, or, of a job, with the files of that job.
fn folder_of(ctx: &RunContext) -> PathBuf {
    let task = ctx.spec.worker.as_ref().and_then(|worker| worker.task.as_ref());
    match task {
        Some(task) => log_dir_of_job(&ctx.state_dir, task.id),
        None => log_dir(&ctx.state_dir, &ctx.spec.name),
    }
}

/// What is looked for in the output: the causes of failures, and the line that says "ready".
fn patterns(spec: &ServiceSpec) -> Result<(FailureRules, Option<Regex>), regex::Error> {
    let rules = FailureRules::new(&spec.engine, &spec.failure)?;
    let ready = match &spec.ready.probe {
        // With several lines, so that `^` and `$` mean the same in a block as in a line.
        Probe::Log(pattern) => Some(RegexBuilder::new(pattern).multi_line(true).crlf(true).build()?),
        Probe::None | Probe::Http(_) | Probe::Tcp | Probe::Exec(_) | Probe::Delay(_) => None,
    };
    Ok((rules, ready))
}
