//! Diagnostic bundles: what is in them, what is not, and that they never become the load.

use std::{
    fs,
    path::{Path, PathBuf},
};

use crate::{
    common::{BOUND, Greenroom, wait_for},
    provoke, ready_run, service, watchdog,
};

const SECRET: &str = "sk-heron-4711";

/// Every place that a secret can be in.
fn config(greenroom: &Greenroom, keys: &str) -> String {
    let command = greenroom.stand_in("chat", "--port ${port}");
    let with_key = command.replace("[\"", &format!("[\"/usr/bin/env\", \"API_KEY={SECRET}\", \""));
    format!(
        "{}[gateway]\nlisten = \"127.0.0.1:{}\"\napi_keys = [\"{SECRET}\"]\n\
         [service.chat]\ncommand = {with_key}\nready = \"/health\"\nstart = \"eager\"\nenv = {{ HF_TOKEN = \"{SECRET}\" }}\n",
        watchdog(keys),
        greenroom.port(0)
    )
}

/// Every file below a folder.
fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

#[track_caller]
fn named<'a>(files: &'a [PathBuf], end: &str) -> &'a Path {
    files.iter().find(|path| path.ends_with(end)).unwrap_or_else(|| panic!("no {end} in {files:#?}"))
}

#[test]
fn a_bundle_that_is_asked_for_has_everything_but_secrets() {
    let greenroom = Greenroom::running(|g| config(g, ""));
    ready_run(&greenroom, "chat");
    let archive = greenroom.folder().join("mine.tar");
    let cli = greenroom.cli(&["bundle", "-o", &archive.display().to_string()]).expect(0);
    assert!(!cli.text().contains(SECRET), "{cli:?}");
    let files = files(&greenroom.unpacked(&archive));
    let summary = fs::read_to_string(named(&files, "SUMMARY.md")).expect("text");
    assert!(!summary.trim().is_empty() && summary.len() < 16_384, "{summary}");
    for part in ["config.toml", "events.jsonl", "memory.json", "watch.json", "system.txt", "logs/chat.log"] {
        let text = fs::read(named(&files, part)).expect("a file");
        assert!(!text.is_empty(), "{part} is empty");
    }
    let tree =
        files.iter().find(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("tree")));
    let tree = fs::read_to_string(tree.expect("the process tree")).expect("text");
    assert!(tree.contains(&greenroom.service_pid("chat").to_string()), "{tree}");
    for path in &files {
        let bytes = fs::read(path).expect("a file");
        let has = bytes.windows(SECRET.len()).any(|part| part == SECRET.as_bytes());
        assert!(!has, "{} holds a secret: {}", path.display(), String::from_utf8_lossy(&bytes));
    }
    greenroom.shutdown_clean();
    greenroom.assert_clean();
}

#[test]
fn what_a_running_job_has_printed_is_in_it() {
    let greenroom = Greenroom::running(|g| {
        let command = g.stand_in("image", "--job --steps 100000 --step-ms 20");
        format!(
            "{}[job.image]\nengine = \"sd-cpp\"\ncommand = {command}\ngpu = \"none\"\nram = \"8MiB\"\n",
            watchdog("")
        )
    });
    let id = greenroom.submit("image", &serde_json::json!({}));
    greenroom.wait_job(&id, &["running"]);
    wait_for("it has printed", BOUND, || {
        greenroom.api().get(&format!("/api/jobs/{id}/logs")).is_ok_and(|answer| answer.body.contains("/100000"))
    });
    let archive = greenroom.folder().join("job.tar");
    greenroom.cli(&["bundle", "-o", &archive.display().to_string()]).expect(0);
    let files = files(&greenroom.unpacked(&archive));
    let log = fs::read_to_string(named(&files, &format!("logs/jobs/{id}.log"))).expect("text");
    assert!(log.contains("/100000"), "{log}");
    let summary = fs::read_to_string(named(&files, "SUMMARY.md")).expect("text");
    assert!(summary.contains("**Not well**: nobody, and no alert stands"), "{summary}");
    greenroom.cancel_job(&id);
    greenroom.wait_job(&id, &["cancelled"]);
    greenroom.shutdown_clean();
    greenroom.assert_clean();
}

#[test]
fn without_a_runtime_one_is_made_of_what_is_on_disk() {
    let greenroom = Greenroom::running(|g| config(g, ""));
    ready_run(&greenroom, "chat");
    greenroom.shutdown_clean();
    let archive = greenroom.folder().join("after.tar");
    let file = greenroom.config_file().display().to_string();
    greenroom.bare(&["bundle", "-c", &file, "-o", &archive.display().to_string()]).expect(0);
    let files = files(&greenroom.unpacked(&archive));
    named(&files, "SUMMARY.md");
    named(&files, "events.jsonl");
    for path in &files {
        assert!(!fs::read(path).expect("a file").windows(SECRET.len()).any(|part| part == SECRET.as_bytes()));
    }
}

/// A service whose limit is passed by its first request, told as a warning that is to leave a bundle.
fn over_its_limit(greenroom: &Greenroom, keys: &str) -> String {
    let limits = "limits.ram = \"48MiB\"\nlimits.on_exceed = \"restart\"";
    watchdog(&format!("bundle_on = [\"warning\"]\n{keys}"))
        + &service(greenroom, "chat", "--leak-per-request 64MiB", limits)
}

#[test]
fn bundles_are_kept_to_a_number_and_nothing_else_in_their_folder_is_touched() {
    let greenroom = Greenroom::running(|g| over_its_limit(g, "bundle_min_interval = \"1ms\"\nbundle_keep = 2"));
    let folder = greenroom.state_dir().join("bundles");
    for round in 1..=4 {
        let run = ready_run(&greenroom, "chat");
        // What it holds when it is seen first is its own.
        greenroom.wait_watched("chat");
        provoke(&greenroom);
        crate::wait_replaced(&greenroom, "chat", &run);
        wait_for("it is told", BOUND, || greenroom.levels("chat", "ram_limit").len() >= round);
        wait_for("there is a bundle", BOUND, || !greenroom.bundles().is_empty());
        fs::write(folder.join("mine.txt"), "kept").expect("the folder is writable");
    }
    wait_for("two are kept", BOUND, || greenroom.bundles().len() == 2);
    assert!(folder.join("mine.txt").exists());
    greenroom.shutdown_clean();
    greenroom.assert_clean();
}

#[test]
fn there_is_time_between_two_bundles() {
    let greenroom = Greenroom::running(|g| over_its_limit(g, "bundle_min_interval = \"1h\""));
    for round in 1..=3 {
        let run = ready_run(&greenroom, "chat");
        // What it holds when it is seen first is its own.
        greenroom.wait_watched("chat");
        provoke(&greenroom);
        crate::wait_replaced(&greenroom, "chat", &run);
        wait_for("it is told", BOUND, || greenroom.levels("chat", "ram_limit").len() >= round);
    }
    greenroom.wait_bundles(1);
    greenroom.shutdown_clean();
    greenroom.assert_clean();
}
