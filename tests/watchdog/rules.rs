//! What a program that goes on running says of a failure, and what its rule wants done.

use serde_json::json;

use crate::{
    CHAT,
    common::{BOUND, Greenroom, Http, wait_for},
    gateway, ready_run, service, wait_replaced, watchdog,
};

/// A chat that says not-a-number at each request, which its own rule takes for a failure of the driver.
fn saying(greenroom: &Greenroom, action: &str) -> String {
    let rule = format!("[[service.chat.failure]]\npattern = \"NansException\"\nclass = \"driver\"\n{action}\n");
    gateway(greenroom)
        + &watchdog("")
        + &service(greenroom, "chat", "--nan-per-request", "restart.backoff = \"10ms..10ms\"")
        + &rule
}

fn acting(action: &str) -> Greenroom {
    Greenroom::running(|g| saying(g, &format!("action = \"{action}\"")))
}

/// Has it say so. What is done about it may come before the end of its answer.
fn provoke(greenroom: &Greenroom) {
    greenroom.engine("chat").post(CHAT, Some(&json!({ "max_tokens": 1 }))).ok();
}

/// How many lines about it are in its log.
fn said(greenroom: &Greenroom) -> usize {
    greenroom.cli(&["logs", "-n", "100000", "chat"]).text().matches("NansException").count()
}

#[test]
fn restart_takes_place_each_time() {
    let greenroom = acting("restart");
    for _ in 0..2 {
        let run = ready_run(&greenroom, "chat");
        provoke(&greenroom);
        wait_replaced(&greenroom, "chat", &run);
    }
    let exit = greenroom.service("chat")["last_exit"].clone();
    assert_eq!(exit["class"], "driver", "{exit:#}");
    assert_eq!(greenroom.starts("chat"), 3);
    greenroom.shutdown_clean();
    greenroom.assert_clean();
}

#[test]
fn restart_once_takes_place_once() {
    let greenroom = acting("restart_once");
    let run = ready_run(&greenroom, "chat");
    provoke(&greenroom);
    wait_replaced(&greenroom, "chat", &run);
    let second = ready_run(&greenroom, "chat");
    provoke(&greenroom);
    wait_for("it is told again", BOUND, || greenroom.levels("chat", "driver").len() >= 2);
    assert_eq!((ready_run(&greenroom, "chat"), greenroom.starts("chat")), (second, 2));
    greenroom.shutdown_clean();
    greenroom.assert_clean();
}

#[test]
fn stop_leaves_it_down() {
    let greenroom = acting("stop");
    greenroom.wait_state("chat", "ready");
    provoke(&greenroom);
    greenroom.wait_state("chat", "stopped");
    let refused = Http::Tcp(greenroom.port(0)).post(CHAT, Some(&json!({ "model": "chat" }))).expect("the door answers");
    assert_eq!((refused.status, &refused.json()["error"]["code"]), (503, &json!("service_stopped")), "{refused:?}");
    greenroom.cli(&["start", "chat"]).expect(0);
    greenroom.shutdown_clean();
    greenroom.assert_clean();
}

#[test]
fn quarantine_lets_nobody_start_it_but_a_person() {
    let greenroom = acting("quarantine");
    greenroom.wait_state("chat", "ready");
    provoke(&greenroom);
    greenroom.wait_state("chat", "quarantined");
    let refused = Http::Tcp(greenroom.port(0)).post(CHAT, Some(&json!({ "model": "chat" }))).expect("the door answers");
    let error = &refused.json()["error"];
    assert_eq!((refused.status, &error["code"], &error["class"]), (502, &json!("start_failed"), &json!("driver")));
    let message = error["message"].as_str().expect("a sentence");
    for word in [
        "`chat` is quarantined: driver: ",
        "NansException",
        "; no request ends its quarantine",
        "`greenroom start chat`",
    ] {
        assert!(message.contains(word), "{word} is not in: {message}");
    }
    assert_eq!(greenroom.starts("chat"), 1, "the request has started nothing");
    let why = greenroom.cli(&["why", "chat"]).expect(0);
    assert!(why.stdout.contains("quarantined") && why.stdout.contains("driver"), "{why:?}");
    greenroom.cli(&["reset", "chat"]).expect(0);
    assert_eq!(greenroom.state("chat"), "stopped");
    greenroom.cli(&["start", "chat"]).expect(0);
    greenroom.wait_state("chat", "ready");
    greenroom.shutdown_clean();
    greenroom.assert_clean();
}

#[test]
fn what_it_says_while_it_loads_counts_once_it_is_ready() {
    let greenroom = Greenroom::running(|g| {
        let keys = "engine = \"a1111\"\nrestart.backoff = \"10ms..10ms\"";
        // Each run says so as soon as it has loaded, some time before it counts as ready.
        let chat = service(g, "chat", "--print-nan", keys);
        gateway(g) + &watchdog("") + &chat.replace("ready = \"/health\"", "ready.probe = { delay = \"1s\" }")
    });
    wait_for("two runs are told of", BOUND, || greenroom.levels("chat", "nan").len() >= 2);
    greenroom.wait_state("chat", "ready");
    let chat = greenroom.service("chat");
    assert_eq!(chat["last_exit"]["class"], "nan", "{chat:#}");
    assert_eq!(greenroom.starts("chat"), 2, "restarted once");
    greenroom.shutdown_clean();
    greenroom.assert_clean();
}

#[test]
fn what_says_so_at_each_load_is_given_up_and_no_loop() {
    let greenroom = Greenroom::running(|g| {
        let keys = "restart = { max = 3, backoff = \"10ms..10ms\" }";
        let rule = "[[service.chat.failure]]\npattern = \"NansException\"\nclass = \"driver\"\naction = \"restart\"\n";
        gateway(g) + &watchdog("") + &service(g, "chat", "--print-nan", keys) + rule
    });
    greenroom.wait_state("chat", "failed");
    assert_eq!(greenroom.starts("chat"), 3);
    assert_eq!(greenroom.service("chat")["last_exit"]["class"], "driver");
    greenroom.shutdown_clean();
    greenroom.assert_clean();
}

#[test]
fn none_names_a_cause_and_ends_nothing() {
    // Also what a rule is without an action.
    for action in ["action = \"none\"", ""] {
        let greenroom = Greenroom::running(|g| saying(g, action));
        let run = ready_run(&greenroom, "chat");
        for _ in 0..3 {
            provoke(&greenroom);
        }
        wait_for("it has said so", BOUND, || said(&greenroom) >= 3);
        crate::common::signal(greenroom.service_pid("chat"), nix::sys::signal::Signal::SIGKILL);
        wait_replaced(&greenroom, "chat", &run);
        assert_eq!(greenroom.starts("chat"), 2, "only since it was killed");
        assert_eq!(greenroom.service("chat")["last_exit"]["class"], "driver");
        greenroom.shutdown_clean();
        greenroom.assert_clean();
    }
}

#[test]
fn a_flood_of_the_same_line_is_told_once() {
    let greenroom = acting("restart_once");
    let run = ready_run(&greenroom, "chat");
    provoke(&greenroom);
    wait_replaced(&greenroom, "chat", &run);
    for _ in 0..200 {
        provoke(&greenroom);
    }
    wait_for("it has said so", BOUND, || said(&greenroom) >= 201);
    let told = greenroom.levels("chat", "driver").len();
    assert!(told <= 3, "{told} alerts");
    assert_eq!(greenroom.starts("chat"), 2);
    greenroom.shutdown_clean();
    greenroom.assert_clean();
}
