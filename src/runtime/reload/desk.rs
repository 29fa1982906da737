//! The desk of the control thread that takes requests for a reload, one after the other.
//!
//! A request ends when the services have been told; what comes of them is waited for beside the desk, so that a
//! correction need not wait for a model that still loads. Whoever asked may leave: what was begun is carried out.

use std::{path::PathBuf, sync::Arc};

use greenroom_actors::{
    cause::chain,
    event::{EventBus, EventKind, Severity},
    spec::RuntimeSpec,
};
use tokio::{
    sync::{mpsc, oneshot},
    task::JoinHandle,
};

use super::{
    apply::{Applied, Awaited, apply},
    diff::{in_force, plan},
    doors::OwnDoors,
    jobs,
    report::{Action, ReloadReport},
    settle::{look, settle},
    source::{Logging, ReloadError, Reloader},
    watch::ConfigWatch,
};
use crate::{config::difference, runtime::RuntimeHandle};

/// Requests that may wait for their turn.
const WAITING: usize = 16;
/// The alert while the configuration that lies there cannot be used.
const ALERT: &str = "bad_config";

/// What a handle puts on the desk.
#[derive(Debug)]
enum Request {
    /// Somebody wants the report, of what came of it or of what was told.
    Asked { wait: bool, answer: oneshot::Sender<Result<ReloadReport, ReloadError>> },
    /// A signal: the log and the events tell.
    Signalled,
    /// A worker that is needed no more may have come to its end.
    Ended,
    /// The files have changed. What has no effect, or was refused already, is not worth a word.
    Watched,
}

/// Puts requests on the desk.
#[derive(Debug, Clone)]
pub(in crate::runtime) struct Bell(mpsc::Sender<Request>);

impl Bell {
    /// Asks for a reload and for its report. Dropping the future does not take the request back.
    pub async fn ask(&self, wait: bool) -> Result<ReloadReport, ReloadError> {
        let (answer, answered) = oneshot::channel();
        self.put(Request::Asked { wait, answer })?;
        answered.await.unwrap_or(Err(ReloadError::Stopping))
    }

    /// Asks for a reload; the log says what came of it.
    pub fn signal(&self) -> Result<(), ReloadError> {
        self.put(Request::Signalled)
    }

    fn put(&self, request: Request) -> Result<(), ReloadError> {
        self.0.try_send(request).map_err(|refused| match refused {
            mpsc::error::TrySendError::Full(_) => ReloadError::Busy,
            mpsc::error::TrySendError::Closed(_) => ReloadError::Stopping,
        })
    }
}

/// Where requests lie until there is a desk.
#[derive(Debug)]
pub(in crate::runtime) struct Inbox(mpsc::Receiver<Request>);

/// A bell and the inbox it fills.
pub(in crate::runtime) fn inbox() -> (Bell, Inbox) {
    let (sender, receiver) = mpsc::channel(WAITING);
    (Bell(sender), Inbox(receiver))
}

/// Takes the requests.
pub(in crate::runtime) struct Desk {
    reloader: Reloader,
    /// How the runtime was told to log when it was started.
    logging: Logging,
    /// What is in force.
    spec: Arc<RuntimeSpec>,
    /// Open since the start, until the end.
    doors: OwnDoors,
    supervisors: RuntimeHandle,
    bus: EventBus,
    bell: Bell,
    watch: Option<ConfigWatch>,
    /// What was wrong with the configuration when it was last read.
    refused: Option<String>,
    /// Waits for the end of jobs whose workers are needed no more.
    waiting: Option<Waiting>,
}

/// A task that ends with this.
struct Waiting(JoinHandle<()>);

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// A reload that has been told to everybody.
struct Begun {
    report: ReloadReport,
    awaited: Vec<Awaited>,
    spec: Arc<RuntimeSpec>,
}

impl Desk {
    /// A desk for a runtime that was started with `spec`; nobody is at it yet.
    pub fn new(
        reloader: Reloader,
        spec: Arc<RuntimeSpec>,
        supervisors: RuntimeHandle,
        bus: EventBus,
        bell: Bell,
    ) -> Self {
        let (logging, doors) = (reloader.last.logging.clone(), OwnDoors::of(&spec));
        Self { reloader, logging, spec, doors, supervisors, bus, bell, watch: None, refused: None, waiting: None }
    }

    /// Takes requests on the current thread, until the end of its executor.
    pub fn open(mut self, inbox: Inbox) {
        self.keep_watch();
        actix::spawn(self.serve(inbox.0));
    }

    async fn serve(mut self, mut inbox: mpsc::Receiver<Request>) {
        while let Some(request) = inbox.recv().await {
            if let Request::Ended = request {
                self.sweep().await;
                continue;
            }
            let begun = self.reload(&request).await;
            let Request::Asked { wait, answer } = request else {
                if let Err(error) = begun {
                    // A bad configuration has been told as an alert.
                    if !matches!(error, ReloadError::Config(_)) {
                        tracing::warn!("the configuration was not reloaded: {}", chain(&error));
                    }
                }
                continue;
            };
            let supervisors = self.supervisors.clone();
            // An error of an answer means that whoever asked has left.
            match begun {
                Err(error) => drop(answer.send(Err(error))),
                Ok(Begun { report, awaited, spec }) if wait => drop(actix::spawn(async move {
                    drop(answer.send(Ok(settle(report, awaited, &spec, &supervisors).await)));
                })),
                Ok(Begun { mut report, .. }) => {
                    look(&mut report, &supervisors);
                    drop(answer.send(Ok(report)));
                }
            }
        }
    }

    async fn reload(&mut self, request: &Request) -> Result<Begun, ReloadError> {
        let (fresh, said) = match self.reloader.read().await {
            Ok(read) => read,
            Err(error) => {
                self.refuse(&error, request);
                return Err(error);
            }
        };
        self.accept();
        let plan = plan(&self.spec, &fresh.spec).map_err(ReloadError::Order)?;
        let mut warnings = fresh.warnings;
        warnings.extend(self.supervisors.clear_names_of_workers(&self.spec, &fresh.spec).await);
        let applied = apply(&plan, &self.spec, &fresh.spec, &self.supervisors).await;
        let jobs = jobs::changed(&self.spec.jobs, &fresh.spec.jobs);
        if !jobs.is_empty() {
            warnings.extend(self.supervisors.settle_jobs(&fresh.spec.jobs).await);
        }
        let waits = plan.next_start.iter().copied().chain(said.logging.next_start(&self.logging));
        let next_start: Vec<String> = waits.map(str::to_owned).chain(self.doors.next_start(&fresh.spec)).collect();
        let changed = difference(&self.reloader.last.values, &said.values);
        let is_news = !changed.is_empty() || !applied.services.is_empty() || !jobs.is_empty();
        if is_news || !matches!(request, Request::Watched) {
            let changed = changed.iter().map(|change| change.key.clone()).collect();
            self.bus.emit(event(changed, &applied, next_start.clone()));
        }
        self.tell_failures(&applied);
        let Applied { services, in_force: now, awaited } = applied;
        let unchanged = fresh.spec.services.len().saturating_sub(plan.touched());
        self.spec = Arc::new(in_force(&self.spec, RuntimeSpec { services: now, ..fresh.spec }));
        self.reloader.accept(said, &next_start);
        self.keep_watch();
        self.sweep().await;
        let report = ReloadReport { changed, services, jobs, unchanged, next_start, warnings };
        Ok(Begun { report, awaited, spec: Arc::clone(&self.spec) })
    }

    /// Takes out workers that are needed no more, now or when their jobs have come to their end.
    async fn sweep(&mut self) {
        // From before the look, so that no end is missed.
        let events = self.bus.subscribe(None);
        let later = self.supervisors.sweep_workers(&self.spec.jobs).await;
        if later.is_empty() {
            self.waiting = None;
            return;
        }
        let bell = self.bell.clone();
        // One waiter at a time: a new one takes the place of the one before.
        self.waiting = Some(Waiting(actix::spawn(async move {
            // A full desk looks again after what lies on it, and one that is gone needs nothing.
            if jobs::one_ends(events, &later).await.is_some() {
                drop(bell.put(Request::Ended));
            }
        })));
    }

    /// Says what is wrong, once for those who do not ask.
    fn refuse(&mut self, error: &ReloadError, request: &Request) {
        let ReloadError::Config(errors) = error else { return };
        let what = errors.to_string();
        if self.refused.as_ref() != Some(&what) || matches!(request, Request::Signalled) {
            let message = format!("the configuration cannot be used; what runs goes on as it was\n{what}");
            let (alert, severity) = (ALERT.to_owned(), Severity::Warning);
            self.bus.emit(EventKind::AlertRaised { alert, severity, service: None, message });
        }
        self.refused = Some(what);
    }

    fn accept(&mut self) {
        if self.refused.take().is_some() {
            self.bus.emit(EventKind::AlertCleared { alert: ALERT.to_owned(), service: None });
        }
    }

    fn tell_failures(&self, applied: &Applied) {
        for service in &applied.services {
            if let Some(error) = &service.error {
                tracing::error!("{}: the new configuration did not reach it: {error}", service.name);
            }
        }
    }

    /// Looks at the files, or no longer, as the configuration says.
    fn keep_watch(&mut self) {
        let wanted = self.reloader.last.watch_config;
        if wanted == self.watch.is_some() {
            return;
        }
        self.watch = None;
        if wanted {
            let bell = self.bell.clone();
            let files: Vec<PathBuf> = self.reloader.files.clone();
            // A full desk reads the files after this change anyway.
            let begun = ConfigWatch::start(files, move || drop(bell.put(Request::Watched)));
            self.watch = begun.inspect_err(|error| tracing::error!("runtime.watch_config: no thread: {error}")).ok();
        }
    }
}

fn event(changed: Vec<String>, applied: &Applied, next_start: Vec<String>) -> EventKind {
    EventKind::ConfigReloaded {
        changed,
        live: applied.names(Action::Live),
        restarted: applied.names(Action::Restart),
        added: applied.names(Action::Added),
        removed: applied.names(Action::Removed),
        next_start,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[actix_rt::test]
    async fn requests_that_wait_are_bounded_and_none_is_taken_without_a_desk() {
        let (bell, inbox) = inbox();
        for _ in 0..WAITING {
            assert!(bell.signal().is_ok());
        }
        assert!(matches!(bell.signal(), Err(ReloadError::Busy)));
        drop(inbox);
        assert!(matches!(bell.ask(true).await, Err(ReloadError::Stopping)));
    }
}
