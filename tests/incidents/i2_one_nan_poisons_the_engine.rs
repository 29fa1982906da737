//! I2: one not-a-number poisons the WebUI until it is restarted; every later job fails, whatever the model.
//!
//! The engine here is poisoned for good by the first prompt that says so: no clean-up mends it, only another process.

use serde_json::{Value, json};

use crate::common::{BOUND, Greenroom, wait_for};

/// A WebUI with these options, beside a chat, and a job that asks it for an image.
fn config(greenroom: &Greenroom, options: &str, job: &str) -> String {
    let webui =
        greenroom.stand_in("webui", &format!("--engine webui --port ${{port}} --steps 2 --step-ms 10 {options}"));
    let chat = greenroom.stand_in("chat", "--port ${port}");
    format!(
        r#"
[watchdog]
interval = "100ms"

[service.webui]
engine = "a1111"
command = {webui}
gpu = "none"

[service.chat]
command = {chat}
ready = "/health"
start = "eager"

[job.image]
service = "webui"
request = {{ method = "POST", path = "/sdapi/v1/txt2img" }}
params.prompt = {{}}
{job}
"#
    )
}

#[track_caller]
fn image(greenroom: &Greenroom, prompt: &str) -> Value {
    greenroom.wait_job_over(&greenroom.submit("image", &json!({ "prompt": prompt })))
}

#[test]
fn i2_the_engine_is_restarted_once_and_the_job_is_done_by_the_clean_one() {
    // Whoever comes second finds the card polluted, as nothing is cleaned up after the first.
    let greenroom = Greenroom::running(|g| config(g, "--dirty nan", "retries = 0"));
    assert_eq!(image(&greenroom, "a heron")["state"], "succeeded");
    let second = image(&greenroom, "another heron");
    assert_eq!((&second["state"], &second["attempt"]), (&json!("succeeded"), &json!(2)), "{second:#}");
    assert_eq!(second["attempts"][0]["error"]["class"], "nan", "{second:#}");
    assert_eq!(greenroom.starts("webui"), 2, "one restart");
    greenroom.shutdown_clean();
    greenroom.assert_clean();
}

#[test]
fn i2_a_second_not_a_number_fails_the_job_for_good_and_other_jobs_go_on() {
    let greenroom = Greenroom::running(|g| config(g, "", "retries = 3"));
    greenroom.wait_state("chat", "ready");
    let chat = greenroom.service_pid("chat");
    assert_eq!(image(&greenroom, "a heron")["state"], "succeeded");
    let poison = image(&greenroom, "[poison]");
    assert_eq!((&poison["state"], &poison["attempt"]), (&json!("failed"), &json!(2)), "{poison:#}");
    assert_eq!(poison["error"]["class"], "nan", "{poison:#}");
    assert_eq!(greenroom.starts("webui"), 2, "one restart for it, and no more");
    // What it has left poisoned is restarted for whoever comes next, once.
    for n in 0..5 {
        let job = image(&greenroom, &format!("heron {n}"));
        assert_eq!(job["state"], "succeeded", "{job:#}\n{}", greenroom.output());
    }
    assert_eq!(greenroom.starts("webui"), 3);
    assert_eq!(greenroom.service_pid("chat"), chat, "others are left alone");
    greenroom.shutdown_clean();
    greenroom.assert_clean();
}

#[test]
fn i2_many_poisonous_jobs_are_no_restart_loop() {
    let greenroom = Greenroom::running(|g| config(g, "", ""));
    let poisons: Vec<String> = (0..3).map(|_| greenroom.submit("image", &json!({ "prompt": "[poison]" }))).collect();
    let good: Vec<String> =
        (0..3).map(|n| greenroom.submit("image", &json!({ "prompt": format!("heron {n}") }))).collect();
    let ends = greenroom.wait_jobs_over(&poisons, BOUND);
    assert_eq!(ends.get("failed"), Some(&poisons.len()), "{ends:?}");
    let ends = greenroom.wait_jobs_over(&good, BOUND);
    assert_eq!(ends.get("succeeded"), Some(&good.len()), "{ends:?}\n{}", greenroom.output());
    for id in &poisons {
        let job = greenroom.job(id);
        assert_eq!((&job["error"]["class"], &job["attempt"]), (&json!("nan"), &json!(2)), "{job:#}");
    }
    // One restart for each poisonous job, and one for the good ones after the last of them.
    let starts = greenroom.starts("webui");
    assert!((2..=1 + poisons.len() + 1).contains(&starts), "{starts} starts");
    greenroom.shutdown_clean();
    greenroom.assert_clean();
}

#[test]
fn i2_it_is_told_with_its_class_and_the_evidence_is_kept() {
    let greenroom = Greenroom::running(|g| config(g, "", ""));
    assert_eq!(image(&greenroom, "[poison]")["error"]["class"], "nan");
    let alert = greenroom.wait_alert(Some("webui"), "nan");
    assert_eq!(alert["severity"], "critical", "{alert:#}");
    let bundles = greenroom.wait_bundles(1);
    let name = bundles[0].file_name().expect("a name").to_string_lossy().into_owned();
    assert!(name.contains("nan"), "{name}");
    wait_for("the metric counts it", BOUND, || {
        let metrics = greenroom.api().get("/metrics").expect("an answer").body;
        metrics
            .lines()
            .any(|line| line.starts_with("greenroom_watchdog_alerts_total{") && line.contains("kind=\"nan\""))
    });
    greenroom.shutdown_clean();
    greenroom.assert_clean();
}

#[test]
fn i2_without_a_job_it_is_seen_in_the_output_and_the_service_is_restarted_once() {
    // Wanted up: one that is loaded on demand rests until somebody needs it again.
    let eager = "gpu = \"none\"\nstart = \"eager\"\n";
    let greenroom = Greenroom::running(|g| config(g, "", "").replace("gpu = \"none\"\n", eager));
    greenroom.wait_state("webui", "ready");
    let port = |g: &Greenroom| g.service("webui")["endpoint"].as_str().and_then(|e| e.rsplit(':').next()?.parse().ok());
    // Past the gateway, as somebody's browser does it.
    let paint = |prompt: &str| {
        let http = crate::common::Http::Tcp(port(&greenroom).expect("a port"));
        http.post("/sdapi/v1/txt2img", Some(&json!({ "prompt": prompt }))).map(|answer| answer.status)
    };
    assert_eq!(paint("a heron").ok(), Some(200));
    let first = greenroom.service("webui")["run_id"].clone();
    // What follows may come before the end of its answer.
    assert!(matches!(paint("[poison]"), Ok(500) | Err(_)));
    let ready_anew = || {
        let service = greenroom.service("webui");
        service["state"] == "ready" && service["run_id"] != first
    };
    wait_for("it is another process", BOUND, ready_anew);
    assert_eq!(paint("a heron").ok(), Some(200));
    // The same again, soon: it is told, and not restarted over and over.
    assert_eq!(paint("[poison]").ok(), Some(500));
    wait_for("both are told", BOUND, || greenroom.levels("webui", "nan").len() >= 2);
    assert_eq!(greenroom.starts("webui"), 2);
    greenroom.shutdown_clean();
    greenroom.assert_clean();
}
