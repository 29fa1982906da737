//! Official clients, unchanged, against the gateway: the openai packages for Python and Node, and the anthropic
//! package. Fetched on first use; `GREENROOM_TEST_OFFLINE=1` leaves these tests out.

#[path = "../common/mod.rs"]
mod common;
mod imported;
mod packages;
mod polling;
mod real;

use common::{Greenroom, Http};
use serde_json::{Value, json};

const KEY: &str = "sk-greenroom-test";

/// `[gateway]` on a port of the test's own, with a key.
fn gateway(greenroom: &Greenroom) -> String {
    format!("[gateway]\nlisten = \"127.0.0.1:{}\"\napi_keys = [\"{KEY}\"]\n", greenroom.port(0))
}

fn url(greenroom: &Greenroom) -> String {
    format!("http://127.0.0.1:{}", greenroom.port(0))
}

/// `GET` with the key, at the gateway.
#[track_caller]
fn get(greenroom: &Greenroom, path: &str, key: &str) -> common::Answer {
    let headers = format!("Authorization: Bearer {key}\r\n");
    Http::Tcp(greenroom.port(0)).ask("GET", path, &headers, "").expect("the gateway answers")
}

/// Two services and the names of their models; nothing runs yet.
#[track_caller]
fn running() -> Greenroom {
    Greenroom::running(|g| {
        let service = |name: &str, keys: &str| {
            let command = g.stand_in(name, "--port ${port} --load-ms 200 --token-ms 5");
            format!("[service.{name}]\ncommand = {command}\nready = \"/health\"\nstart = \"on_demand\"\n{keys}\n")
        };
        gateway(g) + &service("chat", "serves = [\"org/chat:small\", \"gpt-4o-mini\"]") + &service("image", "")
    })
}

fn given(greenroom: &Greenroom) -> Value {
    let url = url(greenroom);
    json!({ "url": url, "key": KEY, "chat": "org/chat:small", "embed": "gpt-4o-mini", "image": "image" })
}

const WORDS: &str = "the heron waits in the greenroom ";

/// What every OpenAI client saw of a chat of six tokens with the stand-in.
#[track_caller]
fn saw_a_chat(said: &Value) {
    assert_eq!(said["chat"], json!({ "text": WORDS, "finish": "length", "tokens": 6 }), "{said:#}");
    assert_eq!(said["stream"], json!({ "text": WORDS, "pieces": 6, "finish": "length" }), "{said:#}");
    let models = said["models"].as_array().cloned().unwrap_or_default();
    for name in ["org/chat:small", "gpt-4o-mini", "image"] {
        assert!(models.contains(&json!(name)), "{name}: {said:#}");
    }
}

#[test]
fn the_openai_package_for_python_works_unchanged() {
    let greenroom = running();
    let Some(said) = packages::python("openai_client.py", &given(&greenroom)) else { return };
    saw_a_chat(&said);
    assert_eq!(said["model"], "org/chat:small", "{said:#}");
    assert_eq!(said["embeddings"], json!([8, 8]), "{said:#}");
    let images = said["images"].as_array().cloned().unwrap_or_default();
    assert!(images.len() == 2 && images.iter().all(|image| image.as_str().is_some_and(|i| i.starts_with("iVBOR"))));
    let unknown = &said["unknown"];
    let seen = (&unknown["status"], &unknown["code"], &unknown["type"]);
    assert_eq!(seen, (&json!(404), &json!("model_not_found"), &json!("invalid_request_error")), "{said:#}");
    assert!(unknown["message"].as_str().is_some_and(|message| message.contains("org/chat:small")), "{said:#}");
    assert_eq!(said["wrong_key"], json!({ "status": 401, "code": "unauthorized" }), "{said:#}");
    greenroom.shutdown_clean();
    greenroom.assert_clean();
}

#[test]
fn the_openai_package_for_node_works_unchanged() {
    let greenroom = running();
    let Some(said) = packages::node("openai_client.mjs", &given(&greenroom)) else { return };
    saw_a_chat(&said);
    assert_eq!(said["unknown"], json!({ "status": 404, "code": "model_not_found", "is": true }), "{said:#}");
    assert_eq!(said["wrong_key"], json!({ "status": 401, "is": true }), "{said:#}");
}

#[test]
fn the_anthropic_package_works_unchanged() {
    let greenroom = running();
    let Some(said) = packages::python("anthropic_client.py", &given(&greenroom)) else { return };
    assert_eq!(said["message"], json!({ "text": WORDS, "stop": "max_tokens", "tokens": 6 }), "{said:#}");
    let stream = json!({ "text": WORDS, "pieces": 6, "stop": "max_tokens", "role": "assistant" });
    assert_eq!(said["stream"], stream, "{said:#}");
    assert_eq!(said["count"], 1, "{said:#}");
    assert_eq!(said["unknown"], json!({ "status": 404, "code": "model_not_found" }), "{said:#}");
    assert_eq!(said["wrong_key"], json!({ "status": 401 }), "{said:#}");
}
