//! A file that is not right changes nothing and says why.

use crate::{
    common::{BOUND, Greenroom, wait_for},
    events, reload, web,
};

#[test]
fn a_bad_file_changes_nothing_and_names_every_place() {
    let greenroom = Greenroom::running(|g| [web(g, "web", "", ""), web(g, "db", "", "")].concat());
    let pids = ["web", "db"].map(|name| {
        greenroom.wait_state(name, "ready");
        greenroom.service_pid(name)
    });
    // `db` is gone, `web` has another command, and two lines are wrong.
    greenroom.configure(&web(&greenroom, "web", "--tokens 9", "restart.max = \"many\"\nreddy.timeout = \"1s\""));
    let file = greenroom.config_file().display().to_string();
    let text = std::fs::read_to_string(greenroom.config_file()).expect("readable");
    let line = |word: &str| text.lines().position(|line| line.starts_with(word)).expect("there") + 1;
    let places = [format!("{file}:{}:15:", line("restart.max")), format!("{file}:{}:1:", line("reddy"))];

    let cli = greenroom.cli(&["reload"]).expect(2);
    for place in &places {
        assert!(cli.stderr.contains(place), "{place}: {}", cli.stderr);
    }
    assert!(cli.stderr.contains("nothing was changed") && cli.stderr.contains("did you mean"), "{}", cli.stderr);
    let answer = greenroom.api().post("/api/reload", None).expect("an answer");
    assert_eq!(answer.status, 400);
    let problems = answer.json()["error"]["problems"].clone();
    assert_eq!(problems.as_array().map(Vec::len), Some(2), "{problems:#}");
    assert_eq!(problems[0]["place"]["line"], line("restart.max"));
    assert_eq!(["web", "db"].map(|name| greenroom.service_pid(name)), pids);

    let alert = |kind: &str| events(&greenroom, kind).iter().filter(|event| event["alert"] == "bad_config").count();
    assert_eq!((alert("alert.raised"), alert("alert.cleared")), (1, 0), "the same trouble is told once");
    greenroom.configure(&[web(&greenroom, "web", "", ""), web(&greenroom, "db", "", "")].concat());
    let report = reload(&greenroom, 0);
    assert_eq!(report["unchanged"], 2);
    assert_eq!((alert("alert.raised"), alert("alert.cleared")), (1, 1));
    assert_eq!(["web", "db"].map(|name| greenroom.service_pid(name)), pids);
    greenroom.shutdown_clean();
}

#[test]
fn a_file_that_is_gone_or_makes_a_circle_changes_nothing() {
    let greenroom = Greenroom::running(|g| web(g, "web", "", ""));
    greenroom.wait_state("web", "ready");
    let pid = greenroom.service_pid("web");
    std::fs::remove_file(greenroom.config_file()).expect("removed");
    let cli = greenroom.cli(&["reload"]).expect(2);
    assert!(cli.stderr.contains("cannot be read"), "{cli:?}");
    let circle = [
        web(&greenroom, "web", "", "depends_on.db = \"ready\""),
        web(&greenroom, "db", "", "depends_on.web = \"ready\""),
    ];
    greenroom.configure(&circle.concat());
    greenroom.cli(&["reload"]).expect(2);
    assert_eq!((greenroom.service_pid("web"), greenroom.state("web").as_str()), (pid, "ready"));
    greenroom.shutdown_clean();
}

#[test]
fn a_runtime_that_stops_reloads_nothing() {
    let greenroom = Greenroom::running(|g| web(g, "web", "--stop-ms 8000", "stop.grace = \"20s\""));
    greenroom.wait_state("web", "ready");
    greenroom.wait_settled(1);
    assert_eq!(greenroom.api().post("/api/shutdown", None).expect("an answer").status, 202);
    let answer = greenroom.api().post("/api/reload", None).expect("the socket outlives the services");
    assert_eq!((answer.status, &answer.json()["error"]["code"]), (503, &"stopping".into()));
    let (code, _) = greenroom.wait(BOUND);
    assert_eq!(code, 0);
    wait_for("nothing is left", BOUND, || greenroom.survivors().is_empty());
}
