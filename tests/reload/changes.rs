//! What a reload touches and what it leaves alone.

use crate::{
    about,
    common::{BOUND, Greenroom, wait_for},
    reload, web,
};

#[test]
fn only_what_has_changed_is_touched() {
    let greenroom = Greenroom::running(|g| {
        let same = web(g, "same", "", "");
        let tuned = web(g, "tuned", "", "");
        let other = web(g, "other", "--tokens 3", "");
        let gone = web(g, "gone", "--tree 2", "");
        [same, tuned, other, gone].concat()
    });
    let names = ["same", "tuned", "other", "gone"];
    let before = names.map(|name| {
        greenroom.wait_state(name, "ready");
        greenroom.service_pid(name)
    });
    let fresh = web(&greenroom, "fresh", "", "");
    let same = web(&greenroom, "same", "", "");
    let tuned = web(&greenroom, "tuned", "", "restart.max = 9");
    let other = web(&greenroom, "other", "--tokens 4", "");
    greenroom.configure(&[fresh, same, tuned, other].concat());
    let report = reload(&greenroom, 0);

    assert_eq!(greenroom.service_pid("same"), before[0]);
    assert_eq!(report["unchanged"], 1);
    assert_eq!(greenroom.service_pid("tuned"), before[1]);
    let tuned = about(&report, "tuned");
    assert_eq!((&tuned["action"], &tuned["keys"][0]), (&"live".into(), &"restart.max".into()));
    assert_eq!(tuned["pid"], before[1]);
    let other = about(&report, "other");
    assert_eq!((&other["action"], &other["keys"][0]), (&"restart".into(), &"command".into()));
    assert_eq!((&other["before"], &other["state"]), (&before[2].into(), &"ready".into()));
    assert_eq!(other["pid"], greenroom.service_pid("other"));
    assert_ne!(greenroom.service_pid("other"), before[2]);
    assert_eq!(about(&report, "gone")["action"], "removed");
    assert!(greenroom.processes_of("gone").is_empty(), "its whole tree is gone");
    assert_eq!(about(&report, "fresh")["action"], "added");
    assert_eq!(greenroom.state("fresh"), "ready");

    let status = greenroom.status();
    let shown: Vec<&str> =
        status["services"].as_array().expect("services").iter().filter_map(|s| s["name"].as_str()).collect();
    assert_eq!(shown, ["fresh", "same", "tuned", "other"], "in the order of the configuration");
    let changed = report["changed"].as_array().expect("changes");
    assert!(changed.iter().any(|c| c["key"] == "service.tuned.restart.max" && c["from"] == "5" && c["to"] == "9"));

    // And nothing more the second time.
    let again = reload(&greenroom, 0);
    assert_eq!((&again["unchanged"], &again["services"]), (&4.into(), &serde_json::json!([])));
    greenroom.shutdown_clean();
    greenroom.assert_clean();
}

#[test]
fn what_cannot_apply_while_it_runs_is_said_each_time() {
    let greenroom = Greenroom::running(|g| web(g, "web", "", ""));
    greenroom.wait_state("web", "ready");
    let pid = greenroom.service_pid("web");
    let elsewhere = "[log]\nlevel = \"debug\"\n[history]\nretain = \"1d\"\n[watchdog]\ninterval = \"9s\"\n";
    let text =
        format!("[runtime]\nstate_dir = \"elsewhere\"\nports = \"{}\"\nname = \"other\"\n", greenroom.port_range());
    greenroom.write_config(format!("{text}{elsewhere}{}", web(&greenroom, "web", "", "")));
    for _ in 0..2 {
        let report = reload(&greenroom, 0);
        let waiting = report["next_start"].as_array().expect("keys");
        for key in
            ["runtime.name", "runtime.state_dir", "history.path", "history.retain", "log.level", "watchdog.interval"]
        {
            assert!(waiting.iter().any(|k| k == key), "{key}: {report:#}");
        }
        assert_eq!(report["services"], serde_json::json!([]));
    }
    greenroom.configure(&web(&greenroom, "web", "", ""));
    reload(&greenroom, 0);
    greenroom.write_config(format!("{text}{elsewhere}{}", web(&greenroom, "web", "", "")));
    let cli = greenroom.cli(&["reload"]).expect(0);
    assert!(cli.stdout.contains("waits for the next start of the runtime: runtime.name"), "{cli:?}");
    assert!(cli.stdout.contains("1 service not touched"), "{cli:?}");
    assert_eq!(greenroom.service_pid("web"), pid);
    greenroom.shutdown_clean();
}

#[test]
fn what_does_not_come_back_is_an_error_and_a_correction_helps() {
    let greenroom = Greenroom::running(|g| [web(g, "web", "", ""), web(g, "same", "", "")].concat());
    greenroom.wait_state("web", "ready");
    greenroom.wait_state("same", "ready");
    let same = greenroom.service_pid("same");
    let broken = format!("[service.web]\ncommand = {}\n", greenroom.shell("echo no such layer >&2; exit 7"));
    greenroom.configure(&[broken, web(&greenroom, "same", "", "")].concat());
    let cli = greenroom.cli(&["reload"]).expect(1);
    assert!(cli.stdout.contains("error: web:"), "{cli:?}");
    greenroom.configure(&[web(&greenroom, "web", "", ""), web(&greenroom, "same", "", "")].concat());
    let report = reload(&greenroom, 0);
    assert_eq!(about(&report, "web")["state"], "ready");
    assert_eq!(greenroom.service_pid("same"), same);
    greenroom.shutdown_clean();
}

#[test]
fn a_service_that_rests_is_told_and_not_started() {
    let by_hand = |g: &Greenroom, tokens: &str| web(g, "web", tokens, "start = \"manual\"");
    let greenroom = Greenroom::running(|g| by_hand(g, "--tokens 3"));
    greenroom.configure(&by_hand(&greenroom, "--tokens 4"));
    let report = reload(&greenroom, 0);
    assert_eq!(
        (&about(&report, "web")["action"], &about(&report, "web")["state"]),
        (&"restart".into(), &"stopped".into())
    );
    greenroom.cli(&["start", "web"]).expect(0);
    let process = greenroom.processes_of("web");
    assert!(process.iter().any(|p| p.command.contains("--tokens 4")), "{process:?}");
    let pid = greenroom.service_pid("web");
    // What becomes eager is started, what runs is not stopped for being started by hand.
    greenroom.cli(&["stop", "web"]).expect(0);
    greenroom.configure(&web(&greenroom, "web", "--tokens 4", ""));
    let report = reload(&greenroom, 0);
    assert_eq!(about(&report, "web")["state"], "ready");
    assert_ne!(greenroom.service_pid("web"), pid);
    let pid = greenroom.service_pid("web");
    greenroom.configure(&by_hand(&greenroom, "--tokens 4"));
    reload(&greenroom, 0);
    assert_eq!(greenroom.service_pid("web"), pid);
    greenroom.shutdown_clean();
}

#[test]
fn without_waiting_the_answer_comes_before_the_services_are_ready() {
    let greenroom = Greenroom::running(|g| web(g, "web", "", ""));
    greenroom.wait_state("web", "ready");
    let pid = greenroom.service_pid("web");
    greenroom.configure(&web(&greenroom, "web", "--load-ms 600000", ""));
    let report = greenroom.cli(&["reload", "--no-wait", "--json"]).expect(0).json();
    assert_eq!((&about(&report, "web")["action"], &about(&report, "web")["error"]), (&"restart".into(), &().into()));
    assert_ne!(about(&report, "web")["state"], "ready", "it needs ten minutes");
    // A correction does not wait for it.
    greenroom.configure(&web(&greenroom, "web", "", ""));
    reload(&greenroom, 0);
    wait_for("it is ready as it was", BOUND, || greenroom.state("web") == "ready");
    assert_ne!(greenroom.service_pid("web"), pid);
    greenroom.shutdown_clean();
}

#[test]
fn a_port_goes_from_a_service_that_is_no_more_to_a_new_one() {
    let at_port = |g: &Greenroom, name: &str| {
        let command = g.stand_in(name, &format!("--port {} --stop-ms 300", g.port(0)));
        format!("[service.{name}]\ncommand = {command}\nport = {}\nready = \"/health\"\n", g.port(0))
    };
    let greenroom = Greenroom::running(|g| at_port(g, "old"));
    greenroom.wait_state("old", "ready");
    greenroom.configure(&at_port(&greenroom, "new"));
    let report = reload(&greenroom, 0);
    assert_eq!(
        (&about(&report, "old")["action"], &about(&report, "new")["state"]),
        (&"removed".into(), &"ready".into())
    );
    assert_eq!(greenroom.service("new")["restarts"]["total"], 0, "it did not have to try twice");
    greenroom.shutdown_clean();
    greenroom.assert_clean();
}
