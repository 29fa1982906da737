//! Streams: how much later each piece comes, and what those cost on which nothing comes.

use std::{
    io::{BufRead, BufReader, Write},
    net::TcpStream,
    thread,
};

use greenroom::actors::os::clock;

use crate::{
    CHAT, Way,
    process::{PATIENCE, resident},
    servers::PIECES,
};

/// Streams that are open at once.
const IDLE: usize = 2000;
/// Threads that open them.
const OPENERS: usize = 8;
const BODY: &str = r#"{"model":"upstream","stream":true}"#;

/// A stream that has been asked for.
fn open(port: u16, query: &str) -> BufReader<TcpStream> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).expect("it listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("a socket");
    stream.set_nodelay(true).expect("a socket");
    let length = BODY.len();
    let head = format!("POST {CHAT}?{query} HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\n");
    write!(stream, "{head}Content-Length: {length}\r\n\r\n{BODY}").expect("it is taken");
    BufReader::new(stream)
}

/// When the next event was sent and when it came, in microseconds; chunk sizes and blank lines are passed over.
fn next(stream: &mut BufReader<TcpStream>) -> (i64, i64) {
    let mut line = String::new();
    loop {
        line.clear();
        assert!(stream.read_line(&mut line).expect("an event in time") > 0, "it ended early");
        if let Some(sent) = line.strip_prefix("data: ") {
            return (sent.trim().parse().expect("a time"), clock::wall().as_micros());
        }
    }
}

/// From the moment in which the upstream sends a piece until the client has it.
pub fn delays(ways: &[Way<'_>]) {
    println!("a stream of {PIECES} pieces, from the upstream's sending to the client's reading");
    println!("{:<26} {:>10} {:>10} {:>10}", "", "median", "99 %", "worst");
    for way in ways {
        let mut stream = open(way.port, "stream");
        let mut delays: Vec<i64> = (0..PIECES).map(|_| next(&mut stream)).map(|(sent, came)| came - sent).collect();
        delays.sort_unstable();
        let at = |percent: usize| delays[(delays.len() * percent / 100).min(delays.len() - 1)];
        println!("{:<26} {:>7} us {:>7} us {:>7} us", way.name, at(50), at(99), at(100));
    }
}

/// What streams cost on which nothing comes.
pub fn idle(port: u16, runtime: i32) {
    let before = resident(runtime);
    let streams: Vec<BufReader<TcpStream>> = thread::scope(|scope| {
        let open = || {
            let open = |_| {
                let mut stream = open(port, "idle");
                next(&mut stream);
                stream
            };
            (0..IDLE / OPENERS).map(open).collect::<Vec<_>>()
        };
        let openers: Vec<_> = (0..OPENERS).map(|_| scope.spawn(open)).collect();
        openers.into_iter().flat_map(|opener| opener.join().expect("they open")).collect()
    });
    let grown = resident(runtime).saturating_sub(before);
    let open = streams.len();
    println!("{open} idle streams: {:.1} MB, {:.1} KB each", grown as f64 / 1e6, grown as f64 / 1e3 / open as f64);
}
