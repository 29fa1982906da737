//! Who was pushed out comes back by its policy, as what it was.

use crate::{
    common::{BOUND, pause, wait_for},
    house::{chat_well, running, service},
};
use std::time::Duration;

#[test]
fn what_is_to_come_back_does_as_soon_as_there_is_room() {
    let greenroom = running(|g| {
        service(g, "a", "vram = \"5GiB\"\noffload.reload = \"when_free\"", "")
            + &service(g, "b", "vram = \"5GiB\"", "")
            + &service(g, "c", "vram = \"5GiB\"", "")
    });
    chat_well(&greenroom, "a");
    chat_well(&greenroom, "b");
    assert_eq!(greenroom.state("a"), "offloaded");
    assert_eq!(greenroom.cli(&["offload", "b"]).code, 0);
    greenroom.wait_state("a", "ready");
    // One that comes back on demand alone stays where it is.
    chat_well(&greenroom, "c");
    assert_eq!(greenroom.cli(&["offload", "c"]).code, 0);
    greenroom.wait_state("a", "ready");
    assert_eq!(greenroom.state("b"), "offloaded");
}

/// As they stand in a record's `stderr`; in its `command` there are other words beside them.
const LAST_WORDS: &str = "\"the card is on fire\"";

#[test]
fn a_reload_that_fails_is_tried_a_few_times_and_then_told() {
    let flag = |g: &crate::common::Greenroom| g.folder().join("broken").display().to_string();
    let greenroom = running(|g| {
        let stand_in = g.stand_in_line("a", "--port ${port}");
        let script = format!("test ! -e {} || {{ echo the card is on fire >&2; exit 3; }}; exec {stand_in}", flag(g));
        let command = g.shell(&script);
        let keys =
            "vram = \"5GiB\"\noffload.reload = \"when_free\"\noffload.retries = 2\noffload.backoff = \"10ms..20ms\"";
        format!("[service.a]\ncommand = {command}\nready = \"/health\"\nstart = \"on_demand\"\nram = \"0B\"\n{keys}\n")
            + &service(g, "b", "vram = \"5GiB\"", "")
    });
    chat_well(&greenroom, "a");
    chat_well(&greenroom, "b");
    std::fs::write(flag(&greenroom), "").expect("a flag");
    assert_eq!(greenroom.cli(&["offload", "b"]).code, 0);
    let alert = || {
        let events = greenroom.cli(&["history", "events", "--json"]).stdout;
        events.contains("reload_failed").then_some(events)
    };
    wait_for("it is told that the reload failed", BOUND, || alert().is_some());
    let why = greenroom.cli(&["why", "a"]).stdout;
    assert!(why.contains("the card is on fire"), "{why}");
    let runs = greenroom.cli(&["history", "runs", "--service", "a", "--json"]).stdout;
    let failed = runs.matches(LAST_WORDS).count();
    assert_eq!(failed, 3, "the first try and two more: {runs}");
    pause(Duration::from_millis(200));
    let again = greenroom.cli(&["history", "runs", "--service", "a", "--json"]).stdout;
    assert_eq!(again.matches(LAST_WORDS).count(), 3, "and no more by itself");
    // The next request is a new wish.
    std::fs::remove_file(flag(&greenroom)).expect("the flag");
    greenroom.cli(&["reset", "a"]);
    chat_well(&greenroom, "a");
}

#[test]
fn one_that_sleeps_keeps_its_process_and_wakes_up() {
    // The stand-in's unload, as an engine of the configuration cannot say it: by the engine that it resembles.
    let greenroom = running(|g| {
        let sleeper = "engine = \"a1111\"\nready.probe = \"/health\"\nvram = { idle = \"1GiB\", peak = \"6GiB\" }\n\
                       offload.how = \"sleep\"\nbusy = \"requests\"\nalive.probe = \"none\"";
        service(g, "a", sleeper, "").replace("ready = \"/health\"\n", "") + &service(g, "b", "vram = \"5GiB\"", "")
    });
    chat_well(&greenroom, "a");
    let pid = greenroom.service_pid("a");
    chat_well(&greenroom, "b");
    assert_eq!(greenroom.state("a"), "sleeping");
    assert_eq!(greenroom.service_pid("a"), pid);
    let lease = greenroom.service("a")["lease"].clone();
    assert_eq!(lease["vram"]["declared-0"], serde_json::json!(1_u64 << 30), "{lease}");
    chat_well(&greenroom, "a");
    assert_eq!(greenroom.service_pid("a"), pid, "the same process");
    assert_eq!(greenroom.state("b"), "offloaded");
}
