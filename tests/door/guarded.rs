//! Nothing is behind the guard's back: every path, at every kind of door, in every way to come.

use greenroom::gateway::openapi::ENDPOINTS;

use crate::{
    common::{Answer, BOUND, Greenroom, Http, read_answer, wait_for},
    on_demand, refused,
};

const KEY: &str = "sk-behind-the-guard";

/// How a WebSocket is asked for (RFC 6455, section 4.1).
const HANDSHAKE: &str = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

/// Two services, each with a door of its own, behind a gateway at an address and at a socket file: every kind of door.
fn guarded() -> Greenroom {
    Greenroom::running(|g| {
        let folder = g.folder().display().to_string();
        let gateway = format!("listen = [\"127.0.0.1:{}\", \"unix:{folder}/gateway.sock\"]", g.port(0));
        let own = [format!("127.0.0.1:{}", g.port(1)), format!("unix:{folder}/own.sock")];
        let [one, two] = own.map(|address| format!("listen = \"{address}\""));
        format!("[gateway]\n{gateway}\napi_keys = [\"{KEY}\"]\n")
            + &on_demand(g, "chat", "", &one)
            + &on_demand(g, "other", "", &two)
    })
}

/// The doors, and whether each is a service's own.
fn doors(greenroom: &Greenroom) -> [(Http, bool); 4] {
    let file = |name: &str| Http::unix(&greenroom.folder().join(name));
    [
        (Http::Tcp(greenroom.port(0)), false),
        (file("gateway.sock"), false),
        (Http::Tcp(greenroom.port(1)), true),
        (file("own.sock"), true),
    ]
}

/// Every path there is, and some that there are not, with a method that each takes.
fn paths() -> Vec<(&'static str, String)> {
    let known = ENDPOINTS.iter().map(|endpoint| {
        let method = if endpoint.method == "any" { "POST" } else { endpoint.method };
        let path = endpoint.path.replace("{command}", "stop").replace("{service}", "chat").replace("{name}", "chat");
        (method, path.replace(['{', '}'], ""))
    });
    let strange = [
        ("GET", "/"),
        ("GET", "/nothing"),
        ("BREW", "/nothing"),
        ("OPTIONS", "*"),
        ("OPTIONS", "/v1/models"),
        ("GET", "/upstream/nobody/x"),
        ("GET", "/upstream/chat%2fx"),
        ("GET", "//health"),
        ("GET", "/health/"),
        ("GET", "/health%3f"),
        ("GET", "/api/../health"),
        ("GET", "/ready/.."),
        ("DELETE", "/v1/models"),
    ];
    known.chain(strange.map(|(method, path)| (method, path.to_owned()))).collect()
}

#[track_caller]
fn ask(door: &Http, method: &str, path: &str, headers: &str) -> Answer {
    let head = format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n");
    let body = r#"{"model":"chat","max_tokens":1}"#;
    let request = format!("{head}{headers}Content-Length: {}\r\n\r\n{body}", body.len());
    door.say(&request).and_then(read_answer).unwrap_or_else(|error| panic!("{method} {path} at {door:?}: {error}"))
}

#[test]
fn without_a_key_nothing_is_answered_at_any_door_but_health_and_readiness() {
    let greenroom = guarded();
    let paths = paths();
    assert!(paths.len() > 50, "all of them: {paths:?}");
    let mut turned_away = 0;
    for (door, is_own) in doors(&greenroom) {
        for (method, path) in &paths {
            for headers in ["", "x-api-key: sk-behind-the-guar\r\n", "Authorization: Bearer\r\n", HANDSHAKE] {
                let answer = ask(&door, method, path, headers);
                if !is_own && ["/health", "/ready"].contains(&path.as_str()) {
                    assert_eq!(answer.status, 200, "{path} at {door:?}");
                } else {
                    turned_away += 1;
                    let message = refused(&answer, 401, "unauthorized")["message"].to_string();
                    assert!(!message.contains("chat"), "{method} {path} at {door:?} tells of what there is: {message}");
                }
            }
        }
    }
    let states = ["chat", "other"].map(|service| greenroom.state(service));
    assert_eq!(states, ["stopped", "stopped"], "nothing has come of all that");
    // The key opens each of the doors, so that it is no wall that was tried.
    for (door, is_own) in doors(&greenroom) {
        let answer = ask(&door, "POST", "/v1/chat/completions", &format!("x-api-key: {KEY}\r\n"));
        assert_eq!(answer.status, 200, "{door:?}, a door of its own: {is_own}: {answer:?}");
    }
    let figures = greenroom.api().get("/metrics").expect("it answers").body;
    let counted = format!("\ngreenroom_requests_refused_total{{reason=\"unauthorized\"}} {turned_away}\n");
    assert!(figures.contains(&counted), "not {turned_away}: {figures}");
    let rows = || greenroom.api().get("/api/history/requests").expect("it answers").json();
    wait_for("those who were let in are written down", BOUND, || rows().as_array().is_some_and(|rows| rows.len() >= 4));
    let codes: Vec<_> = rows().as_array().expect("a list").iter().map(|row| row["code"].clone()).collect();
    assert_eq!(codes, [200; 4], "and nobody else");
    greenroom.shutdown_clean();
}
