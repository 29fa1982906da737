//! What goes wrong while the engine lives on.

use serde_json::json;

use crate::{
    StandIn,
    common::{BOUND, Http, alive, taken, wait_for, wait_until},
};

const MIB: u64 = 1 << 20;

fn chat(http: &Http) -> u16 {
    http.post("/v1/chat/completions", Some(&json!({ "max_tokens": 1 }))).expect("an answer").status
}

#[test]
fn memory_is_lost_by_time_and_by_request() {
    let (by_time, http) = StandIn::serving("--leak 40MiB/s");
    let first = taken(by_time.pid());
    wait_for("it loses memory", BOUND, || taken(by_time.pid()) > first + 20 * MIB);
    assert_eq!(http.get("/health").expect("an answer").status, 200);
    let (by_request, http) = StandIn::serving("--leak-per-request 8MiB");
    let before = taken(by_request.pid());
    for _ in 0..3 {
        assert_eq!(chat(&http), 200);
    }
    wait_for("each request has cost some", BOUND, || taken(by_request.pid()) > before + 23 * MIB);
    assert!(taken(by_request.pid()) < before + 40 * MIB, "and no more than that");
}

#[test]
fn it_forks_after_a_time_and_on_request_and_reaps_who_ends() {
    let (stand_in, http) = StandIn::serving("--forks 3 --fork-after-ms 50");
    let family = stand_in.wait_family(4);
    assert_eq!(http.post("/fork?n=20", None).expect("an answer").json()["forking"], 20);
    stand_in.wait_family(24);
    let child = family.iter().find(|process| process.pid != stand_in.pid()).expect("a child").pid;
    crate::signal(child, crate::Signal::SIGKILL);
    wait_for("it has been reaped", BOUND, || !std::path::Path::new(&format!("/proc/{child}")).exists());
    stand_in.wait_family(23);
}

#[test]
fn a_wedged_engine_answers_its_health_and_no_chat() {
    let (stand_in, http) = StandIn::serving("--wedge-after 1");
    let completion = json!({ "prompt": "a", "n_predict": 1 });
    assert_eq!(http.post("/completion", Some(&completion)).expect("an answer").json()["tokens_predicted"], 1);
    assert_eq!(chat(&http), 200);
    let request = "POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}";
    let hangs = http.say(request).expect("it listens");
    wait_for("the chat is open", BOUND, || http.get("/props").expect("an answer").json()["slots_busy"] == 1);
    assert_eq!(http.get("/health").expect("an answer").status, 200);
    assert!(alive(stand_in.pid()));
    drop(hangs);
    wait_for("nobody waits any more", BOUND, || http.get("/props").expect("an answer").json()["slots_busy"] == 0);
}

#[test]
fn not_a_number_is_said_at_each_request() {
    let (stand_in, http) = StandIn::serving("--nan-per-request");
    assert_eq!((chat(&http), chat(&http)), (200, 200));
    crate::signal(stand_in.pid(), crate::Signal::SIGTERM);
    let output = stand_in.output();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(stderr.matches("NansException").count(), 2, "{stderr}");
}

#[test]
fn hostile_output_has_what_a_terminal_must_not_see() {
    let output =
        StandIn::new(|_| "--no-http --hostile --flood 1KB --flood-line-len 0 --end-after-flood".into()).output();
    let out = output.stdout;
    assert_eq!(output.status.code(), Some(0));
    for bad in [&b"\x1b]0;"[..], b"\x1b[2J", b"\x1b]52;", b"\0", b"\xff\xfe", b"\xc2\x9b", b"\xe2\x80\xae"] {
        assert!(out.windows(bad.len()).any(|bytes| bytes == bad), "{bad:?} is missing");
    }
    assert!(String::from_utf8(out.clone()).is_err());
    assert!(out.ends_with(&[b'x'; 1000]), "and a line without an end");
}

#[test]
fn a_poisoned_webui_fails_until_it_is_another_process() {
    let (_webui, http) = StandIn::serving("--engine webui --steps 2");
    let paint = |prompt: &str| {
        let answer = http.post("/sdapi/v1/txt2img", Some(&json!({ "prompt": prompt }))).expect("an answer");
        (answer.status, answer.json()["error"].clone())
    };
    wait_until("it is loaded", BOUND, || (paint("a heron").0 == 200).then_some(()));
    assert_eq!(paint("a [poison]ed heron"), (500, json!("NansException")));
    assert_eq!(http.post("/sdapi/v1/unload-checkpoint", None).expect("an answer").status, 200);
    assert_eq!(paint("a heron"), (500, json!("NansException")), "no clean-up mends it");
    let (_another, http) = StandIn::serving("--engine webui --steps 2");
    let answer = http.post("/sdapi/v1/txt2img", Some(&json!({ "prompt": "a heron" }))).expect("an answer");
    assert_eq!(answer.status, 200);
}
