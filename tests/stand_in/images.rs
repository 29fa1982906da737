//! The programs that make images, by their own words.

use serde_json::{Value, json};

use crate::{
    StandIn,
    common::{
        BOUND, Http, wait_for, wait_until,
        websocket::{TEXT, WebSocket},
    },
};

fn paint(http: &Http, prompt: &str) -> (u16, Value) {
    let answer = http.post("/sdapi/v1/txt2img", Some(&json!({ "prompt": prompt }))).expect("an answer");
    (answer.status, answer.json())
}

#[test]
fn a_dirty_webui_fails_until_its_checkpoint_is_unloaded() {
    let (_webui, http) = StandIn::serving("--engine webui --steps 2 --dirty nan");
    let (status, first) = paint(&http, "a heron");
    assert_eq!((status, first["images"].as_array().map(Vec::len)), (200, Some(1)), "{first}");
    for _ in 0..2 {
        let (status, failed) = paint(&http, "a heron");
        assert_eq!((status, &failed["error"]), (500, &json!("NansException")), "{failed}");
    }
    assert_eq!(http.post("/sdapi/v1/unload-checkpoint", None).expect("an answer").status, 200);
    assert_eq!(paint(&http, "a heron").0, 200);
    assert_eq!(http.get("/sdapi/v1/memory").expect("an answer").status, 200);
    assert_eq!(http.post("/sdapi/v1/memory", None).expect("an answer").status, 404);
}

#[test]
fn a_webui_tells_its_progress_and_an_interrupt_ends_the_image() {
    let (_webui, http) = StandIn::serving("--engine webui --steps 1000 --step-ms 20");
    let progress = || http.get("/sdapi/v1/progress?skip_current_image=true").expect("an answer").json();
    assert_eq!(progress()["progress"], 0.0);
    // Whoever asked goes away, and the image is made all the same.
    drop(http.say("POST /sdapi/v1/txt2img HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}").expect("it listens"));
    wait_for("some steps are done", BOUND, || progress()["state"]["sampling_step"].as_u64() > Some(2));
    assert_eq!(http.post("/sdapi/v1/interrupt", None).expect("an answer").status, 200);
    wait_for("nothing is painted", BOUND, || progress()["progress"] == 0.0);
}

#[test]
fn comfyui_tells_its_client_how_a_prompt_fares_and_keeps_what_it_made() {
    let (comfyui, http) = StandIn::serving("--engine comfyui --steps 3 --step-ms 5");
    let socket = WebSocket::open(comfyui.place.port(0), "/ws?clientId=me", "").expect("it listens");
    let mut socket = socket.expect("a socket");
    let nodes = json!({
        "3": { "class_type": "KSampler", "inputs": { "steps": 3 } },
        "9": { "class_type": "SaveImage", "inputs": { "filename_prefix": "heron" } },
    });
    let asked = json!({ "prompt": nodes, "client_id": "me" });
    let id = http.post("/prompt", Some(&asked)).expect("an answer").json()["prompt_id"].clone();
    let id = id.as_str().expect("an id").to_owned();
    let mut heard = Vec::new();
    while heard.last().is_none_or(|last: &Value| last["type"] != "executing" || !last["data"]["node"].is_null()) {
        let (kind, body) = socket.receive().expect("it goes on");
        if kind == TEXT {
            heard.push(serde_json::from_slice(&body).expect("JSON"));
        }
    }
    let of = |kind: &str| heard.iter().filter(|event| event["type"] == kind).count();
    assert_eq!((of("execution_start"), of("progress"), of("executed"), of("execution_success")), (1, 3, 1, 1));
    let entry = http.get(&format!("/history/{id}")).expect("an answer").json()[&id].clone();
    assert_eq!(entry["status"]["status_str"], "success");
    let image = entry["outputs"]["9"]["images"][0]["filename"].as_str().expect("a name").to_owned();
    assert_eq!(http.get(&format!("/view?filename={image}")).expect("an answer").status, 200);
    assert_eq!(http.get("/view?filename=other_00009_.png").expect("an answer").status, 404);
    let refused = http.post("/prompt", Some(&json!({ "prompt": {} }))).expect("an answer");
    assert_eq!((refused.status, &refused.json()["error"]["type"]), (400, &json!("prompt_no_outputs")));
}

#[test]
fn comfyui_is_interrupted_and_emptied_after_the_prompt_that_runs() {
    let (_comfyui, http) = StandIn::serving("--engine comfyui --step-ms 20 --dirty");
    let nodes = json!({ "3": { "class_type": "KSampler", "inputs": { "steps": 500 } }, "9": { "class_type": "SaveImage", "inputs": {} } });
    let ask = |steps: u64| {
        let mut nodes = nodes.clone();
        nodes["3"]["inputs"]["steps"] = json!(steps);
        let answer = http.post("/prompt", Some(&json!({ "prompt": nodes }))).expect("an answer").json();
        answer["prompt_id"].as_str().expect("an id").to_owned()
    };
    let status = |id: &str| {
        wait_until("it has ended", BOUND, || {
            let entry = http.get(&format!("/history/{id}")).expect("an answer").json()[id].clone();
            entry["status"]["status_str"].as_str().map(str::to_owned)
        })
        .0
    };
    let long = ask(500);
    let queue = || http.get("/queue").expect("an answer").json();
    wait_for("it is worked on", BOUND, || queue()["queue_running"][0][1] == json!(long));
    assert_eq!(http.post("/interrupt", None).expect("an answer").status, 200);
    assert_eq!(status(&long), "error");
    // Not cleaned up after.
    assert_eq!(status(&ask(1)), "error");
    let all = json!({ "unload_models": true, "free_memory": true });
    assert_eq!(http.post("/free", Some(&all)).expect("an answer").status, 200);
    wait_for("its card is empty", BOUND, || {
        http.get("/system_stats").expect("an answer").json()["devices"][0]["torch_vram_total"] == 0
    });
    assert_eq!(status(&ask(1)), "success");
}
