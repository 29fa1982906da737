//! A service that is killed in the middle of its streams, again and again: each client gets an end, and the next one is
//! answered by another run.

use nix::sys::signal::Signal;
use serde_json::json;

use crate::{
    chat_at,
    common::{BOUND, Greenroom, descriptors, ended, signal, wait_for},
    door, gateway, runs, tokens,
};

/// How often; the variable asks for more.
fn times() -> usize {
    std::env::var("GREENROOM_TEST_KILLS").ok().and_then(|times| times.parse().ok()).unwrap_or(20)
}

#[test]
fn each_client_of_a_killed_service_gets_an_end_and_the_next_one_an_answer() {
    let greenroom = Greenroom::running(|g| {
        let command = g.stand_in("chat", "--port ${port} --token-ms 5");
        gateway(g, "")
            + &format!(
                "[service.chat]\ncommand = {command}\nready = \"/health\"\n\
                 restart = {{ max = 1000000, backoff = \"5ms..20ms\" }}\n"
            )
    });
    let mut before = 0;
    for n in 1..=times() {
        let mut streams: Vec<_> = (0..3).map(|_| tokens(&greenroom, 1_000_000)).collect();
        for stream in &mut streams {
            assert_eq!(stream.next().expect("a token").data["system_fingerprint"], "chat");
        }
        let pid = greenroom.service_pid("chat");
        signal(pid, Signal::SIGKILL);
        std::thread::scope(|scope| {
            // One who comes just now waits for the next run.
            let at = door(&greenroom);
            let newcomer = scope.spawn(move || chat_at(&at, "chat"));
            for mut stream in streams {
                let mut last = None;
                while let Some(event) = stream.next() {
                    last = Some(event.data);
                }
                let error = last.map(|last| last["error"].clone()).unwrap_or_default();
                assert_eq!((&error["code"], &error["signal"]), (&json!("upstream_closed"), &json!(9)), "{n}: {error}");
            }
            let answer = newcomer.join().expect("it is answered");
            // It may have come while the run was dying: what was sent to it is not sent again.
            let is_told = answer.status == 502 && answer.json()["error"]["code"] == "upstream_closed";
            assert!(answer.status == 200 || is_told, "{n}: {answer:?}");
        });
        wait_for("nobody is in", BOUND, || greenroom.service("chat")["in_flight"] == 0);
        // Until then it may still take a connection, of which nothing comes.
        wait_for("it listens no more", BOUND, || ended(pid));
        if n == times() / 2 {
            before = descriptors(greenroom.pid());
        }
    }
    greenroom.wait_state("chat", "ready");
    assert_eq!(chat_at(&door(&greenroom), "chat").status, 200);
    assert!(runs(&greenroom, "chat") > times().min(99), "each kill was followed by another run");
    // Connections to runs that are no more are closed.
    wait_for("nothing piles up", BOUND, || descriptors(greenroom.pid()) <= before + 8);
    greenroom.shutdown_clean();
    greenroom.assert_clean();
}
