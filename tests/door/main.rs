//! The door: requests come in over TCP, load what they name, and are passed on.

mod abuse;
#[path = "../common/mod.rs"]
mod common;
mod ends;
mod fairness;
mod guarded;
mod kills;
mod loads;
mod memory;
mod models;
mod own_doors;
mod passage;
mod peers;
mod queue;
mod refusals;
mod remotes;
mod security;
mod streams;
mod url;
mod websocket;

use common::{Answer, BOUND, EventReader, Greenroom, Http, wait_until};
use serde_json::{Value, json};

/// `[gateway]` on a port of the test's own, with further keys.
fn gateway(greenroom: &Greenroom, keys: &str) -> String {
    format!("[gateway]\nlisten = \"127.0.0.1:{}\"\n{keys}\n", greenroom.port(0))
}

/// A stand-in that is loaded on demand, with these options and further keys.
fn on_demand(greenroom: &Greenroom, name: &str, options: &str, keys: &str) -> String {
    let command = greenroom.stand_in(name, &format!("--port ${{port}} {options}"));
    format!("[service.{name}]\ncommand = {command}\nready = \"/health\"\nstart = \"on_demand\"\n{keys}\n")
}

/// A runtime with a gateway and one service `chat`, of which nothing runs yet.
#[track_caller]
fn with_chat(options: &str, keys: &str) -> Greenroom {
    Greenroom::running(|g| gateway(g, "") + &on_demand(g, "chat", options, keys))
}

fn door(greenroom: &Greenroom) -> Http {
    Http::Tcp(greenroom.port(0))
}

const CHAT: &str = "/v1/chat/completions";

/// A chat with this model.
#[track_caller]
fn chat(greenroom: &Greenroom, model: &str) -> Answer {
    chat_at(&door(greenroom), model)
}

/// A chat with this model at this door.
#[track_caller]
fn chat_at(door: &Http, model: &str) -> Answer {
    door.post(CHAT, Some(&json!({ "model": model, "max_tokens": 2 }))).expect("the door answers")
}

/// A chat with `chat` that is told token by token, this many.
#[track_caller]
fn tokens(greenroom: &Greenroom, count: u32) -> EventReader {
    let body = json!({ "model": "chat", "stream": true, "max_tokens": count });
    door(greenroom).post_events(CHAT, &body).expect("the door answers")
}

/// Fails the test unless it is a refusal with this status and code; gives its `error`.
#[track_caller]
fn refused(answer: &Answer, status: u16, code: &str) -> Value {
    let body = answer.json();
    let kind = match status {
        401 => "authentication_error",
        429 => "rate_limit_error",
        400..=499 => "invalid_request_error",
        _ => "server_error",
    };
    let said = (answer.status, body["error"]["code"].as_str(), body["error"]["type"].as_str(), body["src"].as_str());
    assert_eq!(said, (status, Some(code), Some(kind), Some("greenroom")), "{answer:?}");
    body["error"].clone()
}

/// Runs of a service, as the history has them. It is told of each a moment later, so it is asked once it has the last one.
#[track_caller]
fn runs(greenroom: &Greenroom, service: &str) -> usize {
    greenroom.wait_told(service);
    let path = format!("/api/history/runs?service={service}");
    let last = greenroom.service(service)["run_id"].clone();
    let known = || {
        let rows = greenroom.api().get(&path).expect("it answers").json();
        let rows = rows.as_array().expect("a list");
        let has_last = last.is_null() || rows.iter().any(|row| row["run_id"] == last);
        has_last.then_some(rows.len())
    };
    wait_until("the history knows the last run", BOUND, known).0
}
