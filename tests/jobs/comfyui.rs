//! A job that is a prompt of ComfyUI's: a workflow from a file, in which some places are set.

use std::fs;

use serde_json::json;

use crate::common::{BOUND, Greenroom, wait_for};

fn config(greenroom: &Greenroom, options: &str, more: &str) -> String {
    let workflow = json!({ "prompt": {
        "3": { "class_type": "KSampler", "inputs": { "steps": 2 } },
        "6": { "class_type": "CLIPTextEncode", "inputs": { "text": "nothing" } },
        "9": { "class_type": "SaveImage", "inputs": { "filename_prefix": "greenroom" } },
    } });
    fs::write(greenroom.folder().join("workflow.json"), workflow["prompt"].to_string()).expect("a writable folder");
    let command = greenroom.stand_in("comfyui", &format!("--engine comfyui --port ${{port}} {options}"));
    format!(
        r#"
[service.comfyui]
engine = "comfyui"
command = {command}
gpu = "none"
cleanup.actions = [{{ http = "POST /free" }}]
cleanup.delay = "0ms"

[job.heron]
service = "comfyui"
request = {{ method = "POST", path = "/prompt", body_file = "workflow.json", set = {{ "6.inputs.text" = "${{param.prompt}}", "3.inputs.steps" = "${{param.steps}}" }} }}
params.prompt = {{}}
params.steps = {{ default = 4 }}
retries = 0
{more}
"#
    )
}

#[test]
fn a_workflow_is_run_to_its_end_and_its_images_are_fetched() {
    // Steps that are seen also by a runtime that is held up in between.
    let greenroom = Greenroom::running(|g| config(g, "--step-ms 400", ""));
    let mut events = greenroom.api().events("/api/events", None).expect("events");
    let id = greenroom.submit("heron", &json!({ "prompt": "a heron", "steps": 10 }));
    let job = greenroom.wait_job(&id, &["succeeded"]);
    assert_eq!(job["result"]["files"].as_array().map(Vec::len), Some(1), "{job:#}");
    let image = greenroom.api().get(&format!("/api/jobs/{id}/output")).expect("an answer");
    assert!(image.status == 200 && image.body.contains("PNG"), "{image:?}");
    let mut told = Vec::new();
    while let Some(event) = events.next() {
        match event.event.as_str() {
            "job.progress" => told.push(event.data["progress"].clone()),
            "job.state" if event.data["to"] == "succeeded" => break,
            _ => {}
        }
    }
    assert!(told.iter().any(|progress| progress["total"] == 10), "{told:?}");
    greenroom.shutdown_clean();
    greenroom.assert_clean();
}

#[test]
fn a_cancelled_prompt_is_interrupted_or_taken_out_of_the_queue() {
    let greenroom = Greenroom::running(|g| config(g, "--step-ms 30", ""));
    let id = greenroom.submit("heron", &json!({ "prompt": "a heron", "steps": 100_000 }));
    greenroom.wait_job(&id, &["running"]);
    let http = greenroom.engine("comfyui");
    let queue = || http.get("/queue").expect("an answer").json();
    wait_for("it is worked on", BOUND, || queue()["queue_running"] != json!([]));
    assert_eq!(greenroom.cancel_job(&id).status, 202);
    greenroom.wait_job(&id, &["cancelled"]);
    assert_eq!(queue(), json!({ "queue_running": [], "queue_pending": [] }));
    greenroom.shutdown_clean();
}

#[test]
fn an_execution_that_fails_says_what_went_wrong() {
    let greenroom = Greenroom::running(|g| config(g, "", ""));
    let id = greenroom.submit("heron", &json!({ "prompt": "[oom]" }));
    let job = greenroom.wait_job(&id, &["failed"]);
    assert_eq!(job["error"]["class"], "oom_gpu", "{job:#}");
    assert!(job["error"]["message"].to_string().contains("CUDA out of memory"), "{job:#}");
    let next = greenroom.submit("heron", &json!({ "prompt": "a heron" }));
    greenroom.wait_job(&next, &["succeeded"]);
    greenroom.shutdown_clean();
}

#[test]
fn a_dirty_engine_is_emptied_between_prompts() {
    let greenroom = Greenroom::running(|g| config(g, "--dirty", ""));
    let ids: Vec<String> = (0..20).map(|_| greenroom.submit("heron", &json!({ "prompt": "a heron" }))).collect();
    let ends = greenroom.wait_jobs_over(&ids, BOUND * 2);
    assert_eq!(ends.get("succeeded"), Some(&ids.len()), "{ends:?}");
    greenroom.shutdown_clean();
}
