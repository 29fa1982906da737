//! Who may come in by the gateway, and how far.

use std::{fs, time::Duration};

use serde_json::json;

use crate::{
    CHAT,
    common::{Answer, BOUND, Greenroom, Http, read_answer, wait_for},
    door, gateway, on_demand, refused, with_chat,
};

const KEY: &str = "sk-4f1c9a77e2";
const FILE_KEY: &str = "sk-b80d22c361";

/// A runtime whose gateway wants a key: one from the configuration, or one from a file.
fn locked() -> Greenroom {
    let greenroom = Greenroom::new();
    fs::write(greenroom.folder().join("key"), format!("{FILE_KEY}\n")).expect("written");
    let keys = gateway(&greenroom, &format!("api_keys = [\"{KEY}\", \"${{file:key}}\"]"));
    greenroom.configure(&(keys + "[log]\nlevel = \"trace\"\n" + &on_demand(&greenroom, "chat", "", "")));
    greenroom.start();
    greenroom
}

fn bearer(key: &str) -> String {
    format!("Authorization: Bearer {key}\r\n")
}

#[track_caller]
fn ask(door: &Http, method: &str, path: &str, headers: &str) -> Answer {
    door.ask(method, path, headers, "").expect("it answers")
}

/// The routes of the control API as the document lists them, which another test holds to the program.
fn control_routes() -> Vec<(String, String)> {
    let document = include_str!("../../docs/http.md");
    let table = document.lines().skip_while(|line| !line.starts_with("| method | path |")).skip(2);
    let cells = |row: &str| row.split('|').map(|cell| cell.trim().replace('`', "")).collect::<Vec<_>>();
    let rows = table.take_while(|line| line.starts_with('|')).map(cells);
    rows.map(|cells| (cells[1].clone(), cells[2].replace("{name}", "chat").replace("{command}", "stop"))).collect()
}

#[test]
fn every_path_of_the_control_api_needs_the_key_and_is_served_with_it() {
    let greenroom = locked();
    let door = door(&greenroom);
    let routes = control_routes();
    assert!(routes.len() > 12, "{routes:?}");
    for (method, path) in &routes {
        let is_free = path == "/health" || path == "/ready";
        for headers in [String::new(), bearer("sk-wrong"), bearer(&KEY[..12]), bearer(&format!("{KEY}x"))] {
            let answer = ask(&door, method, path, &headers);
            match is_free {
                true => assert_eq!(answer.status, 200, "{path}"),
                false => drop(refused(&answer, 401, "unauthorized")),
            }
        }
    }
    assert_eq!(greenroom.state("chat"), "stopped", "nothing has come of all that");
    for (method, path) in routes.iter().filter(|(_, path)| !path.contains("events") && path != "/api/shutdown") {
        let answer = ask(&door, method, path, &bearer(KEY));
        // Refused for what is asked, not for who asks: there is no file to read anew, no such job, and no job in the body.
        let of_the_matter = ["not_reloadable", "job_not_found", "invalid_request"];
        let is_served =
            answer.status == 200 || of_the_matter.iter().any(|code| answer.json()["error"]["code"] == **code);
        assert!(is_served, "{path}: {answer:?}");
    }
    let by_file = door.events("/api/events?follow=0", None).expect("it answers");
    assert_eq!(by_file.status, 401);
    let answer = ask(&door, "GET", "/api/events?follow=0&since=0-0", &bearer(FILE_KEY));
    assert!(answer.status == 200 && answer.body.contains("event: "), "{answer:?}");
    assert_eq!(ask(&door, "POST", "/api/shutdown", &bearer(FILE_KEY)).status, 202);
    assert_eq!(greenroom.wait(BOUND).0, 0, "{}", greenroom.output());
}

#[test]
fn keys_are_in_no_log_and_no_answer() {
    let greenroom = locked();
    let door = door(&greenroom);
    for key in [KEY, FILE_KEY] {
        let body = json!({ "model": "chat" }).to_string();
        let headers = bearer(key) + "Content-Type: application/json\r\n";
        let answer = door.ask("POST", CHAT, &headers, &body).expect("it answers");
        assert_eq!(answer.status, 200, "{answer:?}");
        let basic = format!("x-api-key: {key}\r\n");
        ask(&door, "GET", "/upstream/chat/health", &basic);
        ask(&door, "GET", &format!("/nothing?key={}", &key[..4]), &basic);
    }
    let wrong = "sk-wrong-5d11ac";
    refused(&ask(&door, "GET", "/api/status", &bearer(wrong)), 401, "unauthorized");
    let mut said = ask(&door, "GET", "/api/status", &bearer(KEY)).body;
    said += &ask(&door, "GET", "/api/services", &bearer(KEY)).body;
    said += &ask(&door, "POST", "/api/reload", &bearer(KEY)).body;
    said += &greenroom.cli(&["events"]).expect(0).text();
    said += &greenroom.cli(&["-c", &greenroom.config_file().display().to_string(), "config", "show"]).text();
    greenroom.shutdown_clean();
    said += &greenroom.output();
    assert!(greenroom.output().contains("the gateway listens"), "it has a log: {}", greenroom.output());
    let state = greenroom.state_dir();
    for file in
        fs::read_dir(&state).expect("a folder").flatten().map(|entry| entry.path()).filter(|path| path.is_file())
    {
        said += &String::from_utf8_lossy(&fs::read(&file).expect("readable"));
    }
    for key in [KEY, FILE_KEY, wrong] {
        assert!(!said.contains(key), "{key} is told");
    }
}

#[test]
fn a_page_of_another_site_gets_nowhere_also_without_a_key() {
    let greenroom = with_chat("", "");
    let door = door(&greenroom);
    let port = greenroom.port(0);
    for (headers, code) in [
        ("Origin: https://evil.example\r\n", "cross_site"),
        ("Origin: http://localhost:3000\r\n", "cross_site"),
        ("Origin: null\r\n", "cross_site"),
        ("Sec-Fetch-Site: cross-site\r\nSec-Fetch-Mode: no-cors\r\n", "cross_site"),
    ] {
        for (method, path) in [
            ("POST", "/api/shutdown"),
            ("GET", "/unload"),
            ("POST", CHAT),
            ("GET", "/upstream/chat/x"),
            ("GET", "/nothing"),
        ] {
            let answer = ask(&door, method, path, headers);
            refused(&answer, 403, code);
            assert!(!answer.headers.to_ascii_lowercase().contains("access-control"), "{answer:?}");
        }
    }
    // A name that was pointed at this machine.
    let rebound = format!("GET /api/status HTTP/1.1\r\nHost: evil.example:{port}\r\nConnection: close\r\n\r\n");
    refused(&door.say(&rebound).and_then(read_answer).expect("it answers"), 403, "strange_host");
    let absolute =
        format!("GET http://evil.example:{port}/api/status HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    refused(&door.say(&absolute).and_then(read_answer).expect("it answers"), 403, "strange_host");
    assert_eq!(greenroom.state("chat"), "stopped");
    let own = format!(
        "GET /api/status HTTP/1.1\r\nHost: localhost:{port}\r\nOrigin: http://localhost:{port}\r\nConnection: close\r\n\r\n"
    );
    assert_eq!(door.say(&own).and_then(read_answer).expect("it answers").status, 200);
}

#[test]
fn upstream_cannot_leave_its_service() {
    let greenroom =
        Greenroom::running(|g| gateway(g, "") + &on_demand(g, "chat", "", "") + &on_demand(g, "other", "", ""));
    let door = door(&greenroom);
    let say = |target: &str| {
        let request = format!("GET {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        door.say(&request).and_then(read_answer).expect("it answers")
    };
    for (target, arrives) in [
        ("/upstream/chat/../other/x", "/../other/x"),
        ("/upstream/chat/%2e%2e/other/x", "/%2e%2e/other/x"),
        ("/upstream/chat/..%2fother", "/..%2fother"),
        ("/upstream/chat/../../api/shutdown", "/../../api/shutdown"),
        ("/upstream/chat//evil.example/x", "//evil.example/x"),
        ("/upstream/chat/http://evil.example/", "/http://evil.example/"),
        ("/upstream/chat/@evil.example", "/@evil.example"),
        ("http://localhost/upstream/chat/x", "/x"),
        ("http://127.0.0.1:1/upstream/chat/x", "/x"),
    ] {
        let answer = say(target);
        let body = answer.json();
        assert_eq!((&body["asked"]["target"], answer.status), (&json!(arrives), 404), "{target}: {answer:?}");
        assert!(body.get("src").is_none(), "the service itself has answered: {body}");
    }
    assert_eq!(greenroom.state("other"), "stopped", "nobody was led there");
    for target in
        ["/upstream/../other", "/upstream/%2e%2e/other/x", "/upstream//other", "/upstream/chat%2f..%2fother/x"]
    {
        let answer = say(target);
        assert_eq!(answer.json()["src"], "greenroom", "{target}: {answer:?}");
        assert!(answer.status == 404 || answer.status == 400, "{target}: {answer:?}");
    }
    let tunnel = "CONNECT evil.example:443 HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    let answer = door.say(tunnel).and_then(read_answer).expect("it answers");
    assert!((400..500).contains(&answer.status), "{answer:?}");
    assert_eq!(greenroom.state("other"), "stopped");
}

#[test]
fn a_client_that_does_not_send_its_head_is_let_go() {
    let greenroom = Greenroom::running(|g| gateway(g, "header_timeout = \"2s\"") + &on_demand(g, "chat", "", ""));
    let answer = door(&greenroom).say("GET /health HTTP/1.1\r\nHo").and_then(read_answer).expect("it is told");
    assert_eq!(answer.status, 408, "{answer:?}");
}

#[test]
fn a_client_that_promises_a_body_and_sends_none_is_let_go_and_loads_nothing() {
    let greenroom = Greenroom::running(|g| gateway(g, "header_timeout = \"2s\"") + &on_demand(g, "chat", "", ""));
    let head = format!("POST {CHAT} HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n");
    let error =
        refused(&door(&greenroom).say(&head).and_then(read_answer).expect("it is told"), 400, "invalid_request");
    assert!(error["message"].as_str().is_some_and(|text| text.contains("nothing for 2 s")), "{error}");
    assert_eq!(greenroom.state("chat"), "stopped");
}

#[test]
fn no_more_connections_than_may_be_are_served_and_the_next_one_waits_for_its_turn() {
    let greenroom =
        Greenroom::running(|g| gateway(g, "max_connections = 2") + &on_demand(g, "chat", "--token-ms 50", ""));
    greenroom.cli(&["load", "chat"]).expect(0);
    let mut first = crate::tokens(&greenroom, 100_000);
    let mut second = crate::tokens(&greenroom, 100_000);
    first.next().expect("a token");
    second.next().expect("a token");
    let (told, answer) = std::sync::mpsc::channel();
    let third = door(&greenroom);
    let asks = std::thread::spawn(move || {
        let request = "GET /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
        told.send(third.say(request).and_then(read_answer))
    });
    // Long enough for an answer that comes at once, which it must not.
    assert!(answer.recv_timeout(Duration::from_millis(500)).is_err(), "two is what may be");
    drop(first);
    let answer = answer.recv_timeout(BOUND).expect("its turn has come").expect("it answers");
    assert_eq!(answer.body, "OK");
    asks.join().expect("no panic").expect("told");
    drop(second);
    wait_for("nobody is in", BOUND, || greenroom.service("chat")["in_flight"] == 0);
}

#[test]
fn a_page_that_is_listed_is_answered_also_by_its_browsers_question() {
    const PAGE: &str = "https://chat.example";
    let greenroom = Greenroom::running(|g| {
        let keys = format!("api_keys = [\"{KEY}\"]\ncors_origins = [\"{PAGE}\"]");
        gateway(g, &keys) + &on_demand(g, "chat", "", "")
    });
    let door = door(&greenroom);
    let origin = format!("Origin: {PAGE}\r\n");
    let shared = |answer: &Answer| answer.headers.contains(&format!("access-control-allow-origin: {PAGE}\r\n"));
    let question =
        format!("{origin}Access-Control-Request-Method: POST\r\nAccess-Control-Request-Headers: x-api-key\r\n");
    let told = ask(&door, "OPTIONS", CHAT, &question);
    assert!(told.status == 204 && shared(&told), "{told:?}");
    let refusal = ask(&door, "GET", "/v1/models", &origin);
    refused(&refusal, 401, "unauthorized");
    assert!(shared(&refusal), "{refusal:?}");
    let answer = ask(&door, "GET", "/upstream/chat/v1/models", &(origin + &bearer(KEY)));
    assert!(answer.status == 200 && shared(&answer), "{answer:?}");
    let other = ask(&door, "OPTIONS", CHAT, &question.replace("chat.example", "evil.example"));
    refused(&other, 403, "cross_site");
}
