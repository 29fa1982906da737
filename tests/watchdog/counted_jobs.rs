//! Processes of jobs: how many a job may start, and what becomes of one that goes on.

use std::fs;

use serde_json::{Value, json};

use crate::{
    common::{BOUND, Greenroom, wait_for, watch::LEVELS},
    watchdog,
};

/// A job that starts so many processes beside itself once the file `begin` is there, ends them once `end` is, and leaves a
/// result.
fn loaders(greenroom: &Greenroom, count: u32, keys: &str) -> String {
    let folder = greenroom.folder().display().to_string();
    let text = format!(
        "while [ ! -e {folder}/begin ]; do sleep 0.05; done; i=0; while [ $i -lt {count} ]; do sleep 1000 & all=\"$all $!\"; i=$((i+1)); done; \
         while [ ! -e {folder}/end ]; do sleep 0.05; done; kill $all; : > \"$1\""
    );
    let command = json!(["sh", "-c", text, "sh", "${output}"]);
    format!("[job.train]\ncommand = {command}\ngpu = \"none\"\nram = \"8MiB\"\nretries = 0\n{keys}\n")
}

/// Submits it, and has it begin once it has been seen as it was started.
fn begun(greenroom: &Greenroom) -> String {
    let id = greenroom.submit("train", &json!({}));
    wait_for("it is seen", BOUND, || seen(greenroom) > 0);
    wait_samples(greenroom, 2);
    fs::write(greenroom.folder().join("begin"), "").expect("the test's folder is writable");
    id
}

/// How many processes of it the Watchdog has seen last.
fn seen(greenroom: &Greenroom) -> u64 {
    greenroom.status()["watch"]["services"]["train"]["processes"].as_u64().unwrap_or(0)
}

/// Waits until so many samples have been taken from here on.
fn wait_samples(greenroom: &Greenroom, count: usize) {
    let sampled = || greenroom.status()["watch"]["sampled_at"].clone();
    let mut last = sampled();
    for _ in 0..count {
        wait_for("another sample", BOUND, || sampled() != last);
        last = sampled();
    }
}

#[test]
fn a_job_that_starts_its_loaders_is_no_runaway() {
    let greenroom = Greenroom::running(|g| watchdog("") + &loaders(g, 12, ""));
    let id = begun(&greenroom);
    wait_for("all of them are seen", BOUND, || seen(&greenroom) >= 13);
    wait_samples(&greenroom, 3);
    fs::write(greenroom.folder().join("end"), "").expect("the test's folder is writable");
    let job = greenroom.wait_job_over(&id);
    assert_eq!(job["state"], "succeeded", "{job:#}");
    assert_eq!(greenroom.alerts(Some("train")), Vec::<Value>::new());
    greenroom.shutdown_clean();
    greenroom.assert_clean();
}

#[test]
fn a_job_that_runs_away_is_ended_and_names_the_key() {
    let limits = "limits.processes = { warning = 3, critical = 6 }";
    let greenroom = Greenroom::running(|g| watchdog("") + &loaders(g, 20, limits));
    let job = greenroom.wait_job_over(&begun(&greenroom));
    assert_eq!(job["state"], "failed", "{job:#}");
    let message = job["error"]["message"].as_str().unwrap_or_default();
    assert!(message.contains("ran away") && message.contains("`job.train.limits.processes`"), "{job:#}");
    assert_eq!(greenroom.levels("train", "runaway"), LEVELS);
    greenroom.shutdown_clean();
    greenroom.assert_clean();
}
