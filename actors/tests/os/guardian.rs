//! The guardian: it ends what a killed runtime leaves, and nothing else.

use std::{
    fs,
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Child, ChildStdin, Command, Stdio},
    time::Duration,
};

use greenroom_actors::{
    ids::Pid,
    os::{
        clock,
        containment::Containment,
        guardian::{Charge, Guardian},
        pidfd, proc,
        registry::Registry,
        state_dir::StateDir,
    },
};
use nix::sys::signal::Signal;

use crate::{
    Verdict,
    roles::Told,
    support::{Stage, clear, populated, runtime, start, survivors, until, within},
};

crate::tests!(
    a_killed_runtime_leaves_nothing,
    a_killed_runtime_without_a_cgroup_leaves_nothing_that_can_be_found,
    an_ordered_end_is_not_touched,
    a_dead_guardian_is_noticed_and_replaced_at_once,
    it_outlives_every_signal_and_stays_small,
    a_guardian_that_comes_too_late_acts_at_once,
);

/// A played runtime; it and all it started are gone when it is dropped.
pub struct Played {
    child: Child,
    stdin: Option<ChildStdin>,
    pub told: Told,
}

impl Played {
    pub fn new(layer: &str, state_dir: &Path) -> Self {
        let mut command = Command::new("/proc/self/exe");
        command.args(["role", "runtime", layer]).arg(state_dir).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("a runtime");
        let stdin = child.stdin.take();
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("stdout")).read_line(&mut line).expect("a line");
        let told = serde_json::from_str(&line).expect("what it told");
        Self { child, stdin, told }
    }

    pub fn kill(&mut self) {
        self.child.kill().expect("killed");
        self.child.wait().expect("a status");
    }

    pub fn guardian(&self) -> Pid {
        self.told.guardian
    }
}

impl Drop for Played {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
        if let Some(root) = &self.told.root {
            clear(root);
        }
        for one in &self.told.tree {
            if let Ok(Some(fd)) = pidfd::open_identity(one) {
                drop(pidfd::send(fd, Signal::SIGKILL));
            }
        }
    }
}

fn gone(pid: Pid) -> bool {
    !proc::stat(pid).is_ok_and(|stat| stat.is_alive())
}

fn a_killed_runtime_leaves_nothing() -> Verdict {
    let dir = tempfile::tempdir().expect("a folder");
    let mut played = Played::new("cgroup", dir.path());
    assert_eq!(survivors(&played.told.tree).len(), played.told.tree.len());
    let start = clock::now();
    played.kill();
    let root = played.told.root.clone().expect("a root");
    // One second is promised; a machine that has other work gets more.
    until("tree and root are gone", || survivors(&played.told.tree).is_empty() && !root.exists());
    println!("    tree and root gone {:?} after the kill", clock::now().duration_since(start));
    until("the guardian has left", || gone(played.guardian()));
    assert_eq!(Registry::at(dir.path()).entries().expect("entries"), []);
    assert!(!dir.path().join("greenroom.sock").exists());
    assert!(!dir.path().join("cgroup_root").exists());
    let log = fs::read_to_string(dir.path().join("guardian.log")).expect("a log");
    assert!(log.lines().count() == 1 && log.contains("is gone; 6 processes left; all ended after"), "{log}");
    StateDir::claim(dir.path()).expect("free for the next one");
    Verdict::Held
}

fn a_killed_runtime_without_a_cgroup_leaves_nothing_that_can_be_found() -> Verdict {
    let dir = tempfile::tempdir().expect("a folder");
    let mut played = Played::new("best_effort", dir.path());
    played.kill();
    until("everybody has ended", || survivors(&played.told.tree).is_empty());
    until("the guardian has left", || gone(played.guardian()));
    assert_eq!(Registry::at(dir.path()).entries().expect("entries"), []);
    Verdict::Held
}

fn an_ordered_end_is_not_touched() -> Verdict {
    let dir = tempfile::tempdir().expect("a folder");
    let mut played = Played::new("cgroup", dir.path());
    played.stdin.take().expect("stdin").write_all(b"end").expect("told");
    assert!(played.child.wait().expect("a status").success());
    assert!(gone(played.guardian()), "the runtime waits for it");
    assert!(!dir.path().join("guardian.log").exists(), "it acted");
    assert!(dir.path().join("greenroom.sock").exists(), "it removed what is the runtime's");
    Verdict::Held
}

fn a_dead_guardian_is_noticed_and_replaced_at_once() -> Verdict {
    let stage = Stage::new();
    runtime().block_on(async {
        let charge = Charge::new(&stage.place, stage.containment.cgroup_root());
        let hold = stage.hold();
        let _child = start("sleep 987 & wait", &*hold);
        let tree = populated(&*hold, (1, 1));
        let first = Guardian::start(&charge).await.expect("a guardian");
        pidfd::send(pidfd::open(first.pid()).expect("a pidfd"), Signal::SIGKILL).expect("killed");
        first.died().await;
        let second = Guardian::start(&charge).await.expect("another guardian");
        assert_ne!(first.pid(), second.pid());
        first.dismiss().await;
        // There is one lock, so there is one guardian.
        let third = Guardian::start(&charge).await;
        assert!(third.is_err_and(|error| error.to_string().contains("another guardian")));
        let pid = second.pid();
        second.dismiss().await;
        assert!(gone(pid));
        assert_eq!(survivors(&tree).len(), 2);
    });
    Verdict::Held
}

fn it_outlives_every_signal_and_stays_small() -> Verdict {
    let stage = Stage::new();
    runtime().block_on(async {
        let guardian = Guardian::start(&Charge::new(&stage.place, None)).await.expect("a guardian");
        let fd = pidfd::open(guardian.pid()).expect("a pidfd");
        for signal in Signal::iterator().filter(|signal| !matches!(signal, Signal::SIGKILL | Signal::SIGSTOP)) {
            assert!(pidfd::send(&fd, signal).expect("sent"), "{signal} ended it");
        }
        assert!(!within(Duration::from_millis(50), || gone(guardian.pid())));
        let folder = format!("/proc/{}", guardian.pid());
        let descriptors = fs::read_dir(format!("{folder}/fd")).expect("descriptors").count();
        assert_eq!(descriptors, 6, "0, 1, 2, its lock, its pidfd and its signals");
        assert_eq!(fs::read_dir(format!("{folder}/task")).expect("threads").count(), 1);
        let rollup = fs::read_to_string(format!("{folder}/smaps_rollup")).expect("memory");
        let lines = rollup.lines().filter(|line| line.starts_with("Pss:") || line.starts_with("Rss:"));
        println!("    guardian: {}", lines.collect::<Vec<_>>().join(", "));
        guardian.dismiss().await;
    });
    Verdict::Held
}

/// The runtime may die while its guardian is still being started.
fn a_guardian_that_comes_too_late_acts_at_once() -> Verdict {
    let stage = Stage::new();
    runtime().block_on(async {
        let hold = stage.hold();
        let mut spawned = start("sleep 987 & wait", &*hold);
        let tree = populated(&*hold, (1, 1));
        let status = Command::new("/proc/self/exe")
            .arg("__guardian")
            .args(["--runtime", &std::process::id().to_string(), "--start-time", "1"])
            .arg("--state-dir")
            .arg(&stage.place.state_dir)
            .args(["--root", &stage.place.root_name()])
            .arg("--cgroup")
            .arg(stage.containment.root())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .status()
            .expect("a status");
        assert!(status.success());
        assert_eq!(survivors(&tree), []);
        spawned.running.status().await.expect("a status");
        assert!(!stage.containment.root().exists());
    });
    Verdict::Held
}
