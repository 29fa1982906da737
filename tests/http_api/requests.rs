//! `history requests`: what became of each request.

use std::{io::BufRead, time::Duration};

use serde_json::{Value, json};

use crate::{
    chat,
    common::{BOUND, Greenroom, wait_for},
    door, running,
};

/// The requests in the history, newest first, as the command line reads them.
#[track_caller]
fn requests(greenroom: &Greenroom, args: &[&str]) -> Vec<Value> {
    let mut all = vec!["history", "requests", "--json"];
    all.extend(args);
    greenroom.cli(&all).expect(0).json().as_array().expect("a list").clone()
}

/// The row of each, once there are so many.
#[track_caller]
fn wait_requests(greenroom: &Greenroom, count: usize) -> Vec<Value> {
    wait_for("they are written", BOUND, || requests(greenroom, &[]).len() >= count);
    requests(greenroom, &[])
}

#[test]
fn each_request_is_kept_with_its_outcome_and_never_whose_it_was() {
    let greenroom = running();
    let secret = "sk-very-secret";
    let body = json!({ "model": "org/model", "max_tokens": 2 }).to_string();
    let key = format!("Authorization: Bearer {secret}\r\nContent-Type: application/json\r\n");
    let done = door(&greenroom).ask("POST", "/v1/chat/completions", &key, &body).expect("the door answers");
    assert_eq!(done.status, 200, "{done:?}");
    assert_eq!(chat(&greenroom, "nobody").status, 404);
    assert_eq!(chat(&greenroom, "huge").status, 503);
    let rows = wait_requests(&greenroom, 3);
    assert_eq!(rows.len(), 3, "{rows:#?}");
    // By their names: one is written when its last byte is out, which its client need not wait for.
    let row =
        |model: &str| rows.iter().find(|row| row["model"] == model).unwrap_or_else(|| panic!("{model}: {rows:#?}"));
    let [huge, nobody, loaded] = ["huge", "nobody", "org/model"].map(row);
    assert_eq!((&loaded["model"], &loaded["service"]), (&json!("org/model"), &json!("chat")));
    assert_eq!((&loaded["code"], &loaded["error"], &loaded["whole"]), (&json!(200), &Value::Null, &json!(true)));
    assert_eq!(loaded["bytes"], done.body.len());
    let seconds = |row: &Value, what: &str| row[what].as_f64().expect("seconds");
    assert!(seconds(loaded, "waited") > 0.0 && seconds(loaded, "waited") <= seconds(loaded, "took"), "{loaded}");
    let told = |row: &Value| (row["service"].clone(), row["code"].clone(), row["error"].clone());
    assert_eq!(told(nobody), (Value::Null, json!(404), json!("model_not_found")));
    assert_eq!(nobody["model"], "nobody");
    assert_eq!(told(huge), (json!("huge"), json!(503), json!("insufficient_memory")));
    assert_eq!(requests(&greenroom, &["--failed"]).len(), 2);
    assert_eq!(requests(&greenroom, &["--service", "chat", "--since", "1h"]).len(), 1);
    let by_http = greenroom.api().get("/api/history/requests?service=chat").expect("it answers").json();
    assert_eq!(by_http[0], *loaded, "the same by either way");
    let shown = greenroom.cli(&["history", "requests"]).expect(0);
    assert!(shown.stdout.contains("insufficient_memory") && shown.stdout.contains("org/model"), "{shown:?}");
    greenroom.shutdown_clean();
    for file in ["history.db", "history.db-wal"] {
        let bytes = std::fs::read(greenroom.state_dir().join(file)).unwrap_or_default();
        assert!(!bytes.windows(secret.len()).any(|part| part == secret.as_bytes()), "the key is in {file}");
    }
}

#[test]
fn an_answer_that_breaks_off_and_a_client_that_leaves_are_told_as_such() {
    let greenroom = running();
    let body = json!({ "model": "image", "stream": true, "max_tokens": 10_000 }).to_string();
    let head = |length: usize| {
        format!(
            "POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n\
             Content-Length: {length}\r\n\r\n"
        )
    };
    let mut stream = door(&greenroom).say(&format!("{}{body}", head(body.len()))).expect("the door listens");
    let mut line = String::new();
    while !line.starts_with("data:") {
        line.clear();
        assert!(stream.read_line(&mut line).expect("a line") > 0, "it goes on for minutes");
    }
    drop(stream);
    let rows = wait_requests(&greenroom, 1);
    assert_eq!((&rows[0]["code"], &rows[0]["whole"]), (&json!(200), &json!(false)), "{rows:#?}");
    assert!(rows[0]["bytes"].as_u64().is_some_and(|bytes| bytes > 0), "{rows:#?}");
    greenroom.shutdown_clean();
}

#[test]
fn the_last_requests_before_the_end_are_in_the_history() {
    let greenroom = running();
    for _ in 0..5 {
        assert_eq!(chat(&greenroom, "chat").status, 200);
    }
    greenroom.shutdown_clean();
    assert_eq!(requests(&greenroom, &[]).len(), 5);
}

#[test]
fn a_flood_is_counted_whole_and_written_down_in_part() {
    const MANY: usize = 3000;
    let greenroom = running();
    assert_eq!(chat(&greenroom, "chat").status, 200);
    let body = json!({ "model": "chat", "max_tokens": 1 }).to_string();
    let length = body.len();
    let request = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n\
         Content-Length: {length}\r\n\r\n{body}"
    );
    let flood = || {
        for _ in 0..MANY / 100 {
            let mut answers = door(&greenroom).say(&request.repeat(100)).expect("the door listens");
            let mut seen = 0;
            let mut line = String::new();
            while seen < 100 {
                line.clear();
                assert!(answers.read_line(&mut line).expect("a line") > 0, "after {seen}");
                // It follows right upon the body before it.
                seen += usize::from(line.contains("HTTP/1.1 200"));
            }
        }
    };
    flood();
    let figure = |name: &str| -> u64 {
        let page = greenroom.api().get("/metrics").expect("it answers").body;
        let line = page.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_else(|| panic!("{name}: {page}"));
        line.trim().parse().expect("a number")
    };
    let counted = || figure("greenroom_requests_total{model=\"chat\",code=\"200\"}") as usize;
    wait_for("all are counted", BOUND, || counted() == MANY + 1);
    let limit = (2 * MANY).to_string();
    wait_for("what is not left out is written", Duration::from_secs(60), || {
        let left_out = figure("greenroom_requests_unrecorded_total") as usize;
        let written = requests(&greenroom, &["-n", &limit, "--service", "chat"]).len();
        left_out + written == MANY + 1
    });
    greenroom.shutdown_clean();
}
