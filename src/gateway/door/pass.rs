//! A request on its way to its service and the answer on its way back.
//!
//! What is rare is awaited in a box of its own, here and in `routes`: the future of the common way, which is made and moved
//! with each request, is smaller by a third for that.

use std::rc::Rc;

use actix_web::{
    HttpRequest, HttpResponse,
    http::{
        ConnectionType,
        header::{self, HeaderValue},
    },
    web::{Data, Payload},
};
use futures_util::FutureExt;
use greenroom_actors::{gate::Permit, services::Supervised, spec::ServiceSpec};
use hyper::body::Incoming;
use tokio::sync::watch;

use super::{
    accounting::Tab,
    desk::Desk,
    events::OfRun,
    headers::Way,
    loading::{self, Errand, Fetched},
    outgoing::Outgoing,
    overheard::Ear,
    refusal::{not_loaded, not_sent, upstream_closed},
    relay::{Asked, Stay, relay},
    routes::Doorway,
    upstream::{pool::Unanswered, request::to_service},
    websocket,
};
use crate::{
    gateway::{closing::unless_closing, errors::ApiError},
    runtime::{Arrival, RunEndpoint, enter},
};

type Answer = Result<HttpResponse, ApiError>;

/// The way to a run: where it is, and the permit, which what is no work has not.
type Entered = (RunEndpoint, Option<Permit>);

/// One request for one service.
struct Journey<'a> {
    door: &'a Doorway,
    desk: &'a Desk,
    request: &'a HttpRequest,
    service: &'a Supervised,
    path: &'a str,
    tab: &'a Tab,
}

impl Doorway {
    /// Sends a request on as soon as the service can be used, and its answer back. Whoever wants a stream and waits for
    /// long is told how it stands meanwhile.
    ///
    /// # Errors
    /// When the service cannot be used, or gives no answer.
    pub async fn pass(
        &self,
        request: &HttpRequest,
        service: &Rc<Supervised>,
        path: &str,
        body: Outgoing,
        desk: &Data<Desk>,
        tab: &Tab,
    ) -> Answer {
        tab.note(|account| account.goes_to(&service.spec.name));
        let asked = Asked::by(request.head(), path);
        let journey = Journey { door: self, desk, request, service, path, tab };
        let guest = self.closing.subscribe();
        let entered = journey.enter_at_once(&guest)?;
        if entered.is_none() && self.spec.loading_comments && body.may_want_stream() {
            let (door, desk, request) = (self.clone(), desk.clone(), request.clone());
            let (service, path, tab) = (Rc::clone(service), path.to_owned(), tab.clone());
            let kept = Kept { door, desk, request, service, path, tab };
            return Box::pin(kept.pass_telling(body, guest, asked)).await;
        }
        relayed(journey.fetch(body, guest, entered).await?, asked)
    }

    /// A WebSocket of a service, or what it says instead.
    ///
    /// # Errors
    /// When the service cannot be used, or gives no answer.
    pub async fn connect(
        &self,
        request: &HttpRequest,
        client: Payload,
        service: &Supervised,
        path: &str,
        tab: &Tab,
    ) -> Answer {
        tab.note(|account| account.goes_to(&service.spec.name));
        let journey = Journey { door: self, desk: &Desk::default(), request, service, path, tab };
        let guest = self.closing.subscribe();
        let (answer, endpoint, permit) = loop {
            let (endpoint, permit) = journey.enter(&guest).await?;
            // What it is used for from now on is no work.
            tab.note(|account| account.enters(false));
            let sent = to_service(request.head(), path, Outgoing::nothing(), &journey.way())?;
            let port = endpoint.port.unwrap_or_default();
            let error = match unless_closing(guest.clone(), websocket::handshake(sent, port)).await? {
                Ok(answer) => break (answer, endpoint, permit),
                Err(error) => error,
            };
            drop(permit);
            // As with other requests, a run that has ended is followed by the next one.
            let is_gone = matches!(error, websocket::Unanswered::Connect(_)) && self.runtime.has_ended(&endpoint).await;
            if !is_gone {
                return Err(not_sent(&error));
            }
        };
        if answer.status() != hyper::StatusCode::SWITCHING_PROTOCOLS {
            // The server takes all that comes on this connection for the WebSocket, so it ends with this answer.
            let asked = Asked { takes_chunks: false, ..Asked::by(request.head(), path) };
            let inquest = OfRun { runtime: self.runtime.clone(), endpoint };
            let mut response = relay(answer, asked, Stay::new(None, permit, guest), inquest)?;
            response.head_mut().set_connection_type(ConnectionType::Close);
            return Ok(response);
        }
        drop(permit);
        let (runtime, mut closing) = (self.runtime.clone(), guest);
        let over = async move {
            tokio::select! {
                // An error means that the door has gone.
                _ = closing.wait_for(|closing| *closing) => {}
                () = runtime.is_leaving(&endpoint) => {}
            }
        };
        websocket::tunnel(answer, client, over).await
    }
}

/// The same, to be kept while an answer has begun.
struct Kept {
    door: Doorway,
    desk: Data<Desk>,
    request: HttpRequest,
    service: Rc<Supervised>,
    path: String,
    tab: Tab,
}

impl Kept {
    fn journey(&self) -> Journey<'_> {
        let Self { door, desk, request, service, path, tab } = self;
        Journey { door, desk, request, service, path, tab }
    }

    /// Sends a request on when its turn has come, and its answer back. Once that has taken long, whoever wants a stream is
    /// told how it stands. That it wants one is read in its body while it waits, as far as the body comes meanwhile.
    async fn pass_telling(self, mut body: Outgoing, guest: watch::Receiver<bool>, asked: Asked) -> Answer {
        let kept = Rc::new(self);
        let mut entering = {
            let (kept, guest) = (Rc::clone(&kept), guest.clone());
            async move { kept.journey().enter(&guest).await }.boxed_local()
        };
        let long = tokio::time::sleep(loading::PATIENCE);
        let is_to_be_told = async {
            let wants_stream = body.wants_stream().await?;
            long.await;
            Ok::<_, ApiError>(wants_stream)
        };
        let entered = tokio::select! {
            biased;
            entered = &mut entering => Some(entered?),
            is_to_be_told = is_to_be_told => if is_to_be_told? { None } else { Some(entering.as_mut().await?) },
        };
        if entered.is_some() {
            return relayed(kept.journey().fetch(body, guest, entered).await?, asked);
        }
        let status = kept.service.status.clone();
        let errand: Errand = async move {
            let fetched = match entering.await {
                Ok(entered) => kept.journey().fetch(body, guest, Some(entered)).await,
                Err(error) => Err(error),
            };
            if let Err(error) = &fetched {
                // The answer has begun.
                kept.tab.note(|account| account.refused(error));
            }
            fetched
        }
        .boxed_local();
        Ok(loading::telling(errand, status, asked))
    }
}

impl Journey<'_> {
    /// The answer of the service, from when it can be used. Where its run has ended before anything was sent to it, and
    /// that was not known yet, the next one is asked.
    async fn fetch(
        &self,
        body: Outgoing,
        guest: watch::Receiver<bool>,
        entered: Option<Entered>,
    ) -> Result<Fetched, ApiError> {
        let mut request = to_service(self.request.head(), self.path, body, &self.way())?;
        let mut entered = entered;
        loop {
            let (endpoint, permit) = match entered.take() {
                Some(entered) => entered,
                None => Box::pin(self.enter(&guest)).await?,
            };
            self.tab.note(|account| account.enters(permit.is_some()));
            let pool = self.desk.upstreams.of(&endpoint).map_err(|error| upstream_closed(&error))?;
            match pool.send(request).await {
                Ok((answer, lent)) => {
                    let ear = answer.status().is_server_error().then(|| self.ear(&answer, &endpoint)).flatten();
                    let inquest = OfRun { runtime: self.door.runtime.clone(), endpoint };
                    return Ok(Fetched { answer, stay: Stay::new(Some(lent), permit, guest), inquest, ear });
                }
                Err(Unanswered::Failed(error)) => return Err(not_sent(&error)),
                // Each turn takes a run that has ended, and the supervisor bounds how often it starts another.
                Err(Unanswered::NotSent(unsent, error)) => {
                    drop(permit);
                    if !Box::pin(self.door.runtime.has_ended(&endpoint)).await {
                        return Err(upstream_closed(&error));
                    }
                    request = *unsent;
                }
            }
        }
    }

    fn ear(&self, answer: &hyper::Response<Incoming>, endpoint: &RunEndpoint) -> Option<Box<Ear>> {
        Ear::on(answer, endpoint, &self.service.spec, &self.desk.rules, self.door.runtime.witness())
    }

    /// Where to go, with a permit, after a load if need be; or, for what is no work, beside the gate.
    async fn enter(&self, guest: &watch::Receiver<bool>) -> Result<Entered, ApiError> {
        if let Some(entered) = self.enter_at_once(guest)? {
            return Ok(entered);
        }
        let arrival = Arrival { priority: self.priority()?, max_wait: Some(self.door.spec.max_wait) };
        let admission = self.door.runtime.admit(self.spec().name.as_str(), arrival);
        let admitted = unless_closing(guest.clone(), admission).await??;
        Ok((admitted.endpoint, Some(admitted.permit)))
    }

    /// The same without waiting; `None` where the service is not ready, or has no room.
    fn enter_at_once(&self, guest: &watch::Receiver<bool>) -> Result<Option<Entered>, ApiError> {
        if *guest.borrow() {
            return Err(ApiError::stopping());
        }
        let (method, path) = (self.request.method().as_str(), self.path.split('?').next().unwrap_or(self.path));
        if self.spec().memory.wake_on.iter().any(|rule| rule.matches(method, path)) {
            self.priority()?;
            return Ok(enter(self.service).map(|admitted| (admitted.endpoint, Some(admitted.permit))));
        }
        match self.door.runtime.look_in(self.spec().name.as_str()) {
            Some(endpoint) => Ok(Some((endpoint, None))),
            None => Err(not_loaded(&self.spec().name, method, path)),
        }
    }

    fn spec(&self) -> &ServiceSpec {
        &self.service.spec
    }

    fn priority(&self) -> Result<i32, ApiError> {
        self.door.priority(self.request)
    }

    fn way(&self) -> Way<'_> {
        Way {
            peer: self.request.peer_addr().map(|address| address.ip()),
            keeps_key: self.door.keeps_key(),
            host: self.request.headers().get(header::HOST).map(HeaderValue::as_bytes),
        }
    }
}

/// An answer on its way back.
fn relayed(Fetched { answer, stay, inquest, ear }: Fetched, asked: Asked) -> Answer {
    let response = relay(answer, asked, stay, inquest)?;
    Ok(match ear {
        Some(ear) => ear.follow(response),
        None => response,
    })
}
