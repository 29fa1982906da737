//! I2: one not-a-number poisons the WebUI until it is restarted; every later job fails, whatever the model.
//!
//! The engine here is poisoned for good by the first prompt that says so: no clean-up mends it, only another process.

use serde_json::{Value, json};

use crate::common::{BOUND, Greenroom, wait_for};

/// A WebUI with these options, beside a chat, and a job that asks it for an image.
fn config(greenroom: &Greenroom, options: &str, job: &str) -> String {
    let webui = greenroom.webui(&format!("--steps 2 --step-ms 10 {options}"), "", job);
    let chat = greenroom.stand_in("chat", "--port ${port}");
    format!(
        r#"
[watchdog]
interval = "100ms"

[service.chat]
command = {chat}
ready = "/health"
start = "eager"
{webui}
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
    let greenroom = eager();
    assert_eq!(paint(&greenroom, "a heron"), Some(200));
    let first = run(&greenroom);
    // It is restarted as soon as it has said so, which may be before it has answered.
    let answered = paint(&greenroom, "[poison]");
    assert!(answered.is_none_or(|status| status == 500), "{answered:?}");
    wait_for("it is another process", BOUND, || is_ready_after(&greenroom, &first));
    assert_eq!(paint(&greenroom, "a heron"), Some(200));
    // The same again, soon: it is told, and not restarted over and over.
    assert_eq!(paint(&greenroom, "[poison]"), Some(500));
    wait_for("both are told", BOUND, || greenroom.levels("webui", "nan").len() >= 2);
    assert_eq!(greenroom.starts("webui"), 2);
    greenroom.shutdown_clean();
    greenroom.assert_clean();
}

#[test]
fn i2_what_a_job_has_left_poisoned_is_restarted_once_for_plain_requests() {
    let greenroom = eager();
    assert_eq!(image(&greenroom, "[poison]")["error"]["class"], "nan");
    greenroom.wait_state("webui", "ready");
    assert_eq!(greenroom.starts("webui"), 2, "one restart for the job, and none for its end");
    let poisoned = run(&greenroom);
    greenroom.wait_alert(Some("webui"), "nan");
    let told = greenroom.levels("webui", "nan").len();
    // The first of them may still pass for the job's own last lines.
    wait_for("it is another process", BOUND, || {
        paint(&greenroom, "a heron");
        is_ready_after(&greenroom, &poisoned)
    });
    assert_eq!(paint(&greenroom, "a heron"), Some(200));
    wait_for("it is told", BOUND, || greenroom.levels("webui", "nan").len() == told + 1);
    // A clean run that is poisoned by a plain request, soon: told, and no loop.
    for _ in 0..5 {
        assert_eq!(paint(&greenroom, "[poison]"), Some(500));
    }
    wait_for("it is told again", BOUND, || greenroom.levels("webui", "nan").len() == told + 2);
    assert_eq!((greenroom.state("webui"), greenroom.starts("webui")), ("ready".to_owned(), 3));
    // Whoever comes with a job has one of his own.
    let job = image(&greenroom, "a heron");
    assert_eq!(job["state"], "succeeded", "{job:#}");
    assert_eq!(greenroom.starts("webui"), 4);
    greenroom.shutdown_clean();
    greenroom.assert_clean();
}

#[test]
fn i2_an_engine_that_says_so_at_each_load_is_no_restart_loop() {
    let greenroom = Greenroom::running(|g| config(g, "--print-nan", ""));
    for n in 0..6 {
        let job = image(&greenroom, &format!("heron {n}"));
        assert_eq!(job["state"], "succeeded", "{job:#}\n{}", greenroom.output());
    }
    // At most one restart for the line alone, and one for a line that a job has seen. A job that is in already when the line
    // is judged has it left to itself, and one that succeeds proves the run sound.
    let starts = greenroom.starts("webui");
    assert!(starts <= 3, "{starts} starts");
    greenroom.shutdown_clean();
    greenroom.assert_clean();
}

/// With a WebUI that is wanted up: one that is loaded on demand rests until somebody needs it again.
fn eager() -> Greenroom {
    let eager = "gpu = \"none\"\nstart = \"eager\"\n";
    let greenroom = Greenroom::running(|g| config(g, "", "").replace("gpu = \"none\"\n", eager));
    greenroom.wait_state("webui", "ready");
    greenroom
}

/// The status of an answer to somebody who asks past the gateway, as a browser does; nothing where there is none.
fn paint(greenroom: &Greenroom, prompt: &str) -> Option<u16> {
    let answer = greenroom.try_engine("webui")?.post("/sdapi/v1/txt2img", Some(&json!({ "prompt": prompt })));
    answer.ok().map(|answer| answer.status)
}

fn run(greenroom: &Greenroom) -> Value {
    greenroom.service("webui")["run_id"].clone()
}

/// Whether it is ready in another run than this.
fn is_ready_after(greenroom: &Greenroom, before: &Value) -> bool {
    let service = greenroom.service("webui");
    service["state"] == "ready" && service["run_id"] != *before
}
