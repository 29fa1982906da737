//! Programs, ports and model files that are not what the config hopes for.

use std::{
    fs,
    net::TcpListener,
    os::unix::fs::PermissionsExt,
    process::{Child, Command, Stdio},
};

use serde_json::Value;

use crate::common::{BIN, BOUND, Greenroom, Http, wait_for, write_program};

/// A stranger that answers `/health` on a port; ended with the test.
struct Stranger(Child);

impl Stranger {
    fn on(port: u16) -> Self {
        let mut command = Command::new(BIN);
        command.args(["stand-in", "--name", "stranger", "--port", &port.to_string()]);
        let child = command.stdout(Stdio::null()).spawn().expect("the binary under test runs");
        wait_for("the stranger answers", BOUND, || Http::Tcp(port).get("/health").is_ok_and(|a| a.status == 200));
        Self(child)
    }
}

impl Drop for Stranger {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

#[track_caller]
fn failed(greenroom: &Greenroom, class: &str) -> Value {
    greenroom.wait_state("x", "failed");
    let service = greenroom.service("x");
    let why = greenroom.api().get("/api/services/x/why").expect("the runtime answers").json();
    assert!(service["last_exit"]["class"] == class || service["reason"].to_string().contains(class), "{service:#}");
    let remedy = why["remedy"].as_array().map_or(0, Vec::len);
    assert!(remedy > 0, "says what to do: {why:#}");
    service
}

#[test]
fn a_command_that_is_not_there_fails_once_and_names_it() {
    // Only known when it is started: `check` looks at the file, not at the machine it will run on.
    let greenroom = Greenroom::new();
    greenroom.configure("[service.x]\ncommand = [\"no-such-program-anywhere\"]\n");
    let file = greenroom.config_file().display().to_string();
    let check = greenroom.bare(&["check", "-c", &file]);
    assert!(check.text().contains("no-such-program-anywhere"), "{check:?}");
    if check.code == 2 {
        return;
    }
    greenroom.start();
    let service = failed(&greenroom, "missing_command");
    assert!(service["reason"].to_string().contains("no-such-program-anywhere"), "{service:#}");
    assert_eq!(service["restarts"]["total"], 0, "not retried: {service:#}");
}

#[test]
fn a_file_that_cannot_be_executed_fails_once_and_is_named() {
    let greenroom = Greenroom::new();
    let file = greenroom.folder().join("program");
    fs::write(&file, "#!/bin/sh\nsleep 600\n").expect("the test's folder is writable");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).expect("the file is ours");
    greenroom.configure("[service.x]\ncommand = [\"./program\"]\n");
    let config = greenroom.config_file().display().to_string();
    let check = greenroom.bare(&["check", "-c", &config]);
    if check.code == 2 {
        assert!(check.text().contains("program"), "{check:?}");
        return;
    }
    greenroom.start();
    let service = failed(&greenroom, "missing_command");
    assert!(service["reason"].to_string().contains("program"), "{service:#}");
}

#[test]
fn a_model_that_vanishes_before_the_start_is_named() {
    let greenroom = Greenroom::new();
    let model = greenroom.folder().join("model.gguf");
    fs::write(&model, "it is there").expect("the test's folder is writable");
    greenroom
        .configure("[service.x]\ncommand = [\"sleep\", \"600\"]\nmodel_file = \"model.gguf\"\nstart = \"manual\"\n");
    greenroom.start();
    fs::remove_file(&model).expect("the file is ours");
    let load = greenroom.cli(&["load", "x"]);
    assert!(load.code == 1 && load.text().contains("model.gguf is not there"), "{load:?}");
    let service = failed(&greenroom, "bad_model");
    assert!(service["reason"].to_string().contains("model.gguf is not there"), "{service:#}");
    greenroom.shutdown_clean();
    greenroom.assert_clean();
}

#[test]
fn an_executable_that_is_no_program_fails_and_leaves_nothing() {
    let greenroom = Greenroom::new();
    let file = greenroom.folder().join("program");
    write_program(&file, &[0, 1, 2, 3]);
    greenroom.configure("[service.x]\ncommand = [\"./program\"]\nrestart.backoff = \"5ms..20ms\"\n");
    greenroom.start();
    failed(&greenroom, "missing_command");
    greenroom.shutdown_clean();
    greenroom.assert_clean();
}

#[test]
fn a_fixed_port_that_a_stranger_has_is_named_with_its_holder() {
    let greenroom = Greenroom::new();
    let port = greenroom.port(0);
    let stranger = Stranger::on(port);
    let command = greenroom.stand_in("x", &format!("--port {port}"));
    greenroom.configure(&format!(
        "[service.x]\ncommand = {command}\nport = {port}\nready = \"/health\"\nrestart.max = 2\nrestart.backoff = \"5ms..20ms\"\n"
    ));
    greenroom.start();
    let service = failed(&greenroom, "port_in_use");
    let reason = service["reason"].to_string();
    assert!(reason.contains(&port.to_string()), "{service:#}");
    assert!(reason.contains(&stranger.0.id().to_string()), "names the holder: {service:#}");
}

#[test]
fn a_stranger_that_answers_health_is_not_taken_for_the_service() {
    let greenroom = Greenroom::new();
    let port = greenroom.port(0);
    // It never listens itself; somebody else comes and says on its port that all is well.
    let command = greenroom.stand_in("x", "--no-http");
    greenroom.configure(&format!(
        "[service.x]\ncommand = {command}\nport = {port}\nready.probe = \"/health\"\nready.timeout = \"8s\"\nrestart.max = 1\n"
    ));
    greenroom.start();
    greenroom.wait_state("x", "starting");
    let stranger = Stranger::on(port);
    wait_for("it is given up", BOUND, || {
        let service = greenroom.service("x");
        assert_ne!(service["state"], "ready", "{service:#}");
        service["state"] == "failed"
    });
    let service = greenroom.service("x");
    assert!(service["reason"].to_string().contains(&stranger.0.id().to_string()), "names the stranger: {service:#}");
    let changes = greenroom.cli(&["history", "events", "--service", "x"]).expect(0);
    assert!(!changes.stdout.contains("ready"), "not for a moment: {changes:?}");
}

#[test]
fn an_assigned_port_avoids_one_that_is_taken() {
    let greenroom = Greenroom::new();
    let command = greenroom.stand_in("x", "--port ${port}");
    greenroom.configure(&format!("[service.x]\ncommand = {command}\nready = \"/health\"\n"));
    let first = greenroom.first_port();
    let taken = TcpListener::bind(("0.0.0.0", first)).expect("the range is this test's own");
    greenroom.start();
    greenroom.wait_state("x", "ready");
    let endpoint = greenroom.service("x")["endpoint"].to_string();
    assert!(!endpoint.contains(&first.to_string()), "{endpoint}");
    drop(taken);
}

#[test]
fn a_service_that_never_gets_ready_fails_with_its_last_words() {
    let greenroom = Greenroom::new();
    let command = greenroom.stand_in("x", "--port ${port} --load-ms 600000 --print-oom --stderr WORD");
    greenroom.configure(
        &format!(
            "[service.x]\ncommand = {command}\nready.probe = \"/health\"\nready.timeout = \"5s\"\nrestart.max = 1\n"
        )
        .replace("WORD", "loading for ever"),
    );
    greenroom.start();
    let service = failed(&greenroom, "timeout");
    assert!(service["last_exit"]["stderr"].to_string().contains("loading for ever"), "{service:#}");
    greenroom.assert_no_survivor();
}

#[test]
fn what_the_output_says_names_the_class() {
    let greenroom = Greenroom::new();
    let service = |name: &str, options: &str, more: &str| {
        let options = format!("--port ${{port}} --crash-after-ms 300 {options}");
        format!(
            "[service.{name}]\ncommand = {}\nrestart.policy = \"never\"\n{more}\n",
            greenroom.stand_in(name, &options)
        )
    };
    let own = "[[service.own.failure]]\npattern = \"model loaded, [0-9]+ bytes\"\nclass = \"driver\"\n";
    // The words of PyTorch and the WebUI, which those engines' rules know.
    let config = [
        service("nan", "--print-nan", "engine = \"a1111\"\nstart = \"eager\"\nready.probe = \"/health\""),
        service("oom", "--print-oom", "engine = \"vllm\"\nstart = \"eager\"\nready.probe = \"/health\""),
        service("own", "", own),
    ];
    greenroom.configure(&config.concat());
    greenroom.start();
    for (name, class) in [("nan", "nan"), ("oom", "oom_gpu"), ("own", "driver")] {
        greenroom.wait_state(name, "failed");
        let service = greenroom.service(name);
        assert_eq!(service["last_exit"]["class"], class, "{service:#}");
    }
}
