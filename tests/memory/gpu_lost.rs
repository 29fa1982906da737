//! A card or its driver fails in the middle: what runs goes on, what needs it is refused by name, and it is used again
//! when it works again.

use std::time::Duration;

use crate::{
    common::{
        BOUND, Greenroom,
        nvml::{DRIVER_NOT_LOADED, FakeNvml, GPU_IS_LOST},
        pause, timed, wait_for,
    },
    driver::{GIB, gpus, holder, on_cards, wait_alerts},
    house::{chat, chat_well, refused, service},
};

/// For what must not wait for a driver. Its hang is noticed after 5 s.
const SOON: Duration = Duration::from_secs(15);

/// One resident on card 0 and one service each that would go to card 0, to card 1, and to none.
fn machine(fake: &FakeNvml) -> Greenroom {
    let greenroom = on_cards(fake, "reclaim_timeout = \"2s\"", |g| {
        holder(fake, g, "resident", "vram = \"2GiB\"\ngpu = [0]", &["0:2GiB"])
            + &holder(fake, g, "other", "vram = \"2GiB\"\ngpu = [0]", &["0:2GiB"])
            + &holder(fake, g, "second", "vram = \"2GiB\"\ngpu = [1]", &["1:2GiB"])
            + &service(g, "plain", "gpu = \"none\"", "")
    });
    chat_well(&greenroom, "resident");
    greenroom
}

/// Waits until the card is shown as lost, or as working.
#[track_caller]
fn wait_card(greenroom: &Greenroom, index: usize, state: &str) {
    wait_for(&format!("card {index} is {state}"), BOUND, || gpus(greenroom)["cards"][index]["state"] == state);
}

#[track_caller]
fn wait_problem(greenroom: &Greenroom, there: bool) {
    wait_for("the driver's problem is told, or told no more", BOUND, || {
        gpus(greenroom)["problem"].is_string() == there
    });
}

/// Refused within seconds, by these names.
#[track_caller]
fn refused_soon(greenroom: &Greenroom, model: &str, names: &[&str]) {
    let (answer, took) = timed(|| chat(greenroom, model));
    let message = refused(&answer, 503, "insufficient_memory");
    assert!(names.iter().all(|name| message.contains(name)), "{names:?} in: {message}");
    assert!(took < SOON, "{took:?}");
    let why = greenroom.cli(&["why", model]).stdout;
    assert!(names.iter().all(|name| why.contains(name)), "{names:?} in: {why}");
}

/// What needs no card is there, and everybody who asks is answered at once.
#[track_caller]
fn all_else_lives(greenroom: &Greenroom, pid: i32) {
    chat_well(greenroom, "resident");
    assert_eq!(greenroom.service_pid("resident"), pid, "it goes on as it was");
    chat_well(greenroom, "plain");
    let (_, took) = timed(|| greenroom.status());
    assert!(took < Duration::from_secs(5), "the control API took {took:?}");
}

/// The driver as a whole has failed: what needs a card is refused by these names, and nobody else suffers.
#[track_caller]
fn fails_by_name(greenroom: &Greenroom, pid: i32, names: &[&str]) {
    wait_problem(greenroom, true);
    for model in ["other", "second"] {
        refused_soon(greenroom, model, names);
    }
    all_else_lives(greenroom, pid);
    wait_alerts(greenroom, "gpu_lost", 1, 0);
}

/// The driver works again: both cards are used, the alert is over, and an ordered stop leaves nothing.
#[track_caller]
fn comes_back(greenroom: &Greenroom, pid: i32) {
    wait_problem(greenroom, false);
    chat_well(greenroom, "other");
    chat_well(greenroom, "second");
    wait_alerts(greenroom, "gpu_lost", 1, 1);
    ends_with(greenroom, pid);
}

/// The resident has stayed as it was until the ordered stop, which leaves nothing.
#[track_caller]
fn ends_with(greenroom: &Greenroom, pid: i32) {
    assert_eq!(greenroom.service_pid("resident"), pid);
    greenroom.shutdown_clean();
    greenroom.assert_clean();
}

#[test]
fn one_card_of_two_is_lost_and_used_again_when_it_works() {
    let fake = FakeNvml::new(&[8 * GIB, 8 * GIB]);
    let greenroom = machine(&fake);
    let pid = greenroom.service_pid("resident");
    fake.fail(0, Some(GPU_IS_LOST));
    wait_card(&greenroom, 0, "lost");
    refused_soon(&greenroom, "other", &["Card 0", "lost"]);
    all_else_lives(&greenroom, pid);
    chat_well(&greenroom, "second");
    let shown = greenroom.cli(&["gpus"]).stdout;
    assert!(shown.contains("lost"), "{shown}");
    wait_alerts(&greenroom, "gpu_lost", 1, 0);
    fake.fail(0, None);
    wait_card(&greenroom, 0, "works");
    chat_well(&greenroom, "other");
    wait_alerts(&greenroom, "gpu_lost", 1, 1);
    ends_with(&greenroom, pid);
}

#[test]
fn a_second_card_that_is_lost_is_told_as_well() {
    let fake = FakeNvml::new(&[8 * GIB, 8 * GIB]);
    let greenroom = machine(&fake);
    fake.fail(0, Some(GPU_IS_LOST));
    wait_alerts(&greenroom, "gpu_lost", 1, 0);
    fake.fail(1, Some(GPU_IS_LOST));
    wait_card(&greenroom, 1, "lost");
    wait_alerts(&greenroom, "gpu_lost", 2, 0);
    let events = greenroom.cli(&["history", "events", "--json"]).stdout;
    assert!(events.contains("Card 1"), "{events}");
    fake.fail(0, None);
    wait_card(&greenroom, 0, "works");
    fake.fail(1, None);
    wait_card(&greenroom, 1, "works");
    wait_alerts(&greenroom, "gpu_lost", 2, 1);
}

#[test]
fn a_driver_that_fails_as_a_whole_is_named_and_comes_back() {
    let fake = FakeNvml::new(&[8 * GIB, 8 * GIB]);
    let greenroom = machine(&fake);
    let pid = greenroom.service_pid("resident");
    fake.fail_all(Some(DRIVER_NOT_LOADED));
    fails_by_name(&greenroom, pid, &["driver"]);
    fake.fail_all(None);
    comes_back(&greenroom, pid);
}

#[test]
fn a_driver_that_hangs_is_named_and_comes_back() {
    let fake = FakeNvml::new(&[8 * GIB, 8 * GIB]);
    let greenroom = machine(&fake);
    let pid = greenroom.service_pid("resident");
    fake.hang(true);
    fails_by_name(&greenroom, pid, &["driver", "has not answered"]);
    let (told, age) = (gpus(&greenroom)["problem"].clone(), gpus(&greenroom)["age"].as_f64());
    wait_for("the sample grows old, and it is said how old", BOUND, || {
        let now = gpus(&greenroom);
        now["age"].as_f64() > age.map(|age| age + 1.0) && now["problem"].is_string() && now["problem"] != told
    });
    fake.hang(false);
    comes_back(&greenroom, pid);
}

#[test]
fn what_is_asked_for_while_the_driver_falls_silent_is_refused_within_seconds() {
    let fake = FakeNvml::new(&[8 * GIB]);
    let greenroom = on_cards(&fake, "", |g| holder(&fake, g, "a", "vram = \"2GiB\"", &["0:2GiB"]));
    // Nobody holds anything, so the driver is asked seldom.
    wait_for("the cards have not been measured for a while", BOUND, || {
        gpus(&greenroom)["age"].as_f64().is_some_and(|age| age > 2.0)
    });
    fake.hang(true);
    refused_soon(&greenroom, "a", &["driver", "has not answered"]);
    fake.hang(false);
    wait_problem(&greenroom, false);
    chat_well(&greenroom, "a");
}

#[test]
fn a_resident_of_a_lost_card_leaves_without_being_waited_for_for_long() {
    let fake = FakeNvml::new(&[8 * GIB, 8 * GIB]);
    let greenroom = machine(&fake);
    fake.fail(0, Some(GPU_IS_LOST));
    wait_card(&greenroom, 0, "lost");
    assert_eq!(greenroom.cli(&["offload", "resident"]).code, 0);
    wait_for("its lease is given up", BOUND, || greenroom.service("resident")["lease"].is_null());
    fake.fail(0, None);
    wait_card(&greenroom, 0, "works");
    chat_well(&greenroom, "resident");
    chat_well(&greenroom, "other");
}

#[test]
fn the_end_is_bounded_while_cards_are_lost() {
    let fake = FakeNvml::new(&[8 * GIB, 8 * GIB]);
    let greenroom = machine(&fake);
    fake.fail_all(Some(DRIVER_NOT_LOADED));
    wait_problem(&greenroom, true);
    let (code, took) = timed(|| greenroom.shutdown());
    assert_eq!(code, 0, "{}", greenroom.output());
    assert!(took < SOON, "{took:?}");
    greenroom.assert_clean();
}

#[test]
fn the_end_is_bounded_while_the_driver_hangs_and_says_whose_thread_is_left() {
    let fake = FakeNvml::new(&[8 * GIB, 8 * GIB]);
    let greenroom = machine(&fake);
    fake.hang(true);
    wait_problem(&greenroom, true);
    let (code, took) = timed(|| greenroom.shutdown());
    assert!(took < SOON, "{took:?}");
    // No process of a service is left; the thread that is in the driver ends with the runtime, and is told of.
    assert_eq!(code, 1, "{}", greenroom.output());
    assert!(greenroom.output().contains("gpu"), "{}", greenroom.output());
    greenroom.assert_clean();
}

#[test]
fn an_eager_service_of_a_lost_card_comes_up_when_the_card_works() {
    let fake = FakeNvml::new(&[8 * GIB]);
    fake.fail(0, Some(GPU_IS_LOST));
    let greenroom = on_cards(&fake, "", |g| {
        holder(&fake, g, "a", "vram = \"2GiB\"", &["0:2GiB"]).replace("start = \"on_demand\"\n", "")
    });
    wait_alerts(&greenroom, "gpu_lost", 1, 0);
    pause(Duration::from_millis(200));
    assert_ne!(greenroom.state("a"), "ready");
    fake.fail(0, None);
    greenroom.wait_state("a", "ready");
}
