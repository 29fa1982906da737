//! The history: readable with the runtime running and stopped, never in the way of supervision.

use std::fs;

use serde_json::Value;

use crate::{
    common::{BOUND, Greenroom, wait_for},
    pair,
};

#[track_caller]
fn runs(greenroom: &Greenroom, args: &[&str]) -> Vec<Value> {
    let mut all = vec!["history", "runs", "--json"];
    all.extend(args);
    let cli = greenroom.cli(&all).expect(0);
    let json = cli.json();
    json.as_array().or_else(|| json["runs"].as_array()).unwrap_or_else(|| panic!("no list: {cli:?}")).clone()
}

#[test]
fn runs_are_remembered_with_their_cause_also_when_the_runtime_is_gone() {
    let greenroom = Greenroom::running(|g| {
        let crash = g.stand_in("crash", "--no-http --crash-after-ms 1 --exit-code 7 --stderr WORD");
        let crash = crash.replace("WORD", "the very end");
        format!("{}[service.crash]\ncommand = {crash}\nrestart.policy = \"never\"\n", pair(g))
    });
    greenroom.wait_state("web", "ready");
    greenroom.wait_state("crash", "failed");
    let check = |what: &str| {
        let crash = runs(&greenroom, &["--service", "crash"]);
        assert_eq!(crash.len(), 1, "{what}: {crash:#?}");
        assert_eq!(crash[0]["exit"]["code"], 7, "{what}");
        assert!(crash[0]["exit"]["stderr"].to_string().contains("the very end"), "{what}: {crash:#?}");
        assert_eq!(crash[0]["wanted"], false, "{what}");
        assert_eq!(runs(&greenroom, &["--failed", "--since", "1h"]).len(), 1, "{what}");
    };
    // What is told is written some milliseconds later.
    wait_for("its end is recorded", BOUND, || {
        runs(&greenroom, &["--service", "crash"]).iter().any(|run| run["ended"].is_string())
    });
    check("while it runs");
    greenroom.shutdown_clean();
    check("after its end");
    let web = runs(&greenroom, &["--service", "web"]);
    assert_eq!((web.len(), &web[0]["wanted"]), (1, &Value::Bool(true)), "{web:#?}");
    assert!(web[0]["ready"].is_string() && web[0]["ended"].is_string(), "{web:#?}");
    let events = greenroom.cli(&["history", "events", "--service", "web"]).expect(0);
    assert!(events.stdout.contains("ready") && events.stdout.contains("stopped"), "{events:?}");
}

#[test]
fn what_was_remembered_survives_a_kill() {
    let greenroom = Greenroom::running(pair);
    greenroom.wait_state("web", "ready");
    for _ in 0..3 {
        greenroom.cli(&["restart", "web"]).expect(0);
    }
    wait_for("three ends are recorded", BOUND, || {
        runs(&greenroom, &["--service", "web"]).iter().filter(|run| run["ended"].is_string()).count() == 3
    });
    greenroom.kill();
    greenroom.wait_gone(BOUND);
    let after = runs(&greenroom, &["--service", "web"]);
    assert_eq!(after.iter().filter(|run| run["ended"].is_string()).count(), 3, "{after:#?}");
    greenroom.start();
    greenroom.wait_state("web", "ready");
    wait_for("the new run is there too", BOUND, || runs(&greenroom, &["--service", "web"]).len() == 5);
    greenroom.shutdown_clean();
}

#[test]
fn a_damaged_database_is_set_aside_and_supervision_goes_on() {
    let greenroom = Greenroom::running(pair);
    greenroom.wait_state("web", "ready");
    greenroom.shutdown_clean();
    let database = greenroom.state_dir().join("history.db");
    fs::write(&database, b"this is no database".repeat(1000)).expect("the database is ours");
    for journal in ["history.db-wal", "history.db-shm"] {
        fs::remove_file(greenroom.state_dir().join(journal)).ok();
    }
    greenroom.start();
    greenroom.wait_state("web", "ready");
    greenroom.cli(&["restart", "web"]).expect(0);
    wait_for("the new database is written", BOUND, || !runs(&greenroom, &["--service", "web"]).is_empty());
    let names: Vec<String> = fs::read_dir(greenroom.state_dir())
        .expect("the state dir")
        .flatten()
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    assert!(
        names.iter().any(|name| name.contains("history") && !name.starts_with("history.db")
            || name.contains("damaged")
            || name.contains("corrupt")
            || name.contains("aside")),
        "kept for whoever wants to look: {names:?}"
    );
    assert!(greenroom.output().contains("history"), "said in the log:\n{}", greenroom.output());
    greenroom.shutdown_clean();
    greenroom.assert_clean();
}

/// What the runtime says of its history.
#[track_caller]
fn health(greenroom: &Greenroom) -> String {
    greenroom.status()["runtime"]["history"].to_string()
}

#[test]
fn a_database_that_cannot_be_opened_stops_nothing_and_is_said_loudly() {
    let greenroom = Greenroom::new();
    // A folder in its place: as root, no permission keeps anybody from a file.
    let place = greenroom.folder().join("history");
    fs::create_dir(&place).expect("the test's folder is writable");
    fs::write(place.join("in the way"), "").expect("the test's folder is writable");
    let path = place.display().to_string();
    greenroom.configure(&format!("{}[history]\npath = \"{path}\"\n", pair(&greenroom)));
    greenroom.start();
    greenroom.wait_state("web", "ready");
    greenroom.cli(&["restart", "web"]).expect(0);
    wait_for("it is said", BOUND, || !health(&greenroom).contains("\"ok\""));
    let shown = greenroom.cli(&["status"]).expect(0);
    assert!(shown.text().contains("history"), "{shown:?}");
    greenroom.shutdown();
    greenroom.assert_clean();
}

#[test]
fn a_full_disk_stops_nothing_and_is_said_loudly() {
    let greenroom = Greenroom::new();
    // Every write to it fails with "no space left on device".
    greenroom.configure(&format!("{}[history]\npath = \"/dev/full\"\n", pair(&greenroom)));
    greenroom.start();
    greenroom.wait_state("web", "ready");
    greenroom.cli(&["restart", "web"]).expect(0);
    wait_for("it is said", BOUND, || !health(&greenroom).contains("\"ok\""));
    assert!(std::path::Path::new("/dev/full").exists(), "a device is not set aside");
    greenroom.shutdown();
    greenroom.assert_clean();
}
