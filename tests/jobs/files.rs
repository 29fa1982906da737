//! What is sent along with a job, what it makes, and how long that is kept.

use std::{fs, time::Duration};

use serde_json::json;

use crate::{
    common::{BOUND, Greenroom, pause, wait_for},
    painter,
};

/// A job that copies the file it is given to its output.
fn copier(greenroom: &Greenroom, more: &str) -> String {
    let command = greenroom.words(&[
        "/bin/sh",
        "-c",
        "cp \"$1\" \"$2.txt\" && wc -c < \"$1\"",
        "copy",
        "${param.file}",
        "${output}",
    ]);
    format!(
        "[job.copy]\ncommand = {command}\nparams.file = {{ type = \"file\" }}\ngpu = \"none\"\nram = \"8MiB\"\n{more}\n"
    )
}

/// A form with this file, as a browser sends it.
fn form(parts: &[(&str, Option<&str>, &str)]) -> (String, String) {
    let boundary = "----greenroom-test";
    let mut body = String::new();
    for (name, file, contents) in parts {
        let file = file.map(|file| format!("; filename=\"{file}\"")).unwrap_or_default();
        body += &format!("--{boundary}\r\nContent-Disposition: form-data; name=\"{name}\"{file}\r\n\r\n{contents}\r\n");
    }
    body += &format!("--{boundary}--\r\n");
    (format!("Content-Type: multipart/form-data; boundary={boundary}\r\n"), body)
}

fn send(greenroom: &Greenroom, parts: &[(&str, Option<&str>, &str)]) -> String {
    let (headers, body) = form(parts);
    let answer = greenroom.api().ask("POST", "/api/jobs", &headers, &body).expect("an answer");
    assert_eq!(answer.status, 202, "{answer:?}");
    answer.json()["id"].as_str().expect("an id").to_owned()
}

fn output(greenroom: &Greenroom, id: &str) -> (u16, String) {
    let answer = greenroom.api().get(&format!("/api/jobs/{id}/output")).expect("an answer");
    (answer.status, answer.body)
}

#[test]
fn a_file_is_sent_in_a_form_or_in_json_and_its_copy_is_fetched() {
    let greenroom = Greenroom::running(|g| copier(g, ""));
    let contents = "a heron waits\n".repeat(10_000);
    let id = send(&greenroom, &[("job", None, "copy"), ("file", Some("../../heron one.txt"), &contents)]);
    let job = greenroom.wait_job(&id, &["succeeded"]);
    assert_eq!(job["params"]["file"]["size"], contents.len(), "{job:#}");
    assert!(!job["params"]["file"]["file"].as_str().unwrap_or("/").contains('/'), "{job:#}");
    assert_eq!(output(&greenroom, &id), (200, contents));
    let id = greenroom.submit("copy", &json!({ "file": { "data": "YSBoZXJvbg==", "name": "heron.txt" } }));
    greenroom.wait_job(&id, &["succeeded"]);
    assert_eq!(output(&greenroom, &id), (200, "a heron".to_owned()));
    // A retry has the file as well.
    let again = greenroom.api().post(&format!("/api/jobs/{id}/retry"), None).expect("an answer").json();
    let again = again["id"].as_str().expect("an id").to_owned();
    greenroom.wait_job(&again, &["succeeded"]);
    assert_eq!(output(&greenroom, &again), (200, "a heron".to_owned()));
    greenroom.shutdown_clean();
}

#[test]
fn what_does_not_fit_is_refused_with_all_that_is_wrong_and_leaves_nothing() {
    let greenroom = Greenroom::running(|g| copier(g, "params.number = { type = \"int\" }"));
    let answer = greenroom.try_submit("copy", &json!({ "number": "many", "nubmer": 1 }), 0);
    assert_eq!(answer.status, 400, "{answer:?}");
    let problems = answer.json()["error"]["problems"].as_array().cloned().unwrap_or_default();
    assert!(problems.len() >= 3, "`file` is missing, `number` is none, `nubmer` is unknown: {problems:?}");
    assert_eq!(greenroom.try_submit("none", &json!({}), 0).status, 404);
    let (headers, body) = form(&[("job", None, "copy"), ("file", Some("a"), "x"), ("number", None, "many")]);
    let refused = greenroom.api().ask("POST", "/api/jobs", &headers, &body).expect("an answer");
    assert_eq!(refused.status, 400, "{refused:?}");
    assert_eq!(greenroom.api().get("/api/jobs").expect("an answer").json(), json!([]));
    wait_for("no file is left", BOUND, || files_below(&greenroom).is_empty());
    greenroom.shutdown_clean();
}

/// Files below `jobs` and `uploads` of the state dir.
fn files_below(greenroom: &Greenroom) -> Vec<String> {
    fn collect(folder: &std::path::Path, found: &mut Vec<String>) {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            if entry.path().is_dir() {
                collect(&entry.path(), found)
            } else {
                found.push(entry.path().display().to_string())
            }
        }
    }
    let mut found = Vec::new();
    for name in ["jobs", "uploads"] {
        collect(&greenroom.state_dir().join(name), &mut found);
    }
    found
}

#[test]
fn what_was_made_is_removed_when_its_time_is_over_and_its_names_stay() {
    let greenroom = Greenroom::running(|g| painter(g, "", "keep_output = \"1s\""));
    let id = greenroom.submit("image", &json!({ "prompt": "a heron" }));
    let made = greenroom.wait_job(&id, &["succeeded"]);
    // Looked for at the start, and then every ten minutes.
    greenroom.shutdown_clean();
    pause(Duration::from_millis(1100));
    greenroom.start();
    wait_for("nothing lies on the disk", BOUND, || files_below(&greenroom).is_empty());
    let (status, said) = output(&greenroom, &id);
    assert!(status == 404 && said.contains("output_expired"), "{status}: {said}");
    assert_eq!(greenroom.job(&id)["result"], made["result"]);
    greenroom.shutdown_clean();
}

#[test]
fn a_name_that_leads_out_of_the_folder_is_no_file() {
    let greenroom = Greenroom::running(|g| painter(g, "", ""));
    let id = greenroom.submit("image", &json!({ "prompt": "a heron" }));
    greenroom.wait_job(&id, &["succeeded"]);
    for name in ["../input", "..%2f..%2f..%2fgreenroom.sock", "/etc/passwd", "%2fetc%2fpasswd", ""] {
        let answer = greenroom.api().get(&format!("/api/jobs/{id}/output?file={name}")).expect("an answer");
        assert!(matches!(answer.status, 400 | 404), "{name}: {answer:?}");
    }
    greenroom.shutdown_clean();
}
