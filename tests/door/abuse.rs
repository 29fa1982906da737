//! Clients that are slow, cut themselves off, send too much or nonsense, ten thousand times: the right answers, and nothing
//! is left of them.

use std::{
    io::{Read, Write},
    net::TcpStream,
    sync::atomic::{AtomicUsize, Ordering},
    thread,
    time::Duration,
};

use serde_json::{Value, json};

use crate::{
    CHAT, chat,
    common::{BOUND, Greenroom, descriptors, taken, wait_for},
    door, gateway, on_demand,
};

/// The largest body that the door of these tests takes.
const MOST: usize = 64 << 10;

/// A runtime with two services, both loaded, whose clients have so long for what they send.
#[track_caller]
fn strict(header_timeout: &str) -> Greenroom {
    let greenroom = Greenroom::running(|g| {
        gateway(g, &format!("max_body = \"{MOST}B\"\nheader_timeout = \"{header_timeout}\""))
            + &on_demand(g, "chat", "--token-ms 1", "")
            + &on_demand(g, "other", "", "")
    });
    greenroom.cli(&["load", "chat", "other"]).expect(0);
    assert_eq!(chat(&greenroom, "chat").status, 200);
    greenroom
}

fn connect(port: u16) -> TcpStream {
    let stream = TcpStream::connect(("127.0.0.1", port)).expect("the door listens");
    stream.set_read_timeout(Some(Duration::from_secs(60))).expect("a socket");
    stream
}

/// All that comes back until the connection ends, however it does.
fn rest(stream: &mut TcpStream) -> String {
    let (mut all, mut piece) = (Vec::new(), [0; 4096]);
    loop {
        match stream.read(&mut piece) {
            Ok(0) => break,
            Ok(read) => all.extend_from_slice(&piece[..read]),
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                panic!("it hangs after {:?}", String::from_utf8_lossy(&all));
            }
            // As it is where this process was stopped for a moment, by a signal or by a debugger.
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(_) => break,
        }
    }
    String::from_utf8_lossy(&all).into_owned()
}

/// The status of an answer; 0 for none.
fn status(answer: &str) -> u16 {
    answer.strip_prefix("HTTP/1.1 ").and_then(|rest| rest.get(..3)?.parse().ok()).unwrap_or(0)
}

fn post(path: &str, headers: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "POST {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: application/json\r\n{headers}\
         Content-Length: {length}\r\n\r\n{body}"
    )
}

/// What is sent, the status that it gets, and whether the sender says that there is no more.
fn nonsense() -> Vec<(&'static str, Vec<u8>, u16)> {
    let get = |rest: &str| format!("GET /upstream/chat/health{rest}").into_bytes();
    let chunked = |chunks: &str| {
        let head =
            "Host: x\r\nConnection: close\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n";
        format!("POST {CHAT} HTTP/1.1\r\n{head}{chunks}").into_bytes()
    };
    let deep = format!("{{\"model\":\"chat\",\"x\":{}", "[".repeat(30_000));
    let too_much = format!("8000\r\n{}\r\n", " ".repeat(0x8000)).repeat(3);
    vec![
        ("no request", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n".to_vec(), 400),
        ("no version", get("\r\n\r\n"), 400),
        ("a version of tomorrow", get(" HTTP/9.9\r\nHost: x\r\n\r\n"), 400),
        ("a header without a colon", get(" HTTP/1.1\r\nHost: x\r\nnonsense\r\n\r\n"), 400),
        ("a blank in a name", get(" HTTP/1.1\r\nHost: x\r\na b: c\r\n\r\n"), 400),
        ("no host", get(" HTTP/1.1\r\n\r\n"), 400),
        ("two lengths", get(" HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab"), 400),
        (
            "a length and chunks",
            get(" HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
            400,
        ),
        ("a length below zero", get(" HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n"), 400),
        ("a coding that nobody knows", get(" HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip\r\n\r\n"), 400),
        ("a zero byte", b"GET /upstream/chat/\0 HTTP/1.1\r\nHost: x\r\n\r\n".to_vec(), 400),
        ("half a percent", b"GET /upstream/%zz/x HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".to_vec(), 400),
        ("no service", b"GET /upstream/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".to_vec(), 400),
        (
            "a stranger's service",
            b"GET /upstream/nobody/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".to_vec(),
            404,
        ),
        ("no JSON", post(CHAT, "", "{{{").into_bytes(), 400),
        ("a body of bytes", post(CHAT, "", "\u{0}\u{1}\u{2}").into_bytes(), 400),
        ("another model", post(CHAT, "", r#"{"model":"nobody"}"#).into_bytes(), 404),
        ("no end of brackets", post(CHAT, "", &deep).into_bytes(), 400),
        (
            "a length that is too large",
            post(CHAT, "X-A: 1\r\n", "").replace("Length: 0", "Length: 99999999").into_bytes(),
            413,
        ),
        ("chunks that are too many", chunked(&too_much), 413),
        ("a chunk of no size", chunked("zz\r\n{}\r\n0\r\n\r\n"), 400),
        ("a method that is none", b"B@D / HTTP/1.1\r\nHost: x\r\n\r\n".to_vec(), 400),
        ("a tunnel", b"CONNECT chat:80 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".to_vec(), 405),
        ("too long a header", [b"GET / HTTP/1.1\r\nHost: x\r\nX-Long: ".to_vec(), vec![b'x'; 131_072]].concat(), 431),
    ]
}

/// Fails the test unless the door is as it was: it answers, and nothing of those who are gone is left.
#[track_caller]
fn unharmed(greenroom: &Greenroom, (before, memory): (usize, u64)) {
    assert_eq!(chat(greenroom, "chat").status, 200);
    for service in ["chat", "other"] {
        wait_for("nobody is in", BOUND, || greenroom.service(service)["in_flight"] == 0);
    }
    // Connections to the services are kept for a while.
    wait_for("their connections are closed", BOUND, || descriptors(greenroom.pid()) <= before + 16);
    let grown = taken(greenroom.pid()).saturating_sub(memory);
    assert!(grown < 48 << 20, "{grown} bytes more");
    assert!(!greenroom.output().contains("panicked"), "{}", greenroom.output());
}

fn figures(greenroom: &Greenroom) -> (usize, u64) {
    (descriptors(greenroom.pid()), taken(greenroom.pid()))
}

#[test]
fn nonsense_gets_its_status_and_what_is_cut_off_none() {
    const EACH: usize = 10_000;
    // Nobody here takes his time; a machine that has other work may.
    let greenroom = strict("30s");
    let (before, port) = (figures(&greenroom), greenroom.port(0));
    let all = nonsense();
    let next = AtomicUsize::new(0);
    thread::scope(|scope| {
        // Many, since some answers are followed by a second in which the door still takes what comes.
        for _ in 0..32 {
            scope.spawn(|| {
                loop {
                    let n = next.fetch_add(1, Ordering::Relaxed);
                    if n >= EACH {
                        return;
                    }
                    let (what, sent, expected) = &all[n / 2 % all.len()];
                    let mut stream = connect(port);
                    if n.is_multiple_of(2) {
                        // What the door does not want to read any more it need not take.
                        stream.write_all(sent).ok();
                        let got = status(&rest(&mut stream));
                        assert!(got == *expected, "{what}: {got} in place of {expected}");
                    } else {
                        // The same, and the sender is gone in the middle of it.
                        stream.write_all(&sent[..n % sent.len().min(4096)]).ok();
                    }
                }
            });
        }
    });
    unharmed(&greenroom, before);
}

#[test]
fn who_takes_his_time_holds_nobody_up() {
    let greenroom = strict("3s");
    let (before, port) = (figures(&greenroom), greenroom.port(0));
    // Heads that never end.
    let mut heads: Vec<_> = (0..50).map(|_| connect(port)).collect();
    for stream in &mut heads {
        stream.write_all(b"GET /upstream/chat/health HTTP/1.1\r\nHost: x\r\nX-Slow: ").expect("it is taken");
    }
    // Bodies that come byte by byte, for a chat and for what is passed on as it comes.
    let head = |path: &str| {
        format!("POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 60000\r\n\r\n{{")
    };
    let mut bodies: Vec<_> = (0..50).map(|_| connect(port)).collect();
    for (n, stream) in bodies.iter_mut().enumerate() {
        stream.write_all(head([CHAT, "/upstream/other/x"][n % 2]).as_bytes()).expect("it is taken");
    }
    // Answers that nobody reads.
    let body = json!({ "model": "chat", "stream": true, "max_tokens": 1_000_000 }).to_string();
    let mut deaf: Vec<_> = (0..50).map(|_| connect(port)).collect();
    for stream in &mut deaf {
        stream.write_all(post(CHAT, "", &body).as_bytes()).expect("it is taken");
    }
    wait_for("they are all in", BOUND, || greenroom.service("chat")["in_flight"] == 50);
    for _ in 0..5 {
        for stream in heads.iter_mut().chain(&mut bodies) {
            stream.write_all(b" ").ok();
        }
        // Everybody else is served meanwhile.
        for model in ["chat", "other"] {
            assert_eq!(chat(&greenroom, model).status, 200);
        }
    }
    for mut stream in heads {
        assert_eq!(status(&rest(&mut stream)), 408, "a head has its time");
    }
    drop((bodies, deaf));
    unharmed(&greenroom, before);
}

/// One answer of a connection that goes on.
fn answer(stream: &mut TcpStream) -> Value {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).expect("a head");
        head.push(byte[0]);
    }
    let head = String::from_utf8_lossy(&head).to_ascii_lowercase();
    assert!(head.starts_with("http/1.1 200"), "{head}");
    let length = head.lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse().ok());
    let mut body = vec![0; length.expect("a length")];
    stream.read_exact(&mut body).expect("a body");
    serde_json::from_slice(&body).expect("JSON")
}

#[test]
fn one_connection_that_asks_for_one_and_the_other_gets_one_and_the_other_and_blocks_nothing_when_idle() {
    let greenroom = Greenroom::running(|g| {
        let card = "[resources]\ngpu_backend = \"declared\"\nvram_reserve = \"0B\"\nram_reserve = \"0B\"\n\
                    [[resources.gpu]]\nname = \"card\"\nmemory = \"8GiB\"\n";
        gateway(g, "")
            + card
            + &on_demand(g, "a", "", "vram = \"6GiB\"\nram = \"0B\"")
            + &on_demand(g, "b", "", "vram = \"6GiB\"\nram = \"0B\"")
    });
    let mut stream = connect(greenroom.port(0));
    let ask = |stream: &mut TcpStream, model: &str| {
        let body = json!({ "model": model, "max_tokens": 1 }).to_string();
        let request = post(CHAT, "", &body).replace("Connection: close\r\n", "");
        stream.write_all(request.as_bytes()).expect("it is taken");
    };
    for model in ["a", "b", "a", "b"] {
        ask(&mut stream, model);
        assert_eq!(answer(&mut stream)["system_fingerprint"], model);
        assert_eq!(greenroom.state(model), "ready");
    }
    // The same at once, before the first one is answered.
    for model in ["a", "b", "a", "b"] {
        ask(&mut stream, model);
    }
    for model in ["a", "b", "a", "b"] {
        assert_eq!(answer(&mut stream)["system_fingerprint"], model, "in the order of the questions");
    }
    // It stays open and idle; whoever wants the other model gets it.
    assert_eq!(chat(&greenroom, "a").status, 200);
    assert_eq!(chat(&greenroom, "b").status, 200);
    ask(&mut stream, "a");
    assert_eq!(answer(&mut stream)["system_fingerprint"], "a");
    wait_for("nobody is in", BOUND, || greenroom.service("a")["in_flight"] == 0);
    assert_eq!(door(&greenroom).get("/health").expect("it answers").status, 200);
}
