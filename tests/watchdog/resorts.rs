//! What clean-up did not cure: after so many failures in a row, the service is restarted.

use serde_json::json;

use crate::{common::Greenroom, ready_run, wait_replaced, watchdog};

#[test]
fn a_service_that_is_dirty_again_and_again_is_restarted() {
    // Polluted after the first image, and the clean-up is asked of a path that there is not.
    let cleanup = "cleanup.actions = [{ http = \"POST /sdapi/v1/memory\" }]\ncleanup.delay = \"1ms\"\ncleanup.last_resort_after = 3";
    let greenroom =
        Greenroom::running(|g| watchdog("") + &g.webui("--dirty error --step-ms 1", cleanup, "retries = 0"));
    let image =
        || greenroom.wait_job(&greenroom.submit("image", &json!({ "prompt": "a heron" })), &["succeeded", "failed"]);
    assert_eq!(image()["state"], "succeeded");
    let run = ready_run(&greenroom, "webui");
    for _ in 0..3 {
        let failed = image();
        assert_eq!(failed["state"], "failed", "{failed:#}");
    }
    wait_replaced(&greenroom, "webui", &run);
    greenroom.wait_alert(Some("webui"), "dirty");
    assert_eq!(image()["state"], "succeeded", "the new one is clean");
    assert_eq!(greenroom.starts("webui"), 2);
    greenroom.shutdown_clean();
    greenroom.assert_clean();
}

#[test]
fn a_success_in_between_begins_the_count_anew() {
    let greenroom = Greenroom::running(|g| {
        watchdog("") + &g.webui("--fail-every 2 --step-ms 1", "cleanup.last_resort_after = 2", "retries = 0")
    });
    let ids: Vec<String> =
        (0..8).map(|n| greenroom.submit("image", &json!({ "prompt": format!("heron {n}") }))).collect();
    let ends = greenroom.wait_jobs_over(&ids, crate::common::BOUND);
    assert_eq!((ends.get("succeeded"), ends.get("failed")), (Some(&4), Some(&4)), "{ends:?}");
    assert_eq!(greenroom.starts("webui"), 1);
    greenroom.shutdown_clean();
    greenroom.assert_clean();
}
