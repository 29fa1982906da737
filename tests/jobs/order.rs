//! Who goes first, and how many at a time.

use std::fs;

use serde_json::json;

use crate::{
    common::{BOUND, Greenroom, wait_for},
    painter,
};

/// Ids of jobs in the order in which they were begun.
fn begun(greenroom: &Greenroom, ids: &[String]) -> Vec<String> {
    let mut jobs: Vec<_> = ids.iter().map(|id| greenroom.job(id)).collect();
    jobs.sort_by_key(|job| job["started"].as_str().unwrap_or("none").to_owned());
    jobs.iter().map(|job| job["id"].as_str().expect("an id").to_owned()).collect()
}

#[test]
fn higher_priorities_go_first_and_equals_in_their_order() {
    let greenroom = Greenroom::running(|g| painter(g, "--step-ms 20", ""));
    let first = greenroom.submit("image", &json!({ "prompt": "blocks", "steps": 100_000 }));
    greenroom.wait_job(&first, &["running"]);
    let ids: Vec<String> = [0, -5, 3, 0, 3, 7]
        .into_iter()
        .map(|priority| greenroom.submit_with("image", &json!({ "prompt": "x", "steps": 1 }), priority))
        .collect();
    // The list says it beforehand.
    let listed = greenroom.api().get("/api/jobs?state=queued").expect("an answer").json();
    let listed: Vec<&str> = listed.as_array().into_iter().flatten().filter_map(|job| job["id"].as_str()).collect();
    let expected = [5, 2, 4, 0, 3, 1].map(|n: usize| ids[n].clone());
    assert_eq!(listed, expected);
    greenroom.cancel_job(&first);
    greenroom.wait_jobs_over(&ids, BOUND);
    assert_eq!(begun(&greenroom, &ids), expected);
    greenroom.shutdown_clean();
}

#[test]
fn as_many_run_at_a_time_as_may() {
    let options = |g: &Greenroom| format!("--step-ms 20 --stop-log {}/log", g.folder().display());
    let greenroom = Greenroom::running(|g| painter(g, &options(g), "max_parallel = 3"));
    let ids: Vec<String> =
        (0..6).map(|_| greenroom.submit("image", &json!({ "prompt": "x", "steps": 100_000 }))).collect();
    let running =
        || greenroom.api().get("/api/jobs?state=running").expect("an answer").json().as_array().map_or(0, Vec::len);
    wait_for("three run", BOUND, || running() == 3);
    wait_for("three processes have begun", BOUND, || starts(&greenroom) == 3);
    // The last one first, so that none of those in line is begun meanwhile.
    for id in ids.iter().rev() {
        greenroom.cancel_job(id);
    }
    let ends = greenroom.wait_jobs_over(&ids, BOUND);
    assert_eq!(ends.get("cancelled"), Some(&6), "{ends:?}");
    // No fourth one was ever begun.
    assert_eq!(starts(&greenroom), 3);
    greenroom.shutdown_clean();
    greenroom.assert_clean();
}

fn starts(greenroom: &Greenroom) -> usize {
    let log = fs::read_to_string(greenroom.folder().join("log")).unwrap_or_default();
    log.lines().filter(|line| line.contains(" start ")).count()
}

#[test]
fn a_full_burst_is_done_in_order_and_nothing_is_lost() {
    let greenroom = Greenroom::running(|g| painter(g, "", ""));
    let ids: Vec<String> =
        (0..30).map(|n| greenroom.submit("image", &json!({ "prompt": n.to_string(), "steps": 1 }))).collect();
    let ends = greenroom.wait_jobs_over(&ids, BOUND * 2);
    assert_eq!(ends.get("succeeded"), Some(&30), "{ends:?}");
    assert_eq!(begun(&greenroom, &ids), ids);
    greenroom.shutdown_clean();
}
