//! What a program writes may be anything: it neither slows what reads it nor reaches a terminal as it came.

use std::{fs::File, io::Read, os::fd::OwnedFd, thread, time::Duration};

use nix::pty::openpty;

use crate::{
    common::{BOUND, Greenroom, note, stopwatch, taken, wait_for},
    service, watchdog,
};

/// More than the runtime needs for anything but keeping what is written.
const GROWTH: u64 = 24 << 20;

/// A chat that writes what no terminal should see, a word of which is a failure.
fn config(greenroom: &Greenroom) -> String {
    let rule = "[[service.chat.failure]]\npattern = \"owned\"\nclass = \"driver\"\naction = \"restart_once\"\n";
    watchdog("") + &service(greenroom, "chat", "", "") + rule
}

/// What a command writes to a terminal.
fn on_a_terminal(greenroom: &Greenroom, args: &[&str]) -> Vec<u8> {
    let pty = openpty(None, None).expect("a terminal");
    let (screen, line): (OwnedFd, OwnedFd) = (pty.master, pty.slave);
    let mut command = greenroom.cli_command(args);
    command.stdout(line.try_clone().expect("a descriptor")).stderr(line);
    let mut child = command.spawn().expect("the binary under test runs");
    // The command keeps descriptors of the line, which would keep the screen from ending.
    drop(command);
    let reader = thread::spawn(move || {
        let mut seen = Vec::new();
        // The end of a terminal is told as an error.
        File::from(screen).read_to_end(&mut seen).ok();
        seen
    });
    child.wait().expect("it ends");
    reader.join().expect("the reader ends")
}

/// Escapes that are Greenroom's own: colours, and a line drawn anew.
fn without_our_own(seen: &[u8]) -> String {
    let text = String::from_utf8_lossy(seen).into_owned();
    let mut plain = String::new();
    let mut rest = text.as_str();
    while let Some((before, after)) = rest.split_once("\x1b[") {
        plain.push_str(before);
        let digits = after.trim_start_matches(|c: char| c.is_ascii_digit() || c == ';');
        match digits.strip_prefix(['m', 'K']) {
            Some(after) => rest = after,
            None => {
                plain.push_str("\x1b[");
                rest = after;
            }
        }
    }
    plain + rest
}

#[test]
fn nothing_of_it_reaches_a_terminal_as_it_came() {
    let greenroom = Greenroom::running(config);
    greenroom.wait_state("chat", "ready");
    assert_eq!(greenroom.engine("chat").post("/hostile", None).expect("an answer").status, 200);
    greenroom.wait_alert(Some("chat"), "driver");
    for args in [
        &["logs", "-n", "100", "chat"][..],
        &["status"],
        &["why", "chat"],
        &["events"],
        &["history", "events"],
        &["history", "runs"],
    ] {
        let seen = on_a_terminal(&greenroom, args);
        let text = without_our_own(&seen);
        // Or nothing would have been shown of it.
        assert!(args[0] != "logs" || text.contains("owned") && text.contains("end of hostile output"), "{text:?}");
        let bad: Vec<char> = text.chars().filter(|c| c.is_control() && !"\n\r\t".contains(*c)).collect();
        assert!(bad.is_empty(), "{args:?}: {bad:?} in {text:?}");
        assert!(!text.contains('\u{202e}'), "{args:?}: text that is turned round: {text:?}");
    }
    greenroom.shutdown_clean();
    greenroom.assert_clean();
}

/// How long it takes until so much hostile output, the end of which is one line without an end, has been taken in.
fn taken_in(size: &str) -> Duration {
    let greenroom = Greenroom::running(|g| {
        let command =
            g.stand_in("x", &format!("--no-http --hostile --flood {size} --flood-line-len 0 --end-after-flood"));
        // Patterns that take a matcher which goes back and forth an age.
        let rules = ["(x+x+)+y", "x*x*x*x*x*x*q", "(?:x|xx)*$z"].map(|pattern| {
            format!("[[service.x.failure]]\npattern = \"{pattern}\"\nclass = \"driver\"\naction = \"restart\"\n")
        });
        let logs = "[log]\nservice_logs = { max_size = \"4MiB\", keep = 1 }\n";
        watchdog("") + logs + &format!("[service.x]\ncommand = {command}\nstart = \"manual\"\n") + &rules.concat()
    });
    let before = taken(greenroom.pid());
    let began = stopwatch();
    greenroom.cli(&["start", "--no-wait", "x"]).expect(0);
    let mut most = 0;
    wait_for("the flood is over", BOUND * 10, || {
        most = most.max(taken(greenroom.pid()).saturating_sub(before));
        greenroom.state("x") == "completed"
    });
    let took = began.elapsed();
    assert!(most < GROWTH, "memory grew by {most}");
    assert!(greenroom.alerts(Some("x")).is_empty(), "nothing in it is a failure");
    greenroom.shutdown_clean();
    greenroom.assert_clean();
    took
}

#[test]
fn a_line_without_an_end_is_matched_in_linear_time_and_bounded_memory() {
    let (short, long) = (taken_in("2MB"), taken_in("20MB"));
    note(&format!("2 MB without a line end in {short:?}, 20 MB in {long:?}"));
    // Ten times as much; quadratic would be a hundred times as long. The rest is for a machine that does other things.
    assert!(long < short * 25 + BOUND, "{short:?} became {long:?}");
}
