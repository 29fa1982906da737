//! Doors of a service's own, beside the gateway's.

use std::io::{Read, Write};

use nix::sys::signal::Signal;
use serde_json::json;

use crate::{
    CHAT, chat, chat_at,
    common::{
        BOUND, Greenroom, Http,
        websocket::{TEXT, WebSocket},
    },
    door, gateway, on_demand, refused,
};

/// A service with a door of its own at the test's `n`-th port.
fn with_door(greenroom: &Greenroom, name: &str, n: u16, keys: &str) -> String {
    let listen = format!("listen = \"127.0.0.1:{}\"\n{keys}", greenroom.port(n));
    on_demand(greenroom, name, "", &listen)
}

fn own(greenroom: &Greenroom, n: u16) -> Http {
    Http::Tcp(greenroom.port(n))
}

#[test]
fn every_path_is_the_services_and_loads_it_as_wake_on_says() {
    let greenroom = Greenroom::running(|g| {
        gateway(g, "") + &with_door(g, "one", 1, "wake_on = [\"POST /v1/*\"]") + &with_door(g, "two", 2, "")
    });
    let (one, two) = (own(&greenroom, 1), own(&greenroom, 2));
    refused(&one.get("/health").expect("it answers"), 503, "not_loaded");
    assert_eq!((greenroom.state("one"), greenroom.state("two")), ("stopped".into(), "stopped".into()));
    // Also what is the gateway's own elsewhere, and whatever model is named.
    let answer = one.post(CHAT, Some(&json!({ "model": "two", "max_tokens": 1 }))).expect("it answers");
    assert_eq!((answer.status, &answer.json()["system_fingerprint"]), (200, &json!("one")));
    assert_eq!(two.get("/health").expect("it answers").json()["status"], "ok", "the service's own words");
    for target in ["/", "/a%2Fb/..//c;d=1?x=%20&y", "/upstream/two/x", "/api/status", "/metrics", "//evil.example/"] {
        let asked = one.get(target).expect("it answers").json()["asked"].clone();
        assert_eq!(asked["target"], target);
    }
    assert_eq!(one.get("/x").expect("it answers").json()["system_fingerprint"], "one");
    assert_eq!(two.get("/x").expect("it answers").json()["system_fingerprint"], "two");
    // The gateway is what it was.
    assert_eq!(chat(&greenroom, "two").json()["system_fingerprint"], "two");
    let mut socket = WebSocket::open(greenroom.port(2), "/ws", "").expect("it answers").expect("a WebSocket");
    socket.send(TEXT, b"hello").expect("it is taken");
    assert_eq!(socket.receive().expect("the echo"), (TEXT, b"hello".to_vec()));
    greenroom.signal(Signal::SIGTERM);
    assert_eq!(greenroom.wait(BOUND).0, 0, "{}", greenroom.output());
    assert!(two.get("/x").is_err(), "it is closed with the gateway");
    greenroom.assert_clean();
}

#[test]
fn the_keys_are_the_gateways_and_a_socket_file_is_a_door_too() {
    let greenroom = Greenroom::running(|g| {
        let path = g.folder().join("own.sock");
        "[gateway]\nlisten = []\napi_keys = [\"sk\"]\n".to_owned()
            + &on_demand(g, "chat", "", &format!("listen = \"unix:{}\"", path.display()))
    });
    let door = Http::unix(&greenroom.folder().join("own.sock"));
    for path in ["/health", "/ready", "/x"] {
        refused(&door.get(path).expect("it answers"), 401, "unauthorized");
    }
    assert_eq!(greenroom.state("chat"), "stopped");
    let answer = door.ask("GET", "/health", "x-api-key: sk\r\n", "").expect("it answers");
    assert_eq!((answer.status, &answer.json()["status"]), (200, &json!("ok")));
    greenroom.shutdown_clean();
    assert!(!greenroom.folder().join("own.sock").exists());
    greenroom.assert_clean();
}

#[test]
fn a_door_that_comes_with_a_reload_waits_for_the_next_start() {
    let greenroom = Greenroom::new();
    let old = gateway(&greenroom, "") + &with_door(&greenroom, "chat", 1, "");
    greenroom.configure(&old);
    greenroom.start();
    greenroom.configure(&(old + &with_door(&greenroom, "late", 2, "")));
    let report = greenroom.api().post("/api/reload", None).expect("it answers").json();
    assert_eq!(report["next_start"], json!(["service.late.listen"]), "{report:#}");
    assert!(own(&greenroom, 2).get("/health").is_err(), "nobody listens");
    assert_eq!(chat(&greenroom, "late").status, 200, "at the gateway it is there");
    assert_eq!(own(&greenroom, 1).get("/health").expect("it answers").status, 200);
    greenroom.shutdown_clean();
    greenroom.start();
    assert_eq!(own(&greenroom, 2).get("/health").expect("it answers").status, 200);
}

#[test]
fn a_door_whose_service_is_gone_says_so_until_the_next_start_or_until_it_comes_back() {
    let greenroom = Greenroom::new();
    let rest = gateway(&greenroom, "") + &on_demand(&greenroom, "other", "", "");
    let whole = rest.clone() + &with_door(&greenroom, "chat", 1, "");
    greenroom.configure(&whole);
    greenroom.start();
    let reload = || greenroom.api().post("/api/reload", None).expect("it answers").json()["next_start"].clone();
    assert_eq!(own(&greenroom, 1).get("/health").expect("it answers").status, 200);
    greenroom.configure(&rest);
    for _ in 0..2 {
        assert_eq!(reload(), json!(["service.chat.listen"]), "told each time");
    }
    let said = greenroom.cli(&["reload"]).expect(0).stdout;
    assert!(said.contains("waits for the next start of the runtime: service.chat.listen"), "{said}");
    for path in ["/", "/health", "/api/status", "/upstream/other/x"] {
        let error = refused(&own(&greenroom, 1).get(path).expect("it answers"), 404, "model_not_found");
        assert!(error["message"].as_str().is_some_and(|text| text.contains("there is no model `chat`")), "{error}");
    }
    refused(&chat_at(&own(&greenroom, 1), "other"), 404, "model_not_found");
    let handshake = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                     Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    let answer = own(&greenroom, 1).ask("GET", "/ws", handshake, "").expect("it answers");
    refused(&answer, 404, "model_not_found");
    assert_eq!(greenroom.state("other"), "stopped", "nobody was led there");
    greenroom.configure(&whole);
    assert_eq!(reload(), json!([]));
    assert_eq!(own(&greenroom, 1).get("/health").expect("it answers").status, 200);
    greenroom.configure(&rest);
    reload();
    greenroom.shutdown_clean();
    greenroom.start();
    assert!(own(&greenroom, 1).get("/health").is_err(), "nobody listens");
    assert_eq!(reload(), json!([]));
}

#[test]
fn an_address_that_is_taken_is_told_with_its_key() {
    let greenroom = Greenroom::new();
    let taken = std::net::TcpListener::bind(("127.0.0.1", greenroom.port(1))).expect("a port of the test's own");
    greenroom.configure(&(gateway(&greenroom, "") + &with_door(&greenroom, "chat", 1, "")));
    greenroom.spawn();
    assert_eq!(greenroom.wait(BOUND).0, 1);
    let said = greenroom.output();
    assert!(said.contains("service.chat.listen") && said.contains("listens there already"), "{said}");
    drop(taken);
}

#[test]
fn what_is_no_path_goes_nowhere() {
    let greenroom = Greenroom::running(|g| gateway(g, "") + &with_door(g, "chat", 1, ""));
    let mut stream = std::net::TcpStream::connect(("127.0.0.1", greenroom.port(1))).expect("it listens");
    stream.write_all(b"OPTIONS * HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").expect("it is taken");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("it ends");
    assert!(answer.starts_with("HTTP/1.1 404 "), "{answer}");
    assert_eq!(door(&greenroom).get("/health").expect("it answers").body, "OK");
}
