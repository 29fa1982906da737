//! A real llama-server on a small model. Fetched on first use; `GREENROOM_TEST_OFFLINE=1` leaves these tests out.

#[path = "../common/mod.rs"]
mod common;
mod header;
mod memory;

use std::{
    fs,
    net::TcpListener,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use common::{BOUND, Greenroom, Http, gguf, llama, note, timed, wait_for};
use serde_json::{Value, json};

/// A small model beside the config; `None` when the tests are left out.
fn prepared(shape: gguf::Shape) -> Option<(Greenroom, &'static Path)> {
    let server = llama::server()?;
    let greenroom = Greenroom::new();
    gguf::write(&greenroom.folder().join("model.gguf"), shape).expect("the test's folder is writable");
    Some((greenroom, server))
}

fn config(server: &Path, more: &str) -> String {
    format!(
        "[service.chat]\ncommand = [\"{}\", \"--port\", \"${{port}}\", \"-m\", \"${{model_file}}\", \"-c\", \"4096\", \"-np\", \"1\",\n\
         \"-ngl\", \"0\", \"--device\", \"none\", \"--cache-ram\", \"0\", \"-fit\", \"off\"]\n\
         model_file = \"model.gguf\"\nstart = \"eager\"\nserves = [\"tiny\"]\n{more}\n",
        server.display()
    )
}

fn ask(tokens: u32) -> Value {
    json!({ "messages": [{ "role": "user", "content": "a heron waits" }], "max_tokens": tokens })
}

#[test]
fn it_gets_ready_answers_and_stops_clean() {
    let Some((greenroom, server)) = prepared(gguf::Shape::default()) else { return };
    greenroom.configure(&config(server, ""));
    greenroom.start();
    greenroom.wait_state("chat", "ready");
    let service = greenroom.service("chat");
    assert_eq!(service["engine"], "llama-server", "{service:#}");
    let answer = greenroom.engine("chat").post("/v1/chat/completions", Some(&ask(8))).expect("an answer");
    assert_eq!(answer.status, 200, "{answer:?}");
    let answer = answer.json();
    assert_eq!(answer["usage"]["completion_tokens"], 8, "{answer:#}");
    assert!(answer["choices"][0]["message"]["content"].as_str().is_some_and(|text| text.len() > 8), "{answer:#}");
    let logs = greenroom.cli(&["logs", "-n", "1000", "chat"]).expect(0);
    assert!(logs.stdout.contains("model loaded"), "{logs:?}");
    let events = greenroom.cli(&["--json", "events"]).expect(0).stdout;
    let told = events.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let phases: Vec<Value> = told.filter(|e| e["type"] == "service.load").map(|e| e["load"]["phase"].clone()).collect();
    assert_eq!(phases.first(), Some(&json!("weights")), "its load was not seen to get on: {events}");
    let (stopped, took) = timed(|| greenroom.cli(&["stop", "chat"]));
    stopped.expect(0);
    note(&format!("an idle llama-server stopped after {took:?}"));
    greenroom.shutdown_clean();
    greenroom.assert_clean();
}

#[test]
fn the_config_that_is_shipped_runs_as_its_comment_says() {
    let Some((greenroom, server)) = prepared(gguf::Shape::default()) else { return };
    let shipped = concat!(env!("CARGO_MANIFEST_DIR"), "/config/llama-server.toml");
    let folder = server.parent().expect("a program lies in a folder").display();
    let path = format!("{folder}:{}", std::env::var("PATH").unwrap_or_default());
    greenroom.start_as(|command| {
        command.env("MODEL", greenroom.folder().join("model.gguf")).env("PATH", path);
        command.args(["run", "-c", shipped, "--state-dir"]).arg(greenroom.state_dir());
        command.arg("--set").arg(format!("runtime.ports={}", greenroom.port_range()));
    });
    greenroom.wait_state("chat", "ready");
    let answer = greenroom.engine("chat").post("/v1/chat/completions", Some(&ask(4))).expect("an answer");
    assert_eq!(answer.status, 200, "{answer:?}");
    greenroom.shutdown_clean();
    greenroom.assert_clean();
}

#[test]
fn the_first_configuration_of_the_readme_serves_through_the_door() {
    let Some(server) = llama::server() else { return };
    let greenroom = Greenroom::new();
    let readme = include_str!("../../README.md");
    let first = readme.split("```toml\n").nth(1).and_then(|rest| rest.split("```").next()).expect("a configuration");
    greenroom.write_config(first);
    let models = greenroom.folder().join("models");
    fs::create_dir(&models).expect("the test's folder is writable");
    gguf::write(&models.join("gemma-3-12b-q4.gguf"), gguf::Shape::default()).expect("the test's folder is writable");
    let folder = server.parent().expect("a program lies in a folder").display();
    let path = format!("{folder}:{}", std::env::var("PATH").unwrap_or_default());
    greenroom.start_as(|command| {
        command.env("PATH", path).args(["run", "-c"]).arg(greenroom.config_file());
        command.arg("--state-dir").arg(greenroom.state_dir());
        // The ports alone are the test's own.
        command.arg("--set").arg(format!("gateway.listen=127.0.0.1:{}", greenroom.port(0)));
        command.arg("--set").arg(format!("runtime.ports={}", greenroom.port_range()));
    });
    assert_eq!(greenroom.state("chat"), "stopped", "the first request loads it");
    let mut question = ask(4);
    question["model"] = json!("gemma");
    let answer = Http::Tcp(greenroom.port(0)).post("/v1/chat/completions", Some(&question)).expect("an answer");
    assert_eq!((answer.status, &answer.json()["usage"]["completion_tokens"]), (200, &json!(4)), "{answer:?}");
    assert_eq!(greenroom.state("chat"), "ready");
    greenroom.shutdown_clean();
    greenroom.assert_clean();
}

#[test]
fn a_busy_one_stops_bounded_and_clean() {
    // Slow enough that its 4000 tokens outlast the test by far.
    let shape = gguf::Shape { layers: 8, embedding: 512, feed_forward: 1408, words: 256 };
    let Some((greenroom, server)) = prepared(shape) else { return };
    greenroom.configure(&config(server, "stop.grace = \"3s\""));
    greenroom.start();
    greenroom.wait_state("chat", "ready");
    let answered = Arc::new(AtomicBool::new(false));
    let client = {
        let (engine, answered) = (greenroom.engine("chat"), Arc::clone(&answered));
        thread::spawn(move || {
            let answer = engine.post("/v1/chat/completions", Some(&ask(3900)));
            answered.store(answer.is_ok_and(|answer| answer.status == 200), Ordering::SeqCst);
        })
    };
    wait_for("it is at work", BOUND, || {
        let slots = greenroom.engine("chat").get("/slots").ok().map(|answer| answer.body).unwrap_or_default();
        slots.contains("\"is_processing\":true")
    });
    let pid = greenroom.service_pid("chat");
    let (stopped, took) = timed(|| greenroom.cli(&["stop", "chat"]));
    stopped.expect(0);
    note(&format!("a busy llama-server stopped after {took:?}"));
    assert!(took < Duration::from_secs(3 + 10), "it took {took:?}");
    assert!(!common::alive(pid));
    assert_eq!(greenroom.state("chat"), "stopped");
    client.join().expect("the client ends");
    assert!(!answered.load(Ordering::SeqCst), "it was busy to the end, or this test shows nothing");
    greenroom.shutdown_clean();
    greenroom.assert_clean();
}

#[track_caller]
fn fails_once(greenroom: &Greenroom, class: &str) -> Value {
    greenroom.wait_state("chat", "failed");
    let service = greenroom.service("chat");
    let known = service["last_exit"]["class"].as_str().map(str::to_owned).unwrap_or_default();
    assert!(known == class || service["reason"].to_string().contains(class), "{service:#}");
    assert_eq!(service["restarts"]["total"], 0, "a permanent failure is not tried again: {service:#}");
    let why = greenroom.cli(&["why", "chat"]).expect(0);
    assert!(why.stdout.contains("model.gguf"), "{why:?}");
    service
}

#[test]
fn a_file_that_is_no_model_fails_once_as_bad_model() {
    let Some((greenroom, server)) = prepared(gguf::Shape::default()) else { return };
    fs::write(greenroom.folder().join("model.gguf"), b"not a model at all".repeat(100)).expect("the file is ours");
    greenroom.configure(&config(server, ""));
    greenroom.start();
    let service = fails_once(&greenroom, "bad_model");
    assert_eq!(service["last_exit"]["code"], 1, "{service:#}");
    greenroom.shutdown_clean();
    greenroom.assert_clean();
}

#[test]
fn a_model_that_was_cut_short_fails_once_as_bad_model() {
    let Some((greenroom, server)) = prepared(gguf::Shape::default()) else { return };
    let file = fs::File::options().write(true).open(greenroom.folder().join("model.gguf")).expect("the file is ours");
    file.set_len(1 << 20).expect("the file is ours");
    greenroom.configure(&config(server, ""));
    greenroom.start();
    fails_once(&greenroom, "bad_model");
}

#[test]
fn a_model_that_is_not_there_is_named() {
    let Some((greenroom, server)) = prepared(gguf::Shape::default()) else { return };
    fs::remove_file(greenroom.folder().join("model.gguf")).expect("the file is ours");
    greenroom.configure(&config(server, ""));
    let check = greenroom.bare(&["check", "-c", &greenroom.config_file().display().to_string()]);
    if check.code == 2 {
        assert!(check.text().contains("model.gguf"), "{check:?}");
        return;
    }
    greenroom.start();
    fails_once(&greenroom, "bad_model");
}

#[test]
fn a_port_that_is_taken_is_named() {
    let Some((greenroom, server)) = prepared(gguf::Shape::default()) else { return };
    let port = greenroom.port(0);
    let taken = TcpListener::bind(("127.0.0.1", port)).expect("the port is this test's own");
    let more = format!("port = {port}\nrestart.max = 2\nrestart.backoff = \"5ms..20ms\"");
    greenroom.configure(&config(server, &more));
    greenroom.start();
    greenroom.wait_state("chat", "failed");
    let service = greenroom.service("chat");
    assert!(
        service.to_string().contains("port_in_use") && service.to_string().contains(&port.to_string()),
        "{service:#}"
    );
    drop(taken);
    greenroom.cli(&["start", "chat"]).expect(0);
    assert_eq!(greenroom.state("chat"), "ready");
    greenroom.shutdown_clean();
}
