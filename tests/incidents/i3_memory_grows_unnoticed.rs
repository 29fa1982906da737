//! I3: memory grows, with each generation or by itself, and nobody notices until the machine dies.

use serde_json::{Value, json};

use crate::common::{BOUND, Greenroom, Http, stopwatch, taken, wait_for, wait_until};

/// A service `engine` with these options and limits, and `steady`, which is watched alike and does nothing wrong.
fn config(greenroom: &Greenroom, options: &str, limits: &str) -> String {
    let engine = greenroom.stand_in("engine", &format!("--port ${{port}} --memory 16MiB {options}"));
    let steady = greenroom.stand_in("steady", "--port ${port} --memory 16MiB");
    format!(
        r#"
[watchdog]
interval = "100ms"

[service.engine]
command = {engine}
ready = "/health"
start = "eager"
{limits}

[service.steady]
command = {steady}
ready = "/health"
start = "eager"
{limits}
"#
    )
}

/// What is to be told apart: the run and its process.
#[track_caller]
fn run(greenroom: &Greenroom, name: &str) -> Value {
    greenroom.wait_state(name, "ready");
    greenroom.service(name)["run_id"].clone()
}

#[track_caller]
fn wait_replaced(greenroom: &Greenroom, name: &str, before: &Value) {
    let is_new = || {
        let service = greenroom.service(name);
        service["state"] == "ready" && &service["run_id"] != before
    };
    wait_for(&format!("{name} is ready in another run"), BOUND, is_new);
}

#[test]
fn i3_a_leak_while_idle_is_noticed_within_its_window_and_the_service_replaced() {
    let greenroom = Greenroom::running(|g| config(g, "--leak 20MiB/s", "limits.growth = \"20MiB/2s\""));
    let (first, steady) = (run(&greenroom, "engine"), run(&greenroom, "steady"));
    let began = stopwatch();
    let alert = greenroom.wait_alert(Some("engine"), "leak");
    let noticed = began.elapsed();
    assert_eq!(alert["severity"], "warning", "{alert:#}");
    crate::common::note(&format!("a leak with a window of 2 s was told after {noticed:?}"));
    wait_replaced(&greenroom, "engine", &first);
    assert_eq!(run(&greenroom, "steady"), steady, "who does not grow is left alone");
    assert!(greenroom.alerts(Some("steady")).is_empty());
    // It was no failure: nothing is counted against it.
    assert_eq!(greenroom.service("engine")["restarts"]["consecutive"], 0);
    greenroom.shutdown_clean();
    greenroom.assert_clean();
}

#[test]
fn i3_what_it_takes_for_work_that_it_has_answered_already_is_no_leak() {
    let greenroom = Greenroom::running(|g| {
        let queue = g.stand_in("queue", "--port ${port} --memory 16MiB --leak 20MiB/s --busy-ms 6000");
        format!(
            r#"
[gateway]
listen = "127.0.0.1:{}"

[watchdog]
interval = "100ms"

[service.queue]
command = {queue}
ready = "/health"
busy = {{ http = "/queue", nonempty = ["queue_running", "queue_pending"] }}
limits.growth = "20MiB/2s"
limits.on_exceed = "warn"
"#,
            g.port(0)
        )
    });
    // The order that loads it, so that it has something to do from its first moment on.
    let ask = |method: &str, path: &str| {
        let door = Http::Tcp(greenroom.port(0));
        door.ask(method, &format!("/upstream/queue{path}"), "", "{}").expect("the door answers")
    };
    assert_eq!(ask("POST", "/prompt").status, 200);
    assert_eq!(greenroom.service("queue")["in_flight"], 0, "it has answered");
    greenroom.wait_alert(Some("queue"), "leak");
    let queue = ask("GET", "/queue").json();
    assert_eq!(queue["queue_running"], json!([]), "it was told of while it worked");
}

#[test]
fn i3_whoever_is_at_work_is_not_replaced_before_the_answer_has_ended() {
    let limits = "limits.ram = \"64MiB\"\nlimits.on_exceed = \"restart_when_idle\"";
    let gateway = |g: &Greenroom| format!("[gateway]\nlisten = \"127.0.0.1:{}\"\n", g.port(0));
    let greenroom = Greenroom::running(|g| gateway(g) + &config(g, "--leak-per-request 80MiB --token-ms 50", limits));
    let first = run(&greenroom, "engine");
    // What it holds when it is seen first is its own.
    greenroom.wait_watched("engine");
    let door = Http::Tcp(greenroom.port(0));
    let body = json!({ "model": "engine", "max_tokens": 60, "stream": true });
    let answer = door.post("/v1/chat/completions", Some(&body)).expect("an answer");
    // Its three seconds are many intervals: the limit was passed at their beginning.
    assert!(answer.status == 200 && answer.body.contains("[DONE]"), "{}", answer.body);
    let told = greenroom.wait_alert(Some("engine"), "ram_limit");
    assert_eq!(told["severity"], "warning", "{told:#}");
    wait_replaced(&greenroom, "engine", &first);
    assert!(taken(greenroom.service_pid("engine")) < 64 << 20, "what it held is gone");
    greenroom.shutdown_clean();
    greenroom.assert_clean();
}

#[test]
fn i3_on_exceed_says_what_follows() {
    for (on_exceed, state) in [("warn", "ready"), ("restart", "ready"), ("stop", "stopped")] {
        let limits = format!("limits.ram = \"64MiB\"\nlimits.on_exceed = \"{on_exceed}\"");
        let greenroom = Greenroom::running(|g| config(g, "--leak-per-request 80MiB", &limits));
        let first = run(&greenroom, "engine");
        greenroom.wait_watched("engine");
        assert_eq!(
            greenroom.engine("engine").post("/v1/chat/completions", Some(&json!({}))).expect("an answer").status,
            200
        );
        greenroom.wait_alert(Some("engine"), "ram_limit");
        wait_until(&format!("{on_exceed}: {state}"), BOUND, || {
            let service = greenroom.service("engine");
            let is_new = service["run_id"] != first;
            (service["state"] == state && (is_new == (on_exceed == "restart") || state == "stopped")).then_some(())
        });
        assert_eq!(greenroom.starts("engine"), if on_exceed == "restart" { 2 } else { 1 }, "{on_exceed}");
        greenroom.shutdown_clean();
        greenroom.assert_clean();
    }
}

#[test]
fn i3_nothing_is_watched_where_it_is_switched_off() {
    let greenroom = Greenroom::running(|g| {
        config(g, "--leak-per-request 80MiB", "limits.ram = \"32MiB\"")
            .replace("interval = \"100ms\"", "enabled = false")
    });
    let first = run(&greenroom, "engine");
    assert_eq!(
        greenroom.engine("engine").post("/v1/chat/completions", Some(&json!({}))).expect("an answer").status,
        200
    );
    let pid = greenroom.service_pid("engine");
    wait_for("it is past its limit", BOUND, || taken(pid) > 64 << 20);
    assert_eq!(run(&greenroom, "engine"), first);
    assert!(greenroom.alerts(Some("engine")).is_empty());
    greenroom.shutdown_clean();
    greenroom.assert_clean();
}
