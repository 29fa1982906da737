//! `greenroom job`.

use std::fs;

use serde_json::{Value, json};

use crate::{
    common::{BOUND, Greenroom, wait_for},
    painter,
};

#[test]
fn a_job_is_submitted_waited_for_shown_and_listed() {
    let greenroom = Greenroom::running(|g| painter(g, "--step-ms 5", ""));
    let cli =
        greenroom.cli(&["job", "submit", "image", "-p", "prompt=a heron at dusk", "-p", "steps=3", "--wait"]).expect(0);
    let submitted = greenroom.cli(&["--json", "job", "submit", "image", "-p", "prompt=x"]).expect(0).json();
    let id = submitted["id"].as_str().unwrap_or_else(|| panic!("{submitted:#}")).to_owned();
    greenroom.wait_job(&id, &["succeeded"]);
    let shown = greenroom.cli(&["--json", "job", "show", &id]).expect(0).json();
    assert_eq!((&shown["id"], &shown["state"]), (&json!(id), &json!("succeeded")), "{shown:#}");
    assert!(greenroom.cli(&["job", "show", &id]).expect(0).stdout.contains("succeeded"));
    let listed = greenroom.cli(&["--json", "job", "list"]).expect(0).json();
    assert_eq!(listed.as_array().map(Vec::len), Some(2), "{listed:#}");
    let prompts: Vec<&Value> = listed.as_array().into_iter().flatten().map(|job| &job["params"]["prompt"]).collect();
    assert!(prompts.contains(&&json!("a heron at dusk")), "{listed:#}");
    let table = greenroom.cli(&["job", "list"]).expect(0).stdout;
    assert!(table.contains("image") && table.contains("succeeded"), "{table}\n{cli:?}");
    let log = greenroom.cli(&["job", "logs", &id]).expect(0).stdout;
    assert!(log.contains("save result image"), "{log}");
    greenroom.shutdown_clean();
}

#[test]
fn a_failure_is_status_1_with_its_cause_and_a_retry_helps() {
    let options = |g: &Greenroom| format!("--fail oom --fail-first 1 --count {}/count", g.folder().display());
    let greenroom = Greenroom::running(|g| painter(g, &options(g), "retries = 0"));
    let cli = greenroom.cli(&["job", "submit", "image", "-p", "prompt=x", "--wait"]).expect(1);
    assert!(cli.text().contains("out of memory"), "{cli:?}");
    let listed = greenroom.cli(&["--json", "job", "list"]).expect(0).json();
    let id = listed[0]["id"].as_str().unwrap_or_else(|| panic!("{listed:#}")).to_owned();
    let again = greenroom.cli(&["--json", "job", "retry", &id]).expect(0).json();
    greenroom.wait_job(again["id"].as_str().unwrap_or_else(|| panic!("{again:#}")), &["succeeded"]);
    greenroom.shutdown_clean();
}

#[test]
fn a_failure_is_said_once_however_often_it_was_tried() {
    let greenroom = Greenroom::running(|g| painter(g, "--fail oom", "retries = 1"));
    let id = greenroom.submit("image", &json!({ "prompt": "x" }));
    let job = greenroom.wait_job(&id, &["failed"]);
    assert_eq!(job["attempt"], 2, "{job:#}");
    let told = job["error"]["message"].as_str().unwrap_or_else(|| panic!("{job:#}"));
    let shown = greenroom.cli(&["job", "show", &id]).expect(0).stdout;
    assert_eq!(shown.matches(told).count(), 1, "{shown}");
    greenroom.shutdown_clean();
}

#[test]
fn a_running_job_is_cancelled() {
    let greenroom = Greenroom::running(|g| painter(g, "--step-ms 20", ""));
    let id = greenroom.submit("image", &json!({ "prompt": "x", "steps": 100_000 }));
    greenroom.wait_job(&id, &["running"]);
    greenroom.cli(&["job", "cancel", &id]).expect(0);
    greenroom.wait_job(&id, &["cancelled"]);
    greenroom.assert_no_survivor();
    let cli = greenroom.cli(&["job", "cancel", &id]).expect(1);
    assert!(cli.text().contains("cancelled"), "{cli:?}");
    greenroom.shutdown_clean();
}

#[test]
fn wrong_parameters_and_unknown_names_are_said() {
    let greenroom = Greenroom::running(|g| painter(g, "", ""));
    let cli = greenroom.cli(&["job", "submit", "image", "-p", "promt=x"]);
    assert!(cli.code != 0 && cli.text().contains("prompt") && cli.text().contains("promt"), "{cli:?}");
    let cli = greenroom.cli(&["job", "submit", "imag", "-p", "prompt=x"]);
    assert!(cli.code != 0 && cli.text().contains("image"), "{cli:?}");
    let cli = greenroom.cli(&["job", "show", "01M7YVGCFCM54YTD4HWH511JAP"]);
    assert_eq!(cli.code, 1, "{cli:?}");
    greenroom.shutdown_clean();
    assert_eq!(greenroom.cli(&["job", "submit", "image", "-p", "prompt=x"]).code, 3);
}

#[test]
fn a_file_is_sent_along_by_its_path() {
    let greenroom = Greenroom::running(|g| {
        let command = g.words(&["/bin/cp", "${param.file}", "${output}.txt"]);
        format!(
            "[job.copy]\ncommand = {command}\nparams.file = {{ type = \"file\" }}\ngpu = \"none\"\nram = \"8MiB\"\n"
        )
    });
    fs::write(greenroom.folder().join("heron.txt"), "a heron").expect("a writable folder");
    let submitted = greenroom.cli(&["--json", "job", "submit", "copy", "-p", "file=@heron.txt"]).expect(0).json();
    let id = submitted["id"].as_str().unwrap_or_else(|| panic!("{submitted:#}")).to_owned();
    greenroom.wait_job(&id, &["succeeded"]);
    wait_for("the copy can be fetched", BOUND, || {
        greenroom.api().get(&format!("/api/jobs/{id}/output")).is_ok_and(|answer| answer.body == "a heron")
    });
    greenroom.shutdown_clean();
}

#[test]
fn whoever_wants_the_files_waits_for_them() {
    let greenroom = Greenroom::running(|g| painter(g, "--step-ms 5", ""));
    let cli = greenroom.cli(&["job", "submit", "image", "-p", "prompt=x", "-p", "steps=3", "-o", "pictures"]).expect(0);
    let made = greenroom.folder().join("pictures");
    let names: Vec<_> = fs::read_dir(&made).expect("the folder is made").flatten().map(|e| e.file_name()).collect();
    assert_eq!(names.len(), 1, "{cli:?}");
    assert!(cli.stdout.contains(&*names[0].to_string_lossy()), "{cli:?}");
    greenroom.shutdown_clean();
}

#[test]
fn a_job_that_a_kill_has_cut_off_is_told_as_such_until_the_next_start() {
    let greenroom = Greenroom::running(|g| painter(g, "--step-ms 20", "retries = 0"));
    let id = greenroom.submit("image", &json!({ "prompt": "x", "steps": 100_000 }));
    greenroom.wait_job(&id, &["running"]);
    let told = || {
        let past = greenroom.cli(&["history", "jobs"]).expect(0).stdout;
        past.lines().find(|line| line.contains(&id)).map(str::to_owned).unwrap_or_else(|| panic!("{past}"))
    };
    wait_for("that it runs is on disk", BOUND, || told().contains("running"));
    greenroom.kill();
    assert!(told().contains("interrupted"), "{}", told());
    greenroom.start();
    greenroom.wait_job(&id, &["failed"]);
    wait_for("its end is on disk", BOUND, || told().contains("failed"));
    greenroom.shutdown_clean();
}

#[test]
fn a_list_says_that_there_are_more_than_it_shows() {
    let greenroom = Greenroom::running(|g| painter(g, "--step-ms 20", ""));
    for _ in 0..3 {
        greenroom.submit("image", &json!({ "prompt": "x", "steps": 100_000 }));
    }
    let cli = greenroom.cli(&["job", "list", "-n", "2"]).expect(0);
    assert_eq!(cli.stdout.lines().count(), 3, "the heads and two jobs: {cli:?}");
    assert!(cli.stderr.contains("there are more than these 2"), "{cli:?}");
    let cli = greenroom.cli(&["job", "list", "-n", "3"]).expect(0);
    assert!(cli.stdout.lines().count() == 4 && !cli.stderr.contains("more"), "{cli:?}");
    let listed = greenroom.cli(&["--json", "job", "list", "-n", "2"]).expect(0).json();
    assert_eq!(listed.as_array().map(Vec::len), Some(2), "{listed:#}");
    greenroom.cli(&["job", "cancel", "last"]).expect(0);
}

#[test]
fn a_pipe_is_no_file_and_nobody_waits_for_it() {
    let greenroom = Greenroom::running(|g| painter(g, "", ""));
    let pipe = greenroom.folder().join("pipe");
    nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).expect("a writable folder");
    let cli = greenroom.cli(&["job", "submit", "image", "-p", "prompt=x", "-p", "init=@pipe"]).expect(1);
    assert!(cli.text().contains("it is no file"), "{cli:?}");
    greenroom.shutdown_clean();
}
