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
    failure::FailureClass,
    job::{JobError, JobId, JobName, JobOutcome, JobResult, JobState, JobView},
    job_queue::{
        attempt::JobFolder,
        messages::{JobSpec, SubmitError},
    },
    spec::{CleanupSpec, JobDefinition, JobWork, ParamKind, ParamSpec, RequestBody, RequestJob},
    time::Timestamp,
};
use serde_json::{Value, json};
use tokio::sync::{Semaphore, watch};

use super::{Maker, Works, works::Views};
use crate::{
    gateway::{
        door::{accounting::Tab, outgoing::Outgoing},
        errors::ApiError,
    },
    runtime::{JobRefusal, metrics::Metrics},
};

const LONG: Duration = Duration::from_secs(3600);
const SHORT: Duration = Duration::from_millis(30);

/// A queue whose one job does as it is told.
#[derive(Debug)]
struct Queue {
    dir: tempfile::TempDir,
    id: JobId,
    view: watch::Sender<Arc<JobView>>,
    /// A submission takes one of them.
    open: Semaphore,
    refusal: Option<SubmitError>,
    submitted: Mutex<Vec<JobSpec>>,
    cancelled: Mutex<Vec<JobId>>,
}

/// The fake, shared as the door shares the real one.
#[derive(Debug, Clone)]
struct Fake(Arc<Queue>);

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

fn definition() -> Arc<JobDefinition> {
    let param = |name: &str, kind| ParamSpec { name: name.to_owned(), kind, default: None, flag: None };
    Arc::new(JobDefinition {
        name: "image".parse().expect("a name"),
        serves: vec!["sdxl".to_owned()],
        params: vec![param("prompt", ParamKind::Text), param("steps", ParamKind::Int), param("init", ParamKind::File)],
        work: JobWork::Request(RequestJob {
            service: "webui".parse().expect("a name"),
            method: "POST".to_owned(),
            path: "/".to_owned(),
            body: RequestBody::Params,
        }),
        timeout: Duration::ZERO,
        retries: 0,
        max_parallel: 1,
        keep_output: Duration::ZERO,
        cleanup: CleanupSpec::default(),
    })
}

/// A door with that queue behind it.
struct Studio {
    fake: Fake,
    works: Arc<dyn Works>,
    closing: watch::Sender<bool>,
    metrics: Arc<Metrics>,
}

impl Studio {
    fn new() -> Self {
        Self::refusing(None)
    }

    fn refusing(refusal: Option<SubmitError>) -> Self {
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
    async fn ask(&self, max_wait: Duration, path: &str, body: &Value) -> Answer {
        let (request, body) = request(path, body).await;
        let maker = Maker { works: &self.works, max_wait, closing: &self.closing };
        let tab = Tab::open(&self.metrics);
        let made = maker.make(&request, &definition(), 3, body, &tab).await;
        Answer::of(tab.answer(made)).await
    }

    /// The job goes on as this changes it.
    fn turn(&self, change: impl FnOnce(&mut JobView)) {
        self.fake.0.view.send_modify(|view| change(Arc::make_mut(view)));
    }

    fn runs(&self) {
        self.turn(|view| (view.state, view.attempt) = (JobState::Running, 1));
    }

    /// The job has made these files.
    fn succeeds(&self, files: &[(&str, &str)]) {
        let output = self.fake.folder(self.fake.0.id).output();
        fs::create_dir_all(&output).expect("a folder");
        files.iter().for_each(|(name, text)| fs::write(output.join(name), text).expect("written"));
        let files = files.iter().map(|(name, _)| (*name).to_owned()).collect();
        self.turn(|view| {
            (view.state, view.outcome) = (JobState::Cleaning, Some(JobOutcome::Succeeded));
            view.result = Some(JobResult { files, json: None });
        });
    }

    fn ends(&self, outcome: JobOutcome, error: JobError) {
        self.turn(|view| (view.state, view.outcome, view.error) = (outcome.state(), Some(outcome), Some(error)));
    }

    fn submitted(&self) -> Vec<JobSpec> {
        self.fake.0.submitted.lock().expect("no panic").clone()
    }

    fn is_cancelled(&self) -> bool {
        let cancelled = self.fake.0.cancelled.lock().expect("no panic");
        assert!(cancelled.iter().all(|id| *id == self.fake.0.id) && cancelled.len() < 2, "{cancelled:?}");
        !cancelled.is_empty()
    }

    /// Requests of the job by their status, and how many of them came to be worked on.
    fn counted(&self) -> (Vec<(u16, u64)>, u64) {
        let read = self.metrics.requests.read();
        let counts = &read[&Some("image".parse().expect("a name"))];
        (counts.by_status.clone().into_iter().collect(), counts.waited.count())
    }
}

async fn request(path: &str, body: &Value) -> (HttpRequest, Outgoing) {
    let request = TestRequest::post().uri(path).insert_header((header::HOST, "door:8484")).set_json(body);
    let (request, mut payload) = request.to_http_parts();
    let payload = Payload::from_request(&request, &mut payload).await.expect("a body");
    (request, Outgoing::of(payload, None, 1 << 20))
}

/// What a client sees.
#[derive(Debug)]
struct Answer {
    status: u16,
    job: Option<String>,
    retry_after: Option<String>,
    body: Value,
}

impl Answer {
    async fn of(response: HttpResponse<BoxBody>) -> Self {
        let header = |name: &str| response.headers().get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
        let (status, job, retry_after) = (response.status().as_u16(), header("x-greenroom-job"), header("retry-after"));
        let body = to_bytes(response.into_body()).await.expect("it is whole");
        Self { status, job, retry_after, body: serde_json::from_slice(&body).expect("JSON") }
    }

    #[track_caller]
    fn is_refused(&self, status: u16, code: &str) {
        assert_eq!((self.status, self.body["error"]["code"].as_str()), (status, Some(code)), "{self:?}");
    }
}

/// Asks while `meanwhile` goes on, which begins when the job has been handed in.
async fn while_it_waits(studio: &Studio, asking: impl Future<Output = Answer>, meanwhile: impl FnOnce()) -> Answer {
    let mut asking = std::pin::pin!(asking);
    tokio::select! {
        biased;
        answer = &mut asking => panic!("nothing was done for it yet: {answer:?}"),
        () = handed_in(studio) => {}
    }
    meanwhile();
    asking.await
}

async fn handed_in(studio: &Studio) {
    // The door follows the job that it has handed in.
    while studio.submitted().is_empty() || studio.fake.0.view.receiver_count() == 0 {
        tokio::task::yield_now().await;
    }
}

const GENERATIONS: &str = "/v1/images/generations";
const TXT2IMG: &str = "/sdapi/v1/txt2img";

fn heron() -> Value {
    json!({ "model": "sdxl", "prompt": "a heron", "steps": 4, "quality": "high" })
}

#[actix_rt::test]
async fn an_image_is_answered_with_the_id_of_its_job() {
    let studio = Studio::new();
    let answer = while_it_waits(&studio, studio.ask(LONG, GENERATIONS, &heron()), || {
        studio.runs();
        studio.succeeds(&[("a.png", "foob"), ("b.png", "foo")]);
    })
    .await;
    assert_eq!((answer.status, answer.job), (200, Some(studio.fake.0.id.to_string())));
    let data = json!([{ "b64_json": "Zm9vYg==" }, { "b64_json": "Zm9v" }]);
    assert_eq!(answer.body, json!({ "created": 5, "data": data }));
    assert_eq!(studio.submitted(), [JobSpec::new("image").param("prompt", "a heron").param("steps", 4).priority(3)]);
    assert_eq!(studio.counted(), (vec![(200, 1)], 0), "it was never seen to be worked on");
    assert!(!studio.is_cancelled());
}

#[actix_rt::test]
async fn where_an_image_is_may_be_asked_instead() {
    let studio = Studio::new();
    studio.succeeds(&[("a b.png", "x")]);
    let mut body = heron();
    body["response_format"] = json!("url");
    let answer = studio.ask(LONG, GENERATIONS, &body).await;
    let url = format!("http://door:8484/api/jobs/{}/output?file=a%20b.png", studio.fake.0.id);
    assert_eq!((answer.status, &answer.body["data"]), (200, &json!([{ "url": url }])));
}

#[actix_rt::test]
async fn the_web_ui_is_answered_in_its_own_shape() {
    let studio = Studio::new();
    studio.succeeds(&[("a.png", "foo")]);
    let answer = studio.ask(LONG, TXT2IMG, &heron()).await;
    assert_eq!((answer.status, &answer.body["images"]), (200, &json!(["Zm9v"])));
    assert_eq!(answer.body["parameters"], heron());
    let info: Value = serde_json::from_str(answer.body["info"].as_str().expect("a text")).expect("JSON");
    assert_eq!(info, json!({ "prompt": "a heron", "job_id": studio.fake.0.id }));
}

#[actix_rt::test]
async fn what_a_job_came_to_is_told_with_its_last_words() {
    let studio = Studio::new();
    let error = JobError {
        code: Some(1),
        stderr: vec!["out of memory".to_owned()],
        ..JobError::new(Some(FailureClass::OomGpu), "it ended with status 1")
    };
    let answer = while_it_waits(&studio, studio.ask(LONG, GENERATIONS, &heron()), || {
        studio.runs();
        studio.turn(|view| view.attempt = 2);
        studio.ends(JobOutcome::Failed, error);
    })
    .await;
    answer.is_refused(502, "job_failed");
    let (told, id) = (&answer.body["error"], studio.fake.0.id);
    let message = format!("job {id} (image) failed after 2 attempts (oom_gpu): it ended with status 1");
    assert_eq!((&told["message"], &told["class"]), (&json!(message), &json!("oom_gpu")));
    assert_eq!((&told["stderr"], &told["exit_code"]), (&json!(["out of memory"]), &json!(1)));
    assert_eq!((answer.job, studio.counted().0), (Some(id.to_string()), vec![(502, 1)]));
    assert!(!studio.is_cancelled(), "there is nothing to cancel");
}

#[actix_rt::test]
async fn one_that_somebody_cancels_and_one_without_an_image_are_no_success() {
    let studio = Studio::new();
    studio.ends(JobOutcome::Cancelled, JobError::new(None, "somebody took it back"));
    let answer = studio.ask(LONG, GENERATIONS, &heron()).await;
    answer.is_refused(409, "job_cancelled");
    assert!(answer.job.is_some());
    let studio = Studio::new();
    let error = JobError { no_memory: true, ..JobError::new(Some(FailureClass::Unknown), "it never fits here") };
    studio.ends(JobOutcome::Failed, error);
    studio.ask(LONG, GENERATIONS, &heron()).await.is_refused(503, "insufficient_memory");
    let studio = Studio::new();
    studio.succeeds(&[("notes.txt", "x")]);
    studio.ask(LONG, GENERATIONS, &heron()).await.is_refused(502, "job_failed");
    let studio = Studio::new();
    studio.succeeds(&[("a.png", "x")]);
    fs::remove_dir_all(studio.fake.folder(studio.fake.0.id).path()).expect("it goes");
    studio.ask(LONG, GENERATIONS, &heron()).await.is_refused(502, "job_failed");
}

#[actix_rt::test]
async fn what_is_not_accepted_is_told_with_a_code_of_its_own() {
    let full = SubmitError::Full { queued: 9, retry_after: Duration::from_millis(1500) };
    for (refusal, status, code) in [
        (full, 429, "queue_full"),
        (SubmitError::Params(vec!["`prompt` is missing".to_owned()]), 400, "bad_params"),
        (SubmitError::NotWritten("the disk is full".to_owned()), 503, "not_written"),
        (SubmitError::UnknownJob { job: "image".to_owned(), known: Vec::new() }, 404, "model_not_found"),
        (SubmitError::Stopping, 503, "stopping"),
    ] {
        let studio = Studio::refusing(Some(refusal));
        let answer = studio.ask(LONG, GENERATIONS, &heron()).await;
        answer.is_refused(status, code);
        assert_eq!((answer.job.as_deref(), answer.retry_after.is_some()), (None, status == 429));
        assert!(!studio.is_cancelled());
    }
}

#[actix_rt::test]
async fn nothing_is_handed_in_for_what_no_job_makes() {
    let studio = Studio::new();
    for (path, body, param) in [
        ("/v1/chat/completions", heron(), "model"),
        ("/sdapi/v1/options", heron(), "model"),
        (GENERATIONS, json!({ "n": 2 }), "n"),
        (GENERATIONS, json!([]), "body"),
        (GENERATIONS, json!({ "response_format": "gif" }), "response_format"),
        ("/v1/images/edits", heron(), "image"),
        ("/sdapi/v1/img2img", heron(), "image"),
    ] {
        let answer = studio.ask(LONG, path, &body).await;
        answer.is_refused(400, "invalid_request");
        assert_eq!(answer.body["error"]["param"], param, "{path}: {answer:?}");
    }
    assert_eq!(studio.submitted(), []);
    let told = studio.ask(LONG, "/v1/chat/completions", &heron()).await.body["error"]["message"].clone();
    assert_eq!(told, "`sdxl` makes images: ask /v1/images/generations or /sdapi/v1/txt2img");
}

#[actix_rt::test]
async fn a_client_that_leaves_takes_its_job_back() {
    for is_begun in [false, true] {
        let studio = Studio::new();
        {
            let body = heron();
            let mut asking = std::pin::pin!(studio.ask(LONG, GENERATIONS, &body));
            tokio::select! {
                biased;
                answer = &mut asking => panic!("nobody has done it: {answer:?}"),
                () = handed_in(&studio) => {}
            }
            if is_begun {
                studio.runs();
                assert!((&mut asking).now_or_never().is_none());
            }
            assert!(!studio.is_cancelled());
        }
        assert!(studio.is_cancelled());
        assert_eq!(studio.counted(), (vec![(499, 1)], u64::from(is_begun)));
    }
}

#[actix_rt::test]
async fn one_that_leaves_before_its_job_is_accepted_takes_it_back_then() {
    let studio = Studio::new();
    studio.fake.0.open.forget_permits(1);
    {
        let body = heron();
        let asking = studio.ask(LONG, GENERATIONS, &body);
        assert!(tokio::time::timeout(SHORT, asking).await.is_err(), "it is not accepted yet");
    }
    assert!(studio.submitted().is_empty() && !studio.is_cancelled());
    studio.fake.0.open.add_permits(1);
    while !studio.is_cancelled() {
        tokio::task::yield_now().await;
    }
    assert_eq!(studio.submitted().len(), 1);
}

#[actix_rt::test]
async fn a_job_has_to_be_begun_in_time_and_may_then_take_its_own() {
    let studio = Studio::new();
    let late = studio.ask(SHORT, GENERATIONS, &heron()).await;
    late.is_refused(503, "wait_timeout");
    assert!(late.job.is_some() && studio.is_cancelled());
    let studio = Studio::new();
    studio.runs();
    let long = async {
        tokio::time::sleep(SHORT * 4).await;
        // Tried once more: it has been begun, so it is waited for.
        studio.turn(|view| view.state = JobState::Queued);
        tokio::time::sleep(SHORT * 2).await;
        studio.succeeds(&[("a.png", "x")]);
    };
    let (answer, ()) = tokio::join!(async { studio.ask(SHORT, GENERATIONS, &heron()).await }, long);
    assert_eq!((answer.status, studio.is_cancelled()), (200, false));
    assert_eq!(studio.counted(), (vec![(200, 1)], 1));
}

#[actix_rt::test]
async fn a_door_that_closes_waits_for_jobs_that_are_worked_on_and_for_no_other() {
    let studio = Studio::new();
    let answer = while_it_waits(&studio, studio.ask(LONG, GENERATIONS, &heron()), || {
        studio.closing.send_replace(true);
    })
    .await;
    answer.is_refused(503, "stopping");
    assert!(studio.is_cancelled());
    let studio = Studio::new();
    studio.runs();
    let body = heron();
    let (request, outgoing) = request(GENERATIONS, &body).await;
    let maker = Maker { works: &studio.works, max_wait: LONG, closing: &studio.closing };
    let (tab, definition) = (Tab::open(&studio.metrics), definition());
    let mut making = Box::pin(maker.make(&request, &definition, 0, outgoing, &tab));
    tokio::select! {
        biased;
        made = &mut making => panic!("it is worked on: {made:?}"),
        () = handed_in(&studio) => {}
    }
    studio.closing.send_replace(true);
    assert!(tokio::time::timeout(SHORT, &mut making).await.is_err(), "it is worked on");
    studio.succeeds(&[("a.png", "x")]);
    let made = making.await.map_err(|error: ApiError| error.message).expect("an answer");
    assert_eq!((made.status().as_u16(), studio.closing.receiver_count()), (200, 1), "the answer is on its way");
    drop(made);
    assert_eq!(studio.closing.receiver_count(), 0);
    // Stopped with the runtime, it is queued for the next one, and its client does not wait for that.
    let studio = Studio::new();
    let answer = while_it_waits(&studio, studio.ask(LONG, GENERATIONS, &heron()), || {
        studio.runs();
        studio.closing.send_replace(true);
        studio.turn(|view| view.state = JobState::Queued);
    })
    .await;
    answer.is_refused(503, "stopping");
    assert!(studio.is_cancelled());
}

#[actix_rt::test]
async fn an_image_to_begin_with_is_sent_along() {
    let studio = Studio::new();
    studio.succeeds(&[("a.png", "x")]);
    let body = json!({ "prompt": "x", "init_images": ["data:image/png;base64,Zm9v"] });
    let answer = studio.ask(LONG, "/sdapi/v1/img2img", &body).await;
    assert_eq!((answer.status, &answer.body["parameters"]["init_images"]), (200, &Value::Null));
    let files: Vec<_> = studio.submitted().into_iter().flat_map(|job| job.files).map(|file| file.name).collect();
    assert_eq!(files, ["init.bin"]);
}
