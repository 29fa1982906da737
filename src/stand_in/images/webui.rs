//! AUTOMATIC1111's WebUI with `--api`. One image at a time; a generation goes on when nobody waits for it any more, as
//! the real one's does, until it is done or interrupted.

use std::{
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Instant,
};

use actix_web::{
    HttpResponse,
    rt::spawn,
    web::{self, Data, Json, ServiceConfig},
};
use greenroom_actors::os::clock;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::Notify;

use super::{
    super::{
        http::{Engine, loading},
        life::Stage,
        output,
        picture::pixel_in_json,
    },
    SharedPainter,
    options::{Card, Failure, Images, is_poison, wanted_failure},
};

/// Its state.
#[derive(Debug)]
pub struct Webui {
    images: Images,
    /// Held by whoever's image is made (`modules/call_queue.py`).
    turn: tokio::sync::Mutex<()>,
    at_work: Mutex<Option<AtWork>>,
    card: Mutex<Card>,
    interrupted: Notify,
    /// Once loaded, it answers also while its checkpoint is unloaded.
    was_ready: AtomicBool,
}

#[derive(Debug, Clone, Copy)]
struct AtWork {
    began: Instant,
    done: u32,
    of: u32,
    interrupted: bool,
}

impl Webui {
    /// One that makes images like this.
    pub fn new(images: &Images) -> Self {
        Self {
            images: *images,
            turn: tokio::sync::Mutex::default(),
            at_work: Mutex::default(),
            card: Mutex::default(),
            interrupted: Notify::new(),
            was_ready: AtomicBool::new(false),
        }
    }

    fn at_work<T>(&self, look: impl FnOnce(&mut Option<AtWork>) -> T) -> T {
        look(&mut self.at_work.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn card<T>(&self, look: impl FnOnce(&mut Card) -> T) -> T {
        look(&mut self.card.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Makes the images of one request; an interrupted one is answered with what there is.
    async fn paint(&self, engine: &Engine, asked: &Asked) -> Result<Value, Failure> {
        let _turn = self.turn.lock().await;
        engine.load().await;
        let steps = asked.steps.unwrap_or(self.images.steps).max(1);
        let failure = self.card(|card| card.begin(&self.images)).or_else(|| wanted_failure(&asked.prompt));
        self.at_work(|work| *work = Some(AtWork { began: clock::now(), done: 0, of: steps, interrupted: false }));
        let painted = match failure {
            Some(failure) => self.step(1, steps).await.then_some(()).map_or(Ok(()), |()| Err(failure)),
            None => {
                for n in 1..=steps {
                    if !self.step(n, steps).await {
                        break;
                    }
                }
                Ok(())
            }
        };
        self.at_work(|work| *work = None);
        if is_poison(&asked.prompt) {
            self.card(Card::poison);
        }
        self.card(Card::end);
        painted.map(|()| asked.answer())
    }

    /// One step; `false` once it is interrupted.
    async fn step(&self, n: u32, of: u32) -> bool {
        tokio::select! {
            () = tokio::time::sleep(self.images.step) => {}
            () = self.interrupted.notified() => {}
        }
        self.at_work(|work| {
            if let Some(work) = work {
                work.done = n
            }
        });
        let percent = n * 100 / of;
        // tqdm's bar, drawn on stderr.
        output::draw_stderr(&format!("\r{percent:3}%|          | {n}/{of} [00:00<00:00, 4.80it/s]"));
        self.at_work(|work| work.is_some_and(|work| !work.interrupted))
    }

    fn progress(&self) -> Value {
        let Some(work) = self.at_work(|work| *work) else {
            let state = json!({ "skipped": false, "interrupted": false, "job": "", "job_count": 0, "job_no": 0, "sampling_step": 0, "sampling_steps": 0 });
            return json!({ "progress": 0.0, "eta_relative": 0.0, "state": state, "current_image": null, "textinfo": null });
        };
        // It never says that nothing was done while something is.
        let progress = (f64::from(work.done) / f64::from(work.of)).clamp(0.01, 1.0);
        let passed = clock::now().saturating_duration_since(work.began).as_secs_f64();
        let state = json!({
            "skipped": false, "interrupted": work.interrupted, "job": "txt2img", "job_count": 1, "job_no": 0,
            "sampling_step": work.done, "sampling_steps": work.of,
        });
        json!({
            "progress": progress, "eta_relative": passed / progress - passed, "state": state, "current_image": null,
            "textinfo": null,
        })
    }
}

/// What a request asks for.
#[derive(Debug, Clone, Deserialize)]
struct Asked {
    #[serde(default)]
    prompt: String,
    steps: Option<u32>,
    #[serde(default = "one")]
    batch_size: usize,
    #[serde(default = "one")]
    n_iter: usize,
    #[serde(default)]
    init_images: Vec<String>,
    #[serde(flatten)]
    others: serde_json::Map<String, Value>,
}

fn one() -> usize {
    1
}

impl Asked {
    fn answer(&self) -> Value {
        let count = (self.batch_size * self.n_iter).clamp(1, 64);
        let mut parameters = self.others.clone();
        parameters.insert("prompt".to_owned(), json!(self.prompt));
        let info = json!({ "prompt": self.prompt, "seed": 42, "all_seeds": vec![42; count] }).to_string();
        json!({ "images": vec![pixel_in_json(); count], "parameters": parameters, "info": info })
    }
}

/// Adds the routes; the [`Engine`] and a painter must be there as app data.
pub fn routes(app: &mut ServiceConfig) {
    app.route("/internal/ping", web::get().to(ping))
        .route("/sdapi/v1/txt2img", web::post().to(txt2img))
        .route("/sdapi/v1/img2img", web::post().to(img2img))
        .route("/sdapi/v1/progress", web::get().to(progress))
        .route("/sdapi/v1/interrupt", web::post().to(interrupt))
        .route("/sdapi/v1/memory", web::get().to(memory))
        .route("/sdapi/v1/unload-checkpoint", web::post().to(unload))
        .route("/sdapi/v1/reload-checkpoint", web::post().to(reload));
}

async fn ping(engine: Data<Engine>, painter: SharedPainter) -> HttpResponse {
    if engine.stage() == Stage::Loading && !painter.webui.was_ready.load(Ordering::Relaxed) {
        return loading();
    }
    painter.webui.was_ready.store(true, Ordering::Relaxed);
    HttpResponse::Ok().json(json!({}))
}

async fn txt2img(engine: Data<Engine>, painter: SharedPainter, asked: Json<Asked>) -> HttpResponse {
    if asked.others.get("sampler_name").is_some_and(|name| name == "none") {
        return HttpResponse::NotFound().json(json!({ "detail": "Sampler not found" }));
    }
    let painted = spawn(async move { painter.webui.paint(&engine, &asked).await });
    match painted.await {
        Ok(Ok(answer)) => HttpResponse::Ok().json(answer),
        Ok(Err(failure)) => {
            output::complain(&format!("*** API error: POST: {}: {}", failure.kind, failure.message));
            HttpResponse::InternalServerError()
                .json(json!({ "error": failure.kind, "detail": "", "body": "", "errors": failure.message }))
        }
        Err(_) => HttpResponse::InternalServerError().finish(),
    }
}

async fn img2img(engine: Data<Engine>, painter: SharedPainter, asked: Json<Asked>) -> HttpResponse {
    if asked.init_images.is_empty() {
        return HttpResponse::NotFound().json(json!({ "detail": "Init image not found" }));
    }
    txt2img(engine, painter, asked).await
}

async fn progress(painter: SharedPainter) -> HttpResponse {
    HttpResponse::Ok().json(painter.webui.progress())
}

/// Answered at once; the image ends at its next step.
async fn interrupt(painter: SharedPainter) -> HttpResponse {
    let webui = &painter.webui;
    let is_at_work = webui.at_work(|work| work.as_mut().map(|work| work.interrupted = true)).is_some();
    if is_at_work {
        webui.interrupted.notify_one();
    }
    HttpResponse::Ok().json(json!({}))
}

async fn memory() -> HttpResponse {
    let figures = json!({ "current": 0, "peak": 0 });
    let cuda = json!({
        "system": { "free": 6_000_000_000_u64, "used": 2_000_000_000_u64, "total": 8_000_000_000_u64 },
        "active": figures, "allocated": figures, "reserved": figures, "inactive": figures,
        "events": { "retries": 0, "oom": 0 },
    });
    let ram = json!({ "free": 8_000_000_000_u64, "used": 1_000_000_000_u64, "total": 9_000_000_000_u64 });
    HttpResponse::Ok().json(json!({ "ram": ram, "cuda": cuda }))
}

async fn unload(engine: Data<Engine>, painter: SharedPainter) -> HttpResponse {
    engine.unload().await;
    painter.webui.card(Card::clean);
    HttpResponse::Ok().json(json!({}))
}

async fn reload(engine: Data<Engine>) -> HttpResponse {
    engine.load().await;
    HttpResponse::Ok().json(json!({}))
}
