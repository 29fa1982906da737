//! The shapes of the control API.

use std::{fs, os::unix::fs::PermissionsExt};

use serde_json::Value;

use crate::{
    common::{BOUND, Greenroom, alive, wait_for},
    pair,
};

#[track_caller]
fn has_fields(value: &Value, fields: &[&str]) {
    for field in fields {
        assert!(value.get(field).is_some(), "`{field}` is missing: {value:#}");
    }
}

#[test]
fn the_socket_is_private() {
    let greenroom = Greenroom::running(pair);
    let mode = fs::metadata(greenroom.socket()).expect("the socket is there").permissions().mode();
    assert_eq!(mode & 0o777, 0o600, "{mode:o}");
}

#[test]
fn status_and_services_have_their_shapes() {
    let greenroom = Greenroom::running(pair);
    greenroom.wait_state("web", "ready");
    let status = greenroom.status();
    has_fields(
        &status["runtime"],
        &["name", "version", "state", "pid", "guardian", "state_dir", "started", "containment"],
    );
    assert_eq!(status["runtime"]["pid"], greenroom.pid());
    let names: Vec<&str> =
        status["services"].as_array().into_iter().flatten().filter_map(|s| s["name"].as_str()).collect();
    assert_eq!(names, ["web", "plain"], "in the order of the config");

    let web = greenroom.service("web");
    has_fields(
        &web,
        &[
            "name",
            "engine",
            "state",
            "disposition",
            "reason",
            "pid",
            "run_id",
            "since",
            "ready_since",
            "restarts",
            "endpoint",
            "serves",
            "containment",
            "memory",
            "last_exit",
        ],
    );
    assert_eq!((&web["engine"], &web["disposition"]), (&"generic".into(), &"up".into()));
    assert_eq!(web["serves"], serde_json::json!(["gemma"]));
    assert_eq!(web["restarts"], serde_json::json!({ "consecutive": 0, "total": 0 }));
    assert_eq!(web["containment"]["processes"], 1);
    assert!(web["memory"]["ram"].as_u64().is_some_and(|ram| ram > 1 << 20), "{web:#}");
    assert_eq!(greenroom.engine("web").get("/health").expect("it serves").status, 200);

    let plain = greenroom.service("plain");
    assert_eq!((&plain["state"], &plain["pid"]), (&"stopped".into(), &Value::Null));
    let services = greenroom.api().get("/api/services").expect("an answer").json();
    let list = services.as_array().or_else(|| services["services"].as_array()).expect("a list");
    assert_eq!(list.len(), 2);
}

#[test]
fn commands_act_and_answer_with_the_service() {
    let greenroom = Greenroom::running(pair);
    let post = |path: &str| greenroom.api().post(path, None).expect("an answer");
    assert!(post("/api/services/plain/start").status < 300);
    greenroom.wait_state("plain", "ready");
    let first = greenroom.service_pid("plain");
    assert!(post("/api/services/plain/restart").status < 300);
    wait_for("it has another process", BOUND, || {
        let service = greenroom.service("plain");
        service["state"] == "ready" && service["pid"] != first
    });
    assert!(!alive(first));
    assert!(post("/api/services/plain/stop").status < 300);
    greenroom.wait_state("plain", "stopped");
    assert_eq!(greenroom.service("plain")["disposition"], "down");
    assert!(greenroom.processes_of("plain").is_empty());
}

#[test]
fn errors_have_the_one_shape() {
    let greenroom = Greenroom::running(pair);
    let check = |path: &str, post: bool, status: u16| {
        let answer = if post { greenroom.api().post(path, None) } else { greenroom.api().get(path) };
        let answer = answer.expect("an answer");
        assert_eq!(answer.status, status, "{path}: {answer:?}");
        let body = answer.json();
        has_fields(&body["error"], &["message", "type", "param", "code"]);
        assert_eq!(body["src"], "greenroom", "{body:#}");
        body["error"]["message"].as_str().unwrap_or_default().to_owned()
    };
    let message = check("/api/services/nobody", false, 404);
    assert!(message.contains("nobody") && message.contains("web"), "names it and what there is: {message}");
    check("/api/services/nobody/start", true, 404);
    check("/api/no/such/path", false, 404);
    check("/api/services/web/explode", true, 404);
}

#[test]
fn why_says_what_happened_and_what_to_do() {
    let greenroom = Greenroom::running(|g| {
        let command = g.stand_in("x", "--no-http --crash-after-ms 1 --exit-code 7");
        format!("[service.x]\ncommand = {command}\nrestart.policy = \"never\"\n")
    });
    greenroom.wait_state("x", "failed");
    let why = greenroom.api().get("/api/services/x/why").expect("an answer").json();
    has_fields(&why, &["service", "because", "remedy", "recent"]);
    assert!(why["because"].to_string().contains('7'), "names the exit status: {why:#}");
    assert!(why["recent"].as_array().is_some_and(|recent| !recent.is_empty()), "{why:#}");
}

#[test]
fn nonsense_on_the_socket_harms_nobody() {
    use std::{io::Write, os::unix::net::UnixStream};
    let greenroom = Greenroom::running(pair);
    greenroom.wait_state("web", "ready");
    let rubbish = vec![0xA5; 1 << 20];
    for bytes in [&b"GET"[..], b"\0\0\0\0", b"POST /api/shutdown HTTP/9.9\r\n\r\n", &rubbish] {
        let mut stream = UnixStream::connect(greenroom.socket()).expect("the socket is there");
        // The server may hang up before it has read all.
        stream.write_all(bytes).ok();
    }
    let body = serde_json::json!({ "x": "y".repeat(1 << 20) });
    greenroom.api().post("/api/services/plain/start", Some(&body)).expect("an answer");
    assert_eq!(greenroom.state("web"), "ready");
    greenroom.shutdown_clean();
}
