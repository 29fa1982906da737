//! Services that start with the runtime.

use crate::{
    common::{BOUND, wait_for},
    house::{running, service},
};

#[test]
fn an_eager_service_pushes_out_nobody_and_comes_when_there_is_room() {
    let eager = |keys: &str| format!("vram = \"5GiB\"\nstart = \"eager\"\n{keys}");
    let greenroom = running(|g| {
        let one = service(g, "low", &eager("priority = 1"), "").replace("start = \"on_demand\"\n", "");
        let two = service(g, "high", &eager("priority = 2"), "").replace("start = \"on_demand\"\n", "");
        one + &two
    });
    greenroom.wait_state("high", "ready");
    wait_for("the other one says why it is not there", BOUND, || {
        let low = greenroom.service("low");
        low["state"] == "stopped" && low["reason"].as_str().is_some_and(|reason| reason.contains("5GiB"))
    });
    assert_eq!(greenroom.state("high"), "ready", "the higher priority came first, whatever the order of the file");
    assert_eq!(greenroom.cli(&["stop", "high"]).code, 0);
    greenroom.wait_state("low", "ready");
}
