//! What becomes of jobs when the runtime stops in order.

use serde_json::json;

use crate::{
    common::{BOUND, Greenroom, jobs::FINAL},
    painter,
};

/// The whole configuration with this part for the shutdown.
fn config(greenroom: &Greenroom, shutdown: &str) -> String {
    format!("[runtime.shutdown]\n{shutdown}\n{}", painter(greenroom, "--step-ms 20", ""))
}

#[test]
fn a_running_job_may_end_and_those_in_line_wait_for_the_next_start() {
    let greenroom = Greenroom::running(|g| config(g, "drain = \"20s\"\ndeadline = \"40s\""));
    let running = greenroom.submit("image", &json!({ "prompt": "a heron", "steps": 250 }));
    let waiting: Vec<String> =
        (0..5).map(|_| greenroom.submit("image", &json!({ "prompt": "x", "steps": 1 }))).collect();
    greenroom.wait_job(&running, &["running"]);
    greenroom.shutdown_clean();
    let text = greenroom.cli(&["--json", "history", "jobs"]).expect(0).stdout;
    assert!(text.contains(&running), "the history is read with the runtime stopped: {text}");
    greenroom.start();
    let job = greenroom.job(&running);
    assert_eq!((&job["state"], &job["attempt"]), (&json!("succeeded"), &json!(1)), "{job:#}");
    let ends = greenroom.wait_jobs_over(&waiting, BOUND);
    assert_eq!(ends.get("succeeded"), Some(&5), "{ends:?}");
    greenroom.shutdown_clean();
    greenroom.assert_clean();
}

#[test]
fn those_that_ended_before_the_start_are_listed_behind_those_after_it() {
    let greenroom = Greenroom::running(|g| config(g, ""));
    let submit = |prompt: &str| greenroom.submit("image", &json!({ "prompt": prompt, "steps": 1 }));
    let before = [submit("one"), submit("two")];
    before.iter().for_each(|id| drop(greenroom.wait_job_over(id)));
    greenroom.shutdown_clean();
    greenroom.start();
    let after = submit("three");
    greenroom.wait_job_over(&after);
    let listed = |query: &str| -> Vec<String> {
        let jobs = greenroom.api().get(&format!("/api/jobs{query}")).expect("an answer").json();
        let id = |job: &serde_json::Value| job["id"].as_str().expect("an id").to_owned();
        jobs.as_array().expect("a list").iter().map(id).collect()
    };
    let all = [after, before[1].clone(), before[0].clone()];
    assert_eq!(listed(""), all, "the one that ended last comes first");
    assert_eq!(listed("?limit=2"), all[..2]);
    assert_eq!(listed("?state=succeeded"), all);
    assert_eq!(listed("?state=failed"), [""; 0]);
    assert_eq!(greenroom.job(&before[0])["params"]["prompt"], "one");
    let table = greenroom.cli(&["job", "list"]).expect(0).stdout;
    assert!(table.contains(&before[0]), "{table}");
    greenroom.shutdown_clean();
    greenroom.assert_clean();
}

#[test]
fn one_that_does_not_end_in_time_is_stopped_and_begun_again_at_the_next_start() {
    let greenroom = Greenroom::running(|g| config(g, "drain = \"300ms\""));
    let id = greenroom.submit("image", &json!({ "prompt": "a heron", "steps": 100_000 }));
    greenroom.wait_job(&id, &["running"]);
    greenroom.shutdown_clean();
    greenroom.assert_clean();
    greenroom.start();
    greenroom.wait_job(&id, &["running"]);
    assert_eq!(greenroom.job(&id)["outcome"], json!(null));
    greenroom.cancel_job(&id);
    greenroom.wait_job(&id, &["cancelled"]);
    greenroom.shutdown_clean();
}

#[test]
fn with_cancel_they_are_taken_back() {
    let greenroom = Greenroom::running(|g| config(g, "running_jobs = \"cancel\""));
    let id = greenroom.submit("image", &json!({ "prompt": "a heron", "steps": 100_000 }));
    let waiting = greenroom.submit("image", &json!({ "prompt": "x", "steps": 1 }));
    greenroom.wait_job(&id, &["running"]);
    greenroom.shutdown_clean();
    greenroom.assert_clean();
    greenroom.start();
    assert_eq!(greenroom.job(&id)["state"], "cancelled", "{:#}", greenroom.job(&id));
    // What had not begun is not meant.
    greenroom.wait_job(&waiting, &["succeeded"]);
    greenroom.shutdown_clean();
}

#[test]
fn nothing_is_accepted_once_the_runtime_stops() {
    let greenroom = Greenroom::running(|g| config(g, "drain = \"20s\"\ndeadline = \"40s\""));
    let id = greenroom.submit("image", &json!({ "prompt": "a heron", "steps": 400 }));
    greenroom.wait_job(&id, &["running"]);
    assert_eq!(greenroom.api().post("/api/shutdown", None).expect("an answer").status, 202);
    let refused = greenroom.try_submit("image", &json!({ "prompt": "late" }), 0);
    assert_eq!(refused.status, 503, "{refused:?}");
    // It can still be looked at, and taken back.
    assert!(!FINAL.contains(&greenroom.job(&id)["state"].as_str().unwrap_or_default()));
    let (code, _) = greenroom.wait(BOUND * 2);
    assert_eq!(code, 0, "{}", greenroom.output());
    greenroom.assert_clean();
}
