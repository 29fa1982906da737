//! The event stream.

use serde_json::Value;

use crate::{
    common::{BOUND, EventReader, Greenroom, SseEvent, wait_for},
    pair,
};

/// Reads on until an event about `service` going to `state` comes.
#[track_caller]
fn until(stream: &mut EventReader, service: &str, state: &str) -> SseEvent {
    loop {
        let event = stream.next().expect("the stream goes on");
        if event.data["service"] == service && event.data["to"] == state {
            return event;
        }
    }
}

#[test]
fn every_change_is_told_with_an_id_and_a_cause() {
    let greenroom = Greenroom::running(pair);
    greenroom.wait_state("web", "ready");
    let mut stream = greenroom.api().events("/api/events", None).expect("a stream");
    assert_eq!(stream.status, 200);
    greenroom.cli(&["start", "plain"]).expect(0);
    let event = until(&mut stream, "plain", "ready");
    assert_eq!(event.event, "service.state");
    let (epoch, sequence) = event.id.split_once('-').expect("epoch-sequence");
    assert!(epoch.parse::<u64>().is_ok() && sequence.parse::<u64>().is_ok(), "{}", event.id);
    assert_eq!(event.data["pid"], greenroom.service_pid("plain"));
    greenroom.cli(&["stop", "plain"]).expect(0);
    until(&mut stream, "plain", "stopping");
    until(&mut stream, "plain", "stopped");
}

#[test]
fn who_comes_back_gets_what_was_missed_and_nothing_twice() {
    let greenroom = Greenroom::running(pair);
    greenroom.wait_state("web", "ready");
    let mut stream = greenroom.api().events("/api/events", None).expect("a stream");
    greenroom.cli(&["start", "plain"]).expect(0);
    let last = until(&mut stream, "plain", "ready").id;
    drop(stream);
    greenroom.cli(&["stop", "plain"]).expect(0);
    let mut stream = greenroom.api().events("/api/events", Some(&last)).expect("a stream");
    let first = stream.next().expect("what was missed");
    assert_eq!(number(&first.id), number(&last) + 1, "the one after the last seen");
    until(&mut stream, "plain", "stopped");
}

#[test]
fn an_id_of_an_earlier_runtime_is_answered_with_a_gap() {
    let greenroom = Greenroom::running(pair);
    let mut stream = greenroom.api().events("/api/events", Some("1-5")).expect("a stream");
    assert_eq!(stream.next().expect("a first event").event, "gap");
}

#[test]
fn the_stream_ends_with_the_runtime() {
    let greenroom = Greenroom::running(pair);
    let mut stream = greenroom.api().events("/api/events", None).expect("a stream");
    greenroom.wait_state("web", "ready");
    let mut command = greenroom.cli_command(&["events", "-f", "--json"]);
    let child = command.stdout(std::process::Stdio::piped()).spawn().expect("the binary under test runs");
    // It has to be connected, or it would miss the end; a runtime told to stop waits for nobody.
    wait_for("the command is connected", BOUND, || crate::common::descriptors(child.id() as i32) > 3);
    greenroom.shutdown_clean();
    let mut states = Vec::new();
    while let Some(event) = stream.next() {
        states.push(event.data["to"].clone());
    }
    assert!(states.contains(&Value::from("stopped")), "{states:?}");
    let output = child.wait_with_output().expect("the command ends");
    for line in String::from_utf8_lossy(&output.stdout).lines() {
        serde_json::from_str::<Value>(line).expect("each line is JSON");
    }
}

fn number(id: &str) -> u64 {
    id.split_once('-').and_then(|(_, n)| n.parse().ok()).expect("epoch-sequence")
}
