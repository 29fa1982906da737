//! An engine can answer its probe and be of no use, or be slow and well.

use std::time::Duration;

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::{
    CHAT,
    common::{BOUND, Greenroom, Http, llama, note, signal, stopwatch, wait_for},
    gateway, ready_run, service, wait_replaced, watchdog, word,
};

#[test]
fn an_engine_that_answers_its_health_and_generates_nothing_is_restarted() {
    let keys = "engine = \"llama-server\"\nalive.interval = \"100ms\"\nalive.generation = { every = \"200ms\", timeout = \"4s\" }";
    let greenroom = Greenroom::running(|g| {
        watchdog("") + &service(g, "chat", "--wedge-after 3", keys) + &service(g, "other", "", "")
    });
    let run = ready_run(&greenroom, "chat");
    let other = ready_run(&greenroom, "other");
    for _ in 0..3 {
        assert_eq!(word(&greenroom, "chat").status, 200);
    }
    let began = stopwatch();
    assert_eq!(greenroom.engine("chat").get("/health").expect("an answer").status, 200, "it says that it is well");
    wait_replaced(&greenroom, "chat", &run);
    note(&format!("a wedged engine was replaced after {:?}", began.elapsed()));
    let exit = greenroom.service("chat")["last_exit"].clone();
    assert_eq!(exit["class"], "timeout", "{exit:#}");
    assert_eq!(word(&greenroom, "chat").status, 200, "it generates again");
    assert_eq!(ready_run(&greenroom, "other"), other);
    greenroom.shutdown_clean();
    greenroom.assert_clean();
}

#[test]
fn an_engine_that_asks_for_a_key_is_asked_with_its_own_or_else_it_is_said_that_nothing_is_noticed() {
    const KEY: &str = "hunter-22-of-the-engine";
    let keys = "engine = \"llama-server\"\nalive.generation = { every = \"200ms\", timeout = \"500ms\" }";
    let greenroom = Greenroom::running(|g| {
        let hidden = g.stand_in_line("hidden", &format!("--port ${{port}} --wedge-after 0 --api-key {KEY}"));
        let hidden = g.shell(&format!("exec {hidden}"));
        format!(
            "{}{}[service.hidden]\ncommand = {hidden}\nready = \"/health\"\nstart = \"eager\"\n{keys}\n",
            watchdog(""),
            service(g, "chat", &format!("--wedge-after 0 --api-key {KEY}"), keys)
        )
    });
    let hidden = ready_run(&greenroom, "hidden");
    assert_eq!(word(&greenroom, "hidden").status, 401, "the stand-in asks for its key");
    let run = ready_run(&greenroom, "chat");
    wait_replaced(&greenroom, "chat", &run);
    let why = greenroom.service("chat")["last_exit"]["class"].clone();
    assert_eq!(why, "timeout");
    let warned = || greenroom.output().matches("alive.generation notices nothing").count();
    wait_for("it is said that nothing is noticed", BOUND, || warned() > 0);
    let said = greenroom.output();
    for part in ["hidden", "POST /completion answers 401", "--api-key", "LLAMA_API_KEY"] {
        assert!(said.contains(part), "{part}: {said}");
    }
    // Some more questions of the same run, as the other engine's next end shows.
    let run = ready_run(&greenroom, "chat");
    wait_replaced(&greenroom, "chat", &run);
    assert_eq!((warned(), ready_run(&greenroom, "hidden")), (1, hidden));
    assert!(!greenroom.output().contains(KEY), "a key is in the log: {}", greenroom.output());
    greenroom.shutdown_clean();
    greenroom.assert_clean();
}

#[test]
fn a_token_that_is_asked_for_is_no_work() {
    let keys =
        "engine = \"llama-server\"\nidle_timeout = \"1s\"\nalive.generation = { every = \"100ms\", timeout = \"5s\" }";
    let greenroom = Greenroom::running(|g| watchdog("") + &service(g, "chat", "", keys));
    greenroom.wait_was("chat", "ready");
    // It would never be idle if that counted.
    greenroom.wait_state("chat", "offloaded");
    greenroom.shutdown_clean();
    greenroom.assert_clean();
}

#[test]
fn a_real_llama_server_gives_its_token_and_is_left_alone() {
    let Some(server) = llama::server() else { return };
    let greenroom = Greenroom::running(|g| {
        let shape = crate::common::gguf::Shape::default();
        crate::common::gguf::write(&g.folder().join("model.gguf"), shape).expect("the test's folder is writable");
        format!(
            "{}[service.chat]\ncommand = [\"{}\", \"--port\", \"${{port}}\", \"-m\", \"${{model_file}}\", \"-c\", \"1024\", \"-np\", \"1\", \
             \"-ngl\", \"0\", \"--device\", \"none\", \"--cache-ram\", \"0\", \"-fit\", \"off\", \"--metrics\", \"--api-key\", \"of-the-engine,another\"]\nmodel_file = \"model.gguf\"\n\
             gpu = \"none\"\nstart = \"eager\"\nalive.generation = {{ every = \"50ms\", timeout = \"20s\" }}\n",
            watchdog(""),
            server.display()
        )
    });
    let run = ready_run(&greenroom, "chat");
    let tokens = || {
        let figures = greenroom
            .engine("chat")
            .ask("GET", "/metrics", "Authorization: Bearer another\r\n", "")
            .expect("an answer")
            .body;
        let generated = figures.lines().find_map(|line| line.strip_prefix("llamacpp:tokens_predicted_total "));
        generated.and_then(|count| count.trim().parse::<f64>().ok()).unwrap_or_default()
    };
    wait_for("it has generated some tokens", BOUND, || tokens() >= 3.0);
    assert_eq!(ready_run(&greenroom, "chat"), run);
    greenroom.shutdown_clean();
    greenroom.assert_clean();
}

/// How long a try of the probe may take: one that is merely late on a machine that has other work does not fail twice.
const TRY: Duration = Duration::from_secs(2);

/// A chat whose probe is asked often, and which may be silent for so long while it works.
fn probed(greenroom: &Greenroom, busy_timeout: &str) -> String {
    let keys = format!(
        "alive.probe = \"/health\"\nalive.interval = \"100ms\"\nalive.timeout = \"{}s\"\nalive.failures = 2\n\
         alive.busy_timeout = \"{busy_timeout}\"",
        TRY.as_secs()
    );
    gateway(greenroom) + &watchdog("") + &service(greenroom, "chat", "--token-ms 20", &keys)
}

/// Somebody who waits for tokens, one after the other, for longer than the test lasts.
fn working(greenroom: &Greenroom) -> crate::common::EventReader {
    let body = json!({ "model": "chat", "stream": true, "max_tokens": 100_000 });
    let events = Http::Tcp(greenroom.port(0)).post_events(CHAT, &body).expect("the door answers");
    wait_for("it works", BOUND, || greenroom.service("chat")["in_flight"] == 1);
    events
}

#[test]
fn a_busy_service_that_does_not_answer_is_unready_and_goes_on_when_it_answers_again() {
    let greenroom = Greenroom::running(|g| probed(g, "60s"));
    let run = ready_run(&greenroom, "chat");
    let reader = working(&greenroom);
    let pid = greenroom.service_pid("chat");
    signal(pid, Signal::SIGSTOP);
    greenroom.wait_state("chat", "unready");
    signal(pid, Signal::SIGCONT);
    assert_eq!(ready_run(&greenroom, "chat"), run, "nothing busy is ended");
    drop(reader);
    greenroom.shutdown_clean();
    greenroom.assert_clean();
}

#[test]
fn a_busy_service_without_progress_for_its_bound_is_restarted() {
    let greenroom = Greenroom::running(|g| probed(g, "1s"));
    let run = ready_run(&greenroom, "chat");
    let reader = working(&greenroom);
    signal(greenroom.service_pid("chat"), Signal::SIGSTOP);
    wait_replaced(&greenroom, "chat", &run);
    greenroom.wait_told("chat");
    let is_end = |event: &&Value| event["service"] == "chat" && event["to"] == "stopping";
    let end = greenroom.events().iter().find(is_end).cloned().expect("it was stopped");
    let why = end["reason"].as_str().unwrap_or_default();
    assert!(why.contains("it has not got on for 1s"), "for its bound, and not for two tries: {end:#}");
    drop(reader);
    greenroom.shutdown_clean();
    greenroom.assert_clean();
}

#[test]
fn an_idle_service_that_does_not_answer_is_restarted_at_once() {
    let greenroom = Greenroom::running(|g| probed(g, "10m"));
    let run = ready_run(&greenroom, "chat");
    signal(greenroom.service_pid("chat"), Signal::SIGSTOP);
    wait_replaced(&greenroom, "chat", &run);
    greenroom.shutdown_clean();
    greenroom.assert_clean();
}
