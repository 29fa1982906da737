//! Work without progress for its bound is stuck: it is stopped, and what it is stuck in is restarted.

use serde_json::{Value, json};

use crate::{common::Greenroom, ready_run, wait_replaced, watchdog};

#[test]
fn a_job_that_stands_still_fails_and_its_service_is_restarted() {
    // The first step is taken at once; the next one comes in an hour.
    let greenroom = Greenroom::running(|g| {
        watchdog("") + &g.webui("--step-ms 3600000", "limits.progress = \"1s\"", "retries = 0\ntimeout = \"10m\"")
    });
    greenroom.cli(&["load", "webui"]).expect(0);
    let run = ready_run(&greenroom, "webui");
    let stuck = greenroom.wait_job_over(&greenroom.submit("image", &json!({ "prompt": "a heron" })));
    assert_eq!((&stuck["state"], &stuck["error"]["class"]), (&json!("failed"), &json!("timeout")), "{stuck:#}");
    wait_replaced(&greenroom, "webui", &run);
    greenroom.wait_alert(Some("webui"), "job_stuck");
    greenroom.shutdown_clean();
    greenroom.assert_clean();
}

#[test]
fn what_is_taken_out_needs_nobodys_attention_any_more() {
    let greenroom = Greenroom::running(|g| {
        let broken = format!(
            "[service.broken]\ncommand = {}\nstart = \"eager\"\nrestart.max = 0\n",
            g.shell("sleep 0.2; exit 3")
        );
        watchdog("")
            + &broken
            + &g.webui("--step-ms 3600000", "limits.progress = \"1s\"", "retries = 0\ntimeout = \"10m\"")
    });
    greenroom.wait_state("broken", "failed");
    greenroom.wait_job_over(&greenroom.submit("image", &json!({ "prompt": "a heron" })));
    let standing = || {
        let alerts = greenroom.api().get("/api/alerts").expect("an answer").json();
        let told = |alert: &Value| format!("{} {}", alert["alert"], alert["service"]).replace('"', "");
        alerts.as_array().expect("a list").iter().map(told).collect::<Vec<_>>()
    };
    assert_eq!(standing(), ["failed broken", "job_stuck webui"]);
    greenroom.configure(&watchdog(""));
    greenroom.cli(&["reload"]).expect(0);
    assert_eq!(standing(), [""; 0]);
    greenroom.wait_cleared(Some("broken"), "failed");
    greenroom.wait_cleared(Some("webui"), "job_stuck");
    greenroom.shutdown_clean();
    greenroom.assert_clean();
}

#[test]
fn a_job_that_is_slow_and_moves_is_left_alone() {
    let greenroom = Greenroom::running(|g| {
        watchdog("") + &g.webui("--step-ms 500", "limits.progress = \"5s\"", "retries = 0\ntimeout = \"10m\"")
    });
    // More of them than it may stand still for.
    let job = greenroom.wait_job_over(&greenroom.submit("image", &json!({ "prompt": "a heron", "steps": 14 })));
    assert_eq!(job["state"], "succeeded", "{job:#}");
    assert_eq!(greenroom.starts("webui"), 1);
    assert!(greenroom.alerts(Some("webui")).is_empty());
    greenroom.shutdown_clean();
    greenroom.assert_clean();
}
