//! Stopping: in order, side by side where nothing depends, and never longer than said.

use std::time::Duration;

use nix::sys::signal::Signal;

use crate::{
    common::{BOUND, Greenroom, note, timed, wait_for},
    moments::Moments,
};

/// Asks the runtime to stop; its exit status and how long that takes.
#[track_caller]
fn end(greenroom: &Greenroom) -> (i32, Duration) {
    timed(|| {
        greenroom.signal(Signal::SIGTERM);
        greenroom.wait(Duration::from_secs(60)).0
    })
}

#[test]
fn services_stop_in_reverse_order_of_their_dependencies_each_waited_for() {
    let greenroom = Greenroom::new();
    let moments = Moments::new(&greenroom);
    let service = |name: &str, more: &str| {
        // The later in the chain, the longer its end takes: unordered stops would be seen.
        let options = format!("--port ${{port}} --load-ms 50 --stop-ms 150 {}", moments.option());
        format!("[service.{name}]\ncommand = {}\nready = \"/health\"\n{more}\n", greenroom.stand_in(name, &options))
    };
    // Written down in another order than they depend on each other.
    let config = [
        service("web", "depends_on = { api = \"ready\" }"),
        service("db", ""),
        service("api", "depends_on = { db = \"ready\" }"),
    ];
    greenroom.configure(&config.concat());
    greenroom.start();
    greenroom.wait_state("web", "ready");
    greenroom.shutdown_clean();
    let lines = moments.lines();
    assert_eq!(lines[..3], ["db start", "api start", "web start"], "{lines:?}");
    assert_eq!(lines[3..], ["web stop", "web end", "api stop", "api end", "db stop", "db end"], "{lines:?}");
    greenroom.assert_clean();
}

#[test]
fn stopping_ten_of_which_three_ignore_sigterm_takes_one_grace() {
    const GRACE: Duration = Duration::from_secs(5);
    let greenroom = Greenroom::running(|g| {
        let service = |n: usize| {
            let options = if n < 3 { "--no-http --ignore-signals" } else { "--no-http" };
            let (name, grace) = (format!("s{n}"), GRACE.as_secs());
            format!("[service.{name}]\ncommand = {}\nstop.grace = \"{grace}s\"\n", g.stand_in(&name, options))
        };
        (0..10).map(service).collect()
    });
    greenroom.wait_settled(10);
    let (code, took) = end(&greenroom);
    note(&format!("ten services, three of which ignore SIGTERM, a grace of {GRACE:?}: {took:?}"));
    assert_eq!(code, 0, "{}", greenroom.output());
    assert!(took >= GRACE, "the three got their grace: {took:?}");
    assert!(took < 2 * GRACE, "it took {took:?}; one after the other is {:?}", 3 * GRACE);
    greenroom.assert_clean();
}

#[test]
fn fifty_that_need_half_a_second_stop_side_by_side() {
    let greenroom = Greenroom::running(|g| {
        let service = |n: usize| {
            let name = format!("s{n}");
            format!("[service.{name}]\ncommand = {}\n", g.stand_in(&name, "--no-http --stop-ms 500"))
        };
        (0..50).map(service).collect()
    });
    greenroom.wait_settled(50);
    let (code, took) = end(&greenroom);
    note(&format!("fifty services that need 0.5 s each: {took:?}"));
    assert_eq!(code, 0, "{}", greenroom.output());
    assert!(took < Duration::from_millis(12_500), "it took {took:?}; one after the other is 25 s");
    greenroom.assert_clean();
}

#[test]
fn a_second_signal_forces_the_end_and_says_so() {
    let greenroom = Greenroom::running(|g| {
        let command = g.stand_in("x", "--no-http --ignore-signals");
        format!("[runtime.shutdown]\ndeadline = \"60s\"\n[service.x]\ncommand = {command}\nstop.grace = \"50s\"\n")
    });
    greenroom.wait_settled(1);
    greenroom.signal(Signal::SIGINT);
    wait_for("the stop has begun", BOUND, || greenroom.state("x") == "stopping");
    greenroom.signal(Signal::SIGTERM);
    let (code, took) = greenroom.wait(BOUND);
    note(&format!("forced end after {took:?}"));
    assert_eq!(code, 5, "{}", greenroom.output());
    assert!(took < Duration::from_secs(20), "it did not wait for the grace: {took:?}");
    greenroom.wait_gone(BOUND);
}

#[test]
fn the_deadline_bounds_every_grace() {
    let greenroom = Greenroom::running(|g| {
        let command = g.stand_in("x", "--no-http --ignore-signals");
        format!("[runtime.shutdown]\ndeadline = \"2s\"\n[service.x]\ncommand = {command}\nstop.grace = \"50s\"\n")
    });
    greenroom.wait_settled(1);
    let (code, took) = end(&greenroom);
    note(&format!("an end with a deadline of 2 s took {took:?}, exit status {code}"));
    assert_eq!(code, 5, "its grace of 50 s was cut short by the deadline");
    assert!(took < Duration::from_secs(25), "it took {took:?}, half of its grace");
    greenroom.wait_gone(BOUND);
}

#[test]
fn a_service_that_is_starting_stops_at_once() {
    let greenroom = Greenroom::running(|g| {
        let command = g.stand_in("slow", "--port ${port} --load-ms 600000");
        format!("[service.slow]\ncommand = {command}\nready = \"/health\"\n")
    });
    greenroom.wait_state("slow", "starting");
    greenroom.wait_settled(1);
    let (stopped, took) = timed(|| greenroom.cli(&["stop", "slow"]));
    stopped.expect(0);
    assert!(took < Duration::from_secs(10), "it took {took:?}");
    greenroom.assert_no_survivor();
    greenroom.shutdown_clean();
}
