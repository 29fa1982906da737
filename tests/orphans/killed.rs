//! The runtime is killed with SIGKILL.

use std::time::Duration;

use nix::sys::signal::Signal;

use crate::{
    common::{BOUND, Greenroom, Layer, alive, in_every_layer, note, signal, wait_for, wait_until},
    families::{all, assert_one_copy_of_each},
};

/// One second is promised; a machine that runs many tests at once gets more.
const GONE: Duration = Duration::from_secs(15);

in_every_layer!(
    a_killed_runtime_leaves_nothing_and_the_next_start_has_one_copy_of_each,
    a_killed_wrapper_takes_its_worker_along_before_the_new_pair_starts,
);

fn a_killed_runtime_leaves_nothing_and_the_next_start_has_one_copy_of_each(layer: Layer) {
    let greenroom = Greenroom::running_in(layer, all);
    assert_one_copy_of_each(&greenroom);
    let living = greenroom.survivors().len();
    greenroom.kill();
    let took = greenroom.wait_gone(GONE);
    note(&format!("{living} processes were gone {took:?} after the runtime"));
    greenroom.start();
    assert_one_copy_of_each(&greenroom);
    greenroom.shutdown_clean();
    greenroom.assert_clean();
}

fn a_killed_wrapper_takes_its_worker_along_before_the_new_pair_starts(layer: Layer) {
    let greenroom = Greenroom::in_layer(layer);
    // The port is fixed: a worker that still held it would make the new one fail.
    let port = greenroom.port(0);
    let line = greenroom.stand_in_line("pair", &format!("--port {port} --ignore-signals"));
    let command = greenroom.shell(&format!("{line}; echo ended"));
    greenroom.configure(&format!("[service.pair]\ncommand = {command}\nport = {port}\nready = \"/health\"\n"));
    greenroom.start();
    greenroom.wait_state("pair", "ready");
    let wrapper = greenroom.service_pid("pair");
    let old = worker_of(&greenroom, wrapper);
    signal(wrapper, Signal::SIGKILL);
    let (new, _) = wait_until("a new worker runs", BOUND, || {
        let workers = greenroom.processes_of("pair");
        let new = workers.iter().find(|p| p.parent != wrapper && p.pid != old && !p.command.starts_with("/bin/sh"))?;
        assert!(!alive(old), "the new worker {new} runs beside the old one {old}");
        Some(new.pid)
    });
    wait_for("the new pair is ready", BOUND, || {
        let service = greenroom.service("pair");
        service["state"] == "ready" && service["pid"] != wrapper
    });
    assert!(alive(new) && !alive(old));
    assert_eq!(greenroom.processes_of("pair").len(), 2);
    let service = greenroom.service("pair");
    assert_eq!(service["restarts"]["total"], 1, "one restart was enough: {service:#}");
    assert_eq!(service["last_exit"]["signal"], 9, "{service:#}");
    assert_eq!(service["last_exit"]["class"], "killed", "{service:#}");
    greenroom.shutdown_clean();
    greenroom.assert_clean();
}

fn worker_of(greenroom: &Greenroom, wrapper: i32) -> i32 {
    let find = || greenroom.processes_of("pair").into_iter().find(|process| process.parent == wrapper);
    wait_until("the wrapper has its worker", BOUND, find).0.pid
}
