//! What is answered, and what is refused.

use std::{fs, time::Duration};

use greenroom_actors::{
    failure::FailureClass,
    job::{JobError, JobOutcome},
    job_queue::messages::{JobSpec, SubmitError},
};
use serde_json::{Value, json};

use super::{super::Works, studio::*};

#[actix_rt::test]
async fn an_image_is_answered_with_the_id_of_its_job() {
    let studio = Studio::new();
    let answer = while_it_waits(&studio, studio.ask(LONG, GENERATIONS, &heron()), || {
        studio.runs();
        studio.succeeds(&[("a.png", "foob"), ("b.png", "foo")]);
    })
    .await;
    assert_eq!((answer.status, answer.job), (200, Some(studio.fake.0.id.to_string())));
    let data = json!([{ "b64_json": "Zm9vYg==" }, { "b64_json": "Zm9v" }]);
    assert_eq!(answer.body, json!({ "created": 5, "data": data }));
    assert_eq!(studio.submitted(), [JobSpec::new("image").param("prompt", "a heron").param("steps", 4).priority(3)]);
    assert_eq!(studio.counted(), (vec![(200, 1)], 0), "it was never seen to be worked on");
    assert!(!studio.is_cancelled());
}

#[actix_rt::test]
async fn where_an_image_is_may_be_asked_instead() {
    let studio = Studio::new();
    studio.succeeds(&[("a b.png", "x")]);
    let mut body = heron();
    body["response_format"] = json!("url");
    let answer = studio.ask(LONG, GENERATIONS, &body).await;
    let url = format!("http://door:8484/api/jobs/{}/output?file=a%20b.png", studio.fake.0.id);
    assert_eq!((answer.status, &answer.body["data"]), (200, &json!([{ "url": url }])));
}

#[actix_rt::test]
async fn the_web_ui_is_answered_in_its_own_shape() {
    let studio = Studio::new();
    studio.succeeds(&[("a.png", "foo")]);
    let answer = studio.ask(LONG, TXT2IMG, &heron()).await;
    assert_eq!((answer.status, &answer.body["images"]), (200, &json!(["Zm9v"])));
    assert_eq!(answer.body["parameters"], heron());
    let info: Value = serde_json::from_str(answer.body["info"].as_str().expect("a text")).expect("JSON");
    assert_eq!(info, json!({ "prompt": "a heron", "job_id": studio.fake.0.id }));
}

#[actix_rt::test]
async fn what_a_job_came_to_is_told_with_its_last_words() {
    let studio = Studio::new();
    let error = JobError {
        code: Some(1),
        stderr: vec!["out of memory".to_owned()],
        ..JobError::new(Some(FailureClass::OomGpu), "it ended with status 1")
    };
    let answer = while_it_waits(&studio, studio.ask(LONG, GENERATIONS, &heron()), || {
        studio.runs();
        studio.turn(|view| view.attempt = 2);
        studio.ends(JobOutcome::Failed, error);
    })
    .await;
    answer.is_refused(502, "job_failed");
    let (told, id) = (&answer.body["error"], studio.fake.0.id);
    let message = format!("job {id} (image) failed after 2 attempts (oom_gpu): it ended with status 1");
    assert_eq!((&told["message"], &told["class"]), (&json!(message), &json!("oom_gpu")));
    assert_eq!((&told["stderr"], &told["exit_code"]), (&json!(["out of memory"]), &json!(1)));
    assert_eq!((answer.job, studio.counted().0), (Some(id.to_string()), vec![(502, 1)]));
    assert!(!studio.is_cancelled(), "there is nothing to cancel");
}

#[actix_rt::test]
async fn one_that_somebody_cancels_and_one_without_an_image_are_no_success() {
    let studio = Studio::new();
    studio.ends(JobOutcome::Cancelled, JobError::new(None, "somebody took it back"));
    let answer = studio.ask(LONG, GENERATIONS, &heron()).await;
    answer.is_refused(409, "job_cancelled");
    assert!(answer.job.is_some());
    let studio = Studio::new();
    let error = JobError { no_memory: true, ..JobError::new(Some(FailureClass::Unknown), "it never fits here") };
    studio.ends(JobOutcome::Failed, error);
    studio.ask(LONG, GENERATIONS, &heron()).await.is_refused(503, "insufficient_memory");
    let studio = Studio::new();
    studio.succeeds(&[("notes.txt", "x")]);
    studio.ask(LONG, GENERATIONS, &heron()).await.is_refused(502, "job_failed");
    let studio = Studio::new();
    studio.succeeds(&[("a.png", "x")]);
    fs::remove_dir_all(studio.fake.folder(studio.fake.0.id).path()).expect("it goes");
    studio.ask(LONG, GENERATIONS, &heron()).await.is_refused(502, "job_failed");
}

#[actix_rt::test]
async fn what_is_not_accepted_is_told_with_a_code_of_its_own() {
    let full = SubmitError::Full { queued: 9, retry_after: Duration::from_millis(1500) };
    for (refusal, status, code) in [
        (full, 429, "queue_full"),
        (SubmitError::Params(vec!["`prompt` is missing".to_owned()]), 400, "bad_params"),
        (SubmitError::NotWritten("the disk is full".to_owned()), 503, "not_written"),
        (SubmitError::UnknownJob { job: "image".to_owned(), known: Vec::new() }, 404, "model_not_found"),
        (SubmitError::Stopping, 503, "stopping"),
    ] {
        let studio = Studio::refusing(Some(refusal));
        let answer = studio.ask(LONG, GENERATIONS, &heron()).await;
        answer.is_refused(status, code);
        assert_eq!((answer.job.as_deref(), answer.retry_after.is_some()), (None, status == 429));
        assert!(!studio.is_cancelled());
    }
}

#[actix_rt::test]
async fn nothing_is_handed_in_for_what_no_job_makes() {
    let studio = Studio::new();
    for (path, body, param) in [
        ("/v1/chat/completions", heron(), "model"),
        ("/sdapi/v1/options", heron(), "model"),
        (GENERATIONS, json!({ "n": 2 }), "n"),
        (GENERATIONS, json!([]), "body"),
        (GENERATIONS, json!({ "response_format": "gif" }), "response_format"),
        ("/v1/images/edits", heron(), "image"),
        ("/sdapi/v1/img2img", heron(), "image"),
    ] {
        let answer = studio.ask(LONG, path, &body).await;
        answer.is_refused(400, "invalid_request");
        assert_eq!(answer.body["error"]["param"], param, "{path}: {answer:?}");
    }
    assert_eq!(studio.submitted(), []);
    let told = studio.ask(LONG, "/v1/chat/completions", &heron()).await.body["error"]["message"].clone();
    assert_eq!(told, "`sdxl` makes images: ask /v1/images/generations or /sdapi/v1/txt2img");
}

#[actix_rt::test]
async fn an_image_to_begin_with_is_sent_along() {
    let studio = Studio::new();
    studio.succeeds(&[("a.png", "x")]);
    let body = json!({ "prompt": "x", "init_images": ["data:image/png;base64,Zm9v"] });
    let answer = studio.ask(LONG, "/sdapi/v1/img2img", &body).await;
    assert_eq!((answer.status, &answer.body["parameters"]["init_images"]), (200, &Value::Null));
    let files: Vec<_> = studio.submitted().into_iter().flat_map(|job| job.files).map(|file| file.name).collect();
    assert_eq!(files, ["init.bin"]);
}
