//! A reload keeps the order of dependencies.

use std::{collections::BTreeMap, fs, path::Path};

use crate::{about, common::Greenroom, reload, web};

/// When each service last started, was asked to stop and ended, in microseconds: `api start` and so on.
fn moments(log: &Path) -> BTreeMap<String, i64> {
    let text = fs::read_to_string(log).unwrap_or_default();
    let parse = |line: &str| {
        let (what, at) = line.rsplit_once(' ')?;
        Some((what.to_owned(), at.parse().ok()?))
    };
    text.lines().filter_map(parse).collect()
}

#[test]
fn what_is_added_waits_for_what_it_needs_and_what_is_removed_goes_before_it() {
    let greenroom = Greenroom::new();
    let log = greenroom.folder().join("moments");
    let with_log = |options: &str| format!("{options} --stop-log {}", log.display());
    let base = web(&greenroom, "base", "", "");
    greenroom.configure(&base);
    greenroom.start();
    greenroom.wait_state("base", "ready");
    let pid = greenroom.service_pid("base");

    let api = web(&greenroom, "api", &with_log(""), "depends_on.db = \"ready\"\ndepends_on.base = \"ready\"");
    let db = web(&greenroom, "db", &with_log("--load-ms 400 --stop-ms 200"), "");
    greenroom.configure(&[base.clone(), api, db].concat());
    let report = reload(&greenroom, 0);
    assert_eq!(
        (about(&report, "api")["state"].as_str(), about(&report, "db")["state"].as_str()),
        (Some("ready"), Some("ready"))
    );
    let at = moments(&log);
    assert!(at["api start"] - at["db start"] >= 400_000, "api starts when db has loaded: {at:?}");

    greenroom.configure(&base);
    let report = reload(&greenroom, 0);
    assert_eq!(about(&report, "db")["action"], "removed");
    let at = moments(&log);
    assert!(at["db stop"] >= at["api end"], "db is asked to stop when api has ended: {at:?}");
    assert_eq!(greenroom.service_pid("base"), pid);
    greenroom.shutdown_clean();
}

#[test]
fn a_service_that_is_restarted_together_with_what_it_needs_comes_back_after_it() {
    let greenroom = Greenroom::new();
    let log = greenroom.folder().join("moments");
    let pair = |tokens: u32| {
        let options = |load: u32| format!("--load-ms {load} --tokens {tokens} --stop-log {}", log.display());
        let api = web(&greenroom, "api", &options(0), "depends_on.db = \"ready\"");
        [api, web(&greenroom, "db", &options(400), "")].concat()
    };
    greenroom.configure(&pair(3));
    greenroom.start();
    greenroom.wait_state("api", "ready");
    greenroom.configure(&pair(4));
    let report = reload(&greenroom, 0);
    assert_eq!(
        (about(&report, "api")["state"].as_str(), about(&report, "db")["state"].as_str()),
        (Some("ready"), Some("ready"))
    );
    let at = moments(&log);
    assert!(at["api start"] - at["db start"] >= 400_000, "api starts when db has loaded again: {at:?}");
    greenroom.shutdown_clean();
}

#[test]
fn a_service_that_was_added_is_stopped_in_its_place() {
    let greenroom = Greenroom::new();
    let log = greenroom.folder().join("moments");
    let service =
        |name: &str, lines: &str| web(&greenroom, name, &format!("--stop-ms 100 --stop-log {}", log.display()), lines);
    greenroom.configure(&service("db", ""));
    greenroom.start();
    greenroom.wait_state("db", "ready");
    greenroom.configure(&[service("db", ""), service("api", "depends_on.db = \"ready\"")].concat());
    reload(&greenroom, 0);
    greenroom.wait_settled(2);
    greenroom.shutdown_clean();
    greenroom.assert_clean();
    let at = moments(&log);
    assert!(at["db stop"] >= at["api end"], "db is asked to stop when api has ended: {at:?}");
}
