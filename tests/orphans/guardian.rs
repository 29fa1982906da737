//! The guardian is killed, alone and together with the runtime.

use nix::sys::signal::Signal;

use crate::{
    common::{BOUND, Greenroom, Layer, alive, in_every_layer, signal, wait_until},
    families::{all, assert_one_copy_of_each},
};

in_every_layer!(a_killed_guardian_is_replaced_and_nothing_runs_twice, the_new_guardian_guards);

fn a_killed_guardian_is_replaced_and_nothing_runs_twice(layer: Layer) {
    let greenroom = Greenroom::running_in(layer, all);
    assert_one_copy_of_each(&greenroom);
    let before = greenroom.service_pid("plain");
    let old = greenroom.guardian();
    signal(old, Signal::SIGKILL);
    let replaced = || {
        let pid = greenroom.status()["runtime"]["guardian"].as_i64()? as i32;
        (pid != old && alive(pid)).then_some(pid)
    };
    wait_until("a new guardian watches", BOUND, replaced);
    assert!(!alive(old), "the old guardian is gone");
    assert_one_copy_of_each(&greenroom);
    assert_eq!(greenroom.service_pid("plain"), before, "the services did not notice");
    greenroom.shutdown_clean();
    greenroom.assert_clean();
}

fn the_new_guardian_guards(layer: Layer) {
    let greenroom = Greenroom::running_in(layer, all);
    assert_one_copy_of_each(&greenroom);
    let old = greenroom.guardian();
    signal(old, Signal::SIGKILL);
    let replaced = || greenroom.status()["runtime"]["guardian"].as_i64().filter(|&pid| pid != i64::from(old));
    wait_until("a new guardian watches", BOUND, replaced);
    greenroom.kill();
    greenroom.wait_gone(BOUND);
}

#[test]
fn both_killed_at_once_the_next_start_sweeps_before_it_starts_anything() {
    let greenroom = Greenroom::new();
    // The port is fixed: started before the sweep, the new copy would find it taken.
    let port = greenroom.port(0);
    let fixed = greenroom.stand_in("fixed", &format!("--port {port} --ignore-signals"));
    let fixed = format!("[service.fixed]\ncommand = {fixed}\nport = {port}\nready = \"/health\"\n");
    greenroom.configure(&format!("{}\n{fixed}", all(&greenroom)));
    greenroom.start();
    assert_one_copy_of_each(&greenroom);
    greenroom.wait_state("fixed", "ready");
    let old: Vec<i32> = greenroom.survivors().into_iter().map(|process| process.pid).collect();
    kill_both_at_once(&greenroom);
    assert!(old.iter().any(|&pid| alive(pid)), "with both gone nothing is left to end the services");

    greenroom.start();
    assert_one_copy_of_each(&greenroom);
    greenroom.wait_state("fixed", "ready");
    assert_eq!(greenroom.service("fixed")["restarts"]["total"], 0);
    let fixed = greenroom.service_pid("fixed");
    assert!(!old.contains(&fixed) && greenroom.processes_of("fixed").len() == 1);
    greenroom.shutdown_clean();
    greenroom.assert_clean();
}

/// Neither gets to see the other's death: both are stopped before one is killed.
pub fn kill_both_at_once(greenroom: &Greenroom) {
    let guardian = greenroom.guardian();
    for pid in [greenroom.pid(), guardian] {
        signal(pid, Signal::SIGSTOP);
    }
    signal(guardian, Signal::SIGKILL);
    greenroom.kill();
}

#[test]
fn a_stopped_guardian_does_not_keep_the_next_start_from_its_sweep() {
    let greenroom = Greenroom::running(all);
    assert_one_copy_of_each(&greenroom);
    let old: Vec<i32> = greenroom.survivors().into_iter().map(|process| process.pid).collect();
    signal(greenroom.guardian(), Signal::SIGSTOP);
    greenroom.kill();
    assert!(old.iter().any(|&pid| alive(pid)), "nobody is awake to end the services");

    // Waiting for the guardian's lock would take longer than a start may.
    greenroom.start();
    assert_one_copy_of_each(&greenroom);
    assert!(!old.iter().any(|&pid| alive(pid)), "the sweep ended what was left");
    greenroom.shutdown_clean();
    greenroom.assert_clean();
}
