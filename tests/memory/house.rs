//! A runtime with a declared card, a door, and stand-ins that say how much they need.

use serde_json::{Value, json};

use crate::common::{Answer, Greenroom, Http};

/// One declared card of 8 GiB of which nothing is kept back.
pub const CARD: &str =
    "[resources]\ngpu_backend = \"declared\"\nvram_reserve = \"0B\"\ngpu = [{ name = \"card\", memory = \"8GiB\" }]\n";

/// `[gateway]` on the test's first own port.
pub fn door(greenroom: &Greenroom) -> String {
    format!("[gateway]\nlisten = \"127.0.0.1:{}\"\n", greenroom.port(0))
}

/// A service on demand that answers chats as its name, with these further keys and options of the stand-in.
pub fn service(greenroom: &Greenroom, name: &str, keys: &str, options: &str) -> String {
    let command = greenroom.stand_in(name, &format!("--port ${{port}} {options}"));
    format!("[service.{name}]\ncommand = {command}\nready = \"/health\"\nstart = \"on_demand\"\nram = \"0B\"\n{keys}\n")
}

/// A runtime with the card, the door, and these services.
#[track_caller]
pub fn running(services: impl FnOnce(&Greenroom) -> String) -> Greenroom {
    Greenroom::running(|greenroom| format!("{}{CARD}{}", door(greenroom), services(greenroom)))
}

/// A chat with a model, through the door.
pub fn chat(greenroom: &Greenroom, model: &str) -> Answer {
    chat_at(greenroom.port(0), model, 1)
}

/// The same for another thread: by the door's port, with this many tokens to come.
pub fn chat_at(port: u16, model: &str, tokens: u32) -> Answer {
    let body = json!({ "model": model, "messages": [{ "role": "user", "content": "?" }], "max_tokens": tokens });
    Http::Tcp(port).post("/v1/chat/completions", Some(&body)).expect("the door answers")
}

/// A chat that is answered.
#[track_caller]
pub fn chat_well(greenroom: &Greenroom, model: &str) -> Value {
    let answer = chat(greenroom, model);
    assert_eq!(answer.status, 200, "{}\n{}", answer.body, greenroom.output());
    answer.json()
}

/// What is said about memory in an error.
#[track_caller]
pub fn refused(answer: &Answer, status: u16, code: &str) -> String {
    let error = answer.json()["error"].clone();
    assert_eq!((answer.status, error["code"].as_str()), (status, Some(code)), "{}", answer.body);
    error["message"].as_str().unwrap_or_default().to_owned()
}
