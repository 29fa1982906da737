//! A service's output, of this run and of those that ended.

use std::{
    io::{BufRead, BufReader},
    process::Stdio,
};

use crate::common::{BOUND, Greenroom, wait_for};

fn config(greenroom: &Greenroom) -> String {
    // Talks ten times a second, so that whoever follows hears something new.
    let tag = greenroom.tag("x");
    let script = format!("n=0; while :; do n=$((n+1)); echo line $n of $$; echo err $n >&2; sleep 0.1; done # {tag}");
    format!("[service.x]\ncommand = {}\n", greenroom.shell(&script))
}

#[test]
fn logs_show_both_streams_and_as_many_lines_as_asked() {
    let greenroom = Greenroom::running(config);
    wait_for("some output", BOUND, || greenroom.cli(&["logs", "x"]).stdout.contains("line 5 "));
    let all = greenroom.cli(&["logs", "x"]).expect(0);
    assert!(all.stdout.contains("err 3"), "{all:?}");
    let tail = greenroom.cli(&["logs", "-n", "3", "x"]).expect(0);
    assert_eq!(tail.stdout.lines().count(), 3, "{tail:?}");
    let answer = greenroom.api().get("/api/services/x/logs?tail=2").expect("an answer");
    assert_eq!(answer.status, 200);
    assert_eq!(answer.body.lines().filter(|line| !line.is_empty()).count(), 2, "{answer:?}");
}

#[test]
fn logs_of_runs_that_ended_are_kept_also_without_a_runtime() {
    let greenroom = Greenroom::running(config);
    greenroom.wait_state("x", "ready");
    let pid = greenroom.service_pid("x");
    wait_for("some output", BOUND, || greenroom.cli(&["logs", "x"]).stdout.contains(&format!("of {pid}")));
    greenroom.cli(&["restart", "x"]).expect(0);
    let new = greenroom.service_pid("x");
    wait_for("output of the new run", BOUND, || {
        greenroom.cli(&["logs", "-n", "1000", "x"]).stdout.contains(&format!("of {new}"))
    });
    let both = greenroom.cli(&["logs", "-n", "1000", "x"]).expect(0);
    assert!(both.stdout.contains(&format!("of {pid}")), "{both:?}");
    greenroom.shutdown_clean();
    let after = greenroom.cli(&["logs", "-n", "1000", "x"]).expect(0);
    assert!(after.stdout.contains(&format!("of {new}")), "{after:?}");
}

#[test]
fn following_shows_what_comes_and_ends_with_the_runtime() {
    let greenroom = Greenroom::running(config);
    let mut command = greenroom.cli_command(&["logs", "-f", "-n", "1", "x"]);
    let mut child = command.stdout(Stdio::piped()).spawn().expect("the binary under test runs");
    let mut lines = BufReader::new(child.stdout.take().expect("a pipe")).lines().map_while(Result::ok);
    let seen: Vec<String> = lines.by_ref().take(8).collect();
    assert!(seen.iter().any(|line| line.contains("line")) && seen.iter().any(|line| line.contains("err")), "{seen:?}");
    greenroom.shutdown_clean();
    // The rest is read to its end: the command ends by itself.
    assert!(lines.count() < 1000);
    child.wait().expect("the command ends");
}
