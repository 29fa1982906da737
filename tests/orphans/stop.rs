//! When `stop` returns, nothing of the service lives.

use crate::{
    common::{Greenroom, Layer, in_every_layer},
    families::Family,
};

in_every_layer!(
    stopping_a_plain_child_leaves_nothing,
    stopping_a_shell_wrapper_leaves_nothing,
    stopping_a_child_that_ignores_sigterm_leaves_nothing,
    stopping_a_child_in_a_new_session_leaves_nothing,
    stopping_daemons_without_environment_leaves_nothing,
    stopping_a_tree_that_respawns_leaves_nothing,
    an_ordered_end_of_the_runtime_leaves_nothing_of_any,
);

#[track_caller]
fn leaves_nothing(layer: Layer, family: Family) {
    let greenroom = Greenroom::running_in(layer, |g| family.config(g));
    family.wait_complete(&greenroom);
    greenroom.cli(&["stop", family.name()]).expect(0);
    greenroom.assert_no_survivor();
    assert_eq!(greenroom.state(family.name()), "stopped");
    assert_eq!(greenroom.service(family.name())["disposition"], "down");
    greenroom.shutdown_clean();
    greenroom.assert_clean();
}

fn stopping_a_plain_child_leaves_nothing(layer: Layer) {
    leaves_nothing(layer, Family::Plain);
}

fn stopping_a_shell_wrapper_leaves_nothing(layer: Layer) {
    leaves_nothing(layer, Family::Wrapper);
}

fn stopping_a_child_that_ignores_sigterm_leaves_nothing(layer: Layer) {
    leaves_nothing(layer, Family::Ignoring);
}

fn stopping_a_child_in_a_new_session_leaves_nothing(layer: Layer) {
    leaves_nothing(layer, Family::NewSession);
}

fn stopping_daemons_without_environment_leaves_nothing(layer: Layer) {
    leaves_nothing(layer, Family::Daemons);
}

fn stopping_a_tree_that_respawns_leaves_nothing(layer: Layer) {
    leaves_nothing(layer, Family::Tree);
}

fn an_ordered_end_of_the_runtime_leaves_nothing_of_any(layer: Layer) {
    let greenroom = Greenroom::running_in(layer, crate::families::all);
    crate::families::assert_one_copy_of_each(&greenroom);
    greenroom.shutdown_clean();
    greenroom.assert_no_survivor();
    greenroom.assert_clean();
}

#[test]
fn a_main_process_that_moved_out_of_its_cgroup_is_stopped_all_the_same() {
    let greenroom = Greenroom::running(|g| {
        let stand_in = g.stand_in_line("mover", "--port ${port}");
        let command = g.shell(&format!("echo 0 > \"$(cat outside)/cgroup.procs\" || exit 1; exec {stand_in}"));
        format!("[service.mover]\ncommand = {command}\nready = \"/health\"\nowner_check = false\nstart = \"manual\"\n")
    });
    let root = greenroom.status()["runtime"]["containment_root"].as_str().map(std::path::PathBuf::from);
    let outside = root.as_deref().and_then(std::path::Path::parent).expect("a cgroup around the root");
    std::fs::write(greenroom.folder().join("outside"), outside.as_os_str().as_encoded_bytes()).expect("written");
    greenroom.cli(&["start", "mover"]).expect(0);
    assert_eq!(greenroom.service("mover")["containment"]["processes"], 0, "it has left its cgroup");
    greenroom.cli(&["stop", "mover"]).expect(0);
    greenroom.assert_no_survivor();
    assert_eq!(greenroom.state("mover"), "stopped");
    greenroom.shutdown_clean();
    greenroom.assert_clean();
}
