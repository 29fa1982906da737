//! What is passed on is passed on as it came, in both directions.

use std::io::{BufRead, Read};

use serde_json::{Value, json};

use crate::{CHAT, common::read_answer, door, tokens, with_chat};

#[test]
fn path_query_method_headers_and_body_arrive_as_they_were_sent() {
    let greenroom = with_chat("", "serves = [\"org/model\"]");
    let door = door(&greenroom);
    for target in ["/", "/a%2Fb/../..//c;d=1?x=%20&y=a+b&&z", "//evil.example/x", "/%C3%A9?", "/~tilde/'quoted'"] {
        let path = format!("/upstream/org%2Fmodel{target}");
        let headers = "X-Thing: a  b\r\nCookie: a=1\r\nX-Mine: 1\r\nConnection: x-mine\r\nTE: trailers\r\n";
        let headers = format!("{headers}Keep-Alive: 5\r\n");
        let answer = door.ask("PATCH", &path, &headers, "the body").expect("it answers");
        assert_eq!(answer.status, 404, "the service's own answer");
        let body = answer.json();
        assert_eq!(body["error"]["message"], "File Not Found", "its own, unchanged");
        let asked = &body["asked"];
        assert_eq!(
            (&asked["method"], &asked["target"], &asked["body"]),
            (&json!("PATCH"), &json!(target), &json!("the body"))
        );
        let header = |name: &str| {
            let all = asked["headers"].as_array().expect("a list");
            all.iter().find(|pair| pair[0] == name).map_or(Value::Null, |pair| pair[1].clone())
        };
        assert_eq!(
            (header("x-thing"), header("cookie"), header("host")),
            (json!("a  b"), json!("a=1"), json!("localhost"))
        );
        for of_the_hop in ["x-mine", "te", "keep-alive"] {
            assert_eq!(header(of_the_hop), Value::Null, "{of_the_hop} concerns one connection");
        }
    }
    assert_eq!(door.get("/upstream/chat").expect("it answers").json()["asked"]["target"], "/");
    assert_eq!(door.get("/upstream/chat?a=b").expect("it answers").json()["asked"]["target"], "/?a=b");
}

#[test]
fn a_body_without_a_length_arrives_whole() {
    let greenroom = with_chat("", "");
    let piece = "0123456789".repeat(1000);
    let pieces: String = (0..100).map(|_| format!("{:x}\r\n{piece}\r\n", piece.len())).collect();
    let request =
        format!("PUT /upstream/chat/x HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n{pieces}0\r\n\r\n");
    let answer = door(&greenroom).say(&request).and_then(read_answer).expect("it answers");
    assert!(answer.json()["asked"]["body"] == piece.repeat(100), "a megabyte");
    let piece = &piece[..1000];
    let request = format!(
        "PUT /upstream/chat/x HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3e8\r\n{piece}\r\n3e8\r\n{piece}\r\n0\r\n\r\n"
    );
    let answer = door(&greenroom).say(&request).and_then(read_answer).expect("it answers");
    assert_eq!(answer.json()["asked"]["body"], format!("{piece}{piece}"));
}

#[test]
fn a_head_request_gets_the_head_alone() {
    let greenroom = with_chat("", "");
    let request = "HEAD /upstream/chat/x HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    let mut answer = door(&greenroom).say(request).expect("the door listens");
    let mut text = String::new();
    answer.read_to_string(&mut text).expect("it ends");
    assert!(text.starts_with("HTTP/1.1 404") && text.ends_with("\r\n\r\n"), "{text}");
}

#[test]
fn a_stream_comes_piece_by_piece_and_not_at_its_end() {
    let greenroom = with_chat("--token-ms 200", "");
    // Its end is hours away, and ten tokens are less than any buffer.
    let mut stream = tokens(&greenroom, 100_000);
    for n in 0..10 {
        assert_eq!(stream.next().expect("a token").data["system_fingerprint"], "chat", "the {n}-th");
    }
    let busy = door(&greenroom).get("/upstream/chat/props").expect("it answers").json()["slots_busy"].clone();
    assert_eq!(busy, 1, "it is still at it");
    drop(stream);
    assert_eq!(tokens(&greenroom, 10).count(), 11, "ten tokens and the end");
}

#[test]
fn many_requests_go_over_one_connection() {
    let greenroom = with_chat("", "");
    let request = |n: u32| {
        let body = json!({ "model": "chat", "max_tokens": n }).to_string();
        let length = body.len();
        format!(
            "POST {CHAT} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
        )
    };
    let requests: String = (1..=20).map(request).collect();
    let mut answers = door(&greenroom).say(&requests).expect("the door listens");
    for n in 1..=20_u64 {
        let mut length = 0;
        loop {
            let mut line = String::new();
            answers.read_line(&mut line).expect("a header");
            if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().expect("a length");
            }
            if line == "\r\n" {
                break;
            }
        }
        let mut body = vec![0; length];
        answers.read_exact(&mut body).expect("a body");
        let body: Value = serde_json::from_slice(&body).expect("JSON");
        assert_eq!(body["usage"]["completion_tokens"], n, "in the order of the questions");
    }
}
