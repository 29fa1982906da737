//! A crash loop ends; health and people set the count back.

use crate::{
    common::{BOUND, Greenroom, wait_for},
    moments::Moments,
};

const MAX: usize = 3;

fn config(greenroom: &Greenroom, moments: &Moments, options: &str, more: &str) -> String {
    let command = greenroom.stand_in("x", &format!("--no-http {} {options}", moments.option()));
    format!(
        "[service.x]\ncommand = {command}\nrestart.max = {MAX}\nrestart.backoff = \"10ms..40ms\"\n\
         restart.reset_after = \"10m\"\n{more}\n"
    )
}

/// `max` failures, so that many starts; a first start that is not counted as a restart may come on top.
#[track_caller]
fn ends_in_failed(greenroom: &Greenroom, moments: &Moments) {
    greenroom.wait_state("x", "failed");
    let starts = moments.starts("x");
    assert!((MAX..=MAX + 1).contains(&starts), "{starts} starts with restart.max = {MAX}");
    let service = greenroom.service("x");
    assert!(service["reason"].as_str().is_some_and(|reason| !reason.is_empty()), "{service:#}");
    assert_eq!(service["last_exit"]["code"], 7, "{service:#}");
    assert_eq!(service["last_exit"]["class"], "exit", "{service:#}");
    let stderr = service["last_exit"]["stderr"].to_string();
    assert!(stderr.contains("a famous last word"), "{service:#}");
    let why = greenroom.cli(&["why", "x"]).expect(0);
    assert!(why.stdout.contains("failed") && why.stdout.contains('7'), "{why:?}");
    greenroom.assert_no_survivor();
    // It stays so: the next command is answered, and nothing was started meanwhile.
    greenroom.cli(&["status"]).expect(0);
    assert_eq!((moments.starts("x"), greenroom.state("x").as_str()), (starts, "failed"));
}

#[test]
fn a_crash_loop_ends_in_failed_with_the_cause() {
    let greenroom = Greenroom::new();
    let moments = Moments::new(&greenroom);
    let options = "--crash-after-ms 1 --exit-code 7 --stderr WORD";
    let config = config(&greenroom, &moments, options, "").replace("WORD", "a famous last word");
    greenroom.configure(&config);
    greenroom.start();
    ends_in_failed(&greenroom, &moments);
    greenroom.shutdown_clean();
    greenroom.assert_clean();
}

#[test]
fn it_ends_also_when_each_life_lasts_longer_than_any_backoff() {
    let greenroom = Greenroom::new();
    let moments = Moments::new(&greenroom);
    let options = "--crash-after-ms 400 --exit-code 7 --stderr WORD";
    let config = config(&greenroom, &moments, options, "").replace("WORD", "a famous last word");
    greenroom.configure(&config);
    greenroom.start();
    ends_in_failed(&greenroom, &moments);
}

#[test]
fn health_in_one_piece_sets_the_count_back() {
    let greenroom = Greenroom::new();
    let moments = Moments::new(&greenroom);
    let config = config(&greenroom, &moments, "--crash-after-ms 300", "");
    greenroom.configure(&config.replace("\"10m\"", "\"50ms\""));
    greenroom.start();
    wait_for("it is started more often than the maximum", BOUND, || {
        assert_ne!(greenroom.state("x"), "failed", "{:#}", greenroom.service("x"));
        moments.starts("x") > 2 * MAX
    });
}

#[test]
fn a_person_may_restart_it_as_often_as_they_like() {
    let greenroom = Greenroom::new();
    let moments = Moments::new(&greenroom);
    greenroom.configure(&config(&greenroom, &moments, "", ""));
    greenroom.start();
    greenroom.wait_state("x", "ready");
    for _ in 0..MAX + 3 {
        greenroom.cli(&["restart", "x"]).expect(0);
    }
    assert_eq!(greenroom.state("x"), "ready");
    assert_eq!(greenroom.service("x")["restarts"]["consecutive"], 0);
    assert_eq!(greenroom.processes_of("x").len(), 1);
}

#[test]
fn start_and_reset_bring_a_failed_one_back() {
    let greenroom = Greenroom::new();
    let moments = Moments::new(&greenroom);
    greenroom.configure(&config(&greenroom, &moments, "--crash-after-ms 1", ""));
    greenroom.start();
    greenroom.wait_state("x", "failed");
    let before = moments.starts("x");
    greenroom.cli(&["reset", "x"]).expect(0);
    assert_eq!(greenroom.state("x"), "stopped");
    greenroom.cli(&["start", "--no-wait", "x"]).expect(0);
    greenroom.wait_state("x", "failed");
    wait_for("it was tried anew", BOUND, || moments.starts("x") >= before + MAX);
}

#[test]
fn policy_never_and_a_clean_end_restart_nothing() {
    let greenroom = Greenroom::new();
    let moments = Moments::new(&greenroom);
    let crash = config(&greenroom, &moments, "--crash-after-ms 1 --exit-code 7", "restart.policy = \"never\"");
    let done = greenroom.stand_in("done", &format!("--no-http {} --flood 1KB --end-after-flood", moments.option()));
    greenroom.configure(&format!("{crash}\n[service.done]\ncommand = {done}\n"));
    greenroom.start();
    greenroom.wait_state("x", "failed");
    greenroom.wait_state("done", "completed");
    assert_eq!((moments.starts("x"), moments.starts("done")), (1, 1));
    assert_eq!(greenroom.service("done")["last_exit"]["code"], 0);
}
