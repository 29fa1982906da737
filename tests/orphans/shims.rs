//! What only shims have to stand: they are killed or stopped, alone and together with those who watch them.

use std::time::Duration;

use nix::sys::signal::Signal;

use crate::{
    common::{BOUND, Greenroom, Layer, alive, signal, wait_for, with_shims},
    families::{all, assert_one_copy_of_each},
    guardian::kill_both_at_once,
};

/// One second is promised; a machine that runs many tests at once gets more.
const GONE: Duration = Duration::from_secs(15);

with_shims!(
    a_killed_shim_takes_its_tree_along_and_the_service_comes_back_once,
    guardian_and_runtime_killed_at_once_leave_nothing,
    a_shim_and_its_runtime_killed_at_once_leave_nothing,
    stopped_shims_and_a_killed_runtime_leave_nothing,
    a_stopped_guardian_and_a_killed_runtime_leave_nothing,
    a_shim_killed_beside_a_stopped_guardian_costs_one_restart,
    a_stopped_shim_does_not_outlive_its_runtime_when_its_guardian_was_killed,
);

/// The parent of a service's main process.
fn shim_of(greenroom: &Greenroom, service: &str) -> i32 {
    let main = greenroom.service_pid(service);
    let processes = greenroom.survivors();
    processes.iter().find(|process| process.pid == main).expect("its main process carries the tag").parent
}

fn a_killed_shim_takes_its_tree_along_and_the_service_comes_back_once(layer: Layer) {
    let greenroom = Greenroom::running_in(layer, all);
    assert_one_copy_of_each(&greenroom);
    for service in ["wrapper", "daemons", "tree"] {
        let old: Vec<i32> = greenroom.processes_of(service).into_iter().map(|process| process.pid).collect();
        let before = greenroom.service_pid(service);
        signal(shim_of(&greenroom, service), Signal::SIGKILL);
        wait_for("the service is back", BOUND, || {
            let seen = greenroom.service(service);
            seen["state"] == "ready" && seen["pid"].as_i64().is_some_and(|pid| pid != i64::from(before))
        });
        assert!(!old.iter().any(|&pid| alive(pid)), "something of the old copy of {service} lives");
        assert_eq!(greenroom.service(service)["restarts"]["total"], 1, "{:#}", greenroom.service(service));
    }
    for family in crate::families::Family::ALL {
        family.wait_complete(&greenroom);
    }
    greenroom.shutdown_clean();
    greenroom.assert_clean();
}

fn guardian_and_runtime_killed_at_once_leave_nothing(layer: Layer) {
    let greenroom = Greenroom::running_in(layer, all);
    assert_one_copy_of_each(&greenroom);
    kill_both_at_once(&greenroom);
    greenroom.wait_gone(GONE);
    greenroom.start();
    assert_one_copy_of_each(&greenroom);
    greenroom.shutdown_clean();
    greenroom.assert_clean();
}

fn a_shim_and_its_runtime_killed_at_once_leave_nothing(layer: Layer) {
    let greenroom = Greenroom::running_in(layer, all);
    assert_one_copy_of_each(&greenroom);
    let shims = ["wrapper", "daemons", "tree"].map(|service| shim_of(&greenroom, service));
    signal(greenroom.pid(), Signal::SIGSTOP);
    for shim in shims {
        signal(shim, Signal::SIGKILL);
    }
    greenroom.kill();
    greenroom.wait_gone(GONE);
}

fn stopped_shims_and_a_killed_runtime_leave_nothing(layer: Layer) {
    let greenroom = Greenroom::running_in(layer, all);
    assert_one_copy_of_each(&greenroom);
    for service in ["plain", "daemons", "tree"] {
        signal(shim_of(&greenroom, service), Signal::SIGSTOP);
    }
    greenroom.kill();
    // The guardian gives shims that do not answer a moment before it ends them itself.
    greenroom.wait_gone(2 * GONE);
}

fn a_stopped_guardian_and_a_killed_runtime_leave_nothing(layer: Layer) {
    let greenroom = Greenroom::running_in(layer, all);
    assert_one_copy_of_each(&greenroom);
    signal(greenroom.guardian(), Signal::SIGSTOP);
    greenroom.kill();
    greenroom.wait_gone(GONE);
    greenroom.start();
    assert_one_copy_of_each(&greenroom);
    greenroom.shutdown_clean();
    greenroom.assert_clean();
}

fn a_shim_killed_beside_a_stopped_guardian_costs_one_restart(layer: Layer) {
    let greenroom = Greenroom::running_in(layer, all);
    assert_one_copy_of_each(&greenroom);
    let service = "daemons";
    let old: Vec<i32> = greenroom.processes_of(service).into_iter().map(|process| process.pid).collect();
    let before = greenroom.service_pid(service);
    signal(greenroom.guardian(), Signal::SIGSTOP);
    signal(shim_of(&greenroom, service), Signal::SIGKILL);
    // The runtime wakes the guardian, which has inherited them and bears the next shim.
    wait_for("the service is back", BOUND, || {
        let seen = greenroom.service(service);
        seen["state"] == "ready" && seen["pid"].as_i64().is_some_and(|pid| pid != i64::from(before))
    });
    assert!(!old.iter().any(|&pid| alive(pid)), "something of the old copy lives");
    greenroom.shutdown_clean();
    greenroom.assert_clean();
}

fn a_stopped_shim_does_not_outlive_its_runtime_when_its_guardian_was_killed(layer: Layer) {
    let greenroom = Greenroom::running_in(layer, all);
    assert_one_copy_of_each(&greenroom);
    let shims = ["plain", "daemons", "tree"].map(|service| shim_of(&greenroom, service));
    for shim in shims {
        signal(shim, Signal::SIGSTOP);
    }
    let guardian = greenroom.guardian();
    signal(guardian, Signal::SIGKILL);
    wait_for("another guardian is there", BOUND, || {
        greenroom.status()["runtime"]["guardian"].as_i64().is_some_and(|pid| pid != i64::from(guardian))
    });
    greenroom.kill();
    greenroom.wait_gone(GONE);
    wait_for("the shims are gone too", GONE, || !shims.iter().any(|&shim| alive(shim)));
}
