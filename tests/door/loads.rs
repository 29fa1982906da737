//! Requests bring up what they name, once, and keep it.

use std::{thread, time::Duration};

use nix::sys::signal::Signal;
use serde_json::json;

use crate::{
    CHAT, chat, chat_at,
    common::{BOUND, Greenroom, alive, ended, signal, stopwatch, wait_for},
    door, gateway, on_demand, refused, runs, tokens, with_chat,
};

#[test]
fn a_request_loads_what_it_names_by_body_header_or_none_at_all() {
    let greenroom = Greenroom::running(|g| {
        gateway(g, "default_model = \"two\"")
            + &on_demand(g, "one", "", "serves = [\"gemma\", \"gemma:latest\"]")
            + &on_demand(g, "two", "", "")
    });
    let answered = |headers: &str, body: &str| {
        let answer = door(&greenroom).ask("POST", CHAT, headers, body).expect("the door answers");
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.json()["system_fingerprint"].as_str().expect("who answered").to_owned()
    };
    let json = "Content-Type: application/json\r\n";
    assert_eq!(answered(json, r#"{"model":"gemma:latest"}"#), "one");
    assert_eq!(greenroom.state("two"), "stopped", "only what is named is loaded");
    assert_eq!(answered(json, r#"{"model":"one"}"#), "one", "by the service's own name");
    assert_eq!(answered(&format!("{json}X-Model: gemma\r\n"), r#"{"max_tokens":1}"#), "one");
    assert_eq!(answered(json, r#"{"max_tokens":1}"#), "two", "the default");
    assert_eq!((runs(&greenroom, "one"), runs(&greenroom, "two")), (1, 1));
    greenroom.shutdown_clean();
    greenroom.assert_clean();
}

#[test]
fn the_first_requests_of_many_cause_one_load() {
    let greenroom = with_chat("--load-ms 300", "");
    let door = door(&greenroom);
    let statuses: Vec<u16> = thread::scope(|scope| {
        let asked: Vec<_> = (0..16).map(|_| scope.spawn(|| chat_at(&door, "chat").status)).collect();
        asked.into_iter().map(|one| one.join().expect("it is answered")).collect()
    });
    assert_eq!(statuses, [200; 16]);
    assert_eq!(runs(&greenroom, "chat"), 1);
    wait_for("all have left", BOUND, || greenroom.service("chat")["in_flight"] == 0);
}

#[test]
fn what_is_offloaded_comes_back_with_the_next_request() {
    let greenroom = with_chat("", "");
    for _ in 0..3 {
        assert_eq!(chat(&greenroom, "chat").status, 200);
        greenroom.cli(&["offload", "chat"]).expect(0);
        assert_eq!(greenroom.service("chat")["disposition"], "on_demand");
    }
    assert_eq!(runs(&greenroom, "chat"), 3);
}

#[test]
fn a_request_during_an_offload_waits_for_its_end_and_loads_anew() {
    let greenroom = with_chat("--stop-ms 400", "");
    assert_eq!(chat(&greenroom, "chat").status, 200);
    let offload = greenroom.cli_command(&["offload", "chat"]).spawn();
    wait_for("it is on its way out", BOUND, || greenroom.state("chat") != "ready");
    assert_eq!(chat(&greenroom, "chat").status, 200);
    assert_eq!(runs(&greenroom, "chat"), 2);
    offload.expect("the binary runs").wait().expect("it ends");
}

#[test]
fn what_it_depends_on_is_loaded_first() {
    let greenroom = Greenroom::running(|g| {
        gateway(g, "")
            + &on_demand(g, "db", "--load-ms 200", "")
            + &on_demand(g, "chat", "", "depends_on = { db = \"ready\" }")
    });
    assert_eq!(chat(&greenroom, "chat").status, 200);
    assert_eq!(greenroom.state("db"), "ready");
    let wanted = |service: &str| greenroom.service(service)["disposition"].clone();
    assert_eq!((wanted("db"), wanted("chat")), ("on_demand".into(), "on_demand".into()));
    // It is missed as long as somebody needs it.
    let before = greenroom.service_pid("db");
    signal(before, Signal::SIGKILL);
    wait_for("it is back", BOUND, || {
        // At one look: between two the end of the old run may be noticed.
        let db = greenroom.service("db");
        db["state"] == "ready" && db["pid"] != before
    });
    greenroom.cli(&["offload", "chat", "db"]).expect(0);
    greenroom.cli(&["load", "chat"]).expect(0);
    assert_eq!((greenroom.state("db").as_str(), wanted("db")), ("ready", "on_demand".into()));
    greenroom.cli(&["offload", "chat", "db"]).expect(0);
    greenroom.cli(&["start", "chat"]).expect(0);
    assert_eq!((wanted("db"), wanted("chat")), ("up".into(), "up".into()));
}

#[test]
fn a_request_in_flight_keeps_it_from_being_offloaded_and_is_counted() {
    let greenroom = with_chat("--token-ms 100", "");
    let mut stream = tokens(&greenroom, 50);
    assert_eq!(stream.next().expect("a token").data["system_fingerprint"], "chat");
    assert_eq!(greenroom.service("chat")["in_flight"], 1);
    let pid = greenroom.service_pid("chat");
    greenroom.cli(&["offload", "--no-wait", "chat"]).expect(0);
    greenroom.wait_was("chat", "draining");
    // What was sent may lie in the socket when its sender has ended; an answer that was cut short would lack tokens.
    assert_eq!(1 + stream.count(), 51, "every token, and the end");
    wait_for("it is out", BOUND, || !alive(pid));
}

#[test]
fn a_client_that_leaves_ends_its_request_at_the_service_and_gives_its_permit_back() {
    let greenroom = with_chat("--token-ms 200", "");
    for stream in [true, false] {
        // Longer than the test waits for anything.
        let body = json!({ "model": "chat", "stream": stream, "max_tokens": 100_000 }).to_string();
        let length = body.len();
        let request = format!(
            "POST {CHAT} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
        );
        let pending = door(&greenroom).say(&request).expect("the door listens");
        let busy = || {
            let props = door(&greenroom).get("/upstream/chat/props").expect("it answers").json();
            props["slots_busy"].as_u64().expect("a number")
        };
        wait_for("the service works", BOUND, || busy() == 1);
        assert_eq!(greenroom.service("chat")["in_flight"], 1);
        drop(pending);
        wait_for("the permit is back", BOUND, || greenroom.service("chat")["in_flight"] == 0);
        wait_for("the service works no more", BOUND, || busy() == 0);
    }
}

#[test]
fn a_client_that_leaves_while_it_waits_waits_no_more() {
    // Long enough for a test that is held up to see that it is being loaded.
    let greenroom = with_chat("--load-ms 5000", "");
    let body = r#"{"model":"chat"}"#;
    let length = body.len();
    let request = format!("POST {CHAT} HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n{body}");
    let pending = door(&greenroom).say(&request).expect("the door listens");
    wait_for("it is being loaded", BOUND, || greenroom.state("chat") == "starting");
    drop(pending);
    greenroom.wait_state("chat", "ready");
    // Whoever waited would be in by now, and answered; the stand-in counts what it answers in its ids.
    let id = chat(&greenroom, "chat").json()["id"].clone();
    assert_eq!(id, "chatcmpl-1", "the one who left has asked nothing");
}

#[test]
fn a_crash_in_flight_closes_the_answer_and_the_next_request_is_answered() {
    let greenroom = with_chat("--crash-after 2", "restart.backoff = \"50ms..50ms\"");
    assert_eq!(chat(&greenroom, "chat").status, 200);
    let pid = greenroom.service_pid("chat");
    refused(&chat(&greenroom, "chat"), 502, "upstream_closed");
    // Its sockets are closed one after the other while it ends. Until the one that listens is, a request can be sent to it,
    // and one that was sent is not sent again. Whether the runtime knows already is all the same.
    wait_for("it listens no more", BOUND, || ended(pid));
    let next = chat(&greenroom, "chat");
    assert_eq!(next.status, 200, "by another run: {next:?}");
    assert_eq!(runs(&greenroom, "chat"), 2);
}

#[test]
fn a_run_that_is_killed_between_two_requests_is_replaced_and_its_connections_are_not_used() {
    let greenroom = with_chat("", "restart.backoff = \"50ms..50ms\"");
    // Fewer times than it is begun anew.
    for _ in 0..4 {
        assert_eq!(chat(&greenroom, "chat").status, 200);
        let pid = greenroom.service_pid("chat");
        signal(pid, Signal::SIGKILL);
        wait_for("it listens no more", BOUND, || ended(pid));
    }
    assert_eq!(chat(&greenroom, "chat").status, 200);
}

#[test]
fn only_what_wake_on_names_loads_it_and_the_rest_passes_once_it_is_ready() {
    let greenroom = with_chat("--busy-ms 1", "wake_on = [\"POST /prompt\"]");
    let ask = |method: &str, path: &str| {
        door(&greenroom).ask(method, &format!("/upstream/chat{path}"), "", "").expect("the door answers")
    };
    let error = refused(&ask("GET", "/queue?x=1"), 503, "not_loaded");
    assert!(error["message"].as_str().expect("a sentence").contains("GET /queue"), "{error}");
    refused(&ask("GET", "/prompt"), 503, "not_loaded");
    assert_eq!(greenroom.state("chat"), "stopped");
    assert_eq!(ask("POST", "/prompt").status, 200);
    assert_eq!(greenroom.state("chat"), "ready");
    assert_eq!(ask("GET", "/queue").status, 200);
    greenroom.cli(&["offload", "chat"]).expect(0);
    refused(&ask("GET", "/queue"), 503, "not_loaded");
}

#[test]
fn work_that_goes_on_after_its_answer_keeps_it_from_being_offloaded() {
    let busy = "busy = { http = \"/queue\", nonempty = [\"queue_running\", \"queue_pending\"] }";
    let greenroom = with_chat("--busy-ms 700", busy);
    let began = stopwatch();
    for _ in 0..2 {
        assert_eq!(door(&greenroom).ask("POST", "/upstream/chat/prompt", "", "{}").expect("it answers").status, 200);
    }
    // A permit comes back a moment after the last word of its answer.
    wait_for("both are answered", BOUND, || greenroom.service("chat")["in_flight"] == 0);
    greenroom.cli(&["offload", "chat"]).expect(0);
    assert!(began.elapsed() >= Duration::from_millis(1400), "it ended after {:?}", began.elapsed());
    assert_eq!(greenroom.state("chat"), "offloaded");
}

#[test]
fn looking_at_it_is_no_work() {
    let greenroom = with_chat("--token-ms 50", "wake_on = [\"POST /v1/completions\"]");
    greenroom.cli(&["load", "chat"]).expect(0);
    // An answer that takes longer than the test, at a path that is not among those that count.
    let body = json!({ "model": "chat", "max_tokens": 100_000 }).to_string();
    let length = body.len();
    let look = format!("POST /upstream/chat{CHAT} HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n{body}");
    let _pending = door(&greenroom).say(&look).expect("the door listens");
    let busy = || door(&greenroom).get("/upstream/chat/props").expect("it answers").json()["slots_busy"].clone();
    wait_for("the service works for it", BOUND, || busy() == 1);
    assert_eq!(greenroom.service("chat")["in_flight"], 0, "it would have been counted by now");
}
