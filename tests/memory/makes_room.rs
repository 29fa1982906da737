//! Room is made by offloading what costs least, after its drain, and never more than needed.

use std::{thread, time::Duration};

use serde_json::json;

use crate::{
    common::{BOUND, Greenroom, Http, stopwatch, wait_for},
    house::{CARD, chat, chat_at, chat_well, door, refused, running, service},
};

#[test]
fn a_service_is_loaded_by_its_first_request_and_offloaded_for_another() {
    let greenroom = running(|g| {
        service(g, "a", "vram = \"5GiB\"", "")
            + &service(g, "b", "vram = \"5GiB\"", "")
            + &service(g, "c", "vram = \"2GiB\"", "")
    });
    assert_eq!(greenroom.state("a"), "stopped");
    chat_well(&greenroom, "a");
    chat_well(&greenroom, "c");
    let kept = greenroom.service_pid("c");
    chat_well(&greenroom, "b");
    assert_eq!((greenroom.state("a").as_str(), greenroom.state("b").as_str()), ("offloaded", "ready"));
    assert_eq!(greenroom.service_pid("c"), kept, "it was not in the way and stays");
    let a = greenroom.service("a");
    assert_eq!((a["disposition"].as_str(), a["lease"].is_null()), (Some("on_demand"), true), "{a:#}");
    assert!(a["reason"].as_str().is_some_and(|reason| reason.contains('b')), "it says for whom: {a:#}");
    greenroom.shutdown_clean();
    greenroom.assert_clean();
}

#[test]
fn what_is_busy_finishes_first() {
    let greenroom =
        running(|g| service(g, "a", "vram = \"5GiB\"", "--token-ms 100") + &service(g, "b", "vram = \"5GiB\"", ""));
    chat_well(&greenroom, "a");
    let port = greenroom.port(0);
    thread::scope(|scope| {
        let long = scope.spawn(move || chat_at(port, "a", 50));
        wait_for("a works", BOUND, || greenroom.service("a")["in_flight"] == 1);
        chat_well(&greenroom, "b");
        let answer = long.join().expect("no panic");
        assert_eq!(answer.status, 200, "it was not cut off: {}", answer.body);
        assert_eq!(answer.json()["usage"]["completion_tokens"], 50);
    });
}

#[test]
fn what_does_not_finish_in_time_stays_and_the_newcomer_is_told_who_holds_the_memory() {
    // First come, first served: it is asked to leave at once.
    let greenroom = Greenroom::running(|g| {
        let a = service(g, "a", "vram = \"5GiB\"\noffload.drain = \"300ms\"", "--token-ms 100");
        let b = service(g, "b", "vram = \"5GiB\"", "");
        format!("{}queue.fairness = \"0s\"\n{CARD}{a}{b}", door(g))
    });
    chat_well(&greenroom, "a");
    let port = greenroom.port(0);
    thread::scope(|scope| {
        let long = scope.spawn(move || chat_at(port, "a", 100));
        wait_for("a works", BOUND, || greenroom.service("a")["in_flight"] == 1);
        let message = refused(&chat(&greenroom, "b"), 503, "insufficient_memory");
        assert!(message.contains("a holds 5GiB (busy)"), "{message}");
        let service = greenroom.service("a");
        assert_eq!(service["state"], "ready", "its gate is open again: {service:#}");
        // Somebody else gets in meanwhile.
        chat_well(&greenroom, "a");
        assert_eq!(long.join().expect("no panic").status, 200);
    });
    chat_well(&greenroom, "b");
}

#[test]
fn an_engine_that_says_it_is_busy_is_not_offloaded() {
    let busy = "vram = \"5GiB\"\nbusy = { http = \"/queue\", nonempty = [\"queue_running\", \"queue_pending\"] }";
    let greenroom = running(|g| service(g, "a", busy, "--busy-ms 1500") + &service(g, "b", "vram = \"5GiB\"", ""));
    let began = stopwatch();
    let submitted = Http::Tcp(greenroom.port(0)).post("/upstream/a/prompt", Some(&json!({}))).expect("an answer");
    assert_eq!(submitted.status, 200, "answered at once, and worked on since: {}", submitted.body);
    chat_well(&greenroom, "b");
    assert!(began.elapsed() >= Duration::from_millis(1500), "it had its time: {:?}", began.elapsed());
    assert_eq!(greenroom.state("a"), "offloaded");
}

#[test]
fn an_idle_service_leaves_after_its_time_and_comes_back_when_it_is_asked_for() {
    let greenroom = running(|g| service(g, "a", "vram = \"5GiB\"\nidle_timeout = \"300ms\"", ""));
    chat_well(&greenroom, "a");
    greenroom.wait_state("a", "offloaded");
    let reason = greenroom.service("a")["reason"].as_str().unwrap_or_default().to_owned();
    assert!(reason.contains("idle"), "{reason}");
    chat_well(&greenroom, "a");
}

#[test]
fn a_whole_number_pool_is_shared_like_memory() {
    let greenroom = running(|g| {
        let pool = "[resources.custom]\nnpu = 1\n";
        let keys = "gpu = \"none\"\nneeds = { npu = 1 }";
        pool.to_owned() + &service(g, "a", keys, "") + &service(g, "b", keys, "")
    });
    chat_well(&greenroom, "a");
    chat_well(&greenroom, "b");
    assert_eq!((greenroom.state("a").as_str(), greenroom.state("b").as_str()), ("offloaded", "ready"));
}

#[test]
fn loads_and_offloads_by_hand_leave_the_disposition_alone() {
    let greenroom = running(|g| service(g, "a", "vram = \"5GiB\"", "") + &service(g, "b", "vram = \"5GiB\"", ""));
    for (command, state) in [(["load", "a"], "ready"), (["offload", "a"], "offloaded"), (["load", "a"], "ready")] {
        let said = greenroom.cli(&command);
        assert_eq!(said.code, 0, "{command:?}: {}{}", said.stdout, said.stderr);
        let service = greenroom.service("a");
        assert_eq!((service["state"].as_str(), service["disposition"].as_str()), (Some(state), Some("on_demand")));
    }
    assert_eq!(greenroom.cli(&["load", "b"]).code, 0);
    assert_eq!(greenroom.state("a"), "offloaded");
    assert_eq!(greenroom.cli(&["stop", "b"]).code, 0);
    refused(&chat(&greenroom, "b"), 503, "service_stopped");
    wait_for("its memory is back", BOUND, || greenroom.service("b")["lease"].is_null());
}
