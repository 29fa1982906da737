//! A job that is a process of its own.

use serde_json::{Value, json};

use crate::{
    common::{BOUND, Greenroom, wait_for},
    painter,
};

#[test]
fn a_job_runs_tells_its_progress_and_leaves_its_picture() {
    // Steps that are seen also by a runtime that is held up in between.
    let greenroom = Greenroom::running(|g| painter(g, "--load-ms 40 --step-ms 1000", ""));
    let mut events = greenroom.api().events("/api/events", None).expect("events");
    let id = greenroom.submit("image", &json!({ "prompt": "a heron", "steps": 4 }));
    let job = greenroom.wait_job(&id, &["succeeded"]);
    assert_eq!((&job["outcome"], &job["attempt"], &job["error"]), (&json!("succeeded"), &json!(1), &Value::Null));
    assert!(job["started"].is_string() && job["finished"].is_string(), "{job:#}");
    assert_eq!(job["params"], json!({ "prompt": "a heron", "steps": 4 }));
    let file = job["result"]["files"][0].as_str().unwrap_or_else(|| panic!("no file: {job:#}")).to_owned();
    let answer = greenroom.api().get(&format!("/api/jobs/{id}/output?file={file}")).expect("an answer");
    assert_eq!(answer.status, 200);
    assert!(answer.headers.to_lowercase().contains("content-type: image/png"), "{}", answer.headers);

    let (mut states, mut done) = (Vec::new(), Vec::new());
    while let Some(event) = events.next() {
        match event.event.as_str() {
            "job.state" if event.data["job_id"] == id.as_str() => {
                states.push(event.data["to"].as_str().unwrap_or_default().to_owned());
                if event.data["to"] == "succeeded" {
                    break;
                }
            }
            "job.progress" => {
                assert_eq!(event.data["progress"]["total"], 4, "a load is no progress of the job: {:#}", event.data);
                done.push(event.data["progress"]["done"].as_u64().unwrap_or_default());
            }
            _ => {}
        }
    }
    states.dedup();
    let order = ["queued", "waiting", "running", "cleaning", "succeeded"];
    let places: Vec<_> = states.iter().map(|state| order.iter().position(|o| o == state)).collect();
    assert!(places.iter().all(Option::is_some) && places.is_sorted(), "{states:?}");
    assert!(states.contains(&"running".to_owned()) && states.contains(&"cleaning".to_owned()), "{states:?}");
    assert!(!done.is_empty() && done.is_sorted(), "{done:?}");
    greenroom.shutdown_clean();
    greenroom.assert_clean();
}

#[test]
fn a_failure_names_its_cause_in_the_words_of_the_program() {
    for (options, class, words, attempts) in [
        ("--fail oom", "oom_gpu", "cudaMalloc failed: out of memory", 1),
        ("--fail oom-host", "oom_host", "ggml_aligned_malloc: insufficient memory", 1),
        ("--fail oom-compute", "oom_gpu", "failed to allocate the compute buffer", 1),
        ("--fail bad-model", "bad_model", "init model loader from file failed", 1),
        ("--fail crash --exit-code 7", "exit", "", 1),
        ("--fail crash --signal SIGSEGV", "exit", "", 1),
    ] {
        let greenroom = Greenroom::running(|g| painter(g, options, "retries = 0"));
        let id = greenroom.submit("image", &json!({ "prompt": "a heron" }));
        let job = greenroom.wait_job(&id, &["failed"]);
        assert_eq!((&job["attempt"], &job["result"]), (&json!(attempts), &Value::Null), "{options}: {job:#}");
        if options.contains("--exit-code") {
            assert_eq!(job["error"]["code"], 7, "{job:#}");
        }
        if options.contains("SIGSEGV") {
            assert_eq!(job["error"]["signal"], 11, "{job:#}");
        } else {
            assert_eq!(job["error"]["class"], class, "{options}: {job:#}");
        }
        assert!(job["error"]["stderr"].to_string().contains(words), "{options}: {job:#}");
        greenroom.shutdown_clean();
    }
}

#[test]
fn a_cancelled_job_has_really_stopped_with_all_its_family_also_one_that_hears_nothing() {
    let deaf = "--step-ms 50 --tree 2x2 --child-mode setsid,respawn --ignore-signals";
    let greenroom = Greenroom::running(|g| painter(g, deaf, "stop.grace = \"200ms\""));
    let id = greenroom.submit("image", &json!({ "prompt": "a heron", "steps": 100_000 }));
    greenroom.wait_job(&id, &["running"]);
    greenroom.wait_settled(7);
    assert_eq!(greenroom.cancel_job(&id).status, 202);
    let job = greenroom.wait_job(&id, &["cancelled"]);
    assert_eq!((&job["outcome"], &job["error"]["class"]), (&json!("cancelled"), &Value::Null), "{job:#}");
    greenroom.assert_no_survivor();
    // What is over stays so.
    assert_eq!(greenroom.cancel_job(&id).status, 409);
    let next = greenroom.submit("image", &json!({ "prompt": "a heron", "steps": 1 }));
    greenroom.wait_job(&next, &["succeeded"]);
    greenroom.shutdown_clean();
    greenroom.assert_clean();
}

#[test]
fn a_job_that_is_queued_is_cancelled_at_once_and_never_begun() {
    let greenroom = Greenroom::running(|g| painter(g, "--step-ms 50", ""));
    let first = greenroom.submit("image", &json!({ "prompt": "a heron", "steps": 100_000 }));
    greenroom.wait_job(&first, &["running"]);
    let second = greenroom.submit("image", &json!({ "prompt": "another" }));
    assert_eq!(greenroom.cancel_job(&second).status, 202);
    let job = greenroom.wait_job(&second, &["cancelled"]);
    assert_eq!((&job["attempt"], &job["started"]), (&json!(0), &Value::Null), "{job:#}");
    greenroom.cancel_job(&first);
    greenroom.wait_job(&first, &["cancelled"]);
    greenroom.shutdown_clean();
}

#[test]
fn a_job_past_its_time_is_ended_and_says_so() {
    let more = "timeout = \"300ms\"\nretries = 0\nstop.grace = \"200ms\"";
    let greenroom = Greenroom::running(|g| painter(g, "--step-ms 50 --ignore-signals", more));
    let id = greenroom.submit("image", &json!({ "prompt": "a heron", "steps": 100_000 }));
    let job = greenroom.wait_job(&id, &["failed"]);
    assert_eq!(job["error"]["class"], "timeout", "{job:#}");
    greenroom.assert_no_survivor();
    greenroom.shutdown_clean();
}

#[test]
fn a_program_that_ends_well_and_has_made_nothing_has_failed() {
    let greenroom = Greenroom::running(|g| painter(g, "--fail no-picture", "retries = 0"));
    let id = greenroom.submit("image", &json!({ "prompt": "a heron" }));
    let job = greenroom.wait_job(&id, &["failed"]);
    assert_eq!(job["error"]["code"], 0, "{job:#}");
    assert!(job["error"]["message"].to_string().contains("made nothing"), "{job:#}");
    greenroom.shutdown_clean();
}

#[test]
fn its_logs_are_those_of_all_its_attempts() {
    let more = "retries = 1";
    let options = |g: &Greenroom| format!("--fail oom --fail-first 1 --count {}/count", g.folder().display());
    let greenroom = Greenroom::running(|g| painter(g, &options(g), more));
    let id = greenroom.submit("image", &json!({ "prompt": "a heron" }));
    greenroom.wait_job(&id, &["succeeded"]);
    wait_for("the log has both", BOUND, || {
        let log = greenroom.api().get(&format!("/api/jobs/{id}/logs?tail=1000")).expect("an answer").body;
        log.contains("out of memory") && log.contains("save result image")
    });
    greenroom.shutdown_clean();
}
