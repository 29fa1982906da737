//! A request for an image on its way through the queue, and the answer on its way back.

use std::{sync::Arc, time::Duration};

use actix_web::{
    HttpRequest, HttpResponse, ResponseError,
    http::header::{self, HeaderValue},
    web::block,
};
use bytes::Bytes;
use greenroom_actors::{
    job::{JobOutcome, JobView},
    job_queue::messages::JobSpec,
    spec::JobDefinition,
};
use serde_json::{Map, Value};
use tokio::sync::watch;

use super::{
    answer,
    held::Held,
    mapping::{self, Format},
    refusal::{came_to_nothing, given_up, no_image, not_accepted, not_sent, not_there},
    sending,
    wait::{self, GivenUp},
    wish::{Call, Wish},
    works::Works,
};
use crate::gateway::{
    closing::unless_closing,
    door::{accounting::Tab, headers::X_GREENROOM_JOB, outgoing::Outgoing},
    errors::ApiError,
};

/// A body that is longer is read where nobody waits for the thread: it has files in base64.
const LONG: usize = 256 * 1024;

/// What is to be made, and how the client wants to have it.
#[derive(Debug)]
struct Order {
    job: JobSpec,
    wanted: Wanted,
}

/// How a client wants to have what is made.
#[derive(Debug)]
struct Wanted {
    call: Call,
    format: Format,
    /// What was asked, where the answer tells it back.
    asked: Map<String, Value>,
}

/// Has jobs make what clients ask for.
#[derive(Debug)]
pub struct Maker<'a> {
    /// The queue.
    pub works: &'a Arc<dyn Works>,
    /// The longest that a job may wait until it is begun.
    pub max_wait: Duration,
    /// As in a [`Doorway`](crate::gateway::door::routes::Doorway).
    pub closing: &'a watch::Sender<bool>,
}

impl Maker<'_> {
    /// Has a job of this kind make the image that is asked for, and answers with it. A client that leaves takes the job
    /// back.
    ///
    /// # Errors
    /// When it is nothing that a job makes, or none is accepted. What becomes of an accepted one is always an answer, which
    /// has its id in a header.
    pub async fn make(
        &self,
        request: &HttpRequest,
        definition: &Arc<JobDefinition>,
        priority: i32,
        body: Outgoing,
        tab: &Tab,
    ) -> Result<HttpResponse, ApiError> {
        tab.note(|account| account.goes_to(&definition.name));
        let model = definition.serves.first().map_or(definition.name.as_str(), String::as_str);
        let call = Call::of(request.method().as_str(), request.path()).ok_or_else(|| not_there(model))?;
        // From here on whoever closes the door waits for this one.
        let guest = self.closing.subscribe();
        let body = unless_closing(guest.clone(), body.whole()).await??;
        let Order { job, wanted } = Order::read(request, definition, call, body, priority).await?;
        let held = unless_closing(guest.clone(), Held::submit(self.works, job)).await?;
        let held = held.map_err(not_accepted)?;
        let id = HeaderValue::from_str(&held.id().to_string());
        let made = match self.outcome(held, guest.clone(), tab).await {
            Ok(made) => self.answer(request, &made, wanted, guest).await,
            Err(error) => Err(error),
        };
        let mut response = made.unwrap_or_else(|error| {
            tab.note(|account| account.refused(&error));
            error.error_response()
        });
        if let Ok(id) = id {
            response.headers_mut().insert(X_GREENROOM_JOB.clone(), id);
        }
        Ok(response)
    }

    /// The job when it has succeeded.
    async fn outcome(&self, held: Held, guest: watch::Receiver<bool>, tab: &Tab) -> Result<Arc<JobView>, ApiError> {
        let (id, patience) = (held.id(), self.max_wait);
        let outcome = match self.works.follow(id).await {
            Ok(views) => wait::outcome(views, guest, patience, || tab.note(|account| account.enters(true))).await,
            Err(_) => Err(GivenUp::Gone),
        };
        let job = outcome.map_err(|why| given_up(id, why, patience))?;
        held.release();
        if job.outcome == Some(JobOutcome::Succeeded) { Ok(job) } else { Err(came_to_nothing(&job)) }
    }

    /// What a job has made, as its client wants it.
    async fn answer(
        &self,
        request: &HttpRequest,
        job: &Arc<JobView>,
        wanted: Wanted,
        guest: watch::Receiver<bool>,
    ) -> Result<HttpResponse, ApiError> {
        let images = answer::images(job);
        if images.is_empty() {
            return Err(no_image(job));
        }
        if wanted.format == Format::Url {
            let at = request.connection_info();
            let base = format!("{}://{}", at.scheme(), at.host());
            return Ok(HttpResponse::Ok().json(answer::urls(job, &images, &base)));
        }
        let pieces = answer::whole(wanted.call, job, images, wanted.asked);
        let folder = self.works.folder(job.id).output();
        let measured = block(move || sending::measure(&folder, pieces)).await.map_err(|_| ApiError::stopping())?;
        let measured = measured.map_err(|error| not_sent(job.id, &error))?;
        Ok(HttpResponse::Ok().content_type("application/json").body(sending::body(measured, guest)))
    }
}

impl Order {
    async fn read(
        request: &HttpRequest,
        definition: &Arc<JobDefinition>,
        call: Call,
        body: Bytes,
        priority: i32,
    ) -> Result<Self, ApiError> {
        let kind = request.headers().get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).map(str::to_owned);
        let definition = Arc::clone(definition);
        let is_long = body.len() > LONG;
        let read = move || Self::of(&definition, call, kind.as_deref(), &body, priority);
        if is_long { block(read).await.unwrap_or_else(|_| Err(ApiError::stopping())) } else { read() }
    }

    fn of(
        definition: &JobDefinition,
        call: Call,
        kind: Option<&str>,
        body: &Bytes,
        priority: i32,
    ) -> Result<Self, ApiError> {
        let wish = Wish::read(kind, body)?;
        let format = mapping::format(call, &wish)?;
        let asked = if call.is_web_ui() { mapping::told_back(definition, &wish) } else { Map::new() };
        let job = mapping::job(definition, call, wish, priority)?;
        Ok(Self { job, wanted: Wanted { call, format, asked } })
    }
}
