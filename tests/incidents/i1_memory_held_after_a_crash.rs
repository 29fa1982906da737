//! I1: a crash leaves a process that holds memory; the next start does not see it.

use std::fs;

use nix::sys::signal::Signal;

use crate::common::{BOUND, Greenroom, alive, signal, wait_for};

/// Small, so that machines without much memory run this; what counts is that it is really resident.
const MEMORY: &str = "64MiB";

/// A runtime and its guardian gone in the same instant, and the engine still there. Returns the engine's process.
fn crashed(greenroom: &Greenroom) -> i32 {
    let engine = greenroom.stand_in("engine", &format!("--port ${{port}} --memory {MEMORY} --ignore-signals"));
    greenroom.configure(&format!("[service.engine]\ncommand = {engine}\nready = \"/health\"\n"));
    greenroom.start();
    greenroom.wait_state("engine", "ready");
    let engine = greenroom.service_pid("engine");
    let guardian = greenroom.guardian();
    for pid in [greenroom.pid(), guardian] {
        signal(pid, Signal::SIGSTOP);
    }
    signal(guardian, Signal::SIGKILL);
    greenroom.kill();
    assert!(resident(engine) >= 64 << 20, "the engine holds {} bytes", resident(engine));
    engine
}

#[test]
fn i1_the_next_start_finds_it_and_ends_it_before_it_starts_another() {
    let greenroom = Greenroom::new();
    let left = crashed(&greenroom);
    greenroom.start();
    assert!(!alive(left), "it was ended before the runtime said that it runs");
    greenroom.wait_state("engine", "ready");
    assert_eq!(greenroom.processes_of("engine").len(), 1);
    greenroom.shutdown_clean();
    greenroom.assert_clean();
}

#[test]
fn i1_sweep_finds_it_and_ends_it_by_hand() {
    let greenroom = Greenroom::new();
    let left = crashed(&greenroom);
    let found = greenroom.cli(&["sweep", "--dry-run"]).expect(0);
    assert!(found.stdout.contains(&left.to_string()), "{found:?}");
    assert!(alive(left), "a dry run ends nothing");
    let swept = greenroom.cli(&["sweep"]).expect(0);
    assert!(swept.stdout.contains(&left.to_string()), "{swept:?}");
    wait_for("nothing is left", BOUND, || greenroom.survivors().is_empty());
    let again = greenroom.cli(&["sweep"]).expect(0);
    assert!(!again.stdout.contains(&left.to_string()), "{again:?}");
}

/// Anonymous and shared memory of a process in bytes.
fn resident(pid: i32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let kilobytes = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name))?;
        line.split_whitespace().next()?.parse::<u64>().ok()
    };
    kilobytes("RssAnon:").unwrap_or(0) * 1024
}
