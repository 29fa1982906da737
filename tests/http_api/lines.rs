//! The `curl` lines of `docs/http.md` do what they say, and what comes back has the shape that the OpenAPI document tells.

use std::{fs, path::Path, process::Command};

use serde_json::{Value, json};

use crate::{
    chat,
    common::{BOUND, Greenroom, wait_for},
    picture, running,
    shape::faults,
};

/// Where the lines of the document ask.
const DOCUMENTED: &str = "http://127.0.0.1:8484";
/// The control socket of the document.
const SOCKET: &str = "~/.local/state/greenroom/greenroom.sock";

/// The lines, in their order.
fn lines() -> Vec<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/http.md");
    let text = fs::read_to_string(path).expect("the document");
    text.lines().filter(|line| line.starts_with("curl ")).map(str::to_owned).collect()
}

/// Runs a line as it stands but for the address; gives the status and the body.
#[track_caller]
fn run(greenroom: &Greenroom, line: &str, job: &str) -> (u16, String) {
    assert!(line.contains(DOCUMENTED) || line.contains(SOCKET), "{line}");
    // One that goes on for ever is cut off, which curl tells as an error.
    let (is_endless, seconds) = if line.starts_with("curl -N") { (true, 8) } else { (false, 60) };
    let flags = format!("curl -sS --max-time {seconds} -w '\\n%{{http_code}}' ");
    let line =
        line.replacen("curl ", &flags, 1).replace(DOCUMENTED, &format!("http://127.0.0.1:{}", greenroom.port(0)));
    let line = line.replace(SOCKET, &greenroom.socket().display().to_string());
    let done = Command::new("sh")
        .args(["-c", &line])
        .current_dir(greenroom.folder())
        .env("KEY", "any")
        .env("ID", job)
        .output();
    let done = done.expect("a shell");
    assert!(done.status.success() || is_endless, "{line}: {}", String::from_utf8_lossy(&done.stderr));
    let text = String::from_utf8_lossy(&done.stdout).into_owned();
    let (body, status) = text.rsplit_once('\n').expect("a status");
    (status.parse().expect("a number"), body.to_owned())
}

fn asked(line: &str) -> (String, String) {
    let url = line.split("http://").nth(1).expect("a URL");
    let path = url.split([' ', '\'', '?']).next().and_then(|url| url.find('/').map(|at| &url[at..])).expect("a path");
    let is_post = ["-X POST", " -d ", " -F "].iter().any(|mark| line.contains(mark));
    let method = if line.contains("-X DELETE") { "delete" } else { ["get", "post"][usize::from(is_post)] };
    (method.to_owned(), path.to_owned())
}

/// The operation of the document for a path, the most literal one first.
fn operation<'a>(document: &'a Value, method: &str, path: &str) -> &'a Value {
    let paths = document["paths"].as_object().expect("paths");
    let fits = |pattern: &str| {
        let (pattern, path): (Vec<&str>, Vec<&str>) = (pattern.split('/').collect(), path.split('/').collect());
        let open = pattern.last().is_some_and(|last| last.starts_with('{')) && pattern.len() <= path.len();
        (pattern.len() == path.len() || open)
            && pattern.iter().zip(&path).all(|(place, word)| place.starts_with('{') || place == word)
    };
    let found = paths.iter().filter(|(pattern, item)| fits(pattern) && item.get(method).is_some());
    let length = path.split('/').count();
    found
        .min_by_key(|(pattern, _)| (pattern.split('/').count() != length, pattern.matches('{').count()))
        .map(|(_, item)| &item[method])
        .expect(path)
}

/// Fails unless the body of this answer is what the document says.
#[track_caller]
fn assert_shape(document: &Value, line: &str, status: u16, body: &str) {
    let (method, path) = asked(line);
    let responses = &operation(document, &method, &path)["responses"];
    let schema = &responses[status.to_string()]["content"]["application/json"]["schema"];
    // What goes to a file is not seen.
    if schema.is_null() || line.contains(" -o ") {
        return;
    }
    let value: Value = serde_json::from_str(body).unwrap_or_else(|error| panic!("{line}: {error}: {body}"));
    let faults = faults(document, schema, &value, "");
    assert!(faults.is_empty(), "{line}\n{}\n{value:#}", faults.join("\n"));
}

/// Makes something happen of each kind that can be told: a swap, a failure, a refusal, requests good and bad, a job. Gives
/// the id of the job.
fn busy(greenroom: &Greenroom) -> String {
    let job = picture(greenroom, "a heron");
    greenroom.wait_state("broken", "failed");
    for model in ["image", "org/model"] {
        assert_eq!(chat(greenroom, model).status, 200);
    }
    assert_eq!(chat(greenroom, "huge").status, 503);
    assert_eq!(chat(greenroom, "nobody").status, 404);
    let rows = |what: &str| greenroom.api().get(&format!("/api/history/{what}")).expect("it answers").json();
    wait_for("it is in the history", BOUND, || {
        let count = |what: &str| rows(what).as_array().map_or(0, Vec::len);
        count("swaps") == 1 && count("requests") == 4 && count("runs") >= 3 && count("jobs") == 1
    });
    wait_for("the job has succeeded", BOUND, || {
        greenroom.api().get(&format!("/api/jobs/{job}")).expect("it answers").json()["state"] == "succeeded"
    });
    job
}

#[test]
fn every_line_of_the_document_works_and_its_answer_has_the_shape_that_is_told() {
    let greenroom = running();
    let job = busy(&greenroom);
    // So that all is ready which is wanted up.
    greenroom.cli(&["stop", "broken"]).expect(0);
    let document = greenroom.api().get("/api/openapi.json").expect("it answers").json();
    for upload in ["heron.png", "hello.wav"] {
        fs::write(greenroom.folder().join(upload), "bytes").expect("the test's folder is writable");
    }
    let (last, lines): (Vec<String>, Vec<String>) = lines().into_iter().partition(|line| line.contains("shutdown"));
    assert!(lines.len() > 20 && last.len() == 1);
    for line in &lines {
        let (method, path) = asked(line);
        // Only one that is open can be taken back.
        let job = if method == "delete" { picture(&greenroom, "slow") } else { job.clone() };
        let (status, body) = run(&greenroom, line, &job);
        // The stand-in knows not every path, and says so itself.
        let is_traffic = operation(&document, &method, &path)["tags"] == json!(["model traffic"]);
        let is_its_own = is_traffic && status == 404 && body.contains("File Not Found");
        let is_accepted = status == 202 && path.starts_with("/api/jobs");
        assert!(status == 200 || is_accepted || is_its_own, "{line}: {status} {body}");
        if !is_its_own {
            assert_shape(&document, line, status, &body);
        }
    }
    let (status, body) = run(&greenroom, &last[0], &job);
    assert_eq!(status, 202, "{body}");
    assert_shape(&document, &last[0], status, &body);
    assert_eq!(greenroom.wait(BOUND).0, 0, "{}", greenroom.output());
}

#[test]
fn what_is_refused_and_what_has_happened_have_the_shapes_that_are_told() {
    let greenroom = running();
    let job = busy(&greenroom);
    let api = greenroom.api();
    let document = api.get("/api/openapi.json").expect("it answers").json();
    let check = |path: &str, of: &str, value: &Value| {
        let faults = faults(&document, &json!({ "$ref": format!("#/components/schemas/{of}") }), value, "");
        assert!(faults.is_empty(), "{path}\n{}\n{value:#}", faults.join("\n"));
    };
    let get = |path: &str| api.get(path).expect("it answers").json();
    // Each of them has a part that is `null` elsewhere.
    for name in ["broken", "huge", "chat", "image"] {
        let service = get(&format!("/api/services/{name}"));
        check(name, "Service", &service);
        check(name, "Why", &get(&format!("/api/services/{name}/why")));
        check(name, "Plan", &get(&format!("/api/plan/{name}")));
    }
    assert_eq!(get("/api/services/broken")["last_exit"]["code"], 7);
    assert_eq!(get("/api/services/huge")["refusal"]["kind"], "too_large");
    for (what, of) in
        [("runs", "Run"), ("events", "PastEvent"), ("swaps", "Swap"), ("requests", "Request"), ("jobs", "Job")]
    {
        let rows = get(&format!("/api/history/{what}"));
        let rows = rows.as_array().expect("a list");
        assert!(!rows.is_empty(), "{what}");
        rows.iter().for_each(|row| check(what, of, row));
    }
    let over = api.ask("DELETE", &format!("/api/jobs/{job}"), "", "").expect("it answers");
    assert_eq!(over.status, 409);
    check("over", "Error", &over.json());
    let picky = api.post("/api/jobs", Some(&json!({ "job": "picture" }))).expect("it answers");
    assert_eq!(picky.json()["error"]["code"], "bad_params");
    check("picky", "Error", &picky.json());
    let none = api.get("/api/services/nobody").expect("it answers");
    assert_eq!(none.status, 404);
    check("nobody", "Error", &none.json());
    check("huge", "Error", &chat(&greenroom, "huge").json());
    check("wrong", "Error", &api.post("/api/status", None).expect("it answers").json());
    let mut events = api.events("/api/events?since=1-1&follow=0", None).expect("it answers");
    let mut seen = 0;
    while let Some(event) = events.next() {
        check("event", "Event", &event.data);
        seen += 1;
    }
    assert!(seen > 10, "{seen} events");
    greenroom.shutdown_clean();
}
