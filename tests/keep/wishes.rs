//! What the configuration and people want of a kept service.

use std::fs;

use crate::{
    common::{BOUND, Greenroom, Layer, alive, in_every_layer, wait_for},
    counting::{NAME, config, counted, end, ended_run, ready, wait_for_more, wait_starts},
};

in_every_layer!(
    a_changed_configuration_ends_it_in_order_and_starts_it_anew,
    one_that_left_the_configuration_is_ended_in_order,
    a_change_that_is_not_of_the_run_changes_nothing,
    the_report_of_the_end_says_who_goes_on,
    a_sweep_spares_it_unless_told_otherwise,
);

fn a_changed_configuration_ends_it_in_order_and_starts_it_anew(layer: Layer) {
    let greenroom = Greenroom::running_in(layer, |g| config(g, ""));
    let old = ready(&greenroom);
    let run = greenroom.service(NAME)["run_id"].clone();
    greenroom.shutdown_clean();
    greenroom.configure(&config(&greenroom, "env.ANOTHER = \"value\""));
    greenroom.start();
    assert_ne!(ready(&greenroom), old);
    assert!(!alive(old) && greenroom.folder().join("bye").exists(), "it had no chance to end by itself");
    wait_starts(&greenroom, 2);
    let row = ended_run(&greenroom, &run);
    assert_eq!((&row["exit"]["code"], &row["wanted"]), (&0.into(), &true.into()), "{row:#}");
    end(&greenroom);
}

fn one_that_left_the_configuration_is_ended_in_order(layer: Layer) {
    let greenroom = Greenroom::running_in(layer, |g| config(g, ""));
    let old = ready(&greenroom);
    greenroom.shutdown_clean();
    let other = greenroom.stand_in("other", "--no-http");
    greenroom.configure(&format!("[service.other]\ncommand = {other}\n"));
    greenroom.start();
    greenroom.wait_state("other", "ready");
    assert!(!alive(old) && greenroom.folder().join("bye").exists());
    greenroom.shutdown_clean();
    greenroom.assert_clean();
}

fn a_change_that_is_not_of_the_run_changes_nothing(layer: Layer) {
    let greenroom = Greenroom::running_in(layer, |g| config(g, ""));
    let pid = ready(&greenroom);
    greenroom.shutdown_clean();
    greenroom.configure(&config(&greenroom, "restart.max = 3\nstop.grace = \"7s\""));
    greenroom.start();
    assert_eq!(ready(&greenroom), pid);
    end(&greenroom);
}

fn the_report_of_the_end_says_who_goes_on(layer: Layer) {
    let greenroom = Greenroom::running_in(layer, |g| config(g, ""));
    let pid = ready(&greenroom);
    let report = greenroom.cli(&["shutdown", "--json"]).expect(0).json();
    assert_eq!(greenroom.wait(BOUND).0, 0);
    let units = report["units"].as_array().expect("units");
    let unit = units.iter().find(|unit| unit["name"] == format!("service:{NAME}")).expect("its unit");
    assert_eq!((&unit["outcome"], &unit["detail"]["pid"]), (&"kept".into(), &pid.into()), "{unit:#}");
    greenroom.start();
    ready(&greenroom);
    let report = greenroom.cli(&["shutdown"]).expect(0);
    assert!(report.stdout.contains("kept") && report.stdout.contains(&pid.to_string()), "{report:?}");
    assert_eq!(greenroom.wait(BOUND).0, 0);
    // By force as well: what is kept is not in the way of anybody's end.
    greenroom.start();
    assert_eq!(ready(&greenroom), pid);
    greenroom.cli(&["shutdown", "--force"]);
    greenroom.wait(BOUND);
    assert!(alive(pid));
    greenroom.start();
    assert_eq!(ready(&greenroom), pid);
    end(&greenroom);
}

fn a_sweep_spares_it_unless_told_otherwise(layer: Layer) {
    let greenroom = Greenroom::running_in(layer, |g| config(g, ""));
    let pid = ready(&greenroom);
    greenroom.shutdown_clean();
    let swept = greenroom.cli(&["sweep"]).expect(0);
    assert!(swept.stdout.contains(&format!("kept: {NAME} (process {pid})")), "{swept:?}");
    // Many times: it has a new child every few milliseconds.
    for _ in 0..20 {
        let json = greenroom.cli(&["sweep", "--json"]).expect(0).json();
        assert_eq!((&json["kept"][0]["service"], &json["kept"][0]["pid"]), (&NAME.into(), &pid.into()), "{json:#}");
        assert_eq!(json["processes"].as_array().map(Vec::len), Some(0), "{json:#}");
    }
    wait_for_more(&greenroom);
    assert!(alive(pid));
    greenroom.start();
    assert_eq!(ready(&greenroom), pid, "it was left in order");
    greenroom.shutdown_clean();

    let look = greenroom.cli(&["sweep", "--kept", "--dry-run"]).expect(0);
    assert!(look.stdout.contains(&format!("lives {pid} ")) && alive(pid), "{look:?}");
    greenroom.cli(&["sweep", "--kept"]).expect(0);
    wait_for("all of it is gone", BOUND, || greenroom.everything().is_empty());
    let left = fs::read_dir(greenroom.state_dir().join("registry")).expect("a folder").count();
    assert_eq!(left, 0, "its entry is left");
    counted(&greenroom);
}
