//! A process that SIGKILL does not end. The v1 freezer stands in for a driver that hangs: what it has frozen does not
//! die before it is thawed.

#[path = "../common/mod.rs"]
mod common;
mod freezer;

use std::time::Duration;

use common::{BOUND, Greenroom, alive, note, timed, wait_for};
use freezer::Freezer;

const GRACE: Duration = Duration::from_secs(1);
/// The bound after the grace that is promised for saying `stuck`.
const PROMISED: Duration = Duration::from_secs(2);
/// For a machine that runs many tests at once.
const MARGIN: Duration = Duration::from_secs(5);

fn config(greenroom: &Greenroom) -> String {
    let hung = greenroom.stand_in("hung", "--port ${port}");
    let other = greenroom.stand_in("other", "--port ${port}");
    let ready = "ready = \"/health\"";
    format!(
        "[service.hung]\ncommand = {hung}\nstop.grace = \"1s\"\n{ready}\n[service.other]\ncommand = {other}\n{ready}\n"
    )
}

/// A runtime whose service `hung` can be frozen; `None`, and a word of it, where there is no freezer. What is bound last
/// is dropped first, and so is the freezer: a frozen process cannot be killed.
fn running() -> Option<(Greenroom, Freezer)> {
    let Some(freezer) = Freezer::new() else {
        note("cannot run here: needs a writable v1 freezer at /sys/fs/cgroup/freezer");
        return None;
    };
    let greenroom = Greenroom::running(config);
    greenroom.wait_state("hung", "ready");
    Some((greenroom, freezer))
}

#[test]
fn stop_is_bounded_others_are_served_nothing_runs_twice_and_it_recovers() {
    let Some((greenroom, freezer)) = running() else { return };
    greenroom.wait_state("other", "ready");
    let other = greenroom.engine("other");
    let hung = greenroom.service_pid("hung");
    freezer.freeze(hung);

    let (stopped, took) = timed(|| greenroom.cli(&["stop", "hung"]));
    note(&format!("stop of a hung process with a grace of {GRACE:?} returned after {took:?}"));
    assert!(took < GRACE + PROMISED + MARGIN, "it took {took:?}");
    assert_eq!(stopped.code, 1, "{stopped:?}");
    assert!(stopped.text().contains("stuck"), "{stopped:?}");
    let service = greenroom.service("hung");
    assert_eq!(service["state"], "stuck", "{service:#}");
    assert!(service["reason"].as_str().is_some_and(|reason| !reason.is_empty()), "{service:#}");

    assert_eq!(other.get("/health").expect("the other service is served").status, 200);
    assert_eq!(greenroom.state("other"), "ready");
    greenroom.cli(&["restart", "other"]).expect(0);

    greenroom.cli(&["start", "--no-wait", "hung"]);
    assert_eq!(greenroom.state("hung"), "stuck", "nothing is started in its place");
    assert_eq!(greenroom.processes_of("hung").len(), 1, "no second copy");
    greenroom.cli(&["stop", "--no-wait", "hung"]);

    freezer.thaw();
    wait_for("it is gone", BOUND, || !alive(hung));
    greenroom.wait_state("hung", "stopped");
    greenroom.cli(&["start", "hung"]).expect(0);
    assert_eq!(greenroom.processes_of("hung").len(), 1);
    greenroom.shutdown_clean();
    greenroom.assert_clean();
}

#[test]
fn a_runtime_that_ends_beside_a_stuck_process_says_so() {
    let Some((greenroom, freezer)) = running() else { return };
    let hung = greenroom.service_pid("hung");
    freezer.freeze(hung);
    let (code, took) = timed(|| greenroom.shutdown());
    note(&format!("shutdown beside a hung process took {took:?}"));
    assert!(took < GRACE + PROMISED + 2 * MARGIN, "it took {took:?}");
    assert_ne!(code, 0, "something is left, and the exit status says so");
    assert!(alive(hung));
    freezer.thaw();
    wait_for("it is gone", BOUND, || !alive(hung));
}
