//! `GET /metrics`: what Prometheus reads.

use std::collections::BTreeMap;

use nix::sys::signal::Signal;

use crate::{
    chat,
    common::{BOUND, Greenroom, signal, wait_for},
    house, running,
};

/// The figures, by name with labels, read by the rules of the format; fails on a line that it does not allow.
#[track_caller]
fn figures(greenroom: &Greenroom) -> BTreeMap<String, f64> {
    let answer = greenroom.api().get("/metrics").expect("it answers");
    assert_eq!(answer.status, 200, "{answer:?}");
    assert!(answer.headers.to_lowercase().contains("content-type: text/plain; version=0.0.4"), "{}", answer.headers);
    let mut figures = BTreeMap::new();
    let mut kinds: BTreeMap<&str, &str> = BTreeMap::new();
    for line in answer.body.lines() {
        if let Some(comment) = line.strip_prefix("# ") {
            let mut words = comment.splitn(3, ' ');
            match (words.next(), words.next(), words.next()) {
                (Some("HELP"), Some(_), Some(_)) => {}
                (Some("TYPE"), Some(name), Some(kind)) => {
                    assert!(kinds.insert(name, kind).is_none(), "{name} stands twice");
                }
                _ => panic!("no comment of the format: {line}"),
            }
            continue;
        }
        let (name, value) = line.rsplit_once(' ').expect("a name and a value");
        let bare = name.split('{').next().unwrap_or_default();
        let family = ["_bucket", "_sum", "_count"].iter().find_map(|end| bare.strip_suffix(end)).unwrap_or(bare);
        assert!(kinds.contains_key(bare) || kinds.get(family) == Some(&"histogram"), "no TYPE before {line}");
        let value: f64 = value.parse().unwrap_or_else(|_| panic!("no number: {line}"));
        assert!(figures.insert(name.to_owned(), value).is_none(), "{name} stands twice");
    }
    figures
}

#[test]
fn figures_say_what_runs_what_it_holds_and_what_became_of_requests() {
    let greenroom = running();
    greenroom.wait_state("broken", "failed");
    for model in ["image", "org/model", "chat"] {
        assert_eq!(chat(&greenroom, model).status, 200);
    }
    assert_eq!(chat(&greenroom, "huge").status, 503);
    assert_eq!(chat(&greenroom, "no\"body").status, 404);
    // What happens on the bus is heard a moment later, and a request is counted when its last byte is out.
    wait_for("the swap and the requests are counted", BOUND, || {
        let now = figures(&greenroom);
        let requests = now.iter().filter(|(name, _)| name.starts_with("greenroom_requests_total{"));
        now.get("greenroom_swaps_total{from=\"image\",to=\"chat\"}") == Some(&1.0)
            && requests.map(|(_, count)| count).sum::<f64>() >= 5.0
            && now.get("greenroom_service_in_flight{service=\"chat\"}") == Some(&0.0)
    });
    let all = figures(&greenroom);
    let figure = |name: &str| *all.get(name).unwrap_or_else(|| panic!("no {name} in {all:#?}"));
    let gb = f64::from(1 << 30);
    for (name, value) in [
        ("greenroom_service_state{service=\"chat\",state=\"ready\"}", 1.0),
        ("greenroom_service_state{service=\"chat\",state=\"stopped\"}", 0.0),
        ("greenroom_service_state{service=\"broken\",state=\"failed\"}", 1.0),
        ("greenroom_service_processes{service=\"chat\"}", 1.0),
        ("greenroom_service_processes{service=\"broken\"}", 0.0),
        ("greenroom_service_in_flight{service=\"chat\"}", 0.0),
        ("greenroom_queue_waiting{model=\"chat\"}", 0.0),
        ("greenroom_gpu_memory_total_bytes{id=\"0\",name=\"card\",uuid=\"declared-0\"}", 8.0 * gb),
        ("greenroom_service_vram_bytes{service=\"chat\",gpu=\"declared-0\"}", 6.0 * gb),
        ("greenroom_lease_bytes{service=\"chat\",pool=\"declared-0\"}", 6.0 * gb),
        ("greenroom_lease_bytes{service=\"chat\",pool=\"ram\"}", 0.0),
        ("greenroom_requests_total{model=\"chat\",code=\"200\"}", 2.0),
        ("greenroom_requests_total{model=\"image\",code=\"200\"}", 1.0),
        ("greenroom_requests_total{model=\"huge\",code=\"503\"}", 1.0),
        ("greenroom_requests_total{model=\"\",code=\"404\"}", 1.0),
        ("greenroom_request_seconds_count{model=\"chat\"}", 2.0),
        ("greenroom_request_seconds_bucket{model=\"chat\",le=\"+Inf\"}", 2.0),
        ("greenroom_queue_wait_seconds_count{model=\"chat\"}", 2.0),
        ("greenroom_queue_wait_seconds_count{model=\"huge\"}", 0.0),
        ("greenroom_swap_seconds_count", 1.0),
        ("greenroom_orphans_swept_total", 0.0),
        ("greenroom_requests_unrecorded_total", 0.0),
    ] {
        assert!((figure(name) - value).abs() < 0.5, "{name} is {} and not {value}", figure(name));
    }
    assert!(figure("greenroom_service_ram_bytes{service=\"chat\"}") > 0.0);
    let waited = figure("greenroom_queue_wait_seconds_sum{model=\"chat\"}");
    assert!(waited > 0.0 && waited <= figure("greenroom_request_seconds_sum{model=\"chat\"}"));
    let told = all.keys().any(|name| name.contains("gpu_memory_used"));
    assert!(!told, "nobody measures a declared card, so nothing is told of it");
    assert!(!all.keys().any(|name| name.contains("body") || name.contains("org/model")), "no label is a stranger's");
    greenroom.shutdown_clean();
}

#[test]
fn processes_that_an_earlier_runtime_left_are_counted() {
    let greenroom = running();
    assert_eq!(chat(&greenroom, "chat").status, 200);
    // So that nobody is awake to end the service.
    signal(greenroom.guardian(), Signal::SIGSTOP);
    greenroom.kill();
    greenroom.start();
    let swept = figures(&greenroom)["greenroom_orphans_swept_total"];
    assert!(swept >= 1.0, "{swept}");
    greenroom.shutdown_clean();
}

#[test]
fn there_are_none_where_the_configuration_says_so() {
    let greenroom = Greenroom::running(|greenroom| house(greenroom, "[metrics]\nenabled = false\n"));
    let answer = greenroom.api().get("/metrics").expect("it answers");
    assert_eq!((answer.status, &answer.json()["error"]["code"]), (404, &"metrics_disabled".into()));
    greenroom.shutdown_clean();
}
