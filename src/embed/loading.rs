//! A load on its way: it goes on by itself, can be watched, and is withdrawn when it is given up.

use std::{
    collections::HashMap,
    fmt,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
};

use futures_util::{FutureExt, future::BoxFuture};
use greenroom_actors::{
    gate::Permit,
    ids::{Pid, RunId, ServiceName},
    memory::{Holder, Refusal, Shortage},
    spec::FailureClass,
    state::{ServiceState, ServiceStatus},
};

use super::{
    Progress,
    demand::{Demand, Others, Undo},
};
use crate::runtime::{AdmitError, Arrival, CommandError, ServiceCommand};

/// Where a service that has come up is to be found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// Its port on 127.0.0.1, if it has one.
    pub port: Option<u16>,
    /// Its main process.
    pub pid: Option<Pid>,
    /// Which run of it.
    pub run_id: Option<RunId>,
}

impl Endpoint {
    pub(super) fn of(status: &ServiceStatus) -> Self {
        Self { port: status.port, pid: status.pid, run_id: status.run_id }
    }

    /// `http://127.0.0.1:PORT`, if it has a port.
    #[must_use]
    pub fn url(&self) -> Option<String> {
        self.port.map(|port| format!("http://127.0.0.1:{port}"))
    }
}

/// Why a service did not come up.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum LoadError {
    /// The runtime is stopping.
    #[error("the runtime is stopping and starts nothing")]
    Stopping,
    /// There is no such service any more.
    #[error("there is no service `{0}` any more")]
    Gone(String),
    /// As many wait for it as may (`gateway.queue.max_waiting`).
    #[error("{waiting} wait for `{service}` already, and no more may")]
    LineFull {
        /// Which service.
        service: ServiceName,
        /// How many wait.
        waiting: u32,
    },
    /// It ended, was stopped, or what it depends on cannot come up.
    #[error("`{service}` is {}{}", state.name(), reason.as_ref().map(|r| format!(": {r}")).unwrap_or_default())]
    NotUp {
        /// Which service.
        service: ServiceName,
        /// The state it is in.
        state: ServiceState,
        /// Why, in a sentence.
        reason: Option<String>,
        /// The class of the failure of its last run, if that failed.
        class: Option<FailureClass>,
        /// The last lines of that run's stderr (of stdout if stderr was empty), oldest first, at most 20.
        stderr_tail: Vec<String>,
        /// Why there is no memory for it, if that is why.
        refusal: Option<Arc<Refusal>>,
    },
}

impl LoadError {
    pub(super) fn not_up(status: &ServiceStatus) -> Self {
        let exit = status.last_exit.as_ref();
        Self::NotUp {
            service: status.name.clone(),
            state: status.state,
            reason: status.reason.clone(),
            class: exit.and_then(|exit| exit.class),
            stderr_tail: exit.map(|exit| exit.stderr.clone()).unwrap_or_default(),
            refusal: status.refusal.clone(),
        }
    }

    fn of(error: CommandError, status: &ServiceStatus) -> Self {
        match error {
            CommandError::UnknownService { name, .. } => Self::Gone(name),
            CommandError::NotReached(_) => Self::not_up(status),
            _ => Self::Stopping,
        }
    }

    /// Why somebody was not let in. `now` is how the service is.
    fn shut_out(error: AdmitError, now: &ServiceStatus) -> Self {
        let told = error.to_string();
        match error {
            AdmitError::Gone(name) => Self::Gone(name),
            AdmitError::Stopping => Self::Stopping,
            AdmitError::QueueFull { service, waiting, .. } => Self::LineFull { service, waiting },
            AdmitError::Failed(status) => Self::not_up(&status),
            AdmitError::NoMemory { refusal, .. } => {
                let reason = Some(refusal.to_string());
                Self::not_up(&ServiceStatus { refusal: Some(refusal), reason, ..now.clone() })
            }
            // Its own last run has nothing to do with it: what is wrong is wrong with the other one.
            AdmitError::Dependency { on, .. } => {
                let (last_exit, refusal) = (on.last_exit, on.refusal);
                Self::not_up(&ServiceStatus { last_exit, refusal, reason: Some(told), ..now.clone() })
            }
            AdmitError::Down(name) if name != now.name => {
                Self::not_up(&ServiceStatus { last_exit: None, refusal: None, reason: Some(told), ..now.clone() })
            }
            AdmitError::Down(_) | AdmitError::Stuck { .. } | AdmitError::TooLate { .. } => Self::not_up(now),
        }
    }

    /// The class of the failure, if a failure it was.
    #[must_use]
    pub fn class(&self) -> Option<FailureClass> {
        match self {
            Self::NotUp { class, .. } => *class,
            Self::Stopping | Self::Gone(_) | Self::LineFull { .. } => None,
        }
    }

    /// The last words of the run that failed.
    #[must_use]
    pub fn stderr_tail(&self) -> &[String] {
        match self {
            Self::NotUp { stderr_tail, .. } => stderr_tail,
            Self::Stopping | Self::Gone(_) | Self::LineFull { .. } => &[],
        }
    }
}

impl LoadError {
    fn refusal(&self) -> Option<&Refusal> {
        match self {
            Self::NotUp { refusal, .. } => refusal.as_deref(),
            Self::Stopping | Self::Gone(_) | Self::LineFull { .. } => None,
        }
    }

    /// The memory that is missing, pool by pool: what is needed, and what is free. Nothing where memory is not the cause.
    #[must_use]
    pub fn needed(&self) -> &[Shortage] {
        self.refusal().map(|refusal| &refusal.missing[..]).unwrap_or_default()
    }

    /// Who holds the memory that is missing.
    #[must_use]
    pub fn holders(&self) -> &[Holder] {
        self.refusal().map(|refusal| &refusal.holders[..]).unwrap_or_default()
    }
}

/// The loads of one runtime's services.
pub(super) type Demands = Arc<Mutex<HashMap<String, Demand>>>;

/// A load. It began with the call that made this, and goes on whether or not it is polled. Dropped before it is done it
/// is withdrawn: if it brought the service up and nobody else wants that, the service is offloaded again.
#[must_use = "a load is withdrawn when this is dropped"]
pub struct Loading {
    service: super::Service,
    outcome: Outcome,
}

enum Outcome {
    Open(BoxFuture<'static, Result<Endpoint, LoadError>>),
    /// It was known before anybody asked.
    Known(Result<Endpoint, LoadError>),
    Told,
}

impl fmt::Debug for Loading {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Loading").field("service", &self.service).finish_non_exhaustive()
    }
}

impl Loading {
    pub(super) fn begin(service: &super::Service) -> Self {
        let ticket = Ticket::begin(service.clone());
        let mut outcome = load(ticket).boxed();
        // The first look sends the command. Nobody is woken by it: whoever polls next says whom to wake.
        let outcome = match (&mut outcome).now_or_never() {
            Some(known) => Outcome::Known(known),
            None => Outcome::Open(outcome),
        };
        Self { service: service.clone(), outcome }
    }

    /// How far it has come: what is known now and what comes, until the service is ready or its start has failed. Does not
    /// depend on this future, which may be awaited meanwhile.
    #[must_use]
    pub fn progress(&self) -> Progress {
        Progress::of(self.service.current().status)
    }
}

impl Future for Loading {
    type Output = Result<Endpoint, LoadError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match std::mem::replace(&mut self.outcome, Outcome::Told) {
            Outcome::Known(outcome) => Poll::Ready(outcome),
            Outcome::Open(mut outcome) => {
                let polled = outcome.poll_unpin(cx);
                if polled.is_pending() {
                    self.outcome = Outcome::Open(outcome);
                }
                polled
            }
            // Polled again after its end, which no future has to answer.
            Outcome::Told => Poll::Pending,
        }
    }
}

async fn load(mut ticket: Ticket) -> Result<Endpoint, LoadError> {
    let service = &ticket.service;
    let loaded = service.runtime.carry_out(service.name(), ServiceCommand::Load).await;
    let status = service.status();
    ticket.is_over = true;
    match loaded {
        Ok(_) => Ok(Endpoint::of(&status)),
        Err(error) => Err(LoadError::of(error, &status)),
    }
}

/// As with a load, but to be in when it is up.
pub(super) async fn enter(service: &super::Service) -> Result<Permit, LoadError> {
    let mut ticket = Ticket::begin(service.clone());
    // Dropped before the ticket: who gives up does not count as one who still waits.
    let admitted = service.runtime.admit(service.name(), Arrival::default()).await;
    ticket.is_over = true;
    match admitted {
        Ok(admitted) => Ok(admitted.permit),
        Err(error) => Err(LoadError::shut_out(error, &service.status())),
    }
}

/// One load that is counted until it is over or given up.
struct Ticket {
    service: super::Service,
    is_over: bool,
}

impl Ticket {
    fn begin(service: super::Service) -> Self {
        let (status, start) = (service.status(), service.current().spec.start);
        service.with_demand(|demand| demand.begin(&status, start));
        Self { service, is_over: false }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let service = &self.service;
        if self.is_over {
            service.with_demand(Demand::end);
            return;
        }
        let others = service.others();
        let undo = service.with_demand(|demand| demand.withdraw(&service.status(), others));
        let command = match undo {
            Some(Undo::Offload) => ServiceCommand::Offload,
            Some(Undo::Stop) => ServiceCommand::Stop,
            None => return,
        };
        // An error means that the runtime is stopping, and the service with it.
        drop(service.runtime.tell(service.name(), command));
    }
}

impl super::Service {
    fn with_demand<T>(&self, work: impl FnOnce(&mut Demand) -> T) -> T {
        let mut demands = self.demands.lock().unwrap_or_else(PoisonError::into_inner);
        work(demands.entry(self.name().to_owned()).or_default())
    }

    fn others(&self) -> Others {
        let gate = self.current().gate;
        Others {
            permits: gate.in_flight(),
            holds: gate.holds(),
            outside: gate.waiting().count,
            dependents: self.runtime.has_live_dependents(self.name()),
        }
    }
}

#[cfg(test)]
mod tests {
    use greenroom_actors::{
        memory::{Pool, RefusalKind, Stays},
        state::{Disposition, ExitReport},
        time::Timestamp,
    };

    use super::*;

    #[test]
    fn a_refusal_says_what_is_needed_and_who_holds_it() {
        let name: ServiceName = "chat".parse().expect("a name");
        let mut status = ServiceStatus::initial(name.clone(), Disposition::OnDemand, Timestamp::from_micros(0));
        assert!(LoadError::not_up(&status).needed().is_empty() && LoadError::Stopping.holders().is_empty());
        let shortage = Shortage { pool: Pool::Ram, needed: 7, free: 1, capacity: 8 };
        let holder = Holder::new(None, Pool::Ram, 6, Stays::Stranger);
        let (kind, missing, holders) = (RefusalKind::InTheWay, vec![shortage], vec![holder]);
        let refusal = Refusal { service: name, kind, missing, holders };
        status.refusal = Some(Arc::new(refusal.clone()));
        let error = LoadError::not_up(&status);
        assert_eq!((error.needed(), error.holders()), (&refusal.missing[..], &refusal.holders[..]));
        // Who is not let in is told the same, of the service itself and of what it depends on.
        let app: ServiceName = "app".parse().expect("a name");
        let now = ServiceStatus::initial(app.clone(), Disposition::OnDemand, Timestamp::from_micros(0));
        let stderr = vec!["last words".to_owned()];
        let class = Some(FailureClass::Exit);
        let at = Timestamp::from_micros(0);
        status.last_exit = Some(ExitReport { code: Some(3), signal: None, class, stderr: stderr.clone(), at });
        for error in [
            AdmitError::NoMemory { service: app.clone(), refusal: Arc::new(refusal.clone()) },
            AdmitError::Dependency { service: app.clone(), on: Box::new(status.clone()) },
        ] {
            let is_dependency = matches!(error, AdmitError::Dependency { .. });
            let error = LoadError::shut_out(error, &now);
            assert_eq!((error.needed(), error.holders()), (&refusal.missing[..], &refusal.holders[..]));
            let words = if is_dependency { &stderr[..] } else { &[] };
            assert_eq!((error.class(), error.stderr_tail()), (class.filter(|_| is_dependency), words), "{error}");
        }
        let error = LoadError::shut_out(AdmitError::Failed(Box::new(status)), &now);
        assert_eq!((error.class(), error.stderr_tail()), (class, &stderr[..]));
        let error = LoadError::shut_out(AdmitError::Down("chat".parse().expect("a name")), &now);
        assert!(error.to_string().starts_with("`app` is stopped: `chat` is stopped"), "{error}");
    }
}
