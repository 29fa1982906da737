//! A door with a queue behind it whose one job does as it is told, and what a client sees.

use std::{
    fs,
    future::Future,
    sync::{Arc, Mutex},
    time::Duration,
};

use actix_web::{
    FromRequest, HttpRequest, HttpResponse,
    body::{BoxBody, to_bytes},
    http::header,
    test::TestRequest,
    web::Payload,
};
use futures_util::{FutureExt, future::BoxFuture};
use greenroom_actors::{
    job::{JobError, JobId, JobName, JobOutcome, JobResult, JobState, JobView},
    job_queue::{
        attempt::JobFolder,
        messages::{JobSpec, SubmitError},
    },
    spec::{JobDefinition, ParamKind},
    time::Timestamp,
};
use serde_json::{Value, json};
use tokio::sync::{Semaphore, watch};

use super::super::{
    Maker, Works,
    sample::{self, param},
    works::Views,
};
use crate::{
    gateway::door::{accounting::Tab, outgoing::Outgoing},
    runtime::{JobRefusal, metrics::Metrics},
};

pub const LONG: Duration = Duration::from_secs(3600);
pub const SHORT: Duration = Duration::from_millis(30);

/// A queue whose one job does as it is told.
#[derive(Debug)]
pub struct Queue {
    pub dir: tempfile::TempDir,
    pub id: JobId,
    pub view: watch::Sender<Arc<JobView>>,
    /// A submission takes one of them.
    pub open: Semaphore,
    pub refusal: Option<SubmitError>,
    pub submitted: Mutex<Vec<JobSpec>>,
    pub cancelled: Mutex<Vec<JobId>>,
}

/// The fake, shared as the door shares the real one.
#[derive(Debug, Clone)]
pub struct Fake(pub Arc<Queue>);

impl Works for Fake {
    fn definitions(&self) -> Arc<Vec<Arc<JobDefinition>>> {
        Arc::new(vec![definition()])
    }

    fn submit(&self, job: JobSpec) -> BoxFuture<'static, Result<JobView, JobRefusal>> {
        let queue = Arc::clone(&self.0);
        async move {
            queue.open.acquire().await.expect("never closed").forget();
            if let Some(refusal) = &queue.refusal {
                return Err(refusal.clone().into());
            }
            queue.submitted.lock().expect("no panic").push(job);
            Ok(queue.view.borrow().as_ref().clone())
        }
        .boxed()
    }

    fn follow(&self, id: JobId) -> BoxFuture<'static, Result<Views, JobRefusal>> {
        let views = (id == self.0.id).then(|| self.0.view.subscribe()).ok_or(JobRefusal::Unknown(id));
        async move { views }.boxed()
    }

    fn cancel(&self, id: JobId) {
        self.0.cancelled.lock().expect("no panic").push(id);
    }

    fn folder(&self, id: JobId) -> JobFolder {
        JobFolder::of(self.0.dir.path(), id)
    }

    fn at_work(&self) -> BoxFuture<'static, Vec<JobName>> {
        async { Vec::new() }.boxed()
    }
}

pub fn definition() -> Arc<JobDefinition> {
    let params = [("prompt", ParamKind::Text), ("steps", ParamKind::Int), ("init", ParamKind::File)];
    Arc::new(sample::definition(params.map(|(name, kind)| param(name, kind)).to_vec()))
}

/// A door with that queue behind it.
pub struct Studio {
    pub fake: Fake,
    pub works: Arc<dyn Works>,
    pub closing: watch::Sender<bool>,
    pub metrics: Arc<Metrics>,
}

impl Studio {
    pub fn new() -> Self {
        Self::refusing(None)
    }

    pub fn refusing(refusal: Option<SubmitError>) -> Self {
        let id = JobId::fresh();
        let view = JobView {
            id,
            job: "image".parse().expect("a name"),
            state: JobState::Queued,
            outcome: None,
            reason: None,
            params: json!({ "prompt": "a heron" }).as_object().cloned().expect("an object"),
            priority: 0,
            attempt: 0,
            progress: None,
            submitted: Timestamp::from_micros(5_000_000),
            started: None,
            finished: None,
            error: None,
            attempts: Vec::new(),
            result: None,
        };
        let queue = Queue {
            dir: tempfile::tempdir().expect("a folder"),
            id,
            view: watch::Sender::new(Arc::new(view)),
            open: Semaphore::new(1),
            refusal,
            submitted: Mutex::default(),
            cancelled: Mutex::default(),
        };
        let fake = Fake(Arc::new(queue));
        let works = Arc::new(fake.clone());
        Self { fake, works, closing: watch::Sender::new(false), metrics: Arc::new(Metrics::new(7, 0)) }
    }

    /// Asks for an image; a job may wait so long until it is begun.
    pub async fn ask(&self, max_wait: Duration, path: &str, body: &Value) -> Answer {
        let (request, body) = request(path, body).await;
        let maker = Maker { works: &self.works, max_wait, closing: &self.closing };
        let tab = Tab::open(&self.metrics);
        let made = maker.make(&request, &definition(), 3, body, &tab).await;
        Answer::of(tab.answer(made)).await
    }

    /// The job goes on as this changes it.
    pub fn turn(&self, change: impl FnOnce(&mut JobView)) {
        self.fake.0.view.send_modify(|view| change(Arc::make_mut(view)));
    }

    pub fn runs(&self) {
        self.turn(|view| (view.state, view.attempt) = (JobState::Running, 1));
    }

    /// The job has made these files.
    pub fn succeeds(&self, files: &[(&str, &str)]) {
        let output = self.fake.folder(self.fake.0.id).output();
        fs::create_dir_all(&output).expect("a folder");
        files.iter().for_each(|(name, text)| fs::write(output.join(name), text).expect("written"));
        let files = files.iter().map(|(name, _)| (*name).to_owned()).collect();
        self.turn(|view| {
            (view.state, view.outcome) = (JobState::Cleaning, Some(JobOutcome::Succeeded));
            view.result = Some(JobResult { files, json: None });
        });
    }

    pub fn ends(&self, outcome: JobOutcome, error: JobError) {
        self.turn(|view| (view.state, view.outcome, view.error) = (outcome.state(), Some(outcome), Some(error)));
    }

    pub fn submitted(&self) -> Vec<JobSpec> {
        self.fake.0.submitted.lock().expect("no panic").clone()
    }

    pub fn is_cancelled(&self) -> bool {
        let cancelled = self.fake.0.cancelled.lock().expect("no panic");
        assert!(cancelled.iter().all(|id| *id == self.fake.0.id) && cancelled.len() < 2, "{cancelled:?}");
        !cancelled.is_empty()
    }

    /// Requests of the job by their status, and how many of them came to be worked on.
    pub fn counted(&self) -> (Vec<(u16, u64)>, u64) {
        let read = self.metrics.requests.read();
        let counts = &read[&Some("image".parse().expect("a name"))];
        (counts.by_status.clone().into_iter().collect(), counts.waited.count())
    }
}

pub async fn request(path: &str, body: &Value) -> (HttpRequest, Outgoing) {
    let request = TestRequest::post().uri(path).insert_header((header::HOST, "door:8484")).set_json(body);
    let (request, mut payload) = request.to_http_parts();
    let payload = Payload::from_request(&request, &mut payload).await.expect("a body");
    (request, Outgoing::of(payload, None, 1 << 20))
}

/// What a client sees.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub job: Option<String>,
    pub retry_after: Option<String>,
    pub body: Value,
}

impl Answer {
    pub async fn of(response: HttpResponse<BoxBody>) -> Self {
        let header = |name: &str| response.headers().get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
        let (status, job, retry_after) = (response.status().as_u16(), header("x-greenroom-job"), header("retry-after"));
        let body = to_bytes(response.into_body()).await.expect("it is whole");
        Self { status, job, retry_after, body: serde_json::from_slice(&body).expect("JSON") }
    }

    #[track_caller]
    pub fn is_refused(&self, status: u16, code: &str) {
        assert_eq!((self.status, self.body["error"]["code"].as_str()), (status, Some(code)), "{self:?}");
    }
}

/// Asks while `meanwhile` goes on, which begins when the job has been handed in.
pub async fn while_it_waits(studio: &Studio, asking: impl Future<Output = Answer>, meanwhile: impl FnOnce()) -> Answer {
    let mut asking = std::pin::pin!(asking);
    tokio::select! {
        biased;
        answer = &mut asking => panic!("nothing was done for it yet: {answer:?}"),
        () = handed_in(studio) => {}
    }
    meanwhile();
    asking.await
}

pub async fn handed_in(studio: &Studio) {
    // The door follows the job that it has handed in.
    while studio.submitted().is_empty() || studio.fake.0.view.receiver_count() == 0 {
        tokio::task::yield_now().await;
    }
}

pub const GENERATIONS: &str = "/v1/images/generations";
pub const TXT2IMG: &str = "/sdapi/v1/txt2img";

pub fn heron() -> Value {
    json!({ "model": "sdxl", "prompt": "a heron", "steps": 4, "quality": "high" })
}
