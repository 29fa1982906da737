//! Whatever a child writes, memory is bounded, the child is never blocked, and the last lines are there.

#[path = "../common/mod.rs"]
mod common;

use std::{fs, time::Duration};

use common::{BOUND, Greenroom, note, taken, wait_for};
use serde_json::Value;

/// More than the runtime needs for anything but keeping what is written.
const GROWTH: u64 = 16 << 20;

fn log_bytes(greenroom: &Greenroom) -> u64 {
    let logs = fs::read_dir(greenroom.state_dir().join("logs")).into_iter().flatten().flatten();
    let size = |path: std::path::PathBuf| {
        if path.is_dir() {
            fs::read_dir(path).into_iter().flatten().flatten().filter_map(|e| e.metadata().ok()).map(|m| m.len()).sum()
        } else {
            path.metadata().map_or(0, |m| m.len())
        }
    };
    logs.map(|entry| size(entry.path())).sum()
}

fn completed(greenroom: &Greenroom) -> Value {
    wait_for("the flood is over", Duration::from_secs(120), || greenroom.state("x") == "completed");
    greenroom.service("x")
}

fn flood(size: &str, line: usize) -> Greenroom {
    let greenroom = Greenroom::running(|g| {
        let options = format!("--no-http --flood {size} --flood-line-len {line} --end-after-flood");
        format!(
            "[log]\nservice_logs = {{ max_size = \"4MiB\", keep = 2 }}\n[service.x]\ncommand = {}\nstart = \"manual\"\n",
            g.stand_in("x", &options)
        )
    });
    let before = taken(greenroom.pid());
    let began = common::stopwatch();
    greenroom.cli(&["start", "--no-wait", "x"]).expect(0);
    completed(&greenroom);
    let (after, kept) = (taken(greenroom.pid()), log_bytes(&greenroom));
    note(&format!("{size} in lines of {line}: {:?}, memory {before} -> {after}, kept {kept}", began.elapsed()));
    assert!(after < before + GROWTH, "memory grew from {before} to {after}");
    // Three files of 4 MiB, and one may have been about to be turned.
    assert!(kept > 1 << 20 && kept < 17 << 20, "{kept} bytes kept");
    greenroom
}

#[test]
fn two_hundred_megabytes_that_nobody_reads_are_rotated_away() {
    let greenroom = flood("200MB", 100);
    greenroom.shutdown_clean();
    greenroom.assert_clean();
}

#[test]
fn a_line_of_ten_megabytes_is_bounded() {
    let greenroom = flood("10MB", 0);
    let tail = greenroom.cli(&["logs", "-n", "1", "x"]).expect(0);
    assert!(tail.stdout.len() <= 11_000_000, "{} bytes", tail.stdout.len());
    greenroom.shutdown_clean();
}

#[test]
fn any_bytes_pass_and_the_last_lines_are_in_the_exit_report() {
    let greenroom = Greenroom::running(|g| {
        let script = "printf '\\377\\000\\033[31mred\\n\\n\\303\\050 half\\n' >&2; \
                      i=0; while [ $i -lt 40 ]; do i=$((i+1)); echo line $i >&2; done; \
                      printf 'no end of line' >&2; exit 3";
        format!("[service.x]\ncommand = {}\nrestart.policy = \"never\"\n", g.shell(script))
    });
    greenroom.wait_state("x", "failed");
    let exit = greenroom.service("x")["last_exit"].clone();
    assert_eq!(exit["code"], 3, "{exit:#}");
    let lines: Vec<&str> = exit["stderr"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    assert_eq!(lines.len(), 20, "{lines:?}");
    assert_eq!(lines[18..], ["line 40", "no end of line"], "{lines:?}");
    let logs = greenroom.cli(&["logs", "-n", "100", "x"]).expect(0);
    assert!(logs.stdout.contains("red") && logs.stdout.contains("half"), "{logs:?}");
    greenroom.shutdown_clean();
}

#[test]
fn progress_bars_are_lines_of_their_own() {
    let greenroom = Greenroom::running(|g| {
        let script = "printf '\\r 1/3\\r 2/3\\r 3/3'; printf '\\rdone\\n'; exit 3";
        format!("[service.x]\ncommand = {}\nrestart.policy = \"never\"\n", g.shell(script))
    });
    greenroom.wait_state("x", "failed");
    // Nothing on stderr: the last lines of stdout are told instead.
    let exit = greenroom.service("x")["last_exit"].clone();
    let lines: Vec<&str> =
        exit["stderr"].as_array().into_iter().flatten().filter_map(Value::as_str).map(str::trim).collect();
    assert_eq!(lines.last(), Some(&"done"), "{lines:?}");
    assert!(lines.iter().all(|line| !line.contains('\r')), "{lines:?}");
    greenroom.shutdown_clean();
}

#[test]
fn a_ready_line_is_found_in_a_flood() {
    let greenroom = Greenroom::running(|g| {
        let line = g.stand_in_line("x", "--no-http --flood 20MB --end-after-flood");
        let script = format!("{line}; printf 'now listening\\r'; {line}; sleep 600");
        format!(
            "[service.x]\ncommand = {}\nready.probe = {{ log = \"now +listening\" }}\nready.timeout = \"60s\"\n",
            g.shell(&script)
        )
    });
    let took = greenroom.wait_state("x", "ready");
    note(&format!("ready {took:?} after the runtime"));
    greenroom.shutdown_clean();
}

#[test]
fn a_grandchild_that_holds_the_pipe_does_not_hide_the_exit() {
    let greenroom = Greenroom::running(|g| {
        let holder = g.stand_in_line("x", "--no-http --ignore-signals");
        let script = format!("{holder} & echo main ends; exit 4");
        format!("[service.x]\ncommand = {}\nrestart.policy = \"never\"\n", g.shell(&script))
    });
    greenroom.wait_state("x", "failed");
    assert_eq!(greenroom.service("x")["last_exit"]["code"], 4);
    wait_for("the rest of the tree is gone", BOUND, || greenroom.survivors().is_empty());
    greenroom.shutdown_clean();
}
