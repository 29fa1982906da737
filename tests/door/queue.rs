//! The line before a service: how many are in at a time, who goes first, who is sent away, and who leaves.

use std::{
    collections::BTreeSet,
    thread::{self, ScopedJoinHandle},
};

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::{
    CHAT, chat, chat_at,
    common::{Answer, BOUND, EventReader, Greenroom, note, signal, wait_for},
    door, gateway, on_demand, refused, runs, tokens,
};

/// A service with this much room, in which looking at it is no work.
fn narrow(greenroom: &Greenroom, room: u32, options: &str) -> String {
    on_demand(greenroom, "chat", options, &format!("max_concurrency = {room}\nwake_on = [\"POST /v1/*\"]"))
}

/// A runtime with such a service and these keys of `[gateway]`.
#[track_caller]
fn with_narrow(room: u32, keys: &str) -> Greenroom {
    Greenroom::running(|g| gateway(g, keys) + &narrow(g, room, "--token-ms 5"))
}

/// What the stand-in says of itself.
#[track_caller]
fn props(greenroom: &Greenroom) -> Value {
    door(greenroom).get("/upstream/chat/props").expect("it answers").json()
}

fn waiting(greenroom: &Greenroom) -> usize {
    greenroom.service("chat")["waiting"].as_array().expect("a list").len()
}

#[track_caller]
fn wait_until_in_line(greenroom: &Greenroom, count: usize) {
    wait_for(&format!("{count} stand in line"), BOUND, || waiting(greenroom) == count);
}

/// Takes the room of one until it is dropped: longer than a test waits for anything.
#[track_caller]
fn occupied(greenroom: &Greenroom) -> EventReader {
    let mut stream = tokens(greenroom, 1_000_000);
    assert_eq!(stream.status, 200);
    stream.next().expect("a token");
    stream
}

/// The service up, and its process halted: whoever is in stays in until [`go_on`], and then ends as usual. One who hangs
/// up would be out before the service has noticed.
#[track_caller]
fn halted(greenroom: &Greenroom) -> i32 {
    assert_eq!(chat(greenroom, "chat").status, 200);
    let pid = greenroom.service_pid("chat");
    signal(pid, Signal::SIGSTOP);
    pid
}

fn go_on(pid: i32) {
    signal(pid, Signal::SIGCONT);
}

/// The how-manieth chat of its run this is the answer to.
#[track_caller]
fn number(answer: &Answer) -> u64 {
    let id = answer.json()["id"].as_str().unwrap_or_else(|| panic!("no chat: {answer:?}")).to_owned();
    id.strip_prefix("chatcmpl-").and_then(|number| number.parse().ok()).expect("a number")
}

#[test]
fn no_more_requests_are_in_it_than_may_be_and_none_asks_for_a_load() {
    let greenroom = with_narrow(2, "");
    let pid = halted(&greenroom);
    let door = door(&greenroom);
    let statuses: Vec<u16> = thread::scope(|scope| {
        let asked: Vec<_> = (0..12).map(|_| scope.spawn(|| chat_at(&door, "chat").status)).collect();
        wait_until_in_line(&greenroom, 10);
        let told = greenroom.service("chat");
        assert_eq!(
            (&told["in_flight"], &told["max_concurrency"], &told["state"]),
            (&json!(2), &json!(2), &json!("ready"))
        );
        let expected = json!({ "position": 10, "reason": "as many use it as may at a time (2)", "eta": null });
        assert_eq!(told["waiting"][9], expected);
        let why = greenroom.cli(&["why", "chat"]).expect(0);
        assert!(why.stdout.contains("10 requests wait for it"), "{}", why.stdout);
        go_on(pid);
        asked.into_iter().map(|one| one.join().expect("it is answered")).collect()
    });
    assert_eq!(statuses, [200; 12]);
    assert_eq!((props(&greenroom)["slots_most"].as_u64(), waiting(&greenroom)), (Some(2), 0));
    assert_eq!((runs(&greenroom, "chat"), greenroom.service("chat")["reason"].clone()), (1, Value::Null));
}

#[test]
fn a_reload_changes_how_many_may_be_in_it_while_it_runs() {
    let greenroom = with_narrow(1, "");
    let stays = occupied(&greenroom);
    let pid = greenroom.service_pid("chat");
    let door = door(&greenroom);
    let answer = thread::scope(|scope| {
        let asked = scope.spawn(|| chat_at(&door, "chat"));
        wait_until_in_line(&greenroom, 1);
        greenroom.configure(&(gateway(&greenroom, "") + &narrow(&greenroom, 2, "--token-ms 5")));
        greenroom.cli(&["reload"]).expect(0);
        asked.join().expect("it is answered")
    });
    assert_eq!((number(&answer), greenroom.service_pid("chat")), (2, pid));
    drop(stays);
}

/// The order in which requests with these headers are served that have come in this one.
#[track_caller]
fn order(greenroom: &Greenroom, headers: &[&str]) -> Vec<usize> {
    let key = "Authorization: Bearer sk-one\r\n";
    let (door, body) = (door(greenroom), json!({ "model": "chat", "max_tokens": 1 }).to_string());
    let first = json!({ "model": "chat", "max_tokens": 1_000_000, "stream": true }).to_string();
    let length = first.len();
    let request = format!(
        "POST {CHAT} HTTP/1.1\r\nHost: x\r\n{key}Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n{first}"
    );
    let occupied = door.say(&request).expect("the door listens");
    wait_for("the first one is in", BOUND, || greenroom.service("chat")["in_flight"] == 1);
    let (door, body) = (&door, &body);
    let mut served: Vec<(u64, usize)> = thread::scope(|scope| {
        let mut asked: Vec<ScopedJoinHandle<'_, Answer>> = Vec::new();
        for header in headers {
            let headers = format!("{key}Content-Type: application/json\r\n{header}\r\n");
            let headers = if header.is_empty() { headers.trim_end().to_owned() + "\r\n" } else { headers };
            asked.push(scope.spawn(move || door.ask("POST", CHAT, &headers, body).expect("the door answers")));
            wait_until_in_line(greenroom, asked.len());
        }
        drop(occupied);
        asked.into_iter().enumerate().map(|(n, one)| (number(&one.join().expect("it is answered")), n)).collect()
    });
    served.sort_unstable();
    served.into_iter().map(|(_, n)| n).collect()
}

#[test]
fn those_in_line_go_by_priority_and_then_by_arrival() {
    let greenroom = with_narrow(1, "api_keys = [\"sk-one\"]");
    let headers = ["", "X-Priority: 0", "x-priority: 5", "X-Priority: -1", "X-Priority: 5"];
    assert_eq!(order(&greenroom, &headers), [2, 4, 0, 1, 3]);
    for wrong in ["high", "", "1.5", "99999999999"] {
        let headers = format!("x-api-key: sk-one\r\nX-Priority: {wrong}\r\n");
        let answer = door(&greenroom).ask("POST", CHAT, &headers, r#"{"model":"chat"}"#).expect("the door answers");
        assert_eq!(refused(&answer, 400, "invalid_request")["param"], "X-Priority", "{wrong}");
    }
}

#[test]
fn without_keys_nobody_goes_before_others() {
    let greenroom = with_narrow(1, "");
    assert_eq!(order(&greenroom, &["X-Priority: 0", "X-Priority: 9", "X-Priority: high", ""]), [0, 1, 2, 3]);
}

#[track_caller]
fn retry_after(answer: &Answer) -> u64 {
    let headers = answer.headers.to_ascii_lowercase();
    let told = headers.lines().find_map(|line| line.strip_prefix("retry-after:")?.trim().parse().ok());
    told.unwrap_or_else(|| panic!("no Retry-After: {headers}"))
}

/// What it is told: as long as the last load took, in whole seconds.
#[track_caller]
fn as_long_as_a_load(greenroom: &Greenroom) -> u64 {
    let took = greenroom.service("chat")["loaded_in"].as_f64().expect("seconds");
    (took.ceil() as u64).max(1)
}

#[test]
fn past_the_end_of_the_line_requests_are_sent_away() {
    let greenroom = with_narrow(1, "queue.max_waiting = 2");
    let stays = occupied(&greenroom);
    let door = door(&greenroom);
    thread::scope(|scope| {
        let asked: Vec<_> = (0..2).map(|_| scope.spawn(|| chat_at(&door, "chat"))).collect();
        wait_until_in_line(&greenroom, 2);
        let answer = chat_at(&door, "chat");
        let error = refused(&answer, 429, "queue_full");
        assert!(error["message"].as_str().expect("a sentence").contains("2 wait"), "{error}");
        assert_eq!(retry_after(&answer), as_long_as_a_load(&greenroom));
        drop(stays);
        assert!(asked.into_iter().all(|one| one.join().expect("it is answered").status == 200));
    });
    assert_eq!(chat(&greenroom, "chat").status, 200, "there is room again");
}

#[test]
fn a_line_that_is_longer_than_usual_is_counted_to_its_end() {
    // As many as are listed, and three more.
    const COUNT: usize = 515;
    let greenroom = with_narrow(1, "queue.max_waiting = 515");
    let _stays = occupied(&greenroom);
    let (door, body) = (door(&greenroom), r#"{"model":"chat"}"#);
    let length = body.len();
    let request = format!("POST {CHAT} HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n{body}");
    let _line: Vec<_> = (0..COUNT).map(|_| door.say(&request).expect("the door listens")).collect();
    wait_for("all stand in line", BOUND, || greenroom.service("chat")["in_line"] == COUNT);
    refused(&chat(&greenroom, "chat"), 429, "queue_full");
    assert_eq!(waiting(&greenroom), 512, "those that are listed");
    let figures = greenroom.api().get("/metrics").expect("it answers").body;
    let told = figures.lines().find_map(|line| line.strip_prefix("greenroom_queue_waiting{model=\"chat\"} "));
    assert_eq!(told, Some("515"), "{figures}");
    let why = greenroom.cli(&["why", "chat"]).expect(0).stdout;
    assert!(why.contains("515 requests wait for it"), "{why}");
}

#[test]
fn who_is_sent_away_or_waits_is_told_how_long_a_load_takes() {
    let keys = "queue.max_waiting = 1\nqueue.max_wait = \"60s\"";
    // Long enough for a test that is held up to ask in the middle of it.
    let greenroom = Greenroom::running(|g| gateway(g, keys) + &narrow(g, 1, "--load-ms 5100"));
    assert!(greenroom.service("chat")["loaded_in"].is_null());
    assert_eq!(chat(&greenroom, "chat").status, 200);
    let took = greenroom.service("chat")["loaded_in"].as_f64().expect("seconds");
    assert!(took >= 5.1, "{took}");
    greenroom.cli(&["offload", "chat"]).expect(0);
    let door = door(&greenroom);
    thread::scope(|scope| {
        let asked = scope.spawn(|| chat_at(&door, "chat"));
        wait_until_in_line(&greenroom, 1);
        let eta = greenroom.service("chat")["waiting"][0]["eta"].as_f64();
        assert!(eta.is_some_and(|eta| eta <= took), "{eta:?}");
        let answer = chat_at(&door, "chat");
        refused(&answer, 429, "queue_full");
        assert_eq!(retry_after(&answer), as_long_as_a_load(&greenroom));
        assert_eq!(asked.join().expect("it is answered").status, 200);
    });
}

#[test]
fn a_wait_for_room_is_bounded() {
    let greenroom = with_narrow(1, "queue.max_wait = \"200ms\"");
    // Whoever waits for it to be loaded waits no longer either.
    greenroom.cli(&["load", "chat"]).expect(0);
    let _stays = occupied(&greenroom);
    let answer = chat(&greenroom, "chat");
    let error = refused(&answer, 503, "wait_timeout");
    assert!(error["message"].as_str().expect("a sentence").contains("as many use it as may"), "{error}");
    assert_eq!((retry_after(&answer), waiting(&greenroom)), (as_long_as_a_load(&greenroom), 0));
}

#[test]
fn a_client_that_hangs_up_leaves_the_line() {
    let greenroom = with_narrow(1, "");
    let stays = occupied(&greenroom);
    let body = r#"{"model":"chat"}"#;
    let length = body.len();
    let request = format!("POST {CHAT} HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n{body}");
    let pending = door(&greenroom).say(&request).expect("the door listens");
    wait_until_in_line(&greenroom, 1);
    drop(pending);
    wait_until_in_line(&greenroom, 0);
    drop(stays);
    assert_eq!(number(&chat(&greenroom, "chat")), 2, "the one who left has asked nothing");
}

#[test]
fn nobody_starves_where_one_is_in_at_a_time() {
    const CLIENTS: usize = 50;
    let greenroom = with_narrow(1, "");
    let pid = halted(&greenroom);
    let door = door(&greenroom);
    let firsts: BTreeSet<u64> = thread::scope(|scope| {
        let client = || {
            let first = number(&chat_at(&door, "chat"));
            (0..2).for_each(|_| assert_eq!(chat_at(&door, "chat").status, 200));
            first
        };
        let clients: Vec<_> = (0..CLIENTS).map(|_| scope.spawn(client)).collect();
        wait_until_in_line(&greenroom, CLIENTS - 1);
        go_on(pid);
        clients.into_iter().map(|one| one.join().expect("each is answered")).collect()
    });
    // All were there before any of them could come a second time.
    assert_eq!(firsts, (2..2 + CLIENTS as u64).collect());
    assert_eq!((props(&greenroom)["slots_most"].as_u64(), runs(&greenroom, "chat")), (Some(1), 1));
}

#[test]
fn those_in_line_for_what_a_reload_takes_out_are_told_that_it_is_not_there() {
    let greenroom = Greenroom::new();
    let rest = gateway(&greenroom, "") + &on_demand(&greenroom, "other", "", "");
    greenroom.configure(&(rest.clone() + &narrow(&greenroom, 1, "--token-ms 5")));
    greenroom.start();
    let stays = occupied(&greenroom);
    let (door, api) = (door(&greenroom), greenroom.api());
    thread::scope(|scope| {
        let asked: Vec<_> = (0..3).map(|_| scope.spawn(|| chat_at(&door, "chat"))).collect();
        wait_until_in_line(&greenroom, 3);
        greenroom.configure(&rest);
        let reload = scope.spawn(move || api.post("/api/reload", None));
        for one in asked {
            refused(&one.join().expect("it is answered"), 404, "model_not_found");
        }
        drop(stays);
        assert_eq!(reload.join().expect("it ends").expect("an answer").status, 200);
    });
}

#[test]
fn those_in_line_for_what_is_stopped_are_sent_away_at_once() {
    let greenroom = with_narrow(1, "");
    let mut stays = occupied(&greenroom);
    let door = door(&greenroom);
    thread::scope(|scope| {
        let asked: Vec<_> = (0..3).map(|_| scope.spawn(|| chat_at(&door, "chat"))).collect();
        wait_until_in_line(&greenroom, 3);
        greenroom.cli(&["stop", "--no-wait", "chat"]).expect(0);
        for one in asked {
            refused(&one.join().expect("it is answered"), 503, "service_stopped");
        }
    });
    assert!(stays.next().is_some(), "whoever is in is not sent away");
}

/// Whoever waits is let in by the service's being ready, and by nothing that comes later: how long that takes is told, and
/// measured by `cargo bench --bench swap`.
#[test]
fn a_request_that_waits_is_sent_by_the_event_of_its_being_ready() {
    let greenroom = Greenroom::running(|g| gateway(g, "") + &narrow(g, 1, "--load-ms 300"));
    assert_eq!(chat(&greenroom, "chat").status, 200);
    let props = props(&greenroom);
    let moment = |name: &str| props[name].as_u64().filter(|micros| *micros > 0).expect("a moment");
    let (told_ready, first_chat) = (moment("told_ready"), moment("first_chat"));
    assert!(first_chat >= told_ready, "it was sent before it could be answered: {props}");
    note(&format!("{} us from its answer to the probe to the request", first_chat - told_ready));
}
