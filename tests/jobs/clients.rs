//! Clients that know nothing of jobs: OpenAI's and the WebUI's requests for images.

use serde_json::json;

use crate::{
    common::{BOUND, Greenroom, Http, wait_for},
    painter,
};

fn config(greenroom: &Greenroom, options: &str, more: &str) -> String {
    let listen = format!("[gateway]\nlisten = \"127.0.0.1:{}\"\n", greenroom.port(0));
    listen
        + &painter(
            greenroom,
            &format!("-b ${{param.n}} {options}"),
            &format!("params.n = {{ default = 1 }}\nserves = [\"sdxl\"]\n{more}"),
        )
}

fn door(greenroom: &Greenroom) -> Http {
    Http::Tcp(greenroom.port(0))
}

#[test]
fn both_kinds_of_requests_are_answered_with_images() {
    let greenroom = Greenroom::running(|g| config(g, "--step-ms 5", ""));
    let http = door(&greenroom);
    let body = json!({ "model": "sdxl", "prompt": "a heron", "n": 2, "response_format": "b64_json" });
    let answer = http.post("/v1/images/generations", Some(&body)).expect("an answer");
    assert_eq!(answer.status, 200, "{answer:?}");
    let data = answer.json()["data"].as_array().cloned().unwrap_or_default();
    assert_eq!(data.len(), 2);
    assert!(
        data.iter().all(|image| image["b64_json"].as_str().is_some_and(|b| b.starts_with("iVBORw0KGgo"))),
        "{data:?}"
    );

    let body = json!({ "prompt": "a heron", "steps": 2, "model": "sdxl" });
    let answer = http.post("/sdapi/v1/txt2img", Some(&body)).expect("an answer");
    assert_eq!(answer.status, 200, "{answer:?}");
    let images = answer.json()["images"].as_array().cloned().unwrap_or_default();
    assert!(images.len() == 1 && images[0].as_str().is_some_and(|b| b.starts_with("iVBORw0KGgo")), "{images:?}");

    let models = http.get("/v1/models").expect("an answer").json();
    assert!(models["data"].as_array().into_iter().flatten().any(|model| model["id"] == "sdxl"), "{models:#}");
    greenroom.shutdown_clean();
    greenroom.assert_clean();
}

#[test]
fn a_client_that_leaves_takes_its_image_back() {
    let greenroom = Greenroom::running(|g| config(g, "--step-ms 20", ""));
    let body = json!({ "model": "sdxl", "prompt": "a heron", "steps": 100_000 }).to_string();
    let length = body.len();
    let request = format!(
        "POST /sdapi/v1/txt2img HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
    );
    let pending = door(&greenroom).say(&request).expect("it listens");
    let jobs = |state: &str| greenroom.api().get(&format!("/api/jobs?state={state}")).expect("an answer").json();
    wait_for("it runs", BOUND, || jobs("running") != json!([]));
    drop(pending);
    wait_for("it is taken back", BOUND, || jobs("cancelled").as_array().is_some_and(|jobs| jobs.len() == 1));
    greenroom.assert_no_survivor();
    greenroom.shutdown_clean();
}

#[test]
fn a_failure_reaches_the_client_with_its_cause() {
    let greenroom = Greenroom::running(|g| config(g, "--fail oom", "retries = 0"));
    let body = json!({ "model": "sdxl", "prompt": "a heron" });
    let answer = door(&greenroom).post("/v1/images/generations", Some(&body)).expect("an answer");
    assert!(answer.status >= 500, "{answer:?}");
    assert!(answer.body.contains("out of memory") || answer.body.contains("oom_gpu"), "{answer:?}");
    greenroom.shutdown_clean();
}
