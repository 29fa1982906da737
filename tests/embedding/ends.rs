//! However an application ends, nothing of the runtime in it is left.

use std::{os::unix::process::ExitStatusExt, sync::Arc, time::Duration};

use crate::{
    app::{APPS, App},
    common::{BOUND, note, wait_for},
};

/// Times that each end is tried, in one state dir: each start finds what the one before left, which is nothing.
const TIMES: usize = 20;
/// One second is promised; a machine that runs many tests at once gets more.
const GONE: Duration = Duration::from_secs(15);

/// The same where each service is held by a process of its own: how that ends is tested elsewhere.
const TIMES_IN_SHIMS: usize = 4;

/// Each application, [`TIMES`] times: `end` makes it end, and nothing may be left.
fn each(way: &str, mut end: impl FnMut(&mut App)) {
    each_in("auto", TIMES, way, &mut end);
    each_in("shim", TIMES_IN_SHIMS, way, &mut end);
}

fn each_in(layer: &str, times: usize, way: &str, end: &mut impl FnMut(&mut App)) {
    for name in APPS {
        let folder = Arc::new(tempfile::tempdir().expect("a folder"));
        let mut slowest = Duration::ZERO;
        for _ in 0..times {
            let mut app = App::start_in(layer, name, way, &folder);
            app.line("ready");
            wait_for("a tree of seven and a guardian live", BOUND, || app.left().len() > 7);
            end(&mut app);
            slowest = slowest.max(app.wait_gone(GONE));
        }
        note(&format!("{name}, {layer}: nothing was left {slowest:?} after the end at the latest, {times} times"));
    }
}

#[test]
fn a_killed_application_leaves_nothing() {
    each("run", |app| {
        app.kill();
        assert_eq!(app.wait().signal(), Some(9));
    });
}

#[test]
fn an_application_that_panics_leaves_nothing() {
    each("panic", |app| {
        app.end();
        assert_eq!(app.wait().code(), Some(101), "{:#?}", app.said());
    });
}

#[test]
fn an_application_that_calls_exit_leaves_nothing() {
    each("exit", |app| {
        app.end();
        assert_eq!(app.wait().code(), Some(7), "{:#?}", app.said());
    });
}

#[test]
fn a_dropped_handle_leaves_nothing_while_the_application_lives_on() {
    let mut drops = Vec::new();
    each("drop", |app| {
        app.end();
        let took: u64 = app.line("dropped in ").trim_end_matches(" us").parse().expect("microseconds");
        drops.push(took);
        app.wait_gone(GONE);
        app.line("own threads");
        app.close_input();
        assert!(app.wait().success(), "{:#?}", app.said());
    });
    drops.sort_unstable();
    // 5 ms are promised. The middle one, since a loaded machine may take the processor away from any single one.
    assert!(drops[drops.len() / 2] < 50_000, "drops took {drops:?} us");
    note(&format!("a drop took {} us in the middle, {} us at most", drops[drops.len() / 2], drops[drops.len() - 1]));
}
