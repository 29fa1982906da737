//! The command line against a running runtime, and against none.

use std::time::Duration;

use crate::{
    common::{BOUND, Greenroom, timed, wait_for},
    pair,
};

#[test]
fn without_a_runtime_commands_end_with_3_and_say_how_to_start_one() {
    let greenroom = Greenroom::new();
    greenroom.configure(&pair(&greenroom));
    for args in
        [&["status"][..], &["stop", "web"], &["why", "web"], &["plan", "web"], &["gpus"], &["shutdown"], &["events"]]
    {
        let cli = greenroom.cli(args).expect(3);
        assert!(cli.stderr.contains("greenroom run"), "{args:?}: {cli:?}");
    }
}

#[test]
fn status_is_for_people_and_for_programs() {
    let greenroom = Greenroom::running(pair);
    greenroom.wait_state("web", "ready");
    for args in [&["status"][..], &["ps"]] {
        let cli = greenroom.cli(args).expect(0);
        assert!(cli.stdout.contains("web") && cli.stdout.contains("ready") && cli.stdout.contains("plain"), "{cli:?}");
        assert!(!cli.stdout.contains('\u{1b}'), "no colour into a pipe: {cli:?}");
    }
    for args in [&["status", "--json"][..], &["--json", "status"]] {
        let json = greenroom.cli(args).expect(0).json();
        assert_eq!(json["runtime"]["pid"], greenroom.pid());
        assert_eq!(json["services"][0]["state"], "ready");
    }
}

#[test]
fn a_reader_that_has_gone_ends_a_command_quietly() {
    let greenroom = Greenroom::new();
    greenroom.configure(&pair(&greenroom));
    for args in [&["config", "show", "--effective"][..], &["--json", "config", "show", "--effective"]] {
        let (reader, writer) = std::io::pipe().expect("a pipe");
        drop(reader);
        let output = greenroom.cli_command(args).stdout(writer).output().expect("the binary under test runs");
        assert_eq!(output.status.code(), Some(0), "{args:?}: {output:?}");
        assert_eq!(String::from_utf8_lossy(&output.stderr), "", "{args:?}");
    }
}

#[test]
fn start_stop_and_restart_wait_for_the_outcome() {
    // It is loaded once the test says so, and takes its time to end.
    let go = |g: &Greenroom| g.folder().join("go");
    let greenroom = Greenroom::running(|g| {
        let slow = g.stand_in("slow", "--no-http --stop-ms 300");
        let probe = g.words(&["test", "-e", &go(g).display().to_string()]);
        format!("[service.slow]\ncommand = {slow}\nready.probe = {{ exec = {probe} }}\nstart = \"manual\"\n")
    });
    std::fs::write(go(&greenroom), "").expect("the test's folder is writable");
    greenroom.cli(&["start", "slow"]).expect(0);
    assert_eq!(greenroom.state("slow"), "ready");
    let first = greenroom.service_pid("slow");
    greenroom.cli(&["restart", "slow"]).expect(0);
    assert_eq!(greenroom.state("slow"), "ready");
    assert_ne!(greenroom.service_pid("slow"), first);
    greenroom.cli(&["stop", "slow"]).expect(0);
    assert_eq!(greenroom.state("slow"), "stopped");
    std::fs::remove_file(go(&greenroom)).expect("it is there");
    greenroom.cli(&["start", "--no-wait", "slow"]).expect(0);
    greenroom.wait_state("slow", "starting");
    std::fs::write(go(&greenroom), "").expect("the test's folder is writable");
    greenroom.wait_state("slow", "ready");
    greenroom.shutdown_clean();
}

#[test]
fn load_and_offload_wait_for_the_outcome_and_leave_what_is_wanted_as_it_is() {
    let greenroom = Greenroom::running(pair);
    greenroom.wait_state("web", "ready");
    greenroom.cli(&["offload", "web"]).expect(0);
    let status = greenroom.status();
    let web = status["services"].as_array().expect("services").iter().find(|s| s["name"] == "web").expect("web");
    assert_eq!((web["state"].as_str(), web["disposition"].as_str()), (Some("offloaded"), Some("up")));
    greenroom.cli(&["load", "web"]).expect(0);
    assert_eq!(greenroom.state("web"), "ready");
    greenroom.cli(&["stop", "web"]).expect(0);
    greenroom.cli(&["load", "web"]).expect(0);
    assert_eq!(greenroom.state("web"), "ready", "a load lifts `down`");
    greenroom.shutdown_clean();
}

#[test]
fn one_command_tells_many_services_at_the_same_time() {
    const MANY: u32 = 10;
    const EACH: Duration = Duration::from_secs(2);
    let names: Vec<String> = (0..MANY).map(|n| format!("s{n}")).collect();
    let greenroom = Greenroom::running(|g| {
        let service = |name: &String| {
            let command = g.stand_in(name, &format!("--port ${{port}} --stop-ms {}", EACH.as_millis()));
            format!("[service.{name}]\ncommand = {command}\nready = \"/health\"\n")
        };
        names.iter().map(service).collect()
    });
    for name in &names {
        greenroom.wait_state(name, "ready");
    }
    let mut args = vec!["stop"];
    args.extend(names.iter().map(String::as_str));
    let (stopped, took) = timed(|| greenroom.cli(&args));
    assert_eq!(stopped.expect(0).stdout.lines().count(), names.len());
    assert!(took >= EACH && took < EACH * MANY / 2, "it took {took:?}; one after the other is {:?}", EACH * MANY);
    greenroom.shutdown_clean();
}

#[test]
fn a_stop_of_several_ends_those_first_that_depend_on_others() {
    let greenroom = Greenroom::running(|g| {
        let note = |name: &str| {
            let script = "trap 'sleep 0.2; echo NAME >>order; exit' TERM; echo up; while :; do sleep 0.02; done";
            let command = g.shell(&script.replace("NAME", name));
            format!("[service.{name}]\ncommand = {command}\nready.probe = {{ log = \"up\" }}\n")
        };
        let after = |name: &str| format!("depends_on = {{ {name} = \"ready\" }}\n");
        format!("{}{}{}{}{}", note("db"), note("mid"), after("db"), note("web"), after("mid"))
    });
    greenroom.wait_state("web", "ready");
    greenroom.cli(&["stop", "db", "web", "mid"]).expect(0);
    let order = std::fs::read_to_string(greenroom.folder().join("order")).expect("they wrote it");
    assert_eq!(order, "web\nmid\ndb\n");
    greenroom.shutdown_clean();
}

#[test]
fn a_start_that_fails_ends_with_1_and_the_last_words() {
    let greenroom = Greenroom::running(|g| {
        let command = g.stand_in("x", "--no-http --crash-after-ms 50 --exit-code 7 --stderr WORD");
        let command = command.replace("WORD", "no such tensor");
        format!(
            "[service.x]\ncommand = {command}\nstart = \"manual\"\nready.probe = {{ log = \"never said\" }}\nrestart.policy = \"never\"\n"
        )
    });
    let cli = greenroom.cli(&["start", "x"]).expect(1);
    assert!(cli.text().contains("no such tensor") && cli.text().contains('7'), "{cli:?}");
}

#[test]
fn an_unknown_service_is_named_with_those_there_are() {
    let greenroom = Greenroom::running(pair);
    for command in ["start", "stop", "restart", "load", "offload", "reset", "why", "logs"] {
        let cli = greenroom.cli(&[command, "wbe"]);
        assert_ne!(cli.code, 0, "{command}: {cli:?}");
        assert!(cli.stderr.contains("wbe") && cli.stderr.contains("web"), "{command}: {cli:?}");
    }
}

#[test]
fn shutdown_prints_the_report_and_waits_for_the_end() {
    let greenroom = Greenroom::running(pair);
    greenroom.wait_state("web", "ready");
    let cli = greenroom.cli(&["shutdown"]).expect(0);
    assert!(cli.stdout.contains("web"), "{cli:?}");
    assert_eq!(greenroom.wait(BOUND).0, 0);
    let log = std::fs::read_to_string(greenroom.state_dir().join("shutdown.log")).expect("the report is kept");
    assert!(log.contains("web"), "{log}");
    greenroom.assert_clean();
}

#[test]
fn a_detached_runtime_is_up_when_the_command_returns() {
    let greenroom = Greenroom::new();
    greenroom.configure(&pair(&greenroom));
    let file = greenroom.config_file().display().to_string();
    greenroom.bare(&["run", "--detach", "-c", &file]).expect(0);
    let answer = greenroom.api().get("/api/status").expect("it answers when the command has returned");
    assert_eq!(answer.status, 200);
    // Also so that its cgroups are known to whoever cleans up.
    assert_ne!(greenroom.status()["runtime"]["pid"], std::process::id());
    greenroom.wait_state("web", "ready");
    greenroom.cli(&["shutdown"]).expect(0);
    wait_for("all is gone", Duration::from_secs(30), || greenroom.everything().is_empty());
}

#[test]
fn commands_that_need_no_runtime_work_alone() {
    let greenroom = Greenroom::new();
    greenroom.bare(&["--version"]).expect(0);
    let help = greenroom.bare(&["--help"]).expect(0);
    assert!(!help.stdout.contains("stand-in") && !help.stdout.contains("__exec"), "hidden commands: {help:?}");
    let doctor = greenroom.bare(&["doctor"]);
    assert!(doctor.stdout.contains("cgroup"), "{doctor:?}");
    for shell in ["bash", "zsh", "fish"] {
        assert!(greenroom.bare(&["completions", shell]).expect(0).stdout.contains("greenroom"));
    }
    let init = greenroom.bare(&["init"]).expect(0);
    let file = greenroom.folder().join("greenroom.toml");
    assert!(file.exists(), "{init:?}");
    greenroom.bare(&["check", "-c", &file.display().to_string()]).expect(0);
    let again = greenroom.bare(&["init"]);
    assert_ne!(again.code, 0, "does not overwrite: {again:?}");
}

#[test]
fn memory_is_for_people_and_for_programs() {
    let greenroom = Greenroom::running(|g| {
        let chat = g.stand_in("chat", "--port ${port}");
        format!(
            "[resources]\ngpu_backend = \"declared\"\n[[resources.gpu]]\nname = \"small\"\nmemory = \"2GiB\"\n\n\
             [service.chat]\ncommand = {chat}\nready = \"/health\"\nstart = \"manual\"\nvram = \"1GiB\"\n\n\
             [service.large]\ncommand = {chat}\nready = \"/health\"\nstart = \"manual\"\nvram = \"2GiB\"\n"
        )
    });
    greenroom.cli(&["load", "chat"]).expect(0);
    let gpus = greenroom.cli(&["gpus"]).expect(0);
    assert!(
        gpus.stdout.contains("GPU 0  small, 2GiB, works")
            && gpus.stdout.contains("chat    1GiB  may hold 1GiB (resident)"),
        "{gpus:?}"
    );
    assert_eq!(greenroom.cli(&["gpus", "--json"]).expect(0).json()["cards"][0]["services"]["chat"], 1u64 << 30);
    let status = greenroom.cli(&["status"]).expect(0);
    assert!(status.stdout.contains("VRAM") && status.stdout.contains("LEASE"), "{status:?}");

    let plan = greenroom.cli(&["plan", "large"]).expect(0);
    assert!(plan.stdout.starts_with("large: it never fits here"), "{plan:?}");
    assert_eq!(greenroom.cli(&["plan", "chat", "--json"]).expect(0).json()["resident"], true);
    greenroom.cli(&["plan", "lrage"]).expect(1);
    let refused = greenroom.cli(&["load", "large"]).expect(1);
    assert!(refused.stderr.contains("it never fits here"), "{refused:?}");
    let why = greenroom.cli(&["why", "large"]).expect(0);
    assert!(why.stdout.contains("`resources.vram_reserve`") && why.stdout.contains("greenroom plan large"), "{why:?}");
    assert!(greenroom.output().contains("large does not fit as configured"), "{}", greenroom.output());
    assert_eq!(greenroom.cli(&["history", "swaps", "--json"]).expect(0).json(), serde_json::json!([]));
    greenroom.shutdown_clean();
}
