//! ComfyUI: prompts are queued, answered at once and worked on one after the other, node by node.

use std::sync::{
    Mutex, PoisonError,
    atomic::{AtomicBool, Ordering},
};

use actix_web::{
    HttpResponse,
    rt::spawn,
    web::{self, Bytes, Data, Json, Path, Query, ServiceConfig},
};
use greenroom_actors::os::clock;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{
    super::{http::Engine, life::Stage, output, picture::PIXEL},
    SharedPainter,
    events::{Listeners, listen},
    options::{Card, Failure, Images, OOM, wanted_failure},
    prompts::{Prompt, Prompts, checked, is_output},
};

/// Its state.
#[derive(Debug)]
pub struct Comfyui {
    images: Images,
    prompts: Mutex<Prompts>,
    card: Mutex<Card>,
    /// Whether somebody works on the queue.
    works: AtomicBool,
    /// `POST /free` takes effect after the prompt that is worked on.
    free: AtomicBool,
    pub(super) listeners: Listeners,
}

/// How a prompt ended that did not succeed.
enum Ended {
    Interrupted,
    Failed { node: String, failure: Failure },
}

impl Comfyui {
    /// One that makes images like this.
    pub fn new(images: &Images) -> Self {
        Self {
            images: *images,
            prompts: Mutex::default(),
            card: Mutex::default(),
            works: AtomicBool::new(false),
            free: AtomicBool::new(false),
            listeners: Listeners::default(),
        }
    }

    fn prompts<T>(&self, look: impl FnOnce(&mut Prompts) -> T) -> T {
        look(&mut self.prompts.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn card<T>(&self, look: impl FnOnce(&mut Card) -> T) -> T {
        look(&mut self.card.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Tells everybody how many prompts are left.
    pub(super) fn tell_status(&self) {
        let remaining = self.prompts(|prompts| prompts.remaining());
        let status = json!({ "status": { "exec_info": { "queue_remaining": remaining } } });
        self.listeners.tell(None, "status", &status);
    }

    /// Works until nothing is queued. Its flags are looked at before each prompt (`main.py`, `prompt_worker`).
    async fn work(&self, engine: &Engine) {
        loop {
            if self.free.swap(false, Ordering::Relaxed) {
                self.empty_card(engine).await;
            }
            let Some(prompt) = self.prompts(Prompts::begin) else { return };
            engine.load().await;
            self.execute(&prompt).await;
            self.tell_status();
        }
    }

    async fn empty_card(&self, engine: &Engine) {
        engine.unload().await;
        self.card(Card::clean);
    }

    async fn execute(&self, prompt: &Prompt) {
        let client = prompt.client.as_deref();
        let mut messages = Vec::new();
        let mut note = |kind: &str, mut data: Value| {
            data["prompt_id"] = json!(prompt.id);
            data["timestamp"] = json!(u64::try_from(clock::wall().as_micros() / 1000).unwrap_or_default());
            self.listeners.tell(client, kind, &data);
            messages.push(json!([kind, data]));
        };
        note("execution_start", json!({}));
        note("execution_cached", json!({ "nodes": [] }));
        let mut outputs = Map::new();
        let failure = self.card(|card| card.begin(&self.images));
        let ended = self.nodes(prompt, failure, &mut outputs).await;
        self.card(Card::end);
        let status = match ended {
            Ok(()) => {
                note("execution_success", json!({}));
                "success"
            }
            Err(Ended::Interrupted) => {
                output::complain("Processing interrupted");
                note("execution_interrupted", json!({ "node_id": "3", "node_type": "KSampler", "executed": [] }));
                "error"
            }
            Err(Ended::Failed { node, failure }) => {
                complain(failure);
                let class = prompt.nodes.get(&node).map_or(Value::Null, |node| node["class_type"].clone());
                let error = json!({
                    "node_id": node, "node_type": class, "executed": [], "exception_message": failure.message,
                    "exception_type": failure.kind, "traceback": [], "current_inputs": {}, "current_outputs": [],
                });
                note("execution_error", error);
                "error"
            }
        };
        self.prompts(|prompts| prompts.end(outputs, status, messages));
        self.listeners.tell(client, "executing", &json!({ "node": null, "prompt_id": prompt.id }));
        output::complain("Prompt executed in 0.10 seconds");
    }

    async fn nodes(
        &self,
        prompt: &Prompt,
        failure: Option<Failure>,
        outputs: &mut Map<String, Value>,
    ) -> Result<(), Ended> {
        let client = prompt.client.as_deref();
        for (id, node) in &prompt.nodes {
            let at = json!({ "node": id, "display_node": id, "prompt_id": prompt.id });
            self.listeners.tell(client, "executing", &at);
            let words = node["inputs"]["text"].as_str().unwrap_or_default();
            if let Some(failure) = wanted_failure(words) {
                return Err(Ended::Failed { node: id.clone(), failure });
            }
            if node["class_type"] == "KSampler" {
                self.sample(prompt, id, node).await?;
                if let Some(failure) = failure {
                    return Err(Ended::Failed { node: id.clone(), failure });
                }
            }
            if is_output(node) {
                let prefix = node["inputs"]["filename_prefix"].as_str().unwrap_or("ComfyUI");
                let name = self.prompts(|prompts| prompts.next_image(prefix));
                let output = json!({ "images": [{ "filename": name, "subfolder": "", "type": "output" }] });
                let told = json!({ "node": id, "display_node": id, "output": output, "prompt_id": prompt.id });
                self.listeners.tell(client, "executed", &told);
                outputs.insert(id.clone(), output);
            }
        }
        if self.prompts(|prompts| prompts.is_interrupted()) { Err(Ended::Interrupted) } else { Ok(()) }
    }

    /// The one node that takes time.
    async fn sample(&self, prompt: &Prompt, id: &str, node: &Value) -> Result<(), Ended> {
        let client = prompt.client.as_deref();
        let steps = node["inputs"]["steps"].as_u64().unwrap_or(u64::from(self.images.steps)).max(1);
        for value in 1..=steps {
            tokio::time::sleep(self.images.step).await;
            if self.prompts(|prompts| prompts.is_interrupted()) {
                return Err(Ended::Interrupted);
            }
            let progress = json!({ "value": value, "max": steps, "prompt_id": prompt.id, "node": id });
            self.listeners.tell(client, "progress", &progress);
            self.listeners.preview(client);
        }
        Ok(())
    }
}

/// What it prints when an execution fails (`execution.py`).
fn complain(failure: Failure) {
    output::complain(&format!("!!! Exception during processing !!! {}", failure.message));
    if failure == OOM {
        output::complain("Got an OOM, unloading all loaded models.");
    }
}

/// Adds the routes; the [`Engine`] and a painter must be there as app data.
pub fn routes(app: &mut ServiceConfig) {
    app.route("/prompt", web::post().to(prompt))
        .route("/queue", web::get().to(queue))
        .route("/queue", web::post().to(change_queue))
        .route("/interrupt", web::post().to(interrupt))
        .route("/free", web::post().to(free))
        .route("/history/{id}", web::get().to(history))
        .route("/view", web::get().to(view))
        .route("/upload/image", web::post().to(upload))
        .route("/system_stats", web::get().to(system_stats))
        .route("/ws", web::get().to(listen));
}

async fn prompt(engine: Data<Engine>, painter: SharedPainter, body: Json<Value>) -> HttpResponse {
    let comfyui = &painter.comfyui;
    let (nodes, client) = match checked(&body) {
        Ok(prompt) => prompt,
        Err(refused) => return HttpResponse::BadRequest().json(refused.0),
    };
    output::complain("got prompt");
    let id = body["prompt_id"].as_str().map(str::to_owned);
    let (number, id) = comfyui.prompts(|prompts| prompts.add(nodes, client, id));
    comfyui.tell_status();
    wake(engine, &painter);
    HttpResponse::Ok().json(json!({ "prompt_id": id, "number": number, "node_errors": {} }))
}

/// Has somebody work on what there is to do.
fn wake(engine: Data<Engine>, painter: &SharedPainter) {
    if painter.comfyui.works.swap(true, Ordering::Relaxed) {
        return;
    }
    let painter = painter.clone();
    spawn(async move {
        let comfyui = &painter.comfyui;
        // Alone on its thread: nothing is queued between the last look and the note that nobody works.
        while comfyui.free.load(Ordering::Relaxed) || comfyui.prompts(|prompts| prompts.remaining()) > 0 {
            comfyui.work(&engine).await;
        }
        comfyui.works.store(false, Ordering::Relaxed);
    });
}

async fn queue(painter: SharedPainter) -> HttpResponse {
    HttpResponse::Ok().json(painter.comfyui.prompts(|prompts| prompts.queue()))
}

async fn change_queue(painter: SharedPainter, body: Json<Value>) -> HttpResponse {
    painter.comfyui.prompts(|prompts| {
        if body["clear"] == true {
            prompts.clear();
        }
        let ids: Vec<&str> = body["delete"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        prompts.delete(&ids);
    });
    painter.comfyui.tell_status();
    HttpResponse::Ok().finish()
}

/// With a `prompt_id` in its body, only that one.
async fn interrupt(painter: SharedPainter, body: Bytes) -> HttpResponse {
    let body: Value = serde_json::from_slice(&body).unwrap_or_default();
    painter.comfyui.prompts(|prompts| prompts.interrupt(body["prompt_id"].as_str()));
    HttpResponse::Ok().finish()
}

/// Answered at once; done as soon as nothing is worked on, and before the next prompt.
/// Without a JSON body it breaks, and it does only what that says (`server.py`, `post_free`).
async fn free(engine: Data<Engine>, painter: SharedPainter, body: Bytes) -> HttpResponse {
    let Ok(asked) = serde_json::from_slice::<Value>(&body) else {
        return HttpResponse::InternalServerError().body("500 Internal Server Error");
    };
    if asked["unload_models"] == true && asked["free_memory"] == true {
        painter.comfyui.free.store(true, Ordering::Relaxed);
        wake(engine, &painter);
    }
    HttpResponse::Ok().finish()
}

async fn history(painter: SharedPainter, id: Path<String>) -> HttpResponse {
    HttpResponse::Ok().json(painter.comfyui.prompts(|prompts| prompts.history(&id)))
}

#[derive(Debug, Deserialize)]
struct View {
    filename: String,
}

async fn view(painter: SharedPainter, wanted: Query<View>) -> HttpResponse {
    if painter.comfyui.prompts(|prompts| prompts.has_image(&wanted.filename)) {
        return HttpResponse::Ok().content_type("image/png").body(PIXEL);
    }
    HttpResponse::NotFound().finish()
}

/// Says the name that the form gives the file; the picture is not kept.
async fn upload(form: Bytes) -> HttpResponse {
    let form = String::from_utf8_lossy(&form);
    let name = form.split("filename=\"").nth(1).and_then(|rest| rest.split('"').next());
    match name {
        Some(name) => HttpResponse::Ok().json(json!({ "name": name, "subfolder": "", "type": "input" })),
        None => HttpResponse::BadRequest().finish(),
    }
}

async fn system_stats(engine: Data<Engine>) -> HttpResponse {
    let (total, held) = (8_000_000_000_u64, if engine.stage() == Stage::Loaded { 2_000_000_000 } else { 0 });
    let device = json!({
        "name": engine.name(), "type": "cuda", "index": 0, "vram_total": total, "vram_free": total - held,
        "torch_vram_total": held, "torch_vram_free": 0,
    });
    HttpResponse::Ok().json(json!({ "system": { "os": "posix", "comfyui_version": "0.3.40" }, "devices": [device] }))
}
