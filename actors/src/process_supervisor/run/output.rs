//! Where a run's output goes: the log file, the view, and word of trouble with the log.

use bytes::Bytes;
use regex::bytes::RegexBuilder;
use tokio::sync::watch;
use tokio_process_stream::Item;

use super::context::RunContext;
use crate::{
    engines::{FailureRules, LoadLines, LoadStep},
    event::{EventKind, Severity},
    process_supervisor::output::{LogFile, OutputView, Source, log_dir},
    spec::Probe,
};

/// The alert about a log that cannot be written.
const ALERT: &str = "log_unwritable";

/// One run's output.
#[derive(Debug)]
pub(super) struct Output {
    log: LogFile,
    pub(super) view: OutputView,
    ready: watch::Sender<bool>,
    loading: watch::Sender<Option<LoadStep>>,
    in_trouble: bool,
}

impl Output {
    /// Output that goes to the service's log. The receiver turns true with the line that says "ready".
    pub(super) fn new(ctx: &RunContext) -> Result<(Self, watch::Receiver<bool>), regex::Error> {
        let spec = &ctx.spec;
        let lines = LoadLines::new(&spec.engine)?;
        let rules = FailureRules::new(&spec.engine, &spec.failure)?;
        let pattern = match &spec.ready.probe {
            // With several lines, so that `^` and `$` mean the same in a block as in a line.
            Probe::Log(pattern) => Some(RegexBuilder::new(pattern).multi_line(true).crlf(true).build()?),
            Probe::None | Probe::Http(_) | Probe::Tcp | Probe::Exec(_) | Probe::Delay(_) => None,
        };
        let (ready, seen) = watch::channel(false);
        let (loading, _) = watch::channel(None);
        let log = LogFile::new(log_dir(&ctx.state_dir, &spec.name), ctx.logs);
        let view = OutputView::new(rules, pattern, Some(lines));
        Ok((Self { log, view, ready, loading, in_trouble: false }, seen))
    }

    /// What is told of its load from now on, the latest only. When nobody has it any more, it is not looked for.
    pub(super) fn loading(&self) -> watch::Receiver<Option<LoadStep>> {
        self.loading.subscribe()
    }

    /// Takes a chunk.
    pub(super) fn take(&mut self, item: &Item<Bytes>) {
        let (source, bytes) = match item {
            Item::Stdout(bytes) => (Source::Stdout, bytes),
            Item::Stderr(bytes) => (Source::Stderr, bytes),
            Item::Done(_) => return,
        };
        self.log.take(bytes);
        self.view.take(source, bytes);
    }

    /// Nothing more comes at all.
    pub(super) fn finish(&mut self, ctx: &RunContext) {
        self.view.finish();
        self.pause(ctx);
    }

    /// Nothing more comes at the moment: what is here becomes visible.
    pub(super) fn pause(&mut self, ctx: &RunContext) {
        self.log.flush();
        if self.view.is_ready() {
            self.ready.send_if_modified(|ready| !std::mem::replace(ready, true));
        }
        match self.view.take_step() {
            _ if self.loading.is_closed() => self.view.loaded(),
            Some(step) => drop(self.loading.send_replace(Some(step))),
            None => {}
        }
        let trouble = self.log.trouble();
        if trouble.is_some() == self.in_trouble {
            return;
        }
        let service = Some(ctx.spec.name.clone());
        let alert = ALERT.to_owned();
        ctx.bus.emit(match trouble {
            Some(message) => {
                EventKind::AlertRaised { alert, severity: Severity::Warning, service, message: message.to_owned() }
            }
            None => EventKind::AlertCleared { alert, service },
        });
        self.in_trouble = self.log.trouble().is_some();
    }
}
