//! A job that is a request to a service: A1111's WebUI.

use serde_json::{Value, json};

use crate::common::{BOUND, Greenroom, wait_for};

#[test]
fn the_params_are_the_body_and_images_become_files() {
    let greenroom = Greenroom::running(|g| g.webui("--step-ms 20", "", "params.batch_size = { default = 2 }"));
    let id = greenroom.submit("image", &json!({ "prompt": "a heron" }));
    let job = greenroom.wait_job(&id, &["succeeded"]);
    let files = job["result"]["files"].as_array().cloned().unwrap_or_default();
    assert_eq!(files.len(), 2, "{job:#}");
    for file in &files {
        let path = format!("/api/jobs/{id}/output?file={}", file.as_str().expect("a name"));
        let answer = greenroom.api().get(&path).expect("an answer");
        assert!(answer.status == 200 && answer.body.contains("PNG"), "{file}: {}", answer.status);
    }
    // The rest of the answer is kept, and says where the images are instead of holding them.
    let told = &job["result"]["json"];
    assert_eq!(told["parameters"]["prompt"], "a heron", "{job:#}");
    assert_eq!(told["images"], Value::from(files), "{job:#}");
    greenroom.shutdown_clean();
    greenroom.assert_clean();
}

#[test]
fn the_progress_is_that_of_the_engine() {
    let greenroom = Greenroom::running(|g| g.webui("--step-ms 50", "", ""));
    let id = greenroom.submit("image", &json!({ "prompt": "a heron", "steps": 200 }));
    wait_for("some of it is done", BOUND, || {
        greenroom.job(&id)["progress"]["ratio"].as_f64().is_some_and(|r| r > 0.02)
    });
    greenroom.cancel_job(&id);
    greenroom.wait_job(&id, &["cancelled"]);
    greenroom.shutdown_clean();
}

#[test]
fn a_cancelled_image_is_interrupted_and_cleaned_up_after() {
    let cleanup = "cleanup.actions = [{ http = \"POST /sdapi/v1/unload-checkpoint\" }]\ncleanup.delay = \"0ms\"";
    let greenroom = Greenroom::running(|g| g.webui("--step-ms 50 --dirty", cleanup, "retries = 0"));
    let id = greenroom.submit("image", &json!({ "prompt": "a heron", "steps": 100_000 }));
    greenroom.wait_job(&id, &["running"]);
    let http = greenroom.engine("webui");
    let progress = || http.get("/sdapi/v1/progress").expect("an answer").json()["progress"].as_f64();
    wait_for("it is painted", BOUND, || progress() > Some(0.0));
    assert_eq!(greenroom.cancel_job(&id).status, 202);
    greenroom.wait_job(&id, &["cancelled"]);
    assert_eq!(progress(), Some(0.0), "it is still painted");
    // The engine stays, and the next image succeeds: it is clean.
    let next = greenroom.submit("image", &json!({ "prompt": "a heron" }));
    greenroom.wait_job(&next, &["succeeded"]);
    assert_eq!(greenroom.service("webui")["restarts"]["total"], 0);
    greenroom.shutdown_clean();
}

#[test]
fn an_image_past_its_time_is_interrupted() {
    let greenroom = Greenroom::running(|g| g.webui("--step-ms 50", "", "retries = 0\ntimeout = \"400ms\""));
    let id = greenroom.submit("image", &json!({ "prompt": "a heron", "steps": 100_000 }));
    let job = greenroom.wait_job(&id, &["failed"]);
    assert_eq!(job["error"]["class"], "timeout", "{job:#}");
    let http = greenroom.engine("webui");
    assert_eq!(http.get("/sdapi/v1/progress").expect("an answer").json()["progress"], 0.0);
    greenroom.shutdown_clean();
}

#[test]
fn a_failure_keeps_the_status_and_the_words_of_the_engine() {
    let greenroom = Greenroom::running(|g| g.webui("", "", "retries = 0\nparams.sampler_name = {}"));
    for (prompt, sampler, class, status, words) in [
        ("[oom]", "Euler", "oom_gpu", 500, "CUDA out of memory"),
        ("[nan]", "Euler", "nan", 500, "NaN"),
        ("a heron", "none", "", 404, "Sampler not found"),
    ] {
        let id = greenroom.submit("image", &json!({ "prompt": prompt, "sampler_name": sampler }));
        let job = greenroom.wait_job(&id, &["failed"]);
        assert_eq!(job["error"]["status"], status, "{job:#}");
        assert!(job["error"]["message"].to_string().contains(words), "{job:#}");
        if !class.is_empty() {
            assert_eq!(job["error"]["class"], class, "{job:#}");
        }
    }
    greenroom.shutdown_clean();
}

#[test]
fn an_engine_that_crashes_fails_its_job_and_is_there_for_the_next() {
    let greenroom = Greenroom::running(|g| g.webui("--step-ms 20", "restart.backoff = \"10ms..10ms\"", "retries = 1"));
    let id = greenroom.submit("image", &json!({ "prompt": "a heron", "steps": 250 }));
    greenroom.wait_job(&id, &["running"]);
    let http = greenroom.engine("webui");
    wait_for("it is painted", BOUND, || {
        http.get("/sdapi/v1/progress").is_ok_and(|answer| answer.json()["progress"].as_f64() > Some(0.0))
    });
    crate::common::signal(greenroom.service_pid("webui"), nix::sys::signal::Signal::SIGKILL);
    let job = greenroom.wait_job(&id, &["succeeded"]);
    assert_eq!((&job["attempt"], job["attempts"].as_array().map(Vec::len)), (&json!(2), Some(1)), "{job:#}");
    greenroom.shutdown_clean();
}
