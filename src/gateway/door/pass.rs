//! A request on its way to its service and the answer on its way back.

use std::{future::Future, rc::Rc};

use actix_web::{HttpRequest, HttpResponse, web::Data};
use futures_util::{FutureExt, future::LocalBoxFuture};
use greenroom_actors::{assembly::Supervised, gate::Permit};
use hyper::Request;
use tokio::sync::watch;

use super::{
    desk::Desk,
    events::OfRun,
    headers::Way,
    loading::{Fetched, PATIENCE, may_want_stream, telling, wants_stream},
    outgoing::Outgoing,
    refusal::{not_loaded, not_sent, upstream_closed},
    relay::{Asked, Stay, relay},
    routes::Doorway,
    upstream::{pool::Unanswered, request::to_service},
};
use crate::{
    gateway::errors::ApiError,
    runtime::{RunEndpoint, enter},
};

/// Who asks what of whom.
#[derive(Debug, Clone, Copy)]
pub struct Goal<'a> {
    /// As the client asks.
    pub request: &'a HttpRequest,
    /// The service that is meant.
    pub service: &'a Rc<Supervised>,
    /// What it is asked for: its own path, with its query.
    pub path: &'a str,
}

/// Where to go, and, for what is work, the right to be there.
pub type Entered = (RunEndpoint, Option<Permit>);

impl Doorway {
    /// Sends a request on as soon as the service can be used, and its answer back. Whoever wants a stream and waits for long
    /// is told how it stands meanwhile.
    ///
    /// # Errors
    /// When the service cannot be used, or gives no answer.
    pub async fn pass(&self, goal: Goal<'_>, body: Outgoing, desk: &Data<Desk>) -> Result<HttpResponse, ApiError> {
        let guest = self.closing.subscribe();
        let asked = Asked::by(goal.request.head(), goal.path);
        let mut request = self.to_service(goal, body)?;
        let entered = match self.enter_now(&guest, goal)? {
            Some(entered) => entered,
            None if !(self.spec.loading_comments && may_want_stream(request.headers())) => {
                self.wait(&guest, goal).await?
            }
            None => {
                let mut waiting = self.wait_apart(&guest, goal);
                let in_time = tokio::time::timeout(PATIENCE, &mut waiting).await;
                match in_time {
                    Ok(entered) => entered?,
                    Err(_) => tokio::select! {
                        biased;
                        entered = &mut waiting => entered?,
                        body = request.body_mut().take_in() => {
                            if wants_stream(&body?) {
                                let status = goal.service.status.clone();
                                let errand = self.send_apart(waiting, request, goal, desk, guest);
                                return Ok(telling(errand, status, asked));
                            }
                            waiting.await?
                        }
                    },
                }
            }
        };
        let Fetched { answer, stay, inquest } = self.send(entered, request, goal, desk, guest).await?;
        relay(answer, asked, stay, inquest)
    }

    /// A request as it goes to the service.
    ///
    /// # Errors
    /// When it cannot be passed on.
    pub(super) fn to_service(&self, goal: Goal<'_>, body: Outgoing) -> Result<Request<Outgoing>, ApiError> {
        let way = Way {
            peer: goal.request.peer_addr().map(|address| address.ip()),
            keeps_key: !self.spec.api_keys.is_empty(),
            host: goal.request.headers().get("host").map(|host| host.as_bytes()),
        };
        to_service(goal.request.head(), goal.path, body, &way)
    }

    /// Sends a request, and gives the head of its answer. Where the run has ended before anything was sent to it, and that
    /// was not known yet, the next one is asked.
    ///
    /// # Errors
    /// When the service gives no answer, or cannot be used any more.
    pub(super) async fn send(
        &self,
        mut entered: Entered,
        mut request: Request<Outgoing>,
        goal: Goal<'_>,
        desk: &Desk,
        guest: watch::Receiver<bool>,
    ) -> Result<Fetched, ApiError> {
        loop {
            let (endpoint, permit) = entered;
            let pool = desk.upstreams.of(&endpoint).map_err(|error| upstream_closed(&error))?;
            match pool.send(request).await {
                Ok((answer, lent)) => {
                    let inquest = OfRun { runtime: self.runtime.clone(), endpoint };
                    return Ok(Fetched { answer, stay: Stay::new(lent, permit, guest), inquest });
                }
                Err(Unanswered::Failed(error)) => return Err(not_sent(&error)),
                // Each turn takes a run that has ended, and the supervisor bounds how often it starts another.
                Err(Unanswered::NotSent(unsent, error)) => {
                    drop(permit);
                    if !self.runtime.has_ended(&endpoint).await {
                        return Err(upstream_closed(&error));
                    }
                    request = *unsent;
                }
            }
            entered = self.enter(&guest, goal).await?;
        }
    }

    /// Where to go: with a permit, after a load if need be; or, for what is no work, beside the gate.
    ///
    /// # Errors
    /// When the service cannot be used.
    pub(super) async fn enter(&self, guest: &watch::Receiver<bool>, goal: Goal<'_>) -> Result<Entered, ApiError> {
        match self.enter_now(guest, goal)? {
            Some(entered) => Ok(entered),
            None => self.wait(guest, goal).await,
        }
    }

    /// The same, if it need not be waited for.
    fn enter_now(&self, guest: &watch::Receiver<bool>, goal: Goal<'_>) -> Result<Option<Entered>, ApiError> {
        if *guest.borrow() {
            return Err(ApiError::stopping());
        }
        let (spec, bare) = (&goal.service.spec, goal.path.split('?').next().unwrap_or(goal.path));
        let method = goal.request.method().as_str();
        if !spec.memory.wake_on.iter().any(|rule| rule.matches(method, bare)) {
            return match self.runtime.look_in(spec.name.as_str()) {
                Some(endpoint) => Ok(Some((endpoint, None))),
                None => Err(not_loaded(&spec.name, method, bare)),
            };
        }
        Ok(enter(goal.service).map(|admitted| (admitted.endpoint, Some(admitted.permit))))
    }

    /// Waits for the right to use the service.
    async fn wait(&self, guest: &watch::Receiver<bool>, goal: Goal<'_>) -> Result<Entered, ApiError> {
        let admission = self.runtime.admit(goal.service.spec.name.as_str(), Some(self.spec.max_wait));
        let admitted = unless_closing(guest.clone(), admission).await??;
        Ok((admitted.endpoint, Some(admitted.permit)))
    }

    /// The same, on its own feet: it may outlive whoever began it.
    fn wait_apart(
        &self,
        guest: &watch::Receiver<bool>,
        goal: Goal<'_>,
    ) -> LocalBoxFuture<'static, Result<Entered, ApiError>> {
        let (door, guest, goal) = (self.clone(), guest.clone(), OwnGoal::of(goal));
        async move { door.wait(&guest, goal.lend()).await }.boxed_local()
    }

    /// Sends a request once it may go, in the same way.
    fn send_apart(
        &self,
        waiting: LocalBoxFuture<'static, Result<Entered, ApiError>>,
        request: Request<Outgoing>,
        goal: Goal<'_>,
        desk: &Data<Desk>,
        guest: watch::Receiver<bool>,
    ) -> LocalBoxFuture<'static, Result<Fetched, ApiError>> {
        let (door, desk, goal) = (self.clone(), desk.clone(), OwnGoal::of(goal));
        async move { door.send(waiting.await?, request, goal.lend(), &desk, guest).await }.boxed_local()
    }
}

/// A goal for whoever outlives the function that it came to.
struct OwnGoal {
    request: HttpRequest,
    service: Rc<Supervised>,
    path: String,
}

impl OwnGoal {
    fn of(goal: Goal<'_>) -> Self {
        Self { request: goal.request.clone(), service: Rc::clone(goal.service), path: goal.path.to_owned() }
    }

    fn lend(&self) -> Goal<'_> {
        Goal { request: &self.request, service: &self.service, path: &self.path }
    }
}

/// Waits for `wait`, but no longer than the door is open.
pub(super) async fn unless_closing<T>(
    mut closing: watch::Receiver<bool>,
    wait: impl Future<Output = T>,
) -> Result<T, ApiError> {
    tokio::select! {
        biased;
        _closed = closing.wait_for(|closing| *closing) => Err(ApiError::stopping()),
        done = wait => Ok(done),
    }
}
