//! I5: a shell wrapper starts the workers anew that the manager kills; in the end there are dozens.

use crate::common::{BOUND, Greenroom, wait_for};

/// A wrapper that never gives up, as start scripts of WebUIs do, and a worker with two children.
fn config(greenroom: &Greenroom) -> String {
    let line = greenroom.stand_in_line("webui", "--no-http --tree 2 --child-mode respawn");
    let script = format!("trap '' TERM; while :; do {line}; echo started again; done");
    format!("[service.webui]\ncommand = {}\nstop.grace = \"300ms\"\n", greenroom.shell(&script))
}

/// The wrapper, its worker, and the worker's two children.
const SIZE: usize = 4;

#[track_caller]
fn wait_complete(greenroom: &Greenroom) {
    greenroom.wait_state("webui", "ready");
    wait_for("wrapper, worker and children live", BOUND, || greenroom.processes_of("webui").len() == SIZE);
}

#[test]
fn i5_the_whole_tree_dies_and_the_wrapper_starts_nothing_anew() {
    let greenroom = Greenroom::running(config);
    wait_complete(&greenroom);
    greenroom.cli(&["stop", "webui"]).expect(0);
    greenroom.assert_no_survivor();
    assert_eq!(greenroom.state("webui"), "stopped");
    greenroom.shutdown_clean();
    greenroom.assert_clean();
}

#[test]
fn i5_ten_manual_restarts_leave_the_process_count_as_it_was() {
    let greenroom = Greenroom::running(config);
    wait_complete(&greenroom);
    for _ in 0..10 {
        greenroom.cli(&["restart", "webui"]).expect(0);
        wait_complete(&greenroom);
    }
    let service = greenroom.service("webui");
    assert_eq!(service["restarts"]["consecutive"], 0, "manual restarts do not count: {service:#}");
    assert_eq!(service["containment"]["processes"], SIZE, "{service:#}");
    greenroom.shutdown_clean();
    greenroom.assert_clean();
}
