//! Live keys: they hold for the process that runs.

use std::fs;

use nix::sys::signal::Signal;

use crate::{
    common::{BOUND, Greenroom, signal, wait_for},
    reload, web,
};

/// A runtime with `web` ready, then reconfigured by `lines`, which must leave its process alone.
#[track_caller]
fn tuned(options: &str, before: &str, lines: &str) -> (Greenroom, i32) {
    let greenroom = Greenroom::running(|g| web(g, "web", options, before));
    greenroom.wait_state("web", "ready");
    let pid = greenroom.service_pid("web");
    greenroom.configure(&web(&greenroom, "web", options, lines));
    let report = reload(&greenroom, 0);
    assert_eq!(report["services"][0]["action"], "live", "{report:#}");
    assert_eq!(report["services"][0]["pid"], pid);
    (greenroom, pid)
}

#[test]
fn restart_max_holds_for_the_next_failure() {
    let (greenroom, pid) = tuned("", "", "restart.max = 0");
    signal(pid, Signal::SIGKILL);
    greenroom.wait_state("web", "failed");
    // With a change it gets another chance.
    greenroom.configure(&web(&greenroom, "web", "", "restart.max = 1"));
    reload(&greenroom, 0);
    assert_eq!(greenroom.state("web"), "ready");
    greenroom.shutdown_clean();
}

#[test]
fn names_are_shown_at_once() {
    let (greenroom, _) = tuned("", "", "serves = [\"gemma\", \"gemma-12b\"]");
    assert_eq!(greenroom.service("web")["serves"], serde_json::json!(["gemma", "gemma-12b"]));
    greenroom.shutdown_clean();
}

#[test]
fn a_failure_rule_reads_the_output_from_now_on() {
    let greenroom = Greenroom::new();
    let flag = greenroom.folder().join("flag");
    let script =
        format!("while [ ! -e {} ]; do sleep 0.05; done; echo the reactor is lost >&2; exit 3", flag.display());
    let service = format!("[service.job]\ncommand = {}\nrestart.policy = \"never\"\n", greenroom.shell(&script));
    greenroom.configure(&service);
    greenroom.start();
    greenroom.wait_state("job", "ready");
    let pid = greenroom.service_pid("job");
    greenroom.configure(&format!("{service}failure = [{{ pattern = \"reactor is lost\", class = \"driver\" }}]\n"));
    reload(&greenroom, 0);
    assert_eq!(greenroom.service_pid("job"), pid);
    fs::write(&flag, "").expect("written");
    greenroom.wait_state("job", "failed");
    assert_eq!(greenroom.service("job")["last_exit"]["class"], "driver");
    greenroom.shutdown_clean();
}

#[test]
fn a_liveness_probe_asks_the_process_that_runs() {
    let lines = "alive.probe = \"/nothing-there\"\nalive.interval = \"50ms\"\nalive.failures = 2\n";
    let (greenroom, pid) = tuned("", "", lines);
    wait_for("it is restarted, because it does not answer", BOUND, || {
        greenroom.service("web")["pid"].as_i64().is_some_and(|now| now != i64::from(pid))
    });
    greenroom.shutdown_clean();
}

#[test]
fn a_readiness_probe_is_asked_at_the_next_start() {
    let greenroom = Greenroom::running(|g| web(g, "web", "", ""));
    greenroom.wait_state("web", "ready");
    let pid = greenroom.service_pid("web");
    greenroom.configure(&web(&greenroom, "web", "", "").replace("\"/health\"", "{ probe = { log = \"never\" } }"));
    reload(&greenroom, 0);
    assert_eq!((greenroom.service_pid("web"), greenroom.state("web").as_str()), (pid, "ready"));
    greenroom.cli(&["restart", "--no-wait", "web"]).expect(0);
    wait_for("it starts anew", BOUND, || {
        let service = greenroom.service("web");
        service["state"] == "starting" && service["pid"].as_i64().is_some_and(|now| now != i64::from(pid))
    });
    // Applied to a start that goes on, too.
    greenroom.configure(&web(&greenroom, "web", "", ""));
    reload(&greenroom, 0);
    greenroom.wait_state("web", "ready");
    greenroom.shutdown_clean();
}

#[test]
fn how_it_is_stopped_is_looked_up_when_it_is_stopped() {
    let (greenroom, _) = tuned("--ignore-signals", "stop.grace = \"60s\"", "stop.grace = \"100ms\"");
    // It ends by the kill after the new grace, long before the old one.
    let cli = greenroom.cli(&["stop", "web"]).expect(0);
    assert!(cli.stdout.contains("stopped"), "{cli:?}");
    assert!(greenroom.processes_of("web").is_empty());
    greenroom.shutdown_clean();
}
