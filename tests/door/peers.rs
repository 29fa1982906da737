//! What there is to ask for, and what the users of llama-swap and of llama.cpp's router know.

use std::fs;

use serde_json::{Value, json};

use crate::{
    chat,
    common::{Answer, BOUND, Greenroom, wait_for},
    door, gateway, on_demand, refused, tokens,
};

/// Two services with names of models, and one that requests cannot go to.
fn two() -> Greenroom {
    Greenroom::running(|g| {
        let plain = g.stand_in("plain", "--no-http");
        gateway(g, "")
            + &on_demand(g, "chat", "--token-ms 20 --stderr chat-speaks", "serves = [\"gemma\", \"org/gemma:latest\"]")
            + &on_demand(g, "image", "--stderr image-speaks", "idle_timeout = \"1h\"")
            + &format!("[service.plain]\ncommand = {plain}\nstart = \"on_demand\"\n")
    })
}

#[track_caller]
fn get(greenroom: &Greenroom, path: &str) -> Answer {
    door(greenroom).get(path).expect("it answers")
}

#[track_caller]
fn post(greenroom: &Greenroom, path: &str, body: &Value) -> Answer {
    door(greenroom).post(path, Some(body)).expect("it answers")
}

/// The ids and what is said of each in memory.
fn listed(answer: &Answer) -> Vec<(String, String)> {
    let list = answer.json();
    assert_eq!(list["object"], "list");
    let text = |value: &Value| value.as_str().expect("text").to_owned();
    list["data"].as_array().expect("a list").iter().map(|m| (text(&m["id"]), text(&m["status"]["value"]))).collect()
}

#[test]
fn the_models_are_listed_by_the_names_of_clients_with_their_state() {
    let greenroom = two();
    let pair = |id: &str, value: &str| (id.to_owned(), value.to_owned());
    let all = |chat, image| vec![pair("gemma", chat), pair("org/gemma:latest", chat), pair("image", image)];
    let before = get(&greenroom, "/v1/models");
    assert_eq!(listed(&before), all("unloaded", "unloaded"));
    assert_eq!(chat(&greenroom, "gemma").status, 200);
    let after = get(&greenroom, "/v1/models");
    assert_eq!(listed(&after), all("loaded", "unloaded"));
    let (old, new) = (before.json(), after.json());
    assert_eq!(old["data"][0]["created"], new["data"][0]["created"]);
    assert!(new["data"][0]["created"].as_u64().is_some_and(|seconds| seconds > 1_700_000_000), "{new}");
    for id in ["org%2Fgemma%3Alatest", "org/gemma:latest", "chat"] {
        let one = get(&greenroom, &format!("/v1/models/{id}")).json();
        assert_eq!(
            (&one["object"], &one["service"], &one["status"]["state"]),
            (&json!("model"), &json!("chat"), &json!("ready"))
        );
    }
    let error = refused(&get(&greenroom, "/v1/models/gpt"), 404, "model_not_found");
    assert_eq!(error["message"], "there is no model `gpt`; there are: gemma, image");
    refused(&post(&greenroom, "/v1/models", &json!({})), 405, "method_not_allowed");
}

#[test]
fn what_users_of_llama_swap_know_is_there() {
    let greenroom = two();
    assert_eq!(get(&greenroom, "/running").json(), json!({ "running": [] }));
    assert_eq!(chat(&greenroom, "gemma").status, 200);
    assert_eq!(chat(&greenroom, "image").status, 200);
    let running = get(&greenroom, "/running").json();
    let image = &running["running"][1];
    assert_eq!(running["running"][0]["model"], "gemma", "{running}");
    assert_eq!((&image["model"], &image["state"], &image["ttl"]), (&json!("image"), &json!("ready"), &json!(3600)));
    let port = greenroom.service("image")["endpoint"].clone();
    assert_eq!(image["proxy"], port);
    let port = port.as_str().and_then(|url| url.rsplit(':').next()).expect("a port").to_owned();
    assert!(image["cmd"].as_str().is_some_and(|cmd| cmd.contains(&format!("--port {port}"))), "{image}");

    assert_eq!(post(&greenroom, "/api/models/unload/org/gemma:latest", &json!({})).body, "OK");
    assert_eq!((greenroom.state("chat"), greenroom.state("image")), ("offloaded".to_owned(), "ready".to_owned()));
    refused(&post(&greenroom, "/api/models/unload/gpt", &json!({})), 404, "model_not_found");
    assert_eq!(chat(&greenroom, "gemma").status, 200, "it comes back");
    assert_eq!(post(&greenroom, "/api/models/unload", &json!({})).json(), json!({ "msg": "ok" }));
    assert_eq!(get(&greenroom, "/running").json(), json!({ "running": [] }));
    assert_eq!(chat(&greenroom, "image").status, 200);
    assert_eq!(get(&greenroom, "/unload").body, "OK");
    assert_eq!(greenroom.state("image"), "offloaded");
    assert_eq!(get(&greenroom, "/api/version").json()["version"], env!("CARGO_PKG_VERSION"));
}

#[test]
fn unloading_waits_for_who_is_in() {
    let greenroom = two();
    let mut stream = tokens(&greenroom, 20);
    stream.next().expect("a token");
    assert_eq!(get(&greenroom, "/unload").body, "OK");
    let mut count = 1;
    while stream.next().is_some() {
        count += 1;
    }
    assert_eq!(count, 21, "the answer came to its end");
    assert_eq!(greenroom.state("chat"), "offloaded");
}

#[test]
fn the_logs_of_all_are_one_text_and_can_be_followed() {
    let greenroom = two();
    assert_eq!(get(&greenroom, "/logs").body, "");
    assert_eq!(chat(&greenroom, "gemma").status, 200);
    assert_eq!(chat(&greenroom, "image").status, 200);
    let both =
        |text: &str| text.contains("==> chat <==") && text.contains("chat-speaks") && text.contains("image-speaks");
    wait_for("both are there", BOUND, || both(&get(&greenroom, "/logs").body));
    refused(&get(&greenroom, "/logs/stream/proxy"), 404, "not_found");
    refused(&get(&greenroom, "/logs/stream/gpt"), 404, "model_not_found");

    let request = "GET /logs/stream/gemma HTTP/1.1\r\nHost: x\r\n\r\n";
    let mut stream = door(&greenroom).say(request).expect("the door listens");
    let mut seen = String::new();
    let log = greenroom.state_dir().join("logs/chat/current.log");
    let mut said = fs::OpenOptions::new().append(true).open(log).expect("a log");
    std::io::Write::write_all(&mut said, b"said later\n").expect("written");
    while !(seen.contains("chat-speaks") && seen.contains("said later")) {
        let mut piece = [0; 4096];
        let count = std::io::Read::read(&mut stream, &mut piece).expect("it goes on");
        assert!(count > 0, "it ended: {seen}");
        seen += &String::from_utf8_lossy(&piece[..count]);
    }
    assert!(!seen.contains("image-speaks") && !seen.contains("==>"), "{seen}");
    greenroom.shutdown_clean();
}

#[test]
fn what_users_of_llama_cpps_router_know_is_there() {
    let greenroom = two();
    let value = |id: &str| {
        let all = listed(&get(&greenroom, "/models"));
        all.into_iter().find(|(name, _)| name == id).map(|(_, value)| value).expect("it is listed")
    };
    assert_eq!(value("org/gemma:latest"), "unloaded");
    let model = json!({ "model": "org/gemma:latest" });
    for _ in 0..2 {
        assert_eq!(post(&greenroom, "/models/load", &model).json(), json!({ "success": true }));
        wait_for("it is loaded", BOUND, || value("org/gemma:latest") == "loaded");
    }
    assert_eq!(post(&greenroom, "/models/unload", &model).json(), json!({ "success": true }));
    wait_for("it is not any more", BOUND, || value("gemma") == "unloaded");
    refused(&post(&greenroom, "/models/load", &json!({ "model": "gpt" })), 404, "model_not_found");
    for body in [json!({}), json!({ "model": 7 }), json!([])] {
        refused(&post(&greenroom, "/models/load", &body), 400, "invalid_request");
    }
}

#[test]
fn what_answers_elsewhere_is_listed_and_is_not_loaded_here() {
    let greenroom = Greenroom::running(|g| {
        let nobody = format!("[remote.pod]\nurls = [\"http://127.0.0.1:{}\"]\nserves = [\"cloud\"]\n", g.port(3));
        gateway(g, "") + &on_demand(g, "chat", "", "") + &nobody
    });
    wait_for("nobody answers there", BOUND, || {
        listed(&get(&greenroom, "/v1/models"))[1] == ("cloud".to_owned(), "unloaded".to_owned())
    });
    let one = get(&greenroom, "/v1/models/cloud").json();
    assert_eq!(
        (&one["service"], &one["status"]),
        (&json!("pod"), &json!({ "value": "unloaded", "state": "remote", "failed": true }))
    );
    refused(&post(&greenroom, "/models/load", &json!({ "model": "cloud" })), 404, "model_not_found");
    assert_eq!(get(&greenroom, "/running").json(), json!({ "running": [] }));
}
