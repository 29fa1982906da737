//! A configuration that changes while jobs are there.

use serde_json::json;

use crate::{common::Greenroom, painter};

/// Reloads, which must say that of the kinds of job it is these that are not as before.
#[track_caller]
fn reload(greenroom: &Greenroom, config: &str, kinds: &str) {
    greenroom.configure(config);
    let said = greenroom.cli(&["reload"]).expect(0).stdout;
    let told = format!("kinds of job that are new, changed or gone: {kinds}");
    assert!(said.lines().any(|line| line == told), "{said}");
}

#[test]
fn a_new_kind_of_job_is_there_at_once_and_one_that_went_keeps_its_line() {
    let greenroom = Greenroom::running(|g| painter(g, "--step-ms 20", ""));
    let both =
        painter(&greenroom, "--step-ms 20", "") + &painter(&greenroom, "", "").replace("[job.image]", "[job.sketch]");
    assert_eq!(greenroom.try_submit("sketch", &json!({ "prompt": "x" }), 0).status, 404);
    reload(&greenroom, &both, "sketch");
    let id = greenroom.submit("sketch", &json!({ "prompt": "x" }));
    greenroom.wait_job(&id, &["succeeded"]);

    let first = greenroom.submit("image", &json!({ "prompt": "blocks", "steps": 100_000 }));
    greenroom.wait_job(&first, &["running"]);
    let queued = greenroom.submit("image", &json!({ "prompt": "x", "steps": 1 }));
    reload(&greenroom, &painter(&greenroom, "", "").replace("[job.image]", "[job.sketch]"), "image");
    assert_eq!(greenroom.try_submit("image", &json!({ "prompt": "x" }), 0).status, 404);
    let state = greenroom.job(&queued)["state"].clone();
    assert!(state == "queued" || state == "waiting", "{state}");
    reload(&greenroom, &both, "image");
    greenroom.cancel_job(&first);
    greenroom.wait_job(&queued, &["succeeded"]);
    greenroom.shutdown_clean();
    greenroom.assert_clean();
}

#[test]
fn a_changed_command_is_that_of_the_next_job_and_leaves_the_running_one_alone() {
    let greenroom = Greenroom::running(|g| painter(g, "--step-ms 20", ""));
    let id = greenroom.submit("image", &json!({ "prompt": "a heron", "steps": 250 }));
    greenroom.wait_job(&id, &["running"]);
    reload(&greenroom, &painter(&greenroom, "--step-ms 20 -b 2", ""), "image");
    let job = greenroom.wait_job(&id, &["succeeded"]);
    assert_eq!((&job["attempt"], job["result"]["files"].as_array().map(Vec::len)), (&json!(1), Some(1)), "{job:#}");
    let next = greenroom.submit("image", &json!({ "prompt": "a heron" }));
    let job = greenroom.wait_job(&next, &["succeeded"]);
    assert_eq!(job["result"]["files"].as_array().map(Vec::len), Some(2), "{job:#}");
    greenroom.shutdown_clean();
}
