//! Other programs on the same cards: respected while they are there, and nothing is given out twice.

use std::{
    fs,
    path::Path,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Duration,
};

use crate::{
    common::{BOUND, Greenroom, nvml::FakeNvml, timed, wait_for},
    driver::{GIB, gpus, held, holder, on_cards, wait_alerts},
    house::{chat, chat_at, chat_well, refused, service},
};

const OTHERS: &str = "other programs hold";

/// Until nobody has measured the cards for a while, since nobody of ours holds anything.
#[track_caller]
fn wait_unmeasured(greenroom: &Greenroom) {
    wait_for("the cards have not been measured for a while", BOUND, || {
        gpus(greenroom)["age"].as_f64().is_some_and(|age| age > 1.5)
    });
}

/// `a` and `b`, of which the card has room for one.
#[track_caller]
fn rivals(fake: &FakeNvml, keys: &str) -> Greenroom {
    let one = |g: &Greenroom, name: &str| holder(fake, g, name, "vram = \"6GiB\"", &["0:6GiB"]);
    on_cards(fake, keys, |g| one(g, "a") + &one(g, "b"))
}

#[test]
fn a_game_is_respected_and_its_memory_is_given_out_as_soon_as_it_has_gone() {
    let fake = FakeNvml::new(&[8 * GIB]);
    let greenroom = on_cards(&fake, "", |g| holder(&fake, g, "a", "vram = \"5GiB\"", &["0:5GiB"]));
    wait_unmeasured(&greenroom);
    // It has come since anybody looked, and is seen all the same; so is its end.
    fake.strangers(0, 6 * GIB);
    let message = refused(&chat(&greenroom, "a"), 503, "insufficient_memory");
    assert!(message.contains(OTHERS) && message.contains("6GiB"), "{message}");
    assert_eq!(held(&fake.allocations(), 0), 0, "nothing was begun");
    let why = greenroom.cli(&["why", "a"]).stdout;
    assert!(why.contains("other programs"), "{why}");
    wait_unmeasured(&greenroom);
    fake.strangers(0, 0);
    chat_well(&greenroom, "a");
}

#[test]
fn what_was_pushed_out_comes_back_when_a_game_has_gone() {
    let fake = FakeNvml::new(&[8 * GIB]);
    let greenroom = on_cards(&fake, "", |g| {
        holder(&fake, g, "a", "vram = \"5GiB\"\noffload.reload = \"when_free\"", &["0:5GiB"])
            + &holder(&fake, g, "b", "vram = \"4GiB\"", &["0:4GiB"])
    });
    chat_well(&greenroom, "a");
    chat_well(&greenroom, "b");
    assert_eq!(greenroom.state("a"), "offloaded");
    fake.strangers(0, 4 * GIB);
    wait_for("the game is seen", BOUND, || gpus(&greenroom)["cards"][0]["strangers"] == 4 * GIB);
    assert_eq!(greenroom.cli(&["offload", "b"]).code, 0);
    wait_for("b's memory is back", BOUND, || greenroom.service("b")["lease"].is_null());
    assert_eq!(greenroom.state("a"), "offloaded", "there is no room for it");
    fake.strangers(0, 0);
    greenroom.wait_state("a", "ready");
}

#[test]
fn a_game_that_comes_while_a_service_loads_is_neither_counted_as_its_own_nor_overlooked() {
    let fake = FakeNvml::new(&[8 * GIB]);
    let greenroom = on_cards(&fake, "", |g| {
        let slow = holder(&fake, g, "a", "vram = \"3GiB\"\npinned = true", &["0:3GiB"]);
        slow.replace("\"--vram-at-start\"", "\"--load-ms\", \"1500\", \"--vram-at-start\"")
            + &holder(&fake, g, "b", "vram = \"2GiB\"", &["0:2GiB"])
    });
    let port = greenroom.port(0);
    thread::scope(|scope| {
        let load = scope.spawn(move || chat_at(port, "a", 1));
        wait_for("a loads", BOUND, || held(&fake.allocations(), 0) > 0);
        fake.strangers(0, 4 * GIB);
        assert_eq!(load.join().expect("no panic").status, 200);
    });
    wait_for("the game is seen", BOUND, || gpus(&greenroom)["cards"][0]["strangers"] == 4 * GIB);
    let message = refused(&chat(&greenroom, "b"), 503, "insufficient_memory");
    assert!(message.contains(OTHERS) && message.contains("4GiB"), "{message}");
    fake.strangers(0, 0);
    wait_for("its end is seen", BOUND, || gpus(&greenroom)["cards"][0]["strangers"] == 0);
    chat_well(&greenroom, "b");
    assert_eq!(greenroom.state("a"), "ready");
}

#[test]
fn a_game_that_takes_what_was_being_made_free_wedges_nobody() {
    let fake = FakeNvml::new(&[8 * GIB]);
    // Nothing comes back before the test says so.
    fake.delay(Duration::from_secs(3600));
    let greenroom = rivals(&fake, "reclaim_timeout = \"25s\"");
    chat_well(&greenroom, "a");
    let port = greenroom.port(0);
    let (answer, took) = thread::scope(|scope| {
        let load = scope.spawn(move || timed(|| chat_at(port, "b", 1)));
        wait_for("a leaves", BOUND, || greenroom.state("a") == "reclaiming");
        // All that a gives back, and at the very moment.
        fake.strangers(0, 7 * GIB);
        fake.delay(Duration::ZERO);
        load.join().expect("no panic")
    });
    let message = refused(&answer, 503, "insufficient_memory");
    assert!(took < Duration::from_secs(30), "{took:?}: {message}");
    wait_for("a has left", BOUND, || greenroom.state("a") == "offloaded");
    wait_for("nobody has a lease", BOUND, || greenroom.service("a")["lease"].is_null());
    let message = refused(&chat(&greenroom, "b"), 503, "insufficient_memory");
    assert!(message.contains(OTHERS), "{message}");
    fake.strangers(0, 0);
    wait_for("its end is seen", BOUND, || gpus(&greenroom)["cards"][0]["strangers"] == 0);
    chat_well(&greenroom, "b");
    chat_well(&greenroom, "a");
}

#[test]
fn memory_that_does_not_come_back_is_told_and_given_out_when_it_does() {
    let fake = FakeNvml::new(&[8 * GIB]);
    // Until the test says otherwise.
    fake.delay(Duration::from_secs(3600));
    let greenroom = rivals(&fake, "reclaim_timeout = \"1s\"");
    chat_well(&greenroom, "a");
    let message = refused(&chat(&greenroom, "b"), 503, "insufficient_memory");
    assert_eq!(gpus(&greenroom)["reclaim_timeouts"], 1, "{message}\n{}", gpus(&greenroom));
    wait_alerts(&greenroom, "reclaim_timeout", 1, 0);
    greenroom.wait_state("a", "offloaded");
    fake.delay(Duration::ZERO);
    wait_for("it is back after all", BOUND, || gpus(&greenroom)["cards"][0]["free"] == 8 * GIB);
    chat_well(&greenroom, "b");
}

/// Swaps under load while somebody watches that no more is held than there is.
fn never_too_much(fake: &FakeNvml, greenroom: &Greenroom, models: &[&str], total: u64) {
    let (port, folder, done) = (greenroom.port(0), fake.allocations(), AtomicBool::new(false));
    thread::scope(|scope| {
        let watch = scope.spawn(|| {
            let mut most = 0;
            while !done.load(Ordering::Acquire) {
                most = most.max(held(&folder, 0));
                crate::common::pause(Duration::from_millis(1));
            }
            most
        });
        let clients: Vec<_> = (0..3)
            .map(|client| {
                scope.spawn(move || {
                    let asked = (0..6).map(|n| chat_at(port, models[(client + n) % models.len()], 1));
                    asked.filter(|answer| answer.status == 200).count()
                })
            })
            .collect();
        let answered: usize = clients.into_iter().map(|client| client.join().expect("no panic")).sum();
        done.store(true, Ordering::Release);
        let most = watch.join().expect("no panic");
        assert!(most > 0 && most <= total, "{most} of {total} were held");
        assert!(answered >= models.len(), "{answered} were answered");
    });
}

#[test]
fn no_more_is_given_out_than_there_is_when_the_driver_names_nobody() {
    let fake = FakeNvml::new(&[8 * GIB]);
    fake.unavailable();
    fake.delay(Duration::from_millis(150));
    let greenroom = on_cards(&fake, "", |g| {
        holder(&fake, g, "a", "vram = \"5GiB\"", &["0:5GiB"])
            + &holder(&fake, g, "b", "vram = \"4GiB\"", &["0:4GiB"])
            + &holder(&fake, g, "c", "vram = \"3GiB\"", &["0:3GiB"])
    });
    never_too_much(&fake, &greenroom, &["a", "b", "c"], 8 * GIB);
    // Those that fit together are there together.
    chat_well(&greenroom, "a");
    chat_well(&greenroom, "c");
    assert_eq!((greenroom.state("a").as_str(), greenroom.state("c").as_str()), ("ready", "ready"));
    // Strangers are told from ours all the same.
    fake.strangers(0, 0);
    assert_eq!(gpus(&greenroom)["cards"][0]["strangers"], 0);
}

/// Where the need of a service comes from, as a plan says.
fn source(greenroom: &Greenroom, name: &str) -> String {
    let plan = greenroom.api().get(&format!("/api/plan/{name}")).expect("an answer").json();
    plan["need"]["source"].as_str().unwrap_or_default().to_owned()
}

#[test]
fn one_that_nobody_knows_has_a_card_to_itself_until_it_was_measured() {
    let fake = FakeNvml::new(&[8 * GIB]);
    let greenroom = on_cards(&fake, "", |g| {
        holder(&fake, g, "a", "engine = \"vllm\"", &["0:3GiB"]) + &holder(&fake, g, "b", "vram = \"2GiB\"", &["0:2GiB"])
    });
    chat_well(&greenroom, "b");
    assert_eq!(source(&greenroom, "a"), "unknown");
    chat_well(&greenroom, "a");
    assert_eq!(greenroom.state("b"), "offloaded", "it has the card to itself");
    let told = || greenroom.service("a")["lease"].to_string();
    wait_for("it is measured", BOUND, || source(&greenroom, "a") == "calibrated");
    chat_well(&greenroom, "b");
    assert_eq!(greenroom.state("a"), "offloaded", "it had the whole card: {}", told());
    chat_well(&greenroom, "a");
    assert_eq!(greenroom.state("b"), "ready", "from now on it is known what it needs: {}", told());
    greenroom.shutdown_clean();
    // And by the next runtime as well.
    greenroom.start();
    assert_eq!(source(&greenroom, "a"), "calibrated");
    chat_well(&greenroom, "b");
    chat_well(&greenroom, "a");
    assert_eq!((greenroom.state("a").as_str(), greenroom.state("b").as_str()), ("ready", "ready"));
}

#[test]
fn one_that_nobody_knows_and_nobody_measures_keeps_a_card_to_itself() {
    let fake = FakeNvml::new(&[8 * GIB]);
    fake.unavailable();
    let greenroom = on_cards(&fake, "", |g| {
        holder(&fake, g, "a", "engine = \"vllm\"", &["0:3GiB"]) + &holder(&fake, g, "b", "vram = \"6GiB\"", &["0:6GiB"])
    });
    never_too_much(&fake, &greenroom, &["a", "b"], 8 * GIB);
    assert_eq!(source(&greenroom, "a"), "unknown");
}

/// A variable of a process.
#[track_caller]
pub fn variable(pid: i32, name: &str) -> String {
    let all = fs::read(Path::new("/proc").join(pid.to_string()).join("environ")).expect("a process of ours");
    let text = String::from_utf8_lossy(&all).into_owned();
    let found = text.split('\0').find_map(|entry| entry.strip_prefix(&format!("{name}="))).map(str::to_owned);
    found.unwrap_or_else(|| panic!("{name} in {text}"))
}

#[test]
fn two_cards_hold_one_service_each_and_one_that_fits_on_neither_gets_both() {
    let fake = FakeNvml::new(&[8 * GIB, 8 * GIB]);
    let seen = "env.SEEN = \"${gpu}\"";
    let greenroom = on_cards(&fake, "", |g| {
        service(g, "a", &format!("vram = \"6GiB\"\n{seen}"), "")
            + &service(g, "b", &format!("vram = \"6GiB\"\n{seen}"), "")
            + &holder(&fake, g, "big", &format!("vram = \"12GiB\"\n{seen}"), &["0:6GiB", "1:6GiB"])
            + &holder(&fake, g, "second", &format!("vram = \"1GiB\"\ngpu = [1]\n{seen}"), &["1:1GiB"])
            + &holder(&fake, g, "named", &format!("vram = \"1GiB\"\ngpu = [\"GPU-fake-1\"]\n{seen}"), &["1:1GiB"])
            + &service(g, "third", "vram = \"1GiB\"\ngpu = [2]", "")
    });
    let seen_by = |name: &str| variable(greenroom.service_pid(name), "SEEN");
    chat_well(&greenroom, "a");
    chat_well(&greenroom, "b");
    let mut both = [seen_by("a"), seen_by("b")];
    both.sort();
    assert_eq!(both, [fake.uuid(0), fake.uuid(1)], "one card each");
    for one in ["second", "named"] {
        chat_well(&greenroom, one);
        assert_eq!(seen_by(one), fake.uuid(1));
    }
    chat_well(&greenroom, "big");
    let mut cards: Vec<String> = seen_by("big").split(',').map(str::to_owned).collect();
    cards.sort();
    assert_eq!(cards, [fake.uuid(0), fake.uuid(1)]);
    assert_eq!((greenroom.state("a").as_str(), greenroom.state("b").as_str()), ("offloaded", "offloaded"));
    let message = refused(&chat(&greenroom, "third"), 503, "insufficient_memory");
    assert!(message.contains("there is no card 2"), "{message}");
}
