//! The stand-in's HTTP side: what llama-server answers, as far as Greenroom and its tests ask.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
        mpsc::Sender,
    },
    thread,
    time::Duration,
};

use actix_web::{
    App, HttpRequest, HttpResponse, HttpServer,
    middleware::from_fn,
    web::{self, Bytes, Data, Json, JsonConfig, PayloadConfig, ServiceConfig},
};
use futures_util::stream;
use greenroom_actors::os::clock;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::watch;

use super::{
    faults::{self, AtChat},
    images::{Images, Kind, Painter, comfyui, webui},
    key::guard,
    life::{Stage, Wake},
    options::Options,
    others, output, websocket,
    work::{self, Work},
};

/// Bytes of the largest body that is read: an image in base64 is some MB.
const LARGEST_BODY: usize = 64 << 20;

/// What the handlers share.
#[derive(Debug)]
pub struct Engine {
    /// What it asks of whoever speaks to it.
    pub key: Option<String>,
    name: String,
    tokens: u32,
    token_time: Duration,
    crash_after: Option<u64>,
    faults: AtChat,
    chats: AtomicU64,
    /// Chats that have not been answered to their end.
    open: Arc<AtomicU64>,
    /// The most of them at a time.
    most: AtomicU64,
    /// When it said first that it is loaded, and when the first chat came: microseconds since 1970, 0 for not yet.
    told_ready: AtomicU64,
    first_chat: AtomicU64,
    busy: Duration,
    images: Images,
    stage: watch::Receiver<Stage>,
    wake: Sender<Wake>,
}

impl Engine {
    /// An engine whose model is where `stage` says and that asks for what it needs by `wake`.
    pub fn new(options: &Options, stage: watch::Receiver<Stage>, wake: Sender<Wake>) -> Self {
        Self {
            key: options.api_key.clone(),
            name: options.name.clone(),
            tokens: options.tokens,
            token_time: Duration::from_millis(options.token_ms),
            crash_after: options.crash_after,
            faults: AtChat::of(&options.faults),
            chats: AtomicU64::new(0),
            open: Arc::default(),
            most: AtomicU64::new(0),
            told_ready: AtomicU64::new(0),
            first_chat: AtomicU64::new(0),
            busy: Duration::from_millis(options.busy_ms),
            images: Images::of(options),
            stage,
            wake,
        }
    }

    /// Tokens in an answer, unless the request says how many.
    pub fn tokens(&self) -> u32 {
        self.tokens
    }

    /// How long a token takes.
    pub fn token_time(&self) -> Duration {
        self.token_time
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Where its model is.
    pub fn stage(&self) -> Stage {
        *self.stage.borrow()
    }

    /// Comes back once a word can be generated: never, while it is wedged.
    pub async fn has_words(&self) {
        self.load().await;
        if self.faults.is_wedged(self.chats.load(Ordering::Relaxed)) {
            std::future::pending().await
        }
    }

    /// Has the model in memory; loads it if it was given back.
    pub async fn load(&self) {
        if self.stage() == Stage::Unloaded {
            self.wake(Wake::Load);
        }
        // An error means that the process is about to end.
        drop(self.stage.clone().wait_for(|stage| *stage == Stage::Loaded).await);
    }

    /// Gives the memory back.
    pub async fn unload(&self) {
        self.wake(Wake::Unload);
        // An error means that the process ended, and with it whoever waits.
        drop(self.stage.clone().wait_for(|stage| *stage == Stage::Unloaded).await);
    }

    /// Has the process's own thread do something. An error means that the process is about to end.
    pub fn wake(&self, wake: Wake) {
        self.wake.send(wake).ok();
    }
}

/// Serves on a thread of its own until the process ends.
///
/// # Errors
/// When the thread cannot be started. That the port is taken is said on stderr and woken for, as an engine finds it
/// out: after its start.
pub fn serve(address: (String, u16), engine: Engine) -> io::Result<()> {
    let engine = Data::new(engine);
    thread::Builder::new().name("http".into()).spawn(move || {
        let served = actix_web::rt::System::new().block_on(listen(&address, engine.clone()));
        if let Err(error) = served {
            let (host, port) = address;
            output::complain(&format!("couldn't bind HTTP server socket, hostname: {host}, port: {port}: {error}"));
        }
        engine.wake(Wake::NoHttp);
    })?;
    Ok(())
}

async fn listen(address: &(String, u16), engine: Data<Engine>) -> io::Result<()> {
    let work = Data::new(Work::new(engine.busy));
    let painter = Data::new(Painter::new(&engine.images));
    let app = move || {
        App::new()
            .app_data(engine.clone())
            .app_data(work.clone())
            .app_data(painter.clone())
            // As `llama-server`, which reads a body whatever its type is said to be.
            .app_data(JsonConfig::default().limit(LARGEST_BODY).content_type(|_| true).content_type_required(false))
            .app_data(PayloadConfig::new(LARGEST_BODY))
            .wrap(from_fn(guard))
            .configure(|app| match engine.images.kind {
                Kind::Llama => llama(app),
                Kind::Webui => webui::routes(app),
                Kind::Comfyui => comfyui::routes(app),
            })
            .configure(faults::routes)
            .route("/health", web::get().to(health))
            .route("/props", web::get().to(props))
            .default_service(web::to(not_found))
    };
    let server = HttpServer::new(app).workers(1).tcp_nodelay(true).h1_allow_half_closed(false).disable_signals();
    server.bind(address.clone())?.run().await
}

fn llama(app: &mut ServiceConfig) {
    app.configure(work::routes)
        .configure(others::routes)
        .configure(websocket::routes)
        .route("/unload", web::post().to(unload))
        // As A1111's WebUI names the same, for tests of an engine that sleeps.
        .route("/sdapi/v1/unload-checkpoint", web::post().to(unload))
        .route("/sdapi/v1/reload-checkpoint", web::post().to(reload))
        .route("/v1/models", web::get().to(models))
        .route("/v1/chat/completions", web::post().to(chat));
}

async fn health(engine: Data<Engine>) -> HttpResponse {
    match engine.stage() {
        Stage::Loading => loading(),
        Stage::Loaded | Stage::Unloaded => {
            note(&engine.told_ready);
            HttpResponse::Ok().json(json!({ "status": "ok" }))
        }
    }
}

/// Notes the moment, the first time alone.
fn note(moment: &AtomicU64) {
    let now = u64::try_from(clock::wall().as_micros()).unwrap_or_default();
    // An error means that it was noted before.
    moment.compare_exchange(0, now, Ordering::Relaxed, Ordering::Relaxed).ok();
}

/// What is said until the model is there.
pub fn loading() -> HttpResponse {
    let error = json!({ "message": "Loading model", "type": "unavailable_error", "code": 503 });
    HttpResponse::ServiceUnavailable().json(json!({ "error": error }))
}

async fn props(engine: Data<Engine>) -> HttpResponse {
    let sleeping = engine.stage() == Stage::Unloaded;
    let busy = engine.open.load(Ordering::Relaxed);
    let slots = json!({
        "model_alias": engine.name, "total_slots": 1, "is_sleeping": sleeping, "slots_busy": busy,
        "slots_most": engine.most.load(Ordering::Relaxed), "told_ready": engine.told_ready.load(Ordering::Relaxed),
        "first_chat": engine.first_chat.load(Ordering::Relaxed),
    });
    HttpResponse::Ok().json(slots)
}

/// Says what was asked, as it came: for whoever wants to know what has become of it on its way.
async fn not_found(engine: Data<Engine>, request: HttpRequest, body: Bytes) -> HttpResponse {
    let headers: Vec<(String, String)> = request
        .headers()
        .iter()
        .map(|(name, value)| (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned()))
        .collect();
    let asked = json!({
        "method": request.method().as_str(),
        "target": request.uri().to_string(),
        "headers": headers,
        "body": String::from_utf8_lossy(&body),
    });
    let error = json!({ "message": "File Not Found", "type": "not_found_error", "code": 404 });
    HttpResponse::NotFound().json(json!({ "error": error, "asked": asked, "system_fingerprint": engine.name }))
}

/// One chat, counted until its answer has ended or nobody waits for it any more.
#[derive(Debug)]
struct Open(Arc<AtomicU64>);

impl Open {
    fn count(open: &Arc<AtomicU64>) -> Self {
        open.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(open))
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

async fn unload(engine: Data<Engine>) -> HttpResponse {
    engine.unload().await;
    HttpResponse::Ok().json(json!({ "success": true }))
}

async fn reload(engine: Data<Engine>) -> HttpResponse {
    engine.load().await;
    HttpResponse::Ok().json(json!({}))
}

async fn models(engine: Data<Engine>) -> HttpResponse {
    let model = json!({ "id": engine.name, "object": "model", "owned_by": "greenroom" });
    HttpResponse::Ok().json(json!({ "object": "list", "data": [model] }))
}

#[derive(Debug, Deserialize)]
struct ChatRequest {
    model: Option<String>,
    #[serde(default)]
    stream: bool,
    max_tokens: Option<u32>,
}

async fn chat(engine: Data<Engine>, request: Json<ChatRequest>) -> HttpResponse {
    note(&engine.first_chat);
    match engine.stage() {
        Stage::Loading => return loading(),
        Stage::Loaded => {}
        Stage::Unloaded => engine.load().await,
    }
    let nth = engine.chats.fetch_add(1, Ordering::Relaxed) + 1;
    if engine.crash_after.is_some_and(|limit| nth >= limit) {
        engine.wake(Wake::Crash);
        // The process ends under this request, as a crashed engine's does.
        return std::future::pending().await;
    }
    let open = Open::count(&engine.open);
    engine.most.fetch_max(engine.open.load(Ordering::Relaxed), Ordering::Relaxed);
    if engine.faults.come(nth, &engine) {
        return std::future::pending().await;
    }
    let answer = Answer {
        id: format!("chatcmpl-{nth}"),
        model: request.model.clone().unwrap_or_else(|| engine.name.clone()),
        engine: engine.name.clone(),
        _open: open,
        tokens: request.max_tokens.unwrap_or(engine.tokens),
        token_time: engine.token_time,
    };
    if request.stream { answer.stream() } else { answer.whole().await }
}

/// An answer to be given.
#[derive(Debug)]
struct Answer {
    id: String,
    /// As the request calls it.
    model: String,
    /// As this stand-in is called: whoever asks can tell who has answered.
    engine: String,
    /// Kept as long as this.
    _open: Open,
    tokens: u32,
    token_time: Duration,
}

impl Answer {
    async fn whole(self) -> HttpResponse {
        tokio::time::sleep(self.token_time * self.tokens).await;
        let text: String = (0..self.tokens).map(token).collect();
        let choice =
            json!({ "index": 0, "message": { "role": "assistant", "content": text }, "finish_reason": "length" });
        let usage = json!({ "completion_tokens": self.tokens, "prompt_tokens": 1, "total_tokens": self.tokens + 1 });
        HttpResponse::Ok().json(self.envelope("chat.completion", &choice, &usage))
    }

    fn stream(self) -> HttpResponse {
        let answer = Arc::new(self);
        let pieces = stream::unfold(0, move |n| {
            let answer = Arc::clone(&answer);
            async move {
                if n > answer.tokens {
                    return None;
                }
                if n < answer.tokens {
                    tokio::time::sleep(answer.token_time).await;
                }
                Some((Ok::<_, io::Error>(Bytes::from(answer.piece(n))), n + 1))
            }
        });
        HttpResponse::Ok().content_type("text/event-stream").streaming(pieces)
    }

    /// The `n`-th event of the stream; the one after the last token closes it.
    fn piece(&self, n: u32) -> String {
        let (delta, finish) =
            if n < self.tokens { (json!({ "content": token(n) }), Value::Null) } else { (json!({}), json!("length")) };
        let choice = json!({ "index": 0, "delta": delta, "finish_reason": finish });
        let event = format!("data: {}\n\n", self.envelope("chat.completion.chunk", &choice, &Value::Null));
        if n < self.tokens { event } else { event + "data: [DONE]\n\n" }
    }

    fn envelope(&self, object: &str, choice: &Value, usage: &Value) -> Value {
        json!({
            "id": self.id, "object": object, "model": self.model, "system_fingerprint": self.engine,
            "choices": [choice], "usage": usage,
        })
    }
}

/// The `n`-th word the stand-in says.
pub fn token(n: u32) -> String {
    const WORDS: [&str; 6] = ["the ", "heron ", "waits ", "in ", "the ", "greenroom "];
    WORDS[n as usize % WORDS.len()].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_has_one_event_for_each_token_and_is_closed_once() {
        let open = Arc::default();
        let answer = Answer {
            id: "x".into(),
            model: "m".into(),
            engine: "e".into(),
            _open: Open::count(&open),
            tokens: 3,
            token_time: Duration::ZERO,
        };
        let stream: String = (0..=3).map(|n| answer.piece(n)).collect();
        assert_eq!(stream.matches("\"content\"").count(), 3);
        assert!(stream.ends_with("data: [DONE]\n\n"));
        assert_eq!(stream.matches("[DONE]").count(), 1);
        assert_eq!(open.load(Ordering::Relaxed), 1);
        drop(answer);
        assert_eq!(open.load(Ordering::Relaxed), 0);
    }
}
