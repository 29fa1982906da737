//! Diagnostic bundles: what is in them, what is not, and that they never become the load.

use std::{
    fs,
    io::Write,
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
    assert_no_secret(&files);
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
    assert_no_secret(&files);
}

/// What a program has printed that nothing tells of.
fn print_the_secret(greenroom: &Greenroom) {
    let log = greenroom.state_dir().join("logs/chat/current.log");
    let mut file = fs::OpenOptions::new().append(true).open(log).expect("its log");
    writeln!(file, "it says {SECRET} to whoever reads this").expect("written");
}

#[track_caller]
fn assert_no_secret(files: &[PathBuf]) {
    for path in files {
        let bytes = fs::read(path).expect("a file");
        let has = bytes.windows(SECRET.len()).any(|part| part == SECRET.as_bytes());
        assert!(!has, "{} holds a secret: {}", path.display(), String::from_utf8_lossy(&bytes));
    }
}

#[test]
fn without_a_runtime_the_secrets_of_a_refused_configuration_are_known_and_that_it_is_is_said() {
    let greenroom = Greenroom::running(|g| config(g, ""));
    ready_run(&greenroom, "chat");
    greenroom.shutdown_clean();
    print_the_secret(&greenroom);
    let (archive, file) = (greenroom.folder().join("refused.tar"), greenroom.config_file());
    let text =
        fs::read_to_string(&file).expect("text").replace("HF_TOKEN", "GONE = \"${env.NOT_THERE_AT_ALL}\", HF_TOKEN");
    fs::write(&file, text).expect("written");
    let (file, output) = (file.display().to_string(), archive.display().to_string());
    let said = greenroom.bare(&["bundle", "-c", &file, "-o", &output]).expect(0);
    assert!(said.stdout.contains("maybe with secrets") && !said.stdout.contains("without secrets"), "{said:?}");
    assert!(said.stderr.contains("not all secrets") && said.stderr.contains("NOT_THERE_AT_ALL"), "{said:?}");
    let files = files(&greenroom.unpacked(&archive));
    let summary = fs::read_to_string(named(&files, "SUMMARY.md")).expect("text");
    assert!(summary.contains("not all of them are known: the configuration has problems: "), "{summary}");
    let shown = fs::read_to_string(named(&files, "config.toml")).expect("text");
    assert!(shown.contains("gateway.api_keys = \"***\""), "{shown}");
    assert!(fs::read_to_string(named(&files, "logs/chat.log")).expect("text").contains("it says *** to"));
    assert_no_secret(&files);
}

#[test]
fn without_a_runtime_and_a_configuration_it_is_said_that_secrets_are_not_known() {
    let greenroom = Greenroom::running(|g| config(g, ""));
    ready_run(&greenroom, "chat");
    greenroom.shutdown_clean();
    print_the_secret(&greenroom);
    let elsewhere = greenroom.folder().join("elsewhere");
    fs::create_dir(&elsewhere).expect("made");
    let archive = greenroom.folder().join("unknown.tar");
    let mut command = greenroom.cli_command(&["--json", "bundle", "--force", "-o", &archive.display().to_string()]);
    command.current_dir(&elsewhere).env("HOME", &elsewhere).env_remove("XDG_CONFIG_HOME");
    let done = command.output().expect("it runs");
    let said: serde_json::Value = serde_json::from_slice(&done.stdout).expect("JSON");
    assert_eq!((&said["secrets_known"], &said["by_runtime"]), (&false.into(), &false.into()), "{done:?}");
    assert!(String::from_utf8_lossy(&done.stderr).contains("not all secrets"), "{done:?}");
    let found = files(&greenroom.unpacked(&archive));
    let summary = fs::read_to_string(named(&found, "SUMMARY.md")).expect("text");
    assert!(summary.contains("not all of them are known: there is no configuration here"), "{summary}");

    // Found where one is looked for, it is taken as far as it goes: its secrets always, its text unless it is of another.
    let text = fs::read_to_string(greenroom.config_file()).expect("text");
    for (text, gap, has_text) in [
        (text.clone(), "is that of another state dir", false),
        (text.replace("state_dir = \"s\"\n", ""), "does not say whether it is that of this state dir", true),
    ] {
        fs::write(elsewhere.join("greenroom.toml"), text).expect("written");
        let done = command.output().expect("it runs");
        assert!(String::from_utf8_lossy(&done.stderr).contains(gap), "{done:?}");
        let found = files(&greenroom.unpacked(&archive));
        assert_eq!(found.iter().any(|path| path.ends_with("config.toml")), has_text, "{found:#?}");
        assert!(fs::read_to_string(named(&found, "logs/chat.log")).expect("text").contains("it says *** to"));
    }
    assert_no_secret(&files(&greenroom.unpacked(&archive)));
    greenroom.assert_clean();
}

#[test]
fn an_emergency_has_a_bundle_of_its_own_also_just_after_another_one() {
    let greenroom = Greenroom::running(|g| watchdog("bundle_min_interval = \"1h\"") + &service(g, "chat", "", ""));
    let run = ready_run(&greenroom, "chat");
    greenroom.wait_watched("chat");
    let fork = |n| {
        assert_eq!(greenroom.engine("chat").post(&format!("/fork?n={n}"), None).expect("an answer").status, 200);
    };
    // Ten more than when it was ready are critical, and not yet an emergency.
    fork(10);
    wait_for("it is critical", BOUND, || greenroom.levels("chat", "runaway").contains(&"critical".to_owned()));
    greenroom.wait_bundles(1);
    fork(20);
    crate::wait_replaced(&greenroom, "chat", &run);
    let bundles = greenroom.wait_bundles(2);
    let processes = bundles.iter().map(|bundle| {
        let tree = fs::read_to_string(greenroom.unpacked(bundle).join("tree.txt")).expect("its tree");
        assert!(tree.starts_with("## chat, when this was asked for\n"), "{tree}");
        let count = tree.lines().nth(1).and_then(|line| line.split(' ').next()?.parse().ok());
        count.unwrap_or_else(|| panic!("no count in {tree}"))
    });
    let mut processes: Vec<u32> = processes.collect();
    processes.sort_unstable();
    assert!(processes[0] >= 11 && processes[1] > processes[0], "{processes:?}");
    greenroom.shutdown_clean();
    greenroom.assert_clean();
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
