//! How requests name their model, and what becomes of the name.

use std::io::Write;

use serde_json::{Value, json};

use crate::{
    common::{Answer, Greenroom, read_answer},
    door, gateway, on_demand, refused,
};

/// Two services, of which requests mean the first or the second.
fn two() -> Greenroom {
    Greenroom::running(|g| {
        gateway(g, "")
            + &on_demand(g, "one", "", "serves = [\"gemma\"]")
            + &on_demand(g, "two", "", "serves = [\"qwen\"]")
    })
}

/// Who has answered, and what it was asked: the stand-in says so of a path that it does not know.
#[track_caller]
fn asked(answer: &Answer) -> (String, Value) {
    let body = answer.json();
    let who = body["system_fingerprint"].as_str().unwrap_or_else(|| panic!("no service has answered: {answer:?}"));
    (who.to_owned(), body["asked"].clone())
}

fn header(asked: &Value, name: &str) -> Option<String> {
    let mut all = asked["headers"].as_array().expect("a list").iter();
    all.find(|pair| pair[0] == name).and_then(|pair| pair[1].as_str()).map(str::to_owned)
}

const JSON: &str = "Content-Type: application/json\r\n";
const FORM: &str = "Content-Type: application/x-www-form-urlencoded\r\n";
const MULTIPART: &str = "Content-Type: multipart/form-data; boundary=x\r\n";

/// A file, and then the model.
fn form(model: &str) -> String {
    let file = "a".repeat(100_000);
    format!(
        "--x\r\nContent-Disposition: form-data; name=\"file\"; filename=\"model\"\r\n\r\n{file}\r\n\
         --x\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\n{model}\r\n--x--\r\n"
    )
}

#[test]
fn every_endpoint_of_a_model_goes_to_the_one_that_is_named() {
    let greenroom = two();
    let door = door(&greenroom);
    // Those that the stand-in does not answer itself.
    let posted = ["responses", "rerank", "images/edits"];
    let audio = ["audio/speech", "audio/transcriptions", "audio/translations"];
    let paths = posted.iter().chain(&audio).map(|path| format!("/v1/{path}"));
    for (path, body) in [
        ("/v1/embeddings", json!({ "model": "qwen", "input": "x" })),
        ("/v1/messages", json!({ "model": "qwen", "max_tokens": 1, "messages": [] })),
        ("/v1/messages/count_tokens", json!({ "model": "qwen", "messages": [] })),
        ("/v1/images/generations", json!({ "model": "qwen", "prompt": "x" })),
    ] {
        assert_eq!(door.post(path, Some(&body)).expect("it answers").status, 200, "{path}");
    }
    assert_eq!((greenroom.state("one").as_str(), greenroom.state("two").as_str()), ("stopped", "ready"));
    for path in paths.chain(["/infill", "/slots/0?action=save", "/sdapi/v1/txt2img"].map(str::to_owned)) {
        for (model, service) in [("gemma", "one"), ("qwen", "two")] {
            let body = json!({ "input": "x", "model": model }).to_string();
            let (who, asked) = asked(&door.ask("POST", &path, JSON, &body).expect("it answers"));
            assert_eq!(
                (who.as_str(), &asked["target"], &asked["body"]),
                (service, &json!(path), &json!(body)),
                "{path}"
            );
        }
    }
    for path in ["/v1/completions", "/completion"] {
        for (model, service) in [("gemma", "one"), ("qwen", "two")] {
            let answer = door.post(path, Some(&json!({ "model": model, "prompt": "x" }))).expect("it answers");
            assert_eq!((answer.status, asked(&answer).0.as_str()), (200, service), "{path}");
        }
    }
    let (who, asked) = asked(&door.get("/sdapi/v1/samplers?model=qwen").expect("it answers"));
    assert_eq!((who.as_str(), &asked["target"]), ("two", &json!("/sdapi/v1/samplers?model=qwen")));
    assert_eq!(door.get("/props?model=gemma").expect("it answers").json()["model_alias"], "one");
    refused(&door.get("/v1/rerank?model=gemma").expect("it answers"), 404, "not_found");
}

#[test]
fn the_name_stands_in_the_body_the_query_or_a_header() {
    let greenroom = two();
    let door = door(&greenroom);
    let to =
        |path: &str, headers: &str, body: &str| asked(&door.ask("POST", path, headers, body).expect("it answers")).0;
    let plain = "/v1/rerank";
    assert_eq!(to(plain, FORM, "a=b&model=qwen"), "two");
    assert_eq!(to(plain, FORM, r#"{"model":"qwen"}"#), "two", "as `curl -d` sends it");
    assert_eq!(to(plain, MULTIPART, &form("qwen")), "two");
    assert_eq!(to("/v1/rerank?a&model=qwen", JSON, "{}"), "two");
    assert_eq!(to(plain, &format!("{JSON}X-Model: qwen\r\n"), "{}"), "two");
    let all = format!("{JSON}X-Model: nobody\r\n");
    assert_eq!(to("/v1/rerank?model=nobody", &all, r#"{"model":"gemma"}"#), "one", "the body counts first");
    assert_eq!(to("/v1/rerank?model=gemma", &all, "{}"), "one", "then the query");
    refused(&door.ask("POST", plain, JSON, r#"{"x":{"model":"qwen"}}"#).expect("it answers"), 400, "no_model");
}

#[test]
fn the_rest_of_a_body_is_sent_on_as_it_comes() {
    let greenroom = two();
    // The name comes first, the rest only after the service could have begun to read, and in pieces.
    let head = format!("POST /v1/rerank HTTP/1.1\r\nHost: x\r\n{JSON}Transfer-Encoding: chunked\r\n\r\n");
    let mut request = door(&greenroom).say(&head).expect("the door listens");
    let mut say = |piece: &str| {
        let piece = format!("{:x}\r\n{piece}\r\n", piece.len());
        request.get_mut().write_all(piece.as_bytes()).expect("it is taken");
    };
    say("{\"mod");
    say("el\":\"qw");
    say("en\",\"input\":\"");
    crate::common::wait_for("it is loaded before the body is whole", crate::common::BOUND, || {
        greenroom.state("two") == "ready"
    });
    say("x\"}");
    request.get_mut().write_all(b"0\r\n\r\n").expect("it is taken");
    let (who, asked) = asked(&read_answer(request).expect("it answers"));
    assert_eq!((who.as_str(), &asked["body"]), ("two", &json!(r#"{"model":"qwen","input":"x"}"#)));
    assert_eq!(header(&asked, "transfer-encoding").as_deref(), Some("chunked"));
}

#[test]
fn a_service_reads_the_name_that_it_goes_by_itself() {
    let greenroom = Greenroom::running(|g| {
        gateway(g, "")
            + &on_demand(g, "chat", "", "serves = [\"gemma\"]\nupstream_model = \"a much \\\"longer\\\" name\"")
    });
    let door = door(&greenroom);
    let ask = |headers: &str, body: &str| {
        let (_, asked) = asked(&door.ask("POST", "/v1/rerank", headers, body).expect("it answers"));
        let body = asked["body"].as_str().expect("a body").to_owned();
        assert_eq!(header(&asked, "content-length"), Some(body.len().to_string()));
        body
    };
    let renamed = ask(JSON, r#"{"a":[1, 2],"model" : "gemma" ,"b":{"model":"gemma"}}"#);
    assert_eq!(renamed, r#"{"a":[1, 2],"model" : "a much \"longer\" name" ,"b":{"model":"gemma"}}"#);
    assert_eq!(ask(FORM, "model=gemma&b=c"), "model=a%20much%20%22longer%22%20name&b=c");
    assert_eq!(ask(JSON, r#"{"a":1}"#), r#"{"a":1}"#, "where no name stands none is put");
}

#[test]
fn a_service_is_told_who_asks_and_not_with_which_key() {
    let greenroom = Greenroom::running(|g| gateway(g, "api_keys = [\"sk-1\"]") + &on_demand(g, "chat", "", ""));
    let headers = "x-api-key: sk-1\r\nAuthorization: Bearer sk-1\r\nForwarded: for=192.0.2.7\r\nX-Other: y\r\n";
    let (_, asked) = asked(&door(&greenroom).ask("GET", "/upstream/chat/x", headers, "").expect("it answers"));
    assert_eq!((header(&asked, "x-api-key"), header(&asked, "authorization")), (None, None));
    assert_eq!(header(&asked, "x-other").as_deref(), Some("y"));
    let said = "for=192.0.2.7, for=127.0.0.1;proto=http;host=\"localhost\"";
    assert_eq!(header(&asked, "forwarded").as_deref(), Some(said));
}

#[test]
fn a_stream_of_events_is_not_to_be_collected_on_its_way() {
    let greenroom = two();
    let body = json!({ "model": "gemma", "stream": true, "max_tokens": 1 }).to_string();
    let door = door(&greenroom);
    assert_eq!(door.ask("POST", crate::CHAT, JSON, r#"{"model":"gemma"}"#).expect("it answers").status, 200);
    let answer = door.ask("POST", crate::CHAT, JSON, &body).expect("it answers");
    assert!(answer.headers.to_ascii_lowercase().contains("\r\nx-accel-buffering: no\r\n"), "{answer:?}");
}
