//! A kept service goes on when its runtime ends, however it ends, and the next one has it as it was.

use std::fs;

use nix::sys::signal::Signal;

use crate::{
    common::{BOUND, Greenroom, Layer, alive, in_every_layer, signal, wait_for},
    counting::{NAME, config, count_of_log_files, counted, end, entry, kill_runtime, ready, starts, wait_for_more},
};

in_every_layer!(
    ten_restarts_of_the_runtime_cost_it_neither_its_process_nor_a_line,
    its_log_is_rotated_while_no_runtime_is_there,
    it_keeps_its_port_and_is_asked_before_it_counts_as_ready,
    one_that_is_not_ready_yet_is_taken_over_as_it_is,
    guardian_and_runtime_killed_at_once_spare_it,
    a_start_that_comes_to_nothing_leaves_it_to_the_next_one,
    a_log_that_cannot_be_written_is_told_and_does_not_hold_it_back,
    a_stopped_shim_is_woken_and_taken_over,
);

fn ten_restarts_of_the_runtime_cost_it_neither_its_process_nor_a_line(layer: Layer) {
    let greenroom = Greenroom::running_in(layer, |g| config(g, ""));
    let pid = ready(&greenroom);
    let run = greenroom.service(NAME)["run_id"].clone();
    for round in 0..10 {
        wait_for_more(&greenroom);
        if round % 2 == 0 {
            greenroom.shutdown_clean()
        } else {
            kill_runtime(&greenroom)
        }
        wait_for_more(&greenroom);
        assert!(alive(pid), "it ended with the runtime in round {round}");
        greenroom.start();
        assert_eq!(ready(&greenroom), pid, "round {round}");
        assert_eq!(greenroom.service(NAME)["run_id"], run);
        assert_eq!(greenroom.service(NAME)["restarts"]["total"], 0);
    }
    wait_for("its log is rotated", BOUND, || count_of_log_files(&greenroom) > 2);
    assert_eq!(starts(&greenroom), 1, "it was loaded again");
    end(&greenroom);
    assert!(!alive(pid));
    assert!(counted(&greenroom) > 20);
}

fn its_log_is_rotated_while_no_runtime_is_there(layer: Layer) {
    let greenroom = Greenroom::running_in(layer, |g| config(g, ""));
    let pid = ready(&greenroom);
    greenroom.shutdown_clean();
    let before = count_of_log_files(&greenroom);
    wait_for("its log is rotated twice", BOUND, || count_of_log_files(&greenroom) >= before + 2);
    greenroom.start();
    assert_eq!(ready(&greenroom), pid);
    wait_for_more(&greenroom);
    end(&greenroom);
    counted(&greenroom);
}

fn it_keeps_its_port_and_is_asked_before_it_counts_as_ready(layer: Layer) {
    let greenroom = Greenroom::running_in(layer, |g| {
        let log = g.folder().join("life.log");
        let command = g.stand_in(NAME, &format!("--port ${{port}} --stop-log {}", log.display()));
        format!("[service.{NAME}]\ncommand = {command}\nready = \"/health\"\nstop.on_runtime_exit = \"keep\"\n")
    });
    let pid = ready(&greenroom);
    let endpoint = greenroom.service(NAME)["endpoint"].clone();
    assert!(endpoint.is_string());
    for _ in 0..2 {
        greenroom.shutdown_clean();
        greenroom.start();
        assert_eq!(ready(&greenroom), pid);
        assert_eq!(greenroom.service(NAME)["endpoint"], endpoint);
    }
    let loads = || {
        let log = fs::read_to_string(greenroom.folder().join("life.log")).unwrap_or_default();
        log.lines().filter(|line| line.contains(" start ")).count()
    };
    assert_eq!(loads(), 1, "it was loaded again");
    // It is a service like any other: a new run gets its port back or another.
    greenroom.cli(&["restart", NAME]).expect(0);
    assert_ne!(ready(&greenroom), pid);
    assert_eq!(loads(), 2);
    end(&greenroom);
}

fn one_that_is_not_ready_yet_is_taken_over_as_it_is(layer: Layer) {
    let greenroom = Greenroom::running_in(layer, |g| {
        let flag = g.folder().join("flag").display().to_string();
        config(g, &format!("ready.probe = {{ exec = [\"test\", \"-e\", \"{flag}\"] }}"))
    });
    greenroom.wait_state(NAME, "starting");
    let pid = greenroom.service_pid(NAME);
    wait_for_more(&greenroom);
    for round in 0..2 {
        if round == 0 {
            greenroom.shutdown_clean()
        } else {
            kill_runtime(&greenroom)
        }
        greenroom.start();
        greenroom.wait_state(NAME, "starting");
        assert_eq!(greenroom.service_pid(NAME), pid);
    }
    fs::write(greenroom.folder().join("flag"), "").expect("written");
    assert_eq!(ready(&greenroom), pid);
    end(&greenroom);
    counted(&greenroom);
}

fn a_start_that_comes_to_nothing_leaves_it_to_the_next_one(layer: Layer) {
    let greenroom = Greenroom::running_in(layer, |g| config(g, ""));
    let pid = ready(&greenroom);
    greenroom.shutdown_clean();
    // The socket comes last, when the supervisors have it in hand already.
    fs::create_dir(greenroom.socket()).expect("the test's folder is writable");
    greenroom.spawn();
    assert_eq!(greenroom.wait(BOUND).0, 1, "{}", greenroom.output());
    fs::remove_dir(greenroom.socket()).expect("it is empty");
    wait_for_more(&greenroom);
    greenroom.start();
    assert_eq!((ready(&greenroom), starts(&greenroom)), (pid, 1));
    end(&greenroom);
    assert!(!alive(pid));
}

fn guardian_and_runtime_killed_at_once_spare_it(layer: Layer) {
    let greenroom = Greenroom::running_in(layer, |g| config(g, ""));
    let pid = ready(&greenroom);
    let guardian = greenroom.guardian();
    for process in [greenroom.pid(), guardian] {
        signal(process, Signal::SIGSTOP);
    }
    signal(guardian, Signal::SIGKILL);
    greenroom.kill();
    wait_for_more(&greenroom);
    greenroom.start();
    assert_eq!(ready(&greenroom), pid);
    end(&greenroom);
    counted(&greenroom);
}

fn a_stopped_shim_is_woken_and_taken_over(layer: Layer) {
    let greenroom = Greenroom::running_in(layer, |g| config(g, ""));
    let pid = ready(&greenroom);
    let shim = entry(&greenroom).1["kept"]["shim"]["pid"].as_i64().expect("it has a shim") as i32;
    greenroom.shutdown_clean();
    signal(shim, Signal::SIGSTOP);
    greenroom.start();
    assert_eq!(ready(&greenroom), pid);
    wait_for_more(&greenroom);
    signal(shim, Signal::SIGSTOP);
    end(&greenroom);
    counted(&greenroom);
}

fn a_log_that_cannot_be_written_is_told_and_does_not_hold_it_back(layer: Layer) {
    let greenroom = Greenroom::in_layer(layer);
    greenroom.configure(&config(&greenroom, ""));
    let logs = greenroom.state_dir().join("logs");
    fs::create_dir_all(greenroom.state_dir()).expect("made");
    layer.give(&greenroom.state_dir());
    fs::write(&logs, "a file where the folder should be").expect("written");
    greenroom.start();
    let pid = ready(&greenroom);
    let raised = |word: &str| greenroom.output().lines().filter(|line| line.contains(word)).count();
    wait_for("the trouble is told", BOUND, || raised("cannot be written") == 1);
    greenroom.shutdown_clean();
    greenroom.start();
    assert_eq!(ready(&greenroom), pid);
    wait_for("the next runtime is told as well", BOUND, || raised("cannot be written") == 2);
    fs::remove_file(&logs).expect("removed");
    wait_for_more(&greenroom);
    end(&greenroom);
}
