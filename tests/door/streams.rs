//! Streams whose service ends in the middle of them, and streams that wait for their model.

use std::io::{BufRead, Read};

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::{
    CHAT,
    common::{BOUND, Greenroom, Pending, signal, timed, wait_for},
    door, gateway, on_demand, refused, tokens, with_chat,
};

/// A load that takes so much longer than the two seconds after which a client is told of it that a machine which has other
/// work does not change their order.
const SLOW: &str = "--load-ms 8000";

/// The bytes of a POST of this body, which keeps its connection.
fn post(path: &str, body: &Value) -> String {
    let body = body.to_string();
    let length = body.len();
    format!(
        "POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
    )
}

/// The head of an answer, with its empty line.
#[track_caller]
fn head(answer: &mut Pending) -> String {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        assert_ne!(answer.read_line(&mut head).expect("a head"), 0, "it ended: {head}");
    }
    head
}

/// One chunk as text; `None` after the last one.
#[track_caller]
fn chunk(answer: &mut Pending) -> Option<String> {
    let mut line = String::new();
    answer.read_line(&mut line).expect("a chunk's length");
    let length = usize::from_str_radix(line.trim(), 16).unwrap_or_else(|_| panic!("no chunk: {line:?}"));
    let mut piece = vec![0; length + 2];
    answer.read_exact(&mut piece).expect("a chunk");
    (length > 0).then(|| String::from_utf8_lossy(&piece[..length]).into_owned())
}

#[test]
fn a_stream_whose_service_dies_ends_with_an_event_that_says_how() {
    let greenroom = with_chat("--token-ms 50 --stderr last-words", "");
    let mut stream = door(&greenroom)
        .say(&post(CHAT, &json!({ "model": "chat", "stream": true, "max_tokens": 100_000 })))
        .expect("the door listens");
    assert!(head(&mut stream).contains("text/event-stream"));
    chunk(&mut stream).expect("a token");
    signal(greenroom.service_pid("chat"), Signal::SIGKILL);
    let mut rest = String::new();
    // The end of the body is a whole one: the connection can be used again.
    while let Some(piece) = chunk(&mut stream) {
        rest += &piece;
    }
    let last = rest.trim_end().rsplit("\n\n").next().expect("an event");
    let told: Value = serde_json::from_str(last.strip_prefix("data: ").expect("data")).expect("JSON");
    let error = &told["error"];
    assert_eq!(
        (&error["code"], &error["type"], &told["src"]),
        (&json!("upstream_closed"), &json!("server_error"), &json!("greenroom"))
    );
    assert_eq!((&error["signal"], &error["class"]), (&json!(9), &json!("killed")), "{error}");
    assert!(error["stderr"].to_string().contains("last-words"), "{error}");
    let message = error["message"].as_str().expect("a sentence");
    assert!(message.contains("`chat` ended by signal 9"), "{message}");
    wait_for("nobody is in", BOUND, || greenroom.service("chat")["in_flight"] == 0);
}

#[test]
fn a_client_of_the_messages_api_is_told_in_its_own_way() {
    let greenroom = with_chat("--token-ms 50", "");
    let body = json!({ "model": "chat", "stream": true, "max_tokens": 100_000 });
    // The stand-in streams the same at each path that it knows; the path is what tells the client's ways.
    let mut stream = door(&greenroom).post_events("/upstream/chat/v1/messages", &body).expect("it answers");
    stream.next().expect("a token");
    signal(greenroom.service_pid("chat"), Signal::SIGKILL);
    let mut last = None;
    while let Some(event) = stream.next() {
        last = Some(event);
    }
    let last = last.expect("an event");
    assert_eq!(last.event, "error");
    assert_eq!(
        (&last.data["type"], &last.data["error"]["type"], &last.data["error"]["code"]),
        (&json!("error"), &json!("api_error"), &json!("upstream_closed"))
    );
}

#[test]
fn any_other_answer_is_cut_so_that_nobody_takes_it_for_whole() {
    let greenroom = Greenroom::running(|g| {
        // Half of what it promises, and the end.
        let script = "import http.server,os\n\
            class H(http.server.BaseHTTPRequestHandler):\n\
            \x20def do_GET(self):\n\
            \x20 self.send_response(200)\n\
            \x20 if self.path=='/health': self.end_headers(); return\n\
            \x20 self.send_header('Content-Length','1000')\n\
            \x20 self.end_headers(); self.wfile.write(b'x'*500); self.wfile.flush(); os._exit(3)\n\
            http.server.HTTPServer(('127.0.0.1',int(os.environ['P'])),H).serve_forever()\n";
        let command = g.words(&["python3", "-c", script]);
        gateway(g, "")
            + &format!(
                "[service.chat]\ncommand = {command}\nenv.P = \"${{port}}\"\nready = \"/health\"\nstart = \"on_demand\"\n"
            )
    });
    let mut answer = door(&greenroom).say("GET /upstream/chat/x HTTP/1.1\r\nHost: x\r\n\r\n").expect("it listens");
    assert!(head(&mut answer).to_ascii_lowercase().contains("content-length: 1000"));
    let mut body = Vec::new();
    // A reset is a cut as well.
    answer.read_to_end(&mut body).ok();
    assert!(body.len() <= 500, "{}", body.len());
}

#[test]
fn who_leaves_in_the_middle_of_a_stream_ends_it_at_the_service() {
    let greenroom = with_chat("--token-ms 50", "");
    let busy = || door(&greenroom).get("/upstream/chat/props").expect("it answers").json()["slots_busy"].clone();
    for _ in 0..3 {
        let mut stream = tokens(&greenroom, 100_000);
        stream.next().expect("a token");
        assert_eq!((busy(), greenroom.service("chat")["in_flight"].clone()), (json!(1), json!(1)));
        drop(stream);
        wait_for("the service works no more", BOUND, || busy() == 0);
        wait_for("the permit is back", BOUND, || greenroom.service("chat")["in_flight"] == 0);
    }
}

#[test]
fn a_stream_that_waits_for_its_model_is_told_and_then_given() {
    let greenroom = with_chat(SLOW, "");
    let body = json!({ "model": "chat", "stream": true, "max_tokens": 3 });
    let mut stream = door(&greenroom).say(&post(CHAT, &body)).expect("the door listens");
    let head = head(&mut stream);
    assert!(head.starts_with("HTTP/1.1 200 ") && head.contains("text/event-stream"), "{head}");
    assert_eq!(greenroom.state("chat"), "starting", "it is not there yet");
    let first = chunk(&mut stream).expect("a comment");
    assert!(first.starts_with(": chat is loading") && first.ends_with("\n\n"), "{first:?}");
    let mut rest = String::new();
    while let Some(piece) = chunk(&mut stream) {
        rest += &piece;
    }
    assert_eq!(rest.matches("\"content\"").count(), 3, "{rest}");
    assert!(rest.ends_with("data: [DONE]\n\n"), "{rest}");
    wait_for("nobody is in", BOUND, || greenroom.service("chat")["in_flight"] == 0);
    // Once more, on the same connection, and now at once.
    let again = post(CHAT, &body);
    let mut stream = door(&greenroom).say(&again).expect("the door listens");
    crate::streams::head(&mut stream);
    assert!(chunk(&mut stream).expect("a token").starts_with("data: "));
}

#[test]
fn who_wants_no_stream_or_no_comments_gets_none_and_a_fast_refusal_keeps_its_status() {
    let greenroom = Greenroom::running(|g| {
        let missing = "[service.gone]\ncommand = [\"/nonexistent/llama\", \"${port}\"]\nready = \"/health\"\nstart = \"on_demand\"\n";
        gateway(g, "") + &on_demand(g, "chat", "--load-ms 3000", "") + missing
    });
    let ask = |model: &str, stream: bool| {
        let body = json!({ "model": model, "stream": stream, "max_tokens": 1 });
        door(&greenroom).post(CHAT, Some(&body)).expect("the door answers")
    };
    // The second time it is known without a try, so that no try of two seconds is in the way.
    refused(&ask("gone", false), 502, "start_failed");
    refused(&ask("gone", true), 502, "start_failed");
    let (whole, took) = timed(|| ask("chat", false));
    assert!(whole.status == 200 && whole.body.starts_with('{'), "{whole:?}");
    assert!(took.as_secs() >= 2, "it was waited for: {took:?}");
}

#[test]
fn a_refusal_that_comes_late_is_an_event() {
    let greenroom =
        Greenroom::running(|g| gateway(g, "queue.max_wait = \"8s\"") + &on_demand(g, "chat", "--load-ms 60000", ""));
    let body = json!({ "model": "chat", "stream": true });
    let mut stream = door(&greenroom).post_events(CHAT, &body).expect("the door answers");
    assert_eq!(stream.status, 200);
    let event = stream.next().expect("an event");
    assert_eq!(event.data["error"]["code"], "wait_timeout", "{event:?}");
    assert!(stream.next().is_none(), "it is the last one");
}

#[test]
fn what_waits_and_is_no_stream_in_the_end_is_told_as_an_error() {
    // A stand-in that answers a chat which it does not like with 400.
    let greenroom = with_chat(SLOW, "");
    let body = json!({ "model": "chat", "stream": true, "max_tokens": "many" });
    let mut stream = door(&greenroom).post_events(CHAT, &body).expect("the door answers");
    assert_eq!(stream.status, 200);
    let event = stream.next().expect("an event");
    assert_eq!(
        (&event.data["error"]["code"], &event.data["error"]["type"]),
        (&json!("upstream_refused"), &json!("invalid_request_error"))
    );
    assert!(event.data["error"]["message"].as_str().expect("its own words").contains("Json"), "{event:?}");
}

#[test]
fn who_leaves_while_being_told_waits_no_more() {
    let greenroom = with_chat(SLOW, "");
    let body = json!({ "model": "chat", "stream": true });
    let mut stream = door(&greenroom).say(&post(CHAT, &body)).expect("the door listens");
    head(&mut stream);
    chunk(&mut stream).expect("a comment");
    drop(stream);
    greenroom.wait_state("chat", "ready");
    // Whoever waited would be in by now, and answered; the stand-in counts what it answers in its ids.
    assert_eq!(crate::chat(&greenroom, "chat").json()["id"], "chatcmpl-1", "the one who left has asked nothing");
}

#[test]
fn an_old_client_gets_a_stream_without_chunks_and_its_end_is_the_connections() {
    let greenroom = with_chat("", "");
    let body = json!({ "model": "chat", "stream": true, "max_tokens": 2 });
    let request = post(CHAT, &body).replace("HTTP/1.1", "HTTP/1.0");
    let mut text = String::new();
    door(&greenroom).say(&request).expect("the door listens").read_to_string(&mut text).expect("it ends");
    let (head, body) = text.split_once("\r\n\r\n").expect("a head");
    assert!(!head.to_ascii_lowercase().contains("transfer-encoding"), "{head}");
    assert!(body.starts_with("data: ") && body.ends_with("data: [DONE]\n\n"), "{body}");
}
