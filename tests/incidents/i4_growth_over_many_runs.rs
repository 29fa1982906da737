//! I4: after the end something stays, and with each run there is more of it.

use std::{env, fs, path::Path};

use crate::common::{BOUND, Greenroom, descriptors, note, threads, wait_for};

/// Runs, unless `GREENROOM_TEST_RUNS` says how many.
const RUNS: u32 = 10;

fn runs() -> u32 {
    env::var("GREENROOM_TEST_RUNS").ok().and_then(|n| n.parse().ok()).unwrap_or(RUNS)
}

fn config(greenroom: &Greenroom) -> String {
    let web = greenroom.stand_in("web", "--port ${port} --tree 2");
    let daemons = greenroom.stand_in("daemons", "--no-http --tree 2 --child-mode double-fork,clear-env");
    format!("[service.web]\ncommand = {web}\nready = \"/health\"\n[service.daemons]\ncommand = {daemons}\n")
}

#[test]
fn i4_many_runs_of_the_runtime_leave_nothing_behind() {
    let greenroom = Greenroom::new();
    greenroom.configure(&config(&greenroom));
    let (mut first, mut first_files) = (None, None);
    for run in 0..runs() {
        greenroom.start();
        greenroom.wait_state("web", "ready");
        wait_for("both families are complete", BOUND, || greenroom.survivors().len() == 6);
        let inside = || (threads(greenroom.pid()), descriptors(greenroom.pid()));
        let first_inside = *first.get_or_insert_with(inside);
        wait_for(&format!("run {run} is as the first one: {first_inside:?}"), BOUND, || {
            is_no_more(inside(), first_inside)
        });
        greenroom.shutdown_clean();
        greenroom.assert_clean();
        let outside = files_below(&greenroom.state_dir());
        let first_outside = *first_files.get_or_insert(outside);
        assert!(outside <= first_outside + 2, "files: {outside} after run {run}, {first_outside} after the first");
    }
    note(&format!("{} runs; threads and descriptors: {first:?}, then files: {first_files:?}", runs()));
}

/// Whether there are no more threads and descriptors than at first. One more of each is a matter of the moment (a
/// connection; a thread that has had nothing to do ends after ten seconds), not of growth.
fn is_no_more(now: (usize, usize), first: (usize, usize)) -> bool {
    now.0 <= first.0 + 2 && now.1 <= first.1 + 4
}

#[test]
fn i4_many_starts_and_stops_of_a_service_leave_the_runtime_as_it_was() {
    let greenroom = Greenroom::running(config);
    let inside = || (threads(greenroom.pid()), descriptors(greenroom.pid()));
    let cycle = || {
        greenroom.wait_state("web", "ready");
        wait_for("both families are complete", BOUND, || greenroom.survivors().len() == 6);
        greenroom.cli(&["stop", "web", "daemons"]).expect(0);
        greenroom.assert_no_survivor();
        let root = greenroom.status()["runtime"]["containment_root"].as_str().unwrap_or_default().to_owned();
        let seen = (inside(), folders_below(Path::new(&root)));
        greenroom.cli(&["start", "web", "daemons"]).expect(0);
        seen
    };
    let (first, first_folders) = cycle();
    let (mut last, mut folders) = (first, first_folders);
    for _ in 1..runs() {
        (last, folders) = cycle();
    }
    note(&format!("threads, descriptors: {first:?}, after {} cycles {last:?}", runs()));
    greenroom.cli(&["stop", "web", "daemons"]).expect(0);
    wait_for(&format!("it is as it was: {first:?}"), BOUND, || is_no_more(inside(), first));
    assert!(folders <= first_folders, "{first_folders} cgroups became {folders}");
    greenroom.shutdown_clean();
    greenroom.assert_clean();
}

fn files_below(folder: &Path) -> usize {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| if entry.path().is_dir() { files_below(&entry.path()) } else { 1 }).sum()
}

fn folders_below(folder: &Path) -> usize {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.filter(|entry| entry.path().is_dir()).map(|entry| 1 + folders_below(&entry.path())).sum()
}
