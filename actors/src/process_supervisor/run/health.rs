//! The watch over a run's health, which can be given another spec while it goes on.

use std::{cell::Cell, rc::Rc, sync::Arc};

use tokio::sync::Notify;

use crate::{
    process_supervisor::{
        lifecycle::RunNews,
        probe::{Health, Known, watch_health},
    },
    spec::ServiceSpec,
};

use super::{
    context::Reporter,
    waits::{Task, maybe},
};

/// Watches one run until it is told to end.
pub(super) struct HealthWatch {
    health: Health,
    report: Reporter,
    /// What was told last.
    known: Rc<Cell<Known>>,
    /// It was told that it can be used.
    came_up: Rc<Notify>,
    task: Option<Task<()>>,
    paused: bool,
    over: bool,
}

impl HealthWatch {
    pub(super) fn new(health: Health, report: Reporter) -> Self {
        let known = Rc::new(Cell::new(Known::NotReady));
        let came_up = Rc::new(Notify::new());
        let (noted, up) = (Rc::clone(&known), Rc::clone(&came_up));
        let report: Reporter = Rc::new(move |news| {
            match news {
                RunNews::Ready => {
                    noted.set(Known::Ready);
                    up.notify_one();
                }
                RunNews::Unready { .. } => noted.set(Known::Unready),
                _ => {}
            }
            report(news);
        });
        let mut watch = Self { health, report, known, came_up, task: None, paused: false, over: false };
        watch.begin();
        watch
    }

    /// What was told last; not ready while nobody watches.
    pub(super) fn known(&self) -> Rc<Cell<Known>> {
        Rc::clone(&self.known)
    }

    fn begin(&mut self) {
        self.task = Some(Box::pin(watch_health(self.health.clone(), self.known.get(), self.report.clone())));
    }

    /// Goes on by another spec: what was ready stays so until a new probe says otherwise.
    pub(super) fn replace(&mut self, spec: Arc<ServiceSpec>) {
        let before = std::mem::replace(&mut self.health.spec, Arc::clone(&spec));
        let same = before.ready == spec.ready
            && before.alive == spec.alive
            && before.owner_check == spec.owner_check
            && before.door == spec.door;
        if !same && !self.over && !self.paused {
            self.begin();
        }
    }

    /// Watches no more, until it is to [go on](Self::resume).
    pub(super) fn pause(&mut self) {
        self.task = None;
        self.paused = true;
        self.known.set(Known::NotReady);
    }

    /// Waits for its readiness as after a start.
    pub(super) fn resume(&mut self) {
        self.paused = false;
        if !self.over {
            self.begin();
        }
    }

    /// Watches no more: nothing is told from here on.
    pub(super) fn end(&mut self) {
        self.over = true;
        self.task = None;
        self.known.set(Known::NotReady);
    }

    /// Drives the watch until it has told that the run can be used, or has nothing left to watch. Cancel-safe; never ready
    /// while there is nothing to watch.
    pub(super) async fn next(&mut self) {
        tokio::select! {
            biased;
            () = maybe(&mut self.task) => self.task = None,
            () = self.came_up.notified() => {}
        }
    }
}
