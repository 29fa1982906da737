//! The command line over the gateway.

use std::{
    fs,
    io::{Read, Write},
    net::TcpListener,
    process::{Command, Stdio},
};

use serde_json::{Value, json};

use crate::{
    chat,
    common::{BOUND, Greenroom, wait_for},
    gateway, on_demand,
};

const KEY: &str = "sk-4f1c9a77e2";

struct Cli {
    code: i32,
    stdout: String,
    stderr: String,
}

/// A command as on another machine: no state dir, and this key in its variable.
#[track_caller]
fn remote(greenroom: &Greenroom, key: Option<&str>, args: &[&str]) -> Cli {
    let mut command = Command::new(env!("CARGO_BIN_EXE_greenroom"));
    command.args(args).current_dir(greenroom.folder()).stdin(Stdio::null()).env_remove("GREENROOM_API_KEY");
    // No configuration is found.
    command.env("HOME", greenroom.folder().join("nobody"));
    if let Some(key) = key {
        command.env("GREENROOM_API_KEY", key);
    }
    let output = command.output().expect("it runs");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let code = output.status.code().expect("no signal");
    Cli { code, stdout: text(&output.stdout), stderr: text(&output.stderr) }
}

impl Cli {
    #[track_caller]
    fn expect(self, code: i32) -> Self {
        assert_eq!(self.code, code, "stdout:\n{}\nstderr:\n{}", self.stdout, self.stderr);
        self
    }

    #[track_caller]
    fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {}", self.stdout))
    }
}

fn locked() -> (Greenroom, String) {
    let greenroom = Greenroom::running(|g| {
        gateway(g, &format!("api_keys = [\"{KEY}\"]")) + &on_demand(g, "chat", "--stderr hello-there", "")
    });
    let url = format!("http://127.0.0.1:{}", greenroom.port(0));
    (greenroom, url)
}

#[test]
fn every_command_that_speaks_to_a_runtime_speaks_over_its_gateway() {
    let (greenroom, url) = locked();
    let run = |args: &[&str]| remote(&greenroom, Some(KEY), &[&["--url", &url], args].concat());
    assert!(run(&["load", "chat"]).expect(0).stdout.contains("chat: ready"));
    assert!(run(&["status"]).expect(0).stdout.contains("chat"));
    let status = run(&["--json", "status"]).expect(0).json();
    assert_eq!(status["services"][0]["state"], "ready", "{status}");
    run(&["why", "chat"]).expect(0);
    run(&["plan", "chat"]).expect(0);
    run(&["gpus"]).expect(0);
    wait_for("it has spoken", BOUND, || run(&["logs", "chat"]).expect(0).stdout.contains("hello-there"));
    assert!(run(&["events"]).expect(0).stdout.contains("ready"));
    let runs = run(&["--json", "history", "runs", "--service", "chat", "--since", "1h"]);
    assert_eq!(runs.expect(0).json()[0]["service"], "chat");
    run(&["history", "events", "-n", "3"]).expect(0);
    run(&["history", "swaps"]).expect(0);
    assert_eq!(run(&["--json", "reload"]).expect(0).json()["unchanged"], 1);
    run(&["offload", "chat"]).expect(0);
    let refused = run(&["why", "nobody"]).expect(1);
    assert!(refused.stderr.contains("there is no service `nobody`"), "{}", refused.stderr);
    run(&["stop", "chat"]).expect(0);
    let ended = run(&["--json", "shutdown"]).expect(0).json();
    assert_eq!(ended["report"], json!(greenroom.state_dir().join("shutdown.json")), "{ended}");
    assert_eq!(greenroom.wait(BOUND).0, 0, "{}", greenroom.output());
    let gone = run(&["status"]).expect(3);
    assert!(gone.stderr.contains("gateway.listen") && gone.stderr.contains(&url), "{}", gone.stderr);
}

#[test]
fn the_key_comes_from_a_file_or_a_variable_and_what_is_wrong_with_it_is_said() {
    let (greenroom, url) = locked();
    fs::write(greenroom.folder().join("good"), format!("{KEY}\n")).expect("written");
    fs::write(greenroom.folder().join("two"), "sk 1").expect("written");
    remote(&greenroom, None, &["status", "--url", &url, "--api-key-file", "good"]).expect(0);
    remote(&greenroom, Some("sk-wrong"), &["status", "--url", &url, "--api-key-file", "good"]).expect(0);
    let none = remote(&greenroom, None, &["status", "--url", &url]).expect(1);
    assert!(none.stderr.contains("wants a key") && none.stderr.contains("GREENROOM_API_KEY"), "{}", none.stderr);
    let wrong = remote(&greenroom, Some("sk-wrong"), &["status", "--url", &url]).expect(1);
    assert!(wrong.stderr.contains("does not take this key") && !wrong.stderr.contains("sk-wrong"), "{}", wrong.stderr);
    let two = remote(&greenroom, None, &["status", "--url", &url, "--api-key-file", "two"]).expect(2);
    assert!(two.stderr.contains("one word"), "{}", two.stderr);
    remote(&greenroom, None, &["status", "--url", &url, "--api-key-file", "missing"]).expect(1);
    assert_eq!(chat(&greenroom, "chat").status, 401, "the gateway itself");
}

#[test]
fn what_is_no_gateway_is_told_from_one_that_is() {
    let (greenroom, _) = locked();
    let other = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}", other.local_addr().expect("an address"));
    let page = std::thread::spawn(move || {
        for body in ["<html>hello</html>", "{}"] {
            let (mut stream, _) = other.accept().expect("a client");
            let mut head = [0; 1024];
            let _read = stream.read(&mut head).expect("a request");
            let length = body.len();
            let status = if body == "{}" { "200 OK" } else { "404 Not Found" };
            write!(stream, "HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}")
                .expect("sent");
        }
    });
    for _ in 0..2 {
        let told = remote(&greenroom, None, &["status", "--url", &url]);
        assert!(told.stderr.contains("no gateway of Greenroom"), "{}", told.stderr);
        told.expect(1);
    }
    page.join().expect("two came");
    let tls = remote(&greenroom, None, &["status", "--url", "https://box.example"]).expect(2);
    assert!(tls.stderr.contains("TLS"), "{}", tls.stderr);
    remote(&greenroom, None, &["status", "--url", "box:1"]).expect(2);
    remote(&greenroom, None, &["sweep", "--url", "http://box"]).expect(2);
}

#[test]
fn a_socket_of_the_gateway_is_asked_like_a_port() {
    let greenroom = Greenroom::running(|g| {
        let socket = g.folder().join("g.sock");
        format!("[gateway]\nlisten = \"unix:{}\"\n", socket.display()) + &on_demand(g, "chat", "", "")
    });
    let url = format!("unix:{}", greenroom.folder().join("g.sock").display());
    let status = remote(&greenroom, None, &["--json", "status", "--url", &url]).expect(0).json();
    assert_eq!(status["runtime"]["gateway"], json!([url]));
}
