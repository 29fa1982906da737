//! The stand-in does what the other tests take for granted, or they would show nothing.

#[path = "../common/mod.rs"]
mod common;
mod faults;
mod images;
mod job;

use std::{
    collections::BTreeSet,
    fs,
    os::unix::process::ExitStatusExt,
    process::{Child, Command, ExitStatus, Output, Stdio},
};

use common::{
    BIN, BOUND, Greenroom, Http, Process, alive, carrying, catches_term, kill_all, signal, wait_for, wait_until,
};
use nix::sys::signal::Signal;
use serde_json::json;

/// A stand-in without a runtime around it. Ends with its whole family when it is dropped.
struct StandIn {
    /// For the folder, the ports and the tag.
    place: Greenroom,
    child: Child,
}

impl StandIn {
    fn new(options: impl FnOnce(&Greenroom) -> String) -> Self {
        let place = Greenroom::new();
        let options = options(&place);
        let mut command = Command::new(BIN);
        command.args(["stand-in", "--name", "x", "--tag", &place.tag("x")]).args(options.split_whitespace());
        let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
        Self { child: child.expect("the binary runs"), place }
    }

    fn serving(options: &str) -> (Self, Http) {
        let stand_in = Self::new(|place| format!("--port {} {options}", place.port(0)));
        let http = Http::Tcp(stand_in.place.port(0));
        wait_for("it serves", BOUND, || http.get("/props").is_ok());
        (stand_in, http)
    }

    fn pid(&self) -> i32 {
        self.child.id() as i32
    }

    fn family(&self) -> Vec<Process> {
        carrying(&self.place.tag("x"), &BTreeSet::new())
    }

    fn wait_family(&self, size: usize) -> Vec<Process> {
        wait_until("the family is complete", BOUND, || Some(self.family()).filter(|family| family.len() == size)).0
    }

    fn ended(&mut self) -> ExitStatus {
        wait_until("it ends", BOUND, || self.child.try_wait().expect("it is a child of ours")).0
    }

    /// What it wrote, and its place, which is still there.
    fn keep(mut self) -> (Output, Greenroom) {
        let place = std::mem::replace(&mut self.place, Greenroom::new());
        (self.output(), place)
    }

    fn output(mut self) -> Output {
        self.ended();
        let child = std::mem::replace(&mut self.child, Command::new("true").spawn().expect("true runs"));
        child.wait_with_output().expect("it has ended")
    }
}

impl Drop for StandIn {
    fn drop(&mut self) {
        kill_all(|| self.family());
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

#[test]
fn a_tree_has_its_size_and_whoever_is_killed_comes_back() {
    let stand_in = StandIn::new(|_| "--no-http --tree 3x4 --child-mode respawn".into());
    let family = stand_in.wait_family(16);
    let leaf = family.iter().find(|process| !family.iter().any(|other| other.parent == process.pid)).expect("a leaf");
    let middle = family.iter().find(|process| process.parent == stand_in.pid()).expect("a child").pid;
    signal(leaf.pid, Signal::SIGKILL);
    wait_for("the leaf is gone", BOUND, || !alive(leaf.pid));
    stand_in.wait_family(16);
    // Its four children live on without it, and it comes back with four more.
    signal(middle, Signal::SIGKILL);
    wait_for("the parent is gone", BOUND, || !alive(middle));
    wait_for("it came back with a family of its own", BOUND, || stand_in.family().len() >= 16);
}

#[test]
fn daemons_have_no_parent_no_environment_and_a_session_of_their_own() {
    let stand_in = StandIn::new(|_| "--no-http --tree 2 --child-mode double-fork,clear-env".into());
    // The processes in between have ended: they are children, the daemons are not.
    let complete = |family: &Vec<Process>| family.len() == 3 && family.iter().all(|p| p.parent != stand_in.pid());
    let (family, _) = wait_until("only the daemons are left", BOUND, || Some(stand_in.family()).filter(complete));
    for daemon in family.iter().filter(|process| process.pid != stand_in.pid()) {
        assert!(fs::read(format!("/proc/{}/environ", daemon.pid)).expect("it lives").is_empty());
        assert_ne!(session(daemon.pid), session(stand_in.pid()));
        assert_eq!(fs::read_link(format!("/proc/{}/fd/1", daemon.pid)).expect("it lives").to_str(), Some("/dev/null"));
    }
}

#[test]
fn children_in_new_sessions_lead_them() {
    let stand_in = StandIn::new(|_| "--no-http --tree 2 --child-mode setsid".into());
    let family = stand_in.wait_family(3);
    for child in family.iter().filter(|process| process.pid != stand_in.pid()) {
        wait_for("it leads a session", BOUND, || session(child.pid) == child.pid);
    }
}

#[test]
fn signals_end_it_in_its_time_or_not_at_all() {
    let mut obedient = StandIn::new(|_| "--no-http".into());
    let mut slow = StandIn::new(|place| format!("--no-http --stop-ms 300 --stop-log {}/log", place.folder().display()));
    let log = slow.place.folder().join("log");
    let mut deaf = StandIn::new(|_| "--no-http --ignore-signals".into());
    wait_for("all have set up their handlers", BOUND, || {
        [&obedient, &slow, &deaf].iter().all(|s| catches_term(s.pid()))
    });
    for stand_in in [&obedient, &slow, &deaf] {
        for name in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP] {
            signal(stand_in.pid(), name);
        }
    }
    assert_eq!(obedient.ended().code(), Some(0));
    assert_eq!(slow.ended().code(), Some(0));
    let lines = fs::read_to_string(log).expect("it wrote a log");
    let moments: Vec<(&str, u64)> = lines
        .lines()
        .filter_map(|line| line.split_whitespace().collect::<Vec<_>>().try_into().ok())
        .filter_map(|[_, what, at]: [&str; 3]| Some((what, at.parse().ok()?)))
        .collect();
    let [("start", _), ("stop", stop), ("end", end)] = moments[..] else { panic!("{lines}") };
    assert!(end - stop >= 300_000, "{lines}");
    assert!(alive(deaf.pid()), "it ignores them");
    signal(deaf.pid(), Signal::SIGKILL);
    deaf.ended();
}

#[test]
fn it_crashes_as_told() {
    assert_eq!(StandIn::new(|_| "--no-http --crash-after-ms 1 --exit-code 7".into()).ended().code(), Some(7));
    let mut segfault = StandIn::new(|_| "--no-http --crash-after-ms 1 --signal SIGSEGV".into());
    assert_eq!(segfault.ended().signal(), Some(11));
    let (mut at_request, http) = StandIn::serving("--crash-after 2 --exit-code 9");
    assert_eq!(http.post("/v1/chat/completions", Some(&json!({}))).expect("the first one is answered").status, 200);
    assert!(http.post("/v1/chat/completions", Some(&json!({}))).is_err(), "the second one is not");
    assert_eq!(at_request.ended().code(), Some(9));
}

#[test]
fn it_loads_serves_streams_unloads_and_loads_again() {
    // Long enough for a test that is held up to ask in the middle of it.
    let (stand_in, http) = StandIn::serving("--load-ms 5000 --memory 32MiB");
    let loading = http.get("/health").expect("it serves");
    assert_eq!((loading.status, loading.body.contains("Loading model")), (503, true));
    wait_for("it is loaded", BOUND, || http.get("/health").is_ok_and(|answer| answer.status == 200));
    assert!(common::pss(stand_in.pid()) > 32 << 20);
    let chat = http.post("/v1/chat/completions", Some(&json!({ "max_tokens": 3 }))).expect("it answers").json();
    assert_eq!(chat["usage"]["completion_tokens"], 3);
    let request = json!({ "stream": true, "max_tokens": 3 });
    let stream = http.post("/v1/chat/completions", Some(&request)).expect("it answers");
    assert_eq!(stream.body.matches("data: ").count(), 5, "three tokens, the end, and [DONE]: {}", stream.body);
    assert_eq!(http.post("/unload", None).expect("it answers").status, 200);
    assert!(common::pss(stand_in.pid()) < 32 << 20);
    assert_eq!(http.get("/props").expect("it answers").json()["is_sleeping"], true);
    assert_eq!(http.post("/v1/chat/completions", Some(&json!({}))).expect("it answers").status, 200);
    assert!(common::pss(stand_in.pid()) > 32 << 20);
    assert!(http.get("/v1/models").expect("it answers").body.contains("\"x\""));
}

#[test]
fn gpu_memory_is_held_while_the_model_is_loaded_or_from_the_start() {
    let folder = tempfile::tempdir().expect("a folder");
    let held = |stand_in: &StandIn, card: u32| {
        let file = folder.path().join(format!("{}.{card}", stand_in.pid()));
        fs::read_to_string(file).ok().map(|text| text.parse::<u64>().expect("a number"))
    };
    let options = format!("--vram-dir {} --vram 0:3520MB --vram 1:1MiB", folder.path().display());
    let (stand_in, http) = StandIn::serving(&options);
    wait_for("both cards", BOUND, || held(&stand_in, 0) == Some(3_520_000_000) && held(&stand_in, 1) == Some(1 << 20));
    http.post("/unload", None).expect("it answers");
    assert_eq!((held(&stand_in, 0), held(&stand_in, 1)), (None, None));
    let early = StandIn::new(|_| format!("--no-http --load-ms 3600000 --vram-at-start {options}"));
    wait_for("before it is loaded", BOUND, || held(&early, 1) == Some(1 << 20));
}

#[test]
fn a_port_that_is_taken_ends_it_with_the_words_of_llama_server() {
    let (first, _) = StandIn::serving("");
    let second = StandIn::new(|_| format!("--port {}", first.place.port(0)));
    let output = second.output();
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("couldn't bind HTTP server socket"), "{output:?}");
}

#[test]
fn it_floods_and_says_what_it_is_told() {
    let stand_in =
        StandIn::new(|_| "--no-http --stderr word --print-nan --print-oom --flood 40KB --end-after-flood".into());
    let output = stand_in.output();
    assert_eq!((output.status.code(), output.stdout.len()), (Some(0), 40_000));
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(
        stderr.contains("word") && stderr.contains("NansException") && stderr.contains("CUDA out of memory"),
        "{stderr}"
    );
}

#[test]
fn it_tells_a_leaked_descriptor() {
    use std::os::fd::AsRawFd;
    let place = Greenroom::new();
    let file = place.folder().join("fds");
    // A descriptor without close-on-exec, made by the shell.
    let script =
        format!("exec 9</dev/null; exec {BIN} stand-in --no-http --crash-after-ms 1 --only-own-fds {}", file.display());
    let keep = fs::File::open("/dev/null").expect("it is there");
    assert!(keep.as_raw_fd() > 2);
    Command::new("/bin/sh").args(["-c", &script]).stderr(Stdio::null()).status().expect("a shell runs");
    let fds = fs::read_to_string(file).expect("it wrote them");
    assert!(fds.lines().any(|fd| fd == "9"), "{fds:?}");
    assert!(!fds.lines().any(|fd| fd == keep.as_raw_fd().to_string()), "the test's own are not inherited: {fds:?}");
}

fn session(pid: i32) -> i32 {
    nix::unistd::getsid(Some(nix::unistd::Pid::from_raw(pid))).map_or(0, nix::unistd::Pid::as_raw)
}
