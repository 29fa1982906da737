//! A kept service that counts: every line it prints has the next number, on standard output and on standard error.

use std::{fs, path::PathBuf};

use serde_json::Value;

use crate::common::{BOUND, Greenroom, alive, wait_for, wait_until};

/// The service's name.
pub const NAME: &str = "chat";

/// The configuration: small log files, so that they are rotated all the time, and enough of them that none is lost.
/// `more` are lines of the service.
pub fn config(greenroom: &Greenroom, more: &str) -> String {
    let folder = greenroom.folder().display();
    let script = format!(
        ": {tag}; echo start >> {folder}/starts; trap 'echo bye >> {folder}/bye; exit 0' TERM; n=0; \
         while :; do n=$((n+1)); echo \"out $n of many lines\"; echo \"err $n of as many\" >&2; \
         [ -e {folder}/exit ] && exit 7; sleep 0.005; done",
        tag = greenroom.tag(NAME)
    );
    let command = greenroom.shell(&script);
    format!(
        "[log]\nservice_logs = {{ max_size = \"1KiB\", keep = 900 }}\n\n\
         [service.{NAME}]\ncommand = {command}\nstop.on_runtime_exit = \"keep\"\n{more}\n"
    )
}

/// How often it was started.
pub fn starts(greenroom: &Greenroom) -> usize {
    fs::read_to_string(greenroom.folder().join("starts")).map_or(0, |text| text.lines().count())
}

/// Waits until it has been started so often: it is ready before its first command is done.
#[track_caller]
pub fn wait_starts(greenroom: &Greenroom, times: usize) {
    wait_for("it has been started so often", BOUND, || starts(greenroom) >= times);
    assert_eq!(starts(greenroom), times, "it was started too often");
}

/// The files of its log, oldest first.
fn log_files(greenroom: &Greenroom) -> Vec<PathBuf> {
    let folder = greenroom.state_dir().join("logs").join(NAME);
    let mut rotated: Vec<u32> = fs::read_dir(&folder)
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.strip_suffix(".log")?.parse().ok())
        .collect();
    rotated.sort_unstable_by(|a, b| b.cmp(a));
    let mut files: Vec<PathBuf> = rotated.iter().map(|n| folder.join(format!("{n}.log"))).collect();
    files.push(folder.join("current.log"));
    files
}

/// How many files its log has.
pub fn count_of_log_files(greenroom: &Greenroom) -> usize {
    log_files(greenroom).len()
}

/// The last number in the log. Fails the test when one is missing, doubled, or out of order on either stream.
#[track_caller]
pub fn counted(greenroom: &Greenroom) -> u64 {
    let files = log_files(greenroom);
    let text: String = files.iter().map(|file| fs::read_to_string(file).unwrap_or_default()).collect();
    let numbers = |word: &str| -> Vec<u64> {
        text.lines().filter_map(|line| line.strip_prefix(word)?.split(' ').next()?.parse().ok()).collect()
    };
    let (out, err) = (numbers("out "), numbers("err "));
    for numbers in [&out, &err] {
        let gap = numbers.iter().zip(1..).find(|(found, expected)| **found != *expected);
        assert_eq!(gap, None, "a line is lost or doubled");
    }
    // Beside what the shell says of its sleep that the stop signal has ended.
    let others: Vec<&str> =
        text.lines().filter(|line| !["out ", "err ", "Terminated"].iter().any(|w| line.starts_with(w))).collect();
    assert!(others.is_empty(), "something else stands in the log: {others:?}");
    out.last().copied().unwrap_or(0)
}

/// Waits until it has printed more than it has now.
#[track_caller]
pub fn wait_for_more(greenroom: &Greenroom) {
    let folder = greenroom.state_dir().join("logs").join(NAME);
    // Of the last file alone: while the files are rotated, a look at all of them may miss some.
    let last = || fs::read_to_string(folder.join("current.log")).ok()?.lines().last().map(str::to_owned);
    let before = last();
    wait_for("it goes on printing", BOUND, || last() != before);
}

/// Waits until it is ready; gives its process.
#[track_caller]
pub fn ready(greenroom: &Greenroom) -> i32 {
    greenroom.wait_state(NAME, "ready");
    let pid = greenroom.service_pid(NAME);
    assert!(alive(pid), "{pid} is said to be ready and is dead");
    pid
}

/// The file of its registry entry, and what is in it.
#[track_caller]
pub fn entry(greenroom: &Greenroom) -> (PathBuf, Value) {
    let folder = greenroom.state_dir().join("registry");
    let look = || {
        let mut files = fs::read_dir(&folder).ok()?.flatten().map(|entry| entry.path());
        let file = files.find(|file| file.extension().is_some_and(|ending| ending == "json"))?;
        let value: Value = serde_json::from_slice(&fs::read(&file).ok()?).ok()?;
        Some((file, value))
    };
    wait_until("a run is written down", BOUND, look).0
}

/// Kills the runtime, and waits until its guardian has done its work.
#[track_caller]
pub fn kill_runtime(greenroom: &Greenroom) {
    let guardian = greenroom.guardian();
    greenroom.kill();
    wait_for("the guardian has gone", BOUND, || !alive(guardian));
}

/// Ends what is kept, and fails the test if anything is left.
#[track_caller]
pub fn end(greenroom: &Greenroom) {
    greenroom.cli(&["stop", NAME]).expect(0);
    greenroom.shutdown_clean();
    greenroom.assert_clean();
}

/// The runs in the history, newest first or not: as the command gives them.
#[track_caller]
pub fn runs(greenroom: &Greenroom) -> Vec<Value> {
    let json = greenroom.cli(&["history", "runs", "--json", "--service", NAME]).expect(0).json();
    json.as_array().or_else(|| json["runs"].as_array()).expect("a list").clone()
}

/// The row of one run in the history, once it has an end.
#[track_caller]
pub fn ended_run(greenroom: &Greenroom, run: &Value) -> Value {
    let look = || runs(greenroom).into_iter().find(|row| row["run_id"] == *run && row["ended"].is_string());
    wait_until("the end of the run is remembered", BOUND, look).0
}
