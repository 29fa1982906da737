//! ComfyUI: a prompt is followed, its images are fetched.

use std::{cell::Cell, fs, rc::Rc, sync::Arc};

use greenroom_actors::job_queue::attempt::{AttemptEnd, AttemptNews};
use serde_json::json;
use tokio::sync::{mpsc, watch};

use super::shop::*;
use crate::web::{Asked, Reply, Web};

/// ComfyUI, as far as a job meets it: its queue, its history, and what it has made.
fn comfy(asked: &Asked, is_done: bool) -> Reply {
    let entry = json!([1, "p1", {}, { "client_id": "somebody" }, []]);
    let outputs = json!({ "9": { "images": [{ "filename": "a b.png", "subfolder": "s", "type": "output" }] } });
    match asked.what.as_str() {
        "POST /prompt" => {
            assert!(asked.body["client_id"].is_string() && asked.body["prompt"].is_object(), "{:?}", asked.body);
            Reply::json(&json!({ "prompt_id": "p1", "number": 1, "node_errors": {} }))
        }
        "GET /history/p1" if is_done => Reply::json(
            &json!({ "p1": { "outputs": outputs, "status": { "status_str": "success", "completed": true } } }),
        ),
        "GET /history/p1" => Reply::json(&json!({})),
        "GET /queue" => Reply::json(
            &json!({ "queue_running": if is_done { json!([]) } else { json!([entry]) }, "queue_pending": [] }),
        ),
        "GET /view?filename=a%20b.png&subfolder=s&type=output" => {
            Reply { status: 200, kind: "image/png", body: b"\x89PNG".to_vec() }
        }
        _ => Reply::json(&json!({})),
    }
}

#[actix_rt::test]
async fn a_prompt_is_followed_over_the_websocket_and_its_images_fetched() {
    let shop = Shop::new(service("comfyui", "sleep 1000"), "/prompt").await;
    let (port, _) = shop.load().await;
    let (tell, news) = mpsc::unbounded_channel();
    let web = Web::new(port, Some(news), |asked: Asked| async move { comfy(&asked, true) }).await;
    let mut begun = shop.begin(json!({ "6": { "class_type": "CLIPTextEncode" } }));
    soon("it is submitted", || web.has_heard("POST /prompt")).await;
    assert_eq!(web.heard(), ["GET /ws", "POST /prompt"], "it listens before it submits");
    tell.send(json!({ "type": "progress", "data": { "value": 3, "max": 20, "prompt_id": "p1", "node": "3" } }))
        .expect("sent");
    let progress =
        begun.until(|news| if let AttemptNews::Progress(progress) = news { Some(*progress) } else { None }).await;
    assert_eq!((progress.done, progress.total), (3, 20));
    tell.send(json!({ "type": "executing", "data": { "node": null, "prompt_id": "p1" } })).expect("sent");
    let output = begun.folder.output();
    let result = begun.done().await;
    assert_eq!(result.files, ["a_b.png"]);
    assert_eq!(fs::read(output.join("a_b.png")).expect("a file"), b"\x89PNG");
    shop.stop().await;
}

#[actix_rt::test]
async fn without_a_websocket_the_history_is_asked_and_a_refusal_names_its_nodes() {
    let shop = Shop::new(service("comfyui", "sleep 1000"), "/prompt").await;
    let (port, _) = shop.load().await;
    let refuses = Rc::new(Cell::new(false));
    let is_refused = Rc::clone(&refuses);
    let _web = Web::new(port, None, move |asked: Asked| {
        let refused = is_refused.get().then(|| {
            let nodes = json!({ "6": { "class_type": "K", "errors": [{ "message": "no clip", "details": "" }] } });
            Reply::refused(400, &json!({ "error": { "message": "invalid prompt" }, "node_errors": nodes }).to_string())
        });
        async move { refused.unwrap_or_else(|| comfy(&asked, true)) }
    })
    .await;
    assert_eq!(shop.begin(json!({})).done().await.files, ["a_b.png"]);
    refuses.set(true);
    let error = shop.begin(json!({})).failed().await;
    assert!(error.message.contains("invalid prompt; node 6 (K): no clip"), "{}", error.message);
    assert_eq!(error.status, Some(400));
    shop.stop().await;
}

#[actix_rt::test]
async fn a_prompt_that_is_worked_on_is_interrupted_and_gone_before_its_end_is_told() {
    let shop = Shop::new(service("comfyui", "sleep 1000"), "/prompt").await;
    let (port, before) = shop.load().await;
    let (interrupt, interrupted) = watch::channel(false);
    let interrupt = Arc::new(interrupt);
    let (_tell, news) = mpsc::unbounded_channel();
    let web = Web::new(port, Some(news), move |asked: Asked| {
        if asked.what == "POST /interrupt" {
            interrupt.send_replace(true);
        }
        let is_done = *interrupted.borrow();
        async move { comfy(&asked, is_done) }
    })
    .await;
    let begun = shop.begin(json!({}));
    soon("it is submitted", || web.has_heard("POST /prompt")).await;
    stop(&begun);
    assert_eq!(begun.end().await, AttemptEnd::Stopped);
    assert!(web.has_heard("POST /interrupt"));
    assert_eq!(shop.service().status.borrow().run_id, before.run_id);
    shop.stop().await;
}
