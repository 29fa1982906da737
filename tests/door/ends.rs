//! The end of a runtime with requests in flight.

use std::{fs, time::Duration};

use nix::sys::signal::Signal;

use crate::{
    chat, chat_at,
    common::{BOUND, Greenroom, timed, wait_for},
    door, gateway, on_demand, refused, tokens, with_chat,
};

#[test]
fn what_is_in_flight_is_answered_and_who_waits_or_comes_is_sent_away() {
    let greenroom = Greenroom::running(|g| {
        gateway(g, "") + &on_demand(g, "chat", "--token-ms 100", "") + &on_demand(g, "slow", "--load-ms 60000", "")
    });
    let mut stream = tokens(&greenroom, 20);
    stream.next().expect("a token");
    std::thread::scope(|scope| {
        let door = door(&greenroom);
        let waiting = scope.spawn(move || chat_at(&door, "slow"));
        wait_for("it is being loaded", BOUND, || greenroom.state("slow") == "starting");
        greenroom.signal(Signal::SIGTERM);
        refused(&waiting.join().expect("it is answered"), 503, "stopping");
    });
    wait_for("newcomers are turned away", BOUND, || door(&greenroom).get("/health").is_err());
    let mut tokens = 1;
    while stream.next().is_some() {
        tokens += 1;
    }
    assert_eq!(tokens, 21, "the answer came to its end");
    assert_eq!(greenroom.wait(BOUND).0, 0, "{}", greenroom.output());
    greenroom.assert_clean();
}

#[test]
fn an_answer_that_does_not_end_delays_the_end_for_its_drain_alone() {
    let greenroom = Greenroom::new();
    let config = format!("[runtime.shutdown]\ndrain = \"500ms\"\n{}", gateway(&greenroom, ""));
    greenroom.configure(&(config + &on_demand(&greenroom, "chat", "--token-ms 100", "")));
    greenroom.start();
    let mut stream = tokens(&greenroom, 100_000);
    stream.next().expect("a token");
    let ((code, _), took) = timed(|| {
        greenroom.signal(Signal::SIGTERM);
        greenroom.wait(BOUND)
    });
    assert_eq!(code, 0, "{}", greenroom.output());
    assert!(took >= Duration::from_millis(500) && took < Duration::from_secs(15), "{took:?}");
    greenroom.assert_clean();
}

#[test]
fn a_second_signal_waits_for_nobody() {
    let greenroom = with_chat("--token-ms 100", "");
    let mut stream = tokens(&greenroom, 100_000);
    stream.next().expect("a token");
    greenroom.signal(Signal::SIGTERM);
    wait_for("the stop has begun", BOUND, || greenroom.state("chat") == "draining");
    greenroom.signal(Signal::SIGTERM);
    let (code, took) = greenroom.wait(BOUND);
    // The drain alone is ten seconds.
    assert!(code == 5 && took < Duration::from_secs(8), "{code} after {took:?}");
}

#[test]
fn an_idle_door_closes_at_once_whoever_is_connected() {
    let greenroom = with_chat("", "");
    assert_eq!(chat(&greenroom, "chat").status, 200);
    // One that has asked and keeps its connection, and one that has said nothing yet.
    let request = "GET /health HTTP/1.1\r\nHost: x\r\n\r\n";
    let _asked = door(&greenroom).say(request).expect("the door listens");
    let _silent = door(&greenroom).say("").expect("the door listens");
    greenroom.signal(Signal::SIGTERM);
    let (code, took) = greenroom.wait(BOUND);
    // Were they waited for, it would be for the ten seconds that a head may take, or those of the drain.
    assert!(code == 0 && took < Duration::from_secs(8), "{code} after {took:?}:\n{}", greenroom.output());
    greenroom.assert_clean();
}

/// Threads of the runtime that take in connections: one for the control socket, one for the door once it serves.
fn accepting(greenroom: &Greenroom) -> usize {
    let threads = fs::read_dir(format!("/proc/{}/task", greenroom.pid())).expect("the runtime lives").flatten();
    let names = threads.filter_map(|thread| fs::read_to_string(thread.path().join("comm")).ok());
    names.filter(|name| name.starts_with("actix-server")).count()
}

#[test]
fn the_doors_threads_come_with_the_first_guest_and_nobody_has_to_knock_for_it_to_close() {
    let greenroom = with_chat("", "");
    assert_eq!(accepting(&greenroom), 1);
    assert_eq!(door(&greenroom).get("/health").expect("an answer").status, 200);
    assert_eq!(accepting(&greenroom), 2);
    greenroom.shutdown_clean();

    let unused = with_chat("", "");
    assert_eq!(accepting(&unused), 1);
    unused.shutdown_clean();
}
