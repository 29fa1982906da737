//! The four ways to ask for a reload.

use std::{fs, os::unix::fs::symlink, time::Duration};

use nix::sys::signal::Signal;

use crate::{
    common::{BOUND, Greenroom, pause, wait_for},
    events, reload, web,
};

fn with_max(greenroom: &Greenroom, max: u32) -> String {
    web(greenroom, "web", "", &format!("restart.max = {max}"))
}

/// How often a reload has told that a key of `web` changed.
fn told(greenroom: &Greenroom) -> usize {
    let of_web = |event: &&serde_json::Value| event["live"].as_array().is_some_and(|live| live.contains(&"web".into()));
    events(greenroom, "config.reloaded").iter().filter(of_web).count()
}

#[test]
fn sighup_reloads_and_the_log_says_what() {
    let greenroom = Greenroom::running(|g| with_max(g, 3));
    greenroom.wait_state("web", "ready");
    let pid = greenroom.service_pid("web");
    greenroom.configure(&with_max(&greenroom, 4));
    greenroom.signal(Signal::SIGHUP);
    wait_for("it was reloaded", BOUND, || told(&greenroom) == 1);
    wait_for("the log says so", BOUND, || greenroom.output().contains("service.web.restart.max"));
    assert_eq!(greenroom.service_pid("web"), pid);
    // A bad file is told in the log, with its place.
    greenroom.configure("[service.web]\ncommand = 7\n");
    greenroom.signal(Signal::SIGHUP);
    wait_for("the log names the place", BOUND, || greenroom.output().contains("greenroom.toml:"));
    assert_eq!((greenroom.service_pid("web"), greenroom.state("web").as_str()), (pid, "ready"));
    greenroom.shutdown_clean();
}

#[test]
fn http_reloads_and_answers_with_the_report() {
    let greenroom = Greenroom::running(|g| with_max(g, 3));
    greenroom.wait_state("web", "ready");
    greenroom.configure(&with_max(&greenroom, 4));
    let answer = greenroom.api().post("/api/reload", None).expect("an answer");
    assert_eq!((answer.status, &answer.json()["services"][0]["action"]), (200, &"live".into()));
    greenroom.configure(&web(&greenroom, "web", "--load-ms 300", "restart.max = 4"));
    let answer = greenroom.api().post("/api/reload?wait=false", None).expect("an answer");
    assert_eq!((answer.status, &answer.json()["services"][0]["action"]), (202, &"restart".into()));
    greenroom.wait_state("web", "ready");
    assert_eq!(events(&greenroom, "config.reloaded").len(), 2);
    greenroom.shutdown_clean();
}

#[test]
fn arguments_and_variables_of_the_start_stay_above_the_file() {
    let greenroom = Greenroom::new();
    greenroom.configure(&with_max(&greenroom, 3));
    greenroom.start_as(|command| {
        command.args(["run", "-c"]).arg(greenroom.config_file()).args(["--set", "service.web.restart.max=8"]);
    });
    greenroom.wait_state("web", "ready");
    greenroom.configure(&with_max(&greenroom, 4));
    assert_eq!(reload(&greenroom, 0)["unchanged"], 1);
    greenroom.shutdown_clean();
}

/// Writes the configuration as many editors do: a new file takes the place of the old one.
fn replace(greenroom: &Greenroom, text: &str) {
    replace_with(greenroom, "watch_config = true\n", text);
}

/// The same with these further lines of `[runtime]`. Whoever watches never sees half a file.
fn replace_with(greenroom: &Greenroom, runtime: &str, text: &str) {
    let head = format!("[runtime]\nstate_dir = \"s\"\nports = \"{}\"\n{runtime}", greenroom.port_range());
    let new = greenroom.folder().join("greenroom.toml.new");
    fs::write(&new, format!("{head}{text}")).expect("written");
    fs::rename(new, greenroom.config_file()).expect("renamed");
}

#[test]
fn a_watched_file_is_reloaded_when_it_changes() {
    let greenroom = Greenroom::new();
    replace(&greenroom, &with_max(&greenroom, 3));
    greenroom.start();
    greenroom.wait_state("web", "ready");
    let pid = greenroom.service_pid("web");
    replace(&greenroom, &with_max(&greenroom, 4));
    wait_for("a replaced file is read", BOUND, || told(&greenroom) == 1);

    // A bad one is told once, however often it is looked at.
    let alerts = || events(&greenroom, "alert.raised").iter().filter(|event| event["alert"] == "bad_config").count();
    replace(&greenroom, "[service.web]\ncommand = 7\n");
    wait_for("a bad file is told", BOUND, || alerts() == 1);
    pause(Duration::from_secs(3));
    assert_eq!(alerts(), 1);
    replace(&greenroom, &with_max(&greenroom, 5));
    wait_for("a good one is read again", BOUND, || told(&greenroom) == 2);

    // The key itself is live: off, and nothing is looked at any more.
    replace_with(&greenroom, "", &with_max(&greenroom, 6));
    wait_for("the last change that is looked at", BOUND, || told(&greenroom) == 3);
    let looks = || {
        let tasks = fs::read_dir(format!("/proc/{}/task", greenroom.pid())).expect("it lives").flatten();
        tasks
            .filter(|task| fs::read_to_string(task.path().join("comm")).is_ok_and(|name| name == "config-watch\n"))
            .count()
    };
    wait_for("nobody looks any more", BOUND, || looks() == 0);
    assert_eq!(greenroom.service_pid("web"), pid);
    greenroom.shutdown_clean();
    greenroom.assert_clean();
}

#[test]
fn a_link_that_is_turned_is_a_change() {
    let greenroom = Greenroom::new();
    let version = |n: u32, max: u32| {
        replace(&greenroom, &with_max(&greenroom, max));
        let folder = greenroom.folder().join(format!("v{n}"));
        fs::create_dir(&folder).expect("made");
        // The state dir is relative to the file as it was named, which is the link.
        fs::rename(greenroom.config_file(), folder.join("greenroom.toml")).expect("moved");
        let link = greenroom.folder().join("data.new");
        symlink(format!("v{n}"), &link).expect("linked");
        fs::rename(link, greenroom.folder().join("data")).expect("turned");
        symlink("data/greenroom.toml", greenroom.config_file()).ok();
    };
    version(1, 3);
    greenroom.start();
    greenroom.wait_state("web", "ready");
    fs::remove_file(greenroom.config_file()).expect("removed");
    version(2, 4);
    wait_for("the other version is read", BOUND, || told(&greenroom) == 1);
    greenroom.shutdown_clean();
}
