//! A real stable-diffusion.cpp on a checkpoint without weights. Compiled on first use, for some minutes:
//!
//! `cargo test --test stable_diffusion -- --ignored`

mod beside_a_chat;
#[path = "../common/mod.rs"]
mod common;

use std::{fs, path::Path, time::Duration};

use common::{BOUND, Greenroom, alive, checkpoint, diffusion, note, timed, wait_for};
use serde_json::{Value, json};

/// A load reads 880 MB and an image takes two seconds on an idle machine.
const LONG: Duration = Duration::from_secs(180);

/// The checkpoint beside the config; `None` when the tests are left out.
fn prepared() -> Option<(Greenroom, &'static Path)> {
    let folder = diffusion::folder()?;
    let greenroom = Greenroom::new();
    checkpoint::write(&greenroom.folder().join("model.safetensors")).expect("the test's folder is writable");
    Some((greenroom, folder))
}

/// `[job.image]` on the smallest images, by a program that gets these words before its own.
fn job(folder: &Path, before: &[&str], more: &str) -> String {
    let program = folder.join("bin/sd-cli").display().to_string();
    let words = [
        &program,
        "-m",
        "${model_file}",
        "-p",
        "${param.prompt}",
        "-o",
        "${output}",
        "--steps",
        "${param.steps}",
        "-W",
        "64",
        "-H",
        "64",
    ];
    let command = Value::from([before, &words].concat());
    let library = folder.join("lib").display().to_string();
    format!(
        r#"
[job.image]
engine = "sd-cpp"
command = {command}
model_file = "model.safetensors"
env = {{ LD_LIBRARY_PATH = "{library}" }}
params.prompt = {{}}
params.steps = {{ default = 3 }}
gpu = "none"
retries = 0
{more}
"#
    )
}

#[test]
#[ignore = "compiles stable-diffusion.cpp on first use"]
fn an_image_is_a_job_with_progress_and_a_file() {
    let Some((greenroom, folder)) = prepared() else { return };
    greenroom.configure(&job(folder, &[], ""));
    greenroom.start();
    let mut events = greenroom.api().events("/api/events", None).expect("events");
    let (id, submitted) = timed(|| greenroom.submit("image", &json!({ "prompt": "a heron" })));
    let (job, took) = timed(|| greenroom.wait_job_for(&id, &["succeeded"], LONG));
    note(&format!("submitted in {submitted:?}, done after {took:?}"));
    let files = job["result"]["files"].as_array().cloned().unwrap_or_default();
    assert_eq!(files.len(), 1, "{job:#}");
    let answer = greenroom.api().get(&format!("/api/jobs/{id}/output")).expect("an answer");
    assert!(answer.status == 200 && answer.headers.to_lowercase().contains("content-type: image/png"), "{answer:?}");
    let mut steps = Vec::new();
    while let Some(event) = events.next() {
        match event.event.as_str() {
            "job.progress" => steps.push(event.data["progress"]["total"].clone()),
            "job.state" if event.data["to"] == "succeeded" => break,
            _ => {}
        }
    }
    // Of its steps alone: the load, which draws the same bar, is no progress of the job.
    assert!(!steps.is_empty() && steps.iter().all(|total| *total == 3), "{steps:?}");
    greenroom.shutdown_clean();
    greenroom.assert_clean();
}

#[test]
#[ignore = "compiles stable-diffusion.cpp on first use"]
fn a_cancelled_image_really_stops() {
    let Some((greenroom, folder)) = prepared() else { return };
    greenroom.configure(&job(folder, &[], ""));
    greenroom.start();
    let id = greenroom.submit("image", &json!({ "prompt": "a heron", "steps": 100_000 }));
    wait_for("it has made a step", LONG, || greenroom.job(&id)["progress"]["done"].as_u64() > Some(0));
    let pids: Vec<i32> = running(folder);
    assert_eq!(pids.len(), 1, "{pids:?}");
    let (answer, _) = timed(|| greenroom.cancel_job(&id));
    assert_eq!(answer.status, 202, "{answer:?}");
    let (job, took) = timed(|| greenroom.wait_job(&id, &["cancelled"]));
    assert_eq!(job["outcome"], "cancelled", "{job:#}");
    assert!(!alive(pids[0]), "it still runs");
    note(&format!("cancelled after {took:?}"));
    greenroom.shutdown_clean();
    greenroom.assert_clean();
}

/// The processes of this program that load the model of a test that is under way: those of this runtime's folder.
fn running(folder: &Path) -> Vec<i32> {
    let program = folder.join("bin/sd-cli").display().to_string();
    let mine = |pid: &i32| {
        let words = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        words.starts_with(program.as_bytes()) && parent_is_mine(*pid)
    };
    let entries = fs::read_dir("/proc").expect("/proc is mounted").flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).filter(mine).collect()
}

/// Whether a process descends from this one.
fn parent_is_mine(pid: i32) -> bool {
    let parent = |pid: i32| {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
        status.lines().find_map(|line| line.strip_prefix("PPid:\t"))?.trim().parse::<i32>().ok()
    };
    let own = std::process::id() as i32;
    std::iter::successors(Some(pid), |pid| parent(*pid).filter(|pid| *pid > 1)).any(|pid| pid == own)
}

#[test]
#[ignore = "compiles stable-diffusion.cpp on first use"]
fn one_that_finds_no_memory_says_so() {
    let Some((greenroom, folder)) = prepared() else { return };
    // Enough for the program and the text encoder, and not for the rest: 603 MB.
    greenroom.configure(&job(folder, &["prlimit", "--as=700000000"], ""));
    greenroom.start();
    let id = greenroom.submit("image", &json!({ "prompt": "a heron" }));
    let job = greenroom.wait_job_for(&id, &["failed"], LONG);
    assert_eq!(job["error"]["class"], "oom_host", "{job:#}");
    let lines = job["error"]["stderr"].to_string();
    assert!(lines.contains("insufficient memory"), "{job:#}");
    greenroom.shutdown_clean();
    greenroom.assert_clean();
}

#[test]
#[ignore = "compiles stable-diffusion.cpp on first use"]
fn a_model_that_is_cut_off_is_a_bad_model() {
    let Some((greenroom, folder)) = prepared() else { return };
    let model = greenroom.folder().join("model.safetensors");
    fs::File::options().write(true).open(&model).and_then(|file| file.set_len(100_000)).expect("a shorter file");
    greenroom.configure(&job(folder, &[], ""));
    greenroom.start();
    let id = greenroom.submit("image", &json!({ "prompt": "a heron" }));
    let job = greenroom.wait_job_for(&id, &["failed"], LONG);
    assert_eq!(job["error"]["class"], "bad_model", "{job:#}");
    wait_for("nothing runs", BOUND, || running(folder).is_empty());
    greenroom.shutdown_clean();
    greenroom.assert_clean();
}
