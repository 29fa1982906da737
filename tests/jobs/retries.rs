//! What failed for a reason that may pass is tried again, and the reasons are kept.

use serde_json::json;

use crate::{common::Greenroom, painter};

fn failing(greenroom: &Greenroom, first: u32) -> String {
    format!("--fail oom --fail-first {first} --count {}/count", greenroom.folder().display())
}

#[test]
fn a_job_that_fails_twice_succeeds_the_third_time_and_says_why_it_failed() {
    let greenroom = Greenroom::running(|g| painter(g, &failing(g, 2), "retries = 2"));
    let id = greenroom.submit("image", &json!({ "prompt": "a heron" }));
    let job = greenroom.wait_job(&id, &["succeeded"]);
    assert_eq!((&job["attempt"], &job["error"]), (&json!(3), &json!(null)), "{job:#}");
    let attempts = job["attempts"].as_array().cloned().unwrap_or_default();
    assert_eq!(attempts.iter().map(|a| a["attempt"].clone()).collect::<Vec<_>>(), [json!(1), json!(2)], "{job:#}");
    assert!(attempts.iter().all(|attempt| attempt["error"]["class"] == "oom_gpu"), "{job:#}");
    greenroom.shutdown_clean();
}

#[test]
fn no_more_attempts_are_made_than_are_allowed() {
    let greenroom = Greenroom::running(|g| painter(g, &failing(g, 9), "retries = 1"));
    let id = greenroom.submit("image", &json!({ "prompt": "a heron" }));
    let job = greenroom.wait_job(&id, &["failed"]);
    assert_eq!((&job["attempt"], job["attempts"].as_array().map(Vec::len)), (&json!(2), Some(1)), "{job:#}");
    let begun = std::fs::read(greenroom.folder().join("count")).expect("it ran").len();
    assert_eq!(begun, 2);
    greenroom.shutdown_clean();
}

#[test]
fn what_cannot_pass_is_not_tried_again() {
    let greenroom = Greenroom::running(|g| painter(g, "--fail bad-model", "retries = 5"));
    let id = greenroom.submit("image", &json!({ "prompt": "a heron" }));
    let job = greenroom.wait_job(&id, &["failed"]);
    assert_eq!((&job["attempt"], &job["error"]["class"]), (&json!(1), &json!("bad_model")), "{job:#}");
    greenroom.shutdown_clean();
}

#[test]
fn a_request_that_fails_is_tried_again() {
    // Every second generation fails.
    let greenroom = Greenroom::running(|g| g.webui("--fail-every 2", "", "retries = 1"));
    for attempt in [1, 2, 2] {
        let id = greenroom.submit("image", &json!({ "prompt": "a heron" }));
        let job = greenroom.wait_job(&id, &["succeeded"]);
        assert_eq!(job["attempt"], attempt, "{job:#}");
    }
    greenroom.shutdown_clean();
}

#[test]
fn a_retry_is_another_job_with_the_same_parameters() {
    let greenroom = Greenroom::running(|g| painter(g, &failing(g, 1), "retries = 0"));
    let id = greenroom.submit("image", &json!({ "prompt": "a heron", "steps": 2 }));
    let failed = greenroom.wait_job(&id, &["failed"]);
    let answer = greenroom.api().post(&format!("/api/jobs/{id}/retry"), None).expect("an answer");
    assert_eq!(answer.status, 202, "{answer:?}");
    let again = answer.json()["id"].as_str().expect("an id").to_owned();
    assert_ne!(again, id);
    let job = greenroom.wait_job(&again, &["succeeded"]);
    assert_eq!(job["params"], failed["params"]);
    assert_eq!(greenroom.job(&id)["state"], "failed", "the first one stays as it was");
    greenroom.shutdown_clean();
}
