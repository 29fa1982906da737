//! The end of a kept service is seen with its status, whether a runtime is there or not.

use std::fs;

use nix::sys::signal::Signal;

use crate::{
    common::{BOUND, Greenroom, Layer, alive, in_every_layer, signal, wait_for},
    counting::{NAME, config, counted, end, ended_run, entry, kill_runtime, ready, wait_for_more, wait_starts},
};

in_every_layer!(
    an_end_while_a_new_runtime_is_there_is_seen_with_its_status,
    an_end_while_no_runtime_is_there_is_told_by_the_next_one,
    what_it_leaves_ends_with_it_also_without_a_runtime,
    a_killed_shim_is_noticed_and_nothing_is_left,
);

fn an_end_while_a_new_runtime_is_there_is_seen_with_its_status(layer: Layer) {
    let greenroom = Greenroom::running_in(layer, |g| config(g, "restart.policy = \"never\""));
    let pid = ready(&greenroom);
    let run = greenroom.service(NAME)["run_id"].clone();
    greenroom.shutdown_clean();
    greenroom.start();
    assert_eq!(ready(&greenroom), pid);
    fs::write(greenroom.folder().join("exit"), "").expect("written");
    greenroom.wait_state(NAME, "failed");
    assert_eq!(greenroom.service(NAME)["last_exit"]["code"], 7);
    let row = ended_run(&greenroom, &run);
    assert_eq!((&row["exit"]["code"], &row["wanted"]), (&7.into(), &false.into()), "{row:#}");
    assert!(row["exit"]["stderr"].to_string().contains("err "), "{row:#}");
    greenroom.shutdown_clean();
    greenroom.assert_clean();
    counted(&greenroom);
}

fn an_end_while_no_runtime_is_there_is_told_by_the_next_one(layer: Layer) {
    let greenroom = Greenroom::running_in(layer, |g| config(g, ""));
    let pid = ready(&greenroom);
    let run = greenroom.service(NAME)["run_id"].clone();
    kill_runtime(&greenroom);
    wait_for_more(&greenroom);
    fs::write(greenroom.folder().join("exit"), "").expect("written");
    wait_for("it and its shim have ended", BOUND, || greenroom.everything().is_empty());
    fs::remove_file(greenroom.folder().join("exit")).expect("removed");
    counted(&greenroom);

    greenroom.start();
    assert_ne!(ready(&greenroom), pid);
    wait_starts(&greenroom, 2);
    let last = greenroom.service(NAME)["last_exit"].clone();
    assert_eq!((&last["code"], &last["class"]), (&7.into(), &"exit".into()), "{last:#}");
    assert!(last["stderr"].to_string().contains("err "), "{last:#}");
    let row = ended_run(&greenroom, &run);
    assert_eq!((&row["exit"]["code"], &row["wanted"]), (&7.into(), &false.into()), "{row:#}");
    assert!(row["started"].is_string() && row["pid"] == pid, "{row:#}");
    end(&greenroom);
}

fn what_it_leaves_ends_with_it_also_without_a_runtime(layer: Layer) {
    let greenroom = Greenroom::running_in(layer, |g| {
        let family = g.stand_in_line("worker", "--no-http --ignore-signals --children 2 --child-mode double-fork");
        let command = g.shell(&format!(": {}; {family} & wait", g.tag(NAME)));
        format!("[service.{NAME}]\ncommand = {command}\nstop.on_runtime_exit = \"keep\"\n")
    });
    let pid = ready(&greenroom);
    greenroom.wait_settled_workers();
    greenroom.shutdown_clean();
    assert!(greenroom.survivors().len() >= 4);
    signal(pid, Signal::SIGKILL);
    wait_for("all of it has ended", BOUND, || greenroom.everything().is_empty());
    greenroom.start();
    assert_ne!(ready(&greenroom), pid);
    assert_eq!(greenroom.service(NAME)["last_exit"]["signal"], 9);
    end(&greenroom);
}

fn a_killed_shim_is_noticed_and_nothing_is_left(layer: Layer) {
    let greenroom = Greenroom::running_in(layer, |g| config(g, ""));
    let pid = ready(&greenroom);
    let shim = entry(&greenroom).1["kept"]["shim"]["pid"].as_i64().expect("a shim") as i32;
    kill_runtime(&greenroom);
    signal(shim, Signal::SIGKILL);
    wait_for("the shim is gone", BOUND, || !alive(shim));
    greenroom.start();
    assert_ne!(ready(&greenroom), pid, "nobody can take over what has no shim");
    assert!(!alive(pid), "the old copy lives beside the new one");
    end(&greenroom);
}

impl Greenroom {
    /// Waits until the worker, its two children, and the service itself live.
    #[track_caller]
    fn wait_settled_workers(&self) {
        wait_for("the whole family lives", BOUND, || self.processes_of("worker").len() >= 3);
    }
}
