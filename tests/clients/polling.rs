//! What a web interface does that is open in somebody's browser: it asks for the models, again and again.

use serde_json::{Value, json};

use crate::{
    KEY,
    common::{Greenroom, Http},
    get, running,
};

/// The models that the list shows, each with its status.
#[track_caller]
fn listed(greenroom: &Greenroom) -> Vec<(String, Value)> {
    let answer = get(greenroom, "/v1/models", KEY);
    assert_eq!(answer.status, 200, "{answer:?}");
    let list = answer.json();
    assert_eq!(list["object"], "list", "{list:#}");
    let models = list["data"].as_array().cloned().unwrap_or_default();
    assert!(models.iter().all(|model| model["object"] == "model" && model["owned_by"].is_string()), "{list:#}");
    models.iter().map(|model| (model["id"].as_str().unwrap_or_default().to_owned(), model["status"].clone())).collect()
}

#[test]
fn asking_for_the_models_loads_none_and_keeps_none_loaded() {
    let greenroom = running();
    let first = listed(&greenroom);
    for name in ["org/chat:small", "gpt-4o-mini", "image"] {
        assert!(first.iter().any(|(id, _)| id == name), "{name}: {first:?}");
    }
    for _ in 0..20 {
        assert_eq!(listed(&greenroom), first);
    }
    let states = (greenroom.state("chat"), greenroom.state("image"));
    assert_eq!(states, ("stopped".to_owned(), "stopped".to_owned()), "nobody has asked for work");
}

#[test]
fn the_list_says_what_is_loaded_while_others_are_at_work() {
    let greenroom = running();
    let before = listed(&greenroom);
    let body = json!({ "model": "image", "stream": true, "max_tokens": 200 });
    let headers = format!("Authorization: Bearer {KEY}\r\nContent-Type: application/json\r\n");
    let request = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\n{headers}Content-Length: {}\r\n\r\n{body}",
        body.to_string().len()
    );
    let stream = Http::Tcp(greenroom.port(0)).say(&request).expect("the gateway listens");
    greenroom.wait_state("image", "ready");
    let status = |list: &[(String, Value)], name: &str| {
        list.iter().find(|(id, _)| id == name).map_or(Value::Null, |(_, status)| status.clone())
    };
    let during = listed(&greenroom);
    assert_ne!(status(&during, "image"), status(&before, "image"), "{during:?}");
    assert_eq!(status(&during, "gpt-4o-mini"), status(&before, "gpt-4o-mini"), "{during:?}");
    drop(stream);
}

#[test]
fn the_list_wants_the_key() {
    let greenroom = running();
    for key in ["wrong", ""] {
        let answer = get(&greenroom, "/v1/models", key);
        assert_eq!((answer.status, &answer.json()["error"]["code"]), (401, &json!("unauthorized")), "{answer:?}");
    }
}
