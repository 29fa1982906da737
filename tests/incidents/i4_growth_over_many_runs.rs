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
    let mut first = None;
    for run in 0..runs() {
        greenroom.start();
        greenroom.wait_state("web", "ready");
        wait_for("both families are complete", BOUND, || greenroom.survivors().len() == 6);
        let inside = (threads(greenroom.pid()), descriptors(greenroom.pid()));
        greenroom.shutdown_clean();
        greenroom.assert_clean();
        let outside = files_below(&greenroom.state_dir());
        let (first_inside, first_outside) = first.get_or_insert((inside, outside));
        // One more of each is a matter of the moment (a connection, a thread about to end), not of growth.
        assert!(inside.0 <= first_inside.0 + 2, "threads: {} in run {run}, {} in the first", inside.0, first_inside.0);
        assert!(
            inside.1 <= first_inside.1 + 4,
            "descriptors: {} in run {run}, {} in the first",
            inside.1,
            first_inside.1
        );
        assert!(outside <= *first_outside + 2, "files: {outside} after run {run}, {first_outside} after the first");
    }
    note(&format!("{} runs; threads and descriptors, then files: {first:?}", runs()));
}

#[test]
fn i4_many_starts_and_stops_of_a_service_leave_the_runtime_as_it_was() {
    let greenroom = Greenroom::running(config);
    let cycle = || {
        greenroom.wait_state("web", "ready");
        wait_for("both families are complete", BOUND, || greenroom.survivors().len() == 6);
        greenroom.cli(&["stop", "web", "daemons"]).expect(0);
        greenroom.assert_no_survivor();
        let root = greenroom.status()["runtime"]["containment_root"].as_str().unwrap_or_default().to_owned();
        let seen = (threads(greenroom.pid()), descriptors(greenroom.pid()), folders_below(Path::new(&root)));
        greenroom.cli(&["start", "web", "daemons"]).expect(0);
        seen
    };
    let first = cycle();
    let mut last = first;
    for _ in 1..runs() {
        last = cycle();
    }
    note(&format!("threads, descriptors, cgroups: {first:?}, after {} cycles {last:?}", runs()));
    assert!(last.0 <= first.0 + 2 && last.1 <= first.1 + 4 && last.2 <= first.2, "{first:?} became {last:?}");
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
