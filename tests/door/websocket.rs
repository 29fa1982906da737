//! WebSockets of a service: both ways, as they are, and no work.

use std::{thread, time::Duration};

use nix::sys::signal::Signal;

use crate::{
    common::{
        BOUND, Greenroom, descriptors, ended, signal, taken, timed, wait_for,
        websocket::{BINARY, CLOSE, PING, PONG, TEXT, WebSocket},
    },
    door, gateway, on_demand, refused, with_chat,
};

const PATH: &str = "/upstream/chat/ws";

#[track_caller]
fn open(greenroom: &Greenroom) -> WebSocket {
    let answer = WebSocket::open(greenroom.port(0), PATH, "").expect("the door answers");
    answer.unwrap_or_else(|head| panic!("no WebSocket: {head}"))
}

#[test]
fn messages_of_every_kind_and_size_go_both_ways_and_nobody_counts_them_as_work() {
    let greenroom = with_chat("", "");
    let headers = "Sec-WebSocket-Protocol: chat, other\r\nX-Mine: 1\r\n";
    let mut socket = WebSocket::open(greenroom.port(0), PATH, headers).expect("it answers").expect("a WebSocket");
    let head = socket.head.to_ascii_lowercase();
    assert!(head.contains("sec-websocket-protocol: chat\r\n") && head.contains("upgrade: websocket\r\n"), "{head}");
    assert!(!head.contains("transfer-encoding") && !head.contains("content-length"), "{head}");
    let large: Vec<u8> = (0..3_000_000_u32).map(|n| n as u8).collect();
    let echo = |socket: &mut WebSocket, kind: u8, body: &[u8], back: u8| {
        let mut second = socket.second();
        thread::scope(|scope| {
            scope.spawn(move || second.send(kind, body).expect("it is taken"));
            assert!(socket.receive().expect("an answer") == (back, body.to_vec()), "{kind}: {} bytes", body.len());
        });
    };
    echo(&mut socket, TEXT, "Grüße".as_bytes(), TEXT);
    echo(&mut socket, BINARY, &large, BINARY);
    echo(&mut socket, PING, b"are you there", PONG);
    echo(&mut socket, BINARY, b"", BINARY);
    assert_eq!(greenroom.service("chat")["in_flight"], 0, "an open one is no work");
    // The client closes: what it says last arrives, and is answered.
    socket.send(CLOSE, &1000_u16.to_be_bytes()).expect("it is taken");
    assert_eq!(socket.receive().expect("an answer"), (CLOSE, vec![3, 232]));
    assert_eq!(socket.rest().expect("the end"), b"");
    // The service closes.
    let mut socket = open(&greenroom);
    socket.send(TEXT, b"bye").expect("it is taken");
    assert_eq!(socket.receive().expect("its last word"), (CLOSE, vec![3, 232]));
    assert_eq!(socket.rest().expect("the end"), b"");
}

#[test]
fn what_a_client_says_before_it_leaves_arrives_and_nothing_is_left_open() {
    let greenroom = with_chat("", "");
    drop(open(&greenroom));
    let service = greenroom.service_pid("chat");
    let both = || (descriptors(greenroom.pid()), descriptors(service));
    let mut before = both();
    wait_for("it is quiet", BOUND, || {
        let now = both();
        std::mem::replace(&mut before, now) == now
    });
    let sockets: Vec<_> = (0..20).map(|_| open(&greenroom)).collect();
    assert!(descriptors(service) >= before.1 + 15, "each has a connection of its own");
    for mut socket in sockets {
        socket.send(TEXT, b"and off").expect("it is taken");
    }
    wait_for("all are closed", BOUND, || {
        let now = both();
        now.0 <= before.0 && now.1 <= before.1
    });
}

#[test]
fn a_side_that_does_not_read_holds_the_other_one_back_and_no_memory() {
    const EACH: usize = 1 << 20;
    const COUNT: usize = 96;
    let greenroom = with_chat("", "");
    let mut socket = open(&greenroom);
    let before = taken(greenroom.pid());
    let mut writer = socket.second();
    let sent = std::sync::atomic::AtomicUsize::new(0);
    thread::scope(|scope| {
        scope.spawn(|| {
            for n in 0..COUNT {
                writer.send(BINARY, &vec![n as u8; EACH]).expect("it is taken in the end");
                sent.fetch_add(1, std::sync::atomic::Ordering::Release);
            }
        });
        // Nobody reads the echo: sooner or later nothing more is taken.
        let count = || sent.load(std::sync::atomic::Ordering::Acquire);
        let mut seen = usize::MAX;
        wait_for("it stands still", BOUND, || {
            crate::common::pause(Duration::from_millis(400));
            std::mem::replace(&mut seen, count()) == count()
        });
        assert!(seen < COUNT, "all of it went somewhere");
        let grown = taken(greenroom.pid()).saturating_sub(before);
        assert!(grown < 8 << 20, "{grown} bytes more in the runtime with {seen} MiB sent");
        for n in 0..COUNT {
            assert!(socket.receive().expect("the echo") == (BINARY, vec![n as u8; EACH]), "the {n}-th");
        }
    });
}

#[test]
fn only_what_wake_on_names_loads_and_an_open_one_keeps_nothing_in_memory() {
    let greenroom = Greenroom::running(|g| {
        gateway(g, "")
            + &on_demand(g, "chat", "", "wake_on = [\"POST /v1/*\"]")
            + &on_demand(g, "other", "", "wake_on = [\"GET /ws\"]")
    });
    let refused_one = WebSocket::open(greenroom.port(0), PATH, "").expect("it answers").expect_err("no WebSocket");
    assert!(refused_one.starts_with("HTTP/1.1 503 ") && refused_one.contains("not_loaded"), "{refused_one}");
    assert_eq!(greenroom.state("chat"), "stopped");
    let other = WebSocket::open(greenroom.port(0), "/upstream/other/ws", "").expect("it answers");
    let mut other = other.expect("it is loaded for it");
    assert_eq!(greenroom.state("other"), "ready");
    greenroom.cli(&["load", "chat"]).expect(0);
    let mut chat = open(&greenroom);
    for socket in [&mut other, &mut chat] {
        socket.send(TEXT, b"hello").expect("it is taken");
        assert_eq!(socket.receive().expect("the echo"), (TEXT, b"hello".to_vec()));
    }
    let (_, took) = timed(|| greenroom.cli(&["offload", "chat", "other"]).expect(0));
    assert!(took < Duration::from_secs(15), "nobody waits for them: {took:?}");
    assert_eq!((chat.rest().expect("the end"), other.rest().expect("the end")), (vec![], vec![]));
}

#[test]
fn it_ends_with_its_run_and_with_the_door() {
    let greenroom = with_chat("", "");
    let mut socket = open(&greenroom);
    let pid = greenroom.service_pid("chat");
    signal(pid, Signal::SIGKILL);
    // A reset is an end as well.
    socket.rest().ok();
    wait_for("it listens no more", BOUND, || ended(pid));
    let mut socket = open(&greenroom);
    let mut silent = open(&greenroom);
    socket.send(TEXT, b"still there").expect("it is taken");
    socket.receive().expect("the echo");
    greenroom.signal(Signal::SIGTERM);
    let (code, took) = greenroom.wait(BOUND);
    assert!(code == 0 && took < Duration::from_secs(15), "{code} after {took:?}:\n{}", greenroom.output());
    socket.rest().ok();
    silent.rest().ok();
    greenroom.assert_clean();
}

#[test]
fn what_is_no_handshake_is_refused_and_another_answer_is_passed_on() {
    let greenroom = Greenroom::running(|g| gateway(g, "api_keys = [\"sk\"]") + &on_demand(g, "chat", "", ""));
    let say = |path: &str, headers: &str| {
        let headers = format!("x-api-key: sk\r\n{headers}");
        WebSocket::open(greenroom.port(0), path, &headers).expect("it answers")
    };
    let stranger = WebSocket::open(greenroom.port(0), PATH, "").expect("it answers").expect_err("no WebSocket");
    assert!(stranger.starts_with("HTTP/1.1 401 "), "{stranger}");
    assert_eq!(greenroom.state("chat"), "stopped");
    // The service answers, and not with 101: as it came, and then the connection ends, of which nobody knows any more what
    // comes on it.
    let answer = say("/upstream/chat/v1/models", "").expect_err("no WebSocket");
    assert!(answer.starts_with("HTTP/1.1 200 ") && answer.ends_with("}]}"), "{answer}");
    let answer = say("/upstream/chat/health", "Content-Length: 4\r\n").expect_err("no WebSocket");
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
    for (method, path) in [("POST", "/upstream/chat/ws"), ("POST", crate::CHAT)] {
        let headers = "x-api-key: sk\r\nUpgrade: websocket\r\n";
        let answer = door(&greenroom).ask(method, path, headers, "{\"model\":\"chat\"}").expect("it answers");
        refused(&answer, 400, "invalid_request");
    }
    // Something else than a WebSocket may be ignored, and is.
    let answer = door(&greenroom).ask("GET", "/upstream/chat/health", "x-api-key: sk\r\nUpgrade: h2c\r\n", "");
    assert_eq!(answer.expect("it answers").status, 200);
}
