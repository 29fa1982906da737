//! I5, the half that counts: a service starts processes without end; 14 to 26 zombies.

use std::fs;

use crate::common::{BOUND, Greenroom, note, stopwatch, wait_for, watch::LEVELS};

/// Processes that the runaway starts.
const FORKS: usize = 20;

/// So many are critical of a service that had one when it was ready: the eleventh that comes to it is an emergency.
const CRITICAL: usize = 11;

fn config(greenroom: &Greenroom, interval: &str) -> String {
    let service = |name: &str, tree: &str| {
        let command = greenroom.stand_in(name, &format!("--port ${{port}} {tree}"));
        format!(
            "[service.{name}]\ncommand = {command}\nready = \"/health\"\nstart = \"eager\"\nstop.grace = \"300ms\"\n"
        )
    };
    let runaway = service("runaway", "");
    format!("[watchdog]\ninterval = \"{interval}\"\n{runaway}{}{}", service("chat", ""), service("webui", "--tree 3"))
}

/// Has a service start so many processes. It may be ended for them before the end of its answer.
#[track_caller]
fn fork(greenroom: &Greenroom, name: &str, count: usize) {
    let answer = greenroom.engine(name).post(&format!("/fork?n={count}"), None);
    assert!(answer.as_ref().map_or(true, |answer| answer.status == 200), "{answer:?}");
}

#[test]
fn i5_twenty_forked_processes_are_told_level_by_level_and_their_tree_is_ended() {
    let greenroom = Greenroom::running(|g| config(g, "200ms"));
    for name in ["runaway", "chat", "webui"] {
        greenroom.wait_state(name, "ready");
        greenroom.wait_watched(name);
    }
    let others = ["chat", "webui"].map(|name| greenroom.service_pid(name));
    let run = greenroom.service("runaway")["run_id"].clone();
    let began = stopwatch();
    fork(&greenroom, "runaway", FORKS);
    wait_for("the runaway is ready again in another run", BOUND, || {
        let service = greenroom.service("runaway");
        service["state"] == "ready" && service["run_id"] != run
    });
    note(&format!("{FORKS} processes forked, ended and the service ready again after {:?}", began.elapsed()));
    let left = greenroom.processes_of("runaway");
    assert!(left.len() < 3, "{} are left: {left:#?}", left.len());
    greenroom.wait_alert(Some("runaway"), "runaway");
    wait_for("every level is told", BOUND, || greenroom.levels("runaway", "runaway").len() >= LEVELS.len());
    assert_eq!(greenroom.levels("runaway", "runaway"), LEVELS, "in order, each once");
    assert_eq!(["chat", "webui"].map(|name| greenroom.service_pid(name)), others, "the others are untouched");
    assert_eq!(greenroom.processes_of("webui").len(), 4);
    for name in ["chat", "webui"] {
        assert!(greenroom.alerts(Some(name)).is_empty(), "{:#?}", greenroom.alerts(Some(name)));
    }
    let bundles = greenroom.wait_bundles(1);
    let name = bundles[0].file_name().expect("a name").to_string_lossy().into_owned();
    assert!(name.contains("runaway"), "{name}");
    // The tree as it was before it was ended.
    let unpacked = greenroom.unpacked(&bundles[0]);
    let inside = fs::read_dir(&unpacked).expect("a folder").flatten().map(|entry| entry.path());
    let trees = inside.flat_map(|path| [path.join("tree.txt"), path]).filter(|path| path.ends_with("tree.txt"));
    let tree: String = trees.filter_map(|path| fs::read_to_string(path).ok()).collect();
    // It is ended as soon as there are more than is critical, and that may be before the last of them is there.
    let rows = tree.lines().filter_map(|line| line.split_whitespace().next()?.parse::<u32>().ok());
    let seen = rows.filter(|first| *first > 1).count();
    assert!(seen > CRITICAL, "{seen} of its processes in {tree}");
    assert!(tree.contains(&greenroom.tag("runaway")), "by their command lines: {tree}");
    greenroom.wait_cleared(Some("runaway"), "runaway");
    assert_eq!(greenroom.bundles().len(), 1, "one and no more");
    greenroom.shutdown_clean();
    greenroom.assert_clean();
}

#[test]
fn i5_a_few_more_are_a_warning_and_end_nothing() {
    let greenroom = Greenroom::running(|g| config(g, "100ms"));
    greenroom.wait_state("runaway", "ready");
    greenroom.wait_watched("runaway");
    let pid = greenroom.service_pid("runaway");
    fork(&greenroom, "runaway", 6);
    let alert = greenroom.wait_alert(Some("runaway"), "runaway");
    assert_eq!(alert["severity"], "warning", "{alert:#}");
    // Until they are gone again: by other hands, and the service lives.
    for process in greenroom.processes_of("runaway").iter().filter(|process| process.pid != pid) {
        crate::common::signal(process.pid, nix::sys::signal::Signal::SIGKILL);
    }
    greenroom.wait_cleared(Some("runaway"), "runaway");
    assert_eq!(
        (greenroom.levels("runaway", "runaway").as_slice(), greenroom.service_pid("runaway")),
        (&["warning".to_owned()][..], pid)
    );
    assert!(greenroom.bundles().is_empty(), "none for a warning");
    greenroom.shutdown_clean();
    greenroom.assert_clean();
}
