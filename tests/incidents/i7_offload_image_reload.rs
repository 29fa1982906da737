//! I7: a language model leaves for an image, the image engine crashes without a word, and the language model is not let
//! in again: its memory was not back yet, and the check reckoned with another formula than the start had.

use std::time::Duration;

use serde_json::{Value, json};

use crate::common::{BOUND, Greenroom, nvml::FakeNvml, timed, wait_for, wait_until};

/// 44 of 48 layers on the card: 7.06 GB there, and 6.4 GB x 4/48 x 1.2 of RAM.
const LLM_VRAM: u64 = 7_060_000_000;
const LLM_RAM: u64 = 640_000_000;
/// The card.
const CARD: u64 = 8_000_000_000;
/// How long the slow driver keeps what an ended process held.
const SLOW: Duration = Duration::from_secs(5);
/// What of that may have passed before the end of the process was noticed, on a machine that has other work.
const UNNOTICED: Duration = Duration::from_secs(4);

/// The language model, an image engine, and one that ends before it is ready, below `resources`; `holds` gives each the
/// options by which it says what it holds.
fn config(greenroom: &Greenroom, resources: &str, holds: impl Fn(&str) -> String) -> String {
    let llm =
        greenroom.stand_in("llm", &format!("--port ${{port}} --stderr layers=${{gpu_layers}} {}", holds("7060MB")));
    let image = greenroom.stand_in("image", &format!("--port ${{port}} {}", holds("3520MB")));
    let torn =
        greenroom.stand_in("torn", "--port ${port} --load-ms 60000 --crash-after-ms 100 --stderr weights-are-cut-off");
    format!(
        r#"
{resources}

[service.llm]
command = {llm}
ready = "/health"
start = "eager"
gpu_layers = 44
vram = "7.06GB"
ram = "0.64GB"
offload.reload = "when_free"

[service.image]
command = {image}
ready = "/health"
start = "on_demand"
vram = "3.52GB"

[service.torn]
command = {torn}
ready = "/health"
start = "on_demand"
vram = "3.52GB"
restart.policy = "never"
"#
    )
}

fn on_a_declared_card(greenroom: &Greenroom) -> String {
    let card = "[resources]\ngpu_backend = \"declared\"\nram_reserve = \"0B\"\n\n\
                [[resources.gpu]]\nname = \"declared 8 GB\"\nmemory = \"8GB\"\n";
    config(greenroom, card, |_| String::new())
}

/// With a driver that gives memory back late, and with 5.6 GB of RAM: less than the wrong formula wanted.
fn on_a_slow_card(greenroom: &Greenroom, card: &FakeNvml, more: &str) -> String {
    let resources = format!("{}ram_limit = \"5.6GB\"\nram_reserve = \"0B\"\n{more}", card.config());
    let folder = card.allocations().display().to_string();
    config(greenroom, &resources, |size| format!("--vram 0:{size} --vram-dir {folder}"))
}

/// What the language model may hold, on whichever card.
#[track_caller]
fn assert_lease_of_the_llm(greenroom: &Greenroom) {
    let lease = &greenroom.service("llm")["lease"];
    let vram: Vec<&Value> = lease["vram"].as_object().into_iter().flat_map(|cards| cards.values()).collect();
    assert_eq!((vram, &lease["ram"]), (vec![&json!(LLM_VRAM)], &json!(LLM_RAM)), "{lease:#}");
}

/// The newest swap in which `name` came, as soon as the history has it.
#[track_caller]
fn swap_of(greenroom: &Greenroom, name: &str) -> Value {
    let look = || {
        let rows = greenroom.api().get("/api/history/swaps").ok()?.json();
        rows.as_array()?.iter().find(|row| row["service"] == name).cloned()
    };
    wait_until("the history knows the swap", BOUND, look).0
}

#[track_caller]
fn assert_parts_add_up(swap: &Value) {
    let span = |part: &str| swap["seconds"][part].as_f64().expect("a number");
    let parts: f64 = ["queue", "drain", "stop", "reclaim", "load"].map(span).iter().sum();
    assert!((parts - span("total")).abs() < 0.005 && span("total") > 0.0, "{swap:#}");
}

#[test]
fn i7_the_llm_leaves_for_an_image_and_comes_back_as_it_was() {
    let greenroom = Greenroom::running(on_a_declared_card);
    greenroom.wait_state("llm", "ready");
    assert_lease_of_the_llm(&greenroom);
    let plan = greenroom.cli(&["plan", "image"]).expect(0);
    assert!(plan.stdout.contains("WOULD LEAVE") && plan.stdout.contains("\nllm "), "{plan:?}");
    assert_eq!(greenroom.state("llm"), "ready", "a plan changes nothing");

    greenroom.cli(&["load", "image"]).expect(0);
    assert_eq!((greenroom.state("image"), greenroom.state("llm")), ("ready".to_owned(), "offloaded".to_owned()));
    let swap = swap_of(&greenroom, "image");
    assert_eq!(swap["from"], json!(["llm"]));
    assert_parts_add_up(&swap);
    let told = greenroom.cli(&["history", "swaps", "--service", "llm"]).expect(0);
    assert!(told.stdout.contains("image"), "the one that left is a part of it: {told:?}");
    let why = greenroom.cli(&["why", "llm"]).expect(0);
    assert!(why.stdout.contains("`offload.reload = \"when_free\"`"), "{why:?}");

    greenroom.cli(&["offload", "image"]).expect(0);
    greenroom.wait_state("llm", "ready");
    assert_lease_of_the_llm(&greenroom);
    let log = greenroom.cli(&["logs", "llm"]).expect(0);
    assert_eq!(log.stdout.matches("layers=44").count(), 2, "both runs had the same layers: {log:?}");
    greenroom.shutdown_clean();
    greenroom.assert_clean();
}

#[test]
fn i7_an_image_engine_that_crashes_says_why_and_the_llm_comes_back() {
    let greenroom = Greenroom::running(on_a_declared_card);
    greenroom.wait_state("llm", "ready");
    let failed = greenroom.cli(&["load", "torn"]).expect(1);
    assert!(failed.stderr.contains("weights-are-cut-off"), "{failed:?}");
    let answer = greenroom.service("torn");
    assert_eq!(answer["last_exit"]["code"], 1, "{answer:#}");
    greenroom.wait_state("llm", "ready");
    assert_lease_of_the_llm(&greenroom);
    assert!(greenroom.service("torn")["lease"].is_null(), "nothing of its lease is left");
    greenroom.shutdown_clean();
    greenroom.assert_clean();
}

#[test]
fn i7_memory_that_comes_back_late_is_waited_for() {
    let card = FakeNvml::new(&[CARD]);
    card.delay(SLOW);
    let greenroom = Greenroom::running(|g| on_a_slow_card(g, &card, ""));
    greenroom.wait_state("llm", "ready");
    assert_lease_of_the_llm(&greenroom);
    let (_, took) = timed(|| greenroom.cli(&["load", "image"]).expect(0));
    assert!(took >= SLOW, "it was let in after {took:?}, before the memory was back");
    let swap = swap_of(&greenroom, "image");
    let waited = swap["seconds"]["reclaim"].as_f64().expect("a number");
    assert!(waited > (SLOW - UNNOTICED).as_secs_f64(), "{swap:#}");
    assert_parts_add_up(&swap);

    let (_, took) = timed(|| {
        greenroom.cli(&["offload", "image"]).expect(0);
        greenroom.wait_state("llm", "ready");
    });
    assert!(took >= SLOW, "the reload did not wait: {took:?}");
    assert_lease_of_the_llm(&greenroom);
    assert_eq!(greenroom.api().get("/api/gpus").expect("answered").json()["reclaim_timeouts"], 0);
    greenroom.shutdown_clean();
    greenroom.assert_clean();
}

#[test]
fn i7_memory_that_never_comes_back_is_given_up_and_named() {
    let card = FakeNvml::new(&[CARD]);
    card.delay(Duration::from_secs(3600));
    let greenroom = Greenroom::running(|g| on_a_slow_card(g, &card, "reclaim_timeout = \"1s\"\n"));
    greenroom.wait_state("llm", "ready");
    let (refused, took) = timed(|| greenroom.cli(&["load", "image"]).expect(1));
    assert!(took < BOUND, "the wait has a bound: {took:?}");
    assert!(refused.stderr.contains("memory"), "{refused:?}");
    // It is neither in nor on its way out for ever.
    greenroom.wait_state("llm", "offloaded");
    let memory = greenroom.api().get("/api/gpus").expect("answered").json();
    assert!(memory["reclaim_timeouts"].as_u64().is_some_and(|n| n > 0), "{memory:#}");
    let events = greenroom.cli(&["events"]).expect(0);
    assert!(events.stdout.contains("reclaim_timeout"), "{events:?}");

    let (again, took) = timed(|| greenroom.cli(&["load", "image"]).expect(1));
    assert!(took < BOUND, "{took:?}");
    let refusal = &greenroom.service("image")["refusal"];
    assert!(refusal["missing"][0]["needed"].as_u64() >= Some(3_520_000_000), "{refusal:#}");
    assert!(refusal["holders"].as_array().is_some_and(|holders| !holders.is_empty()), "{refusal:#}");
    assert!(again.stderr.contains("hold"), "it says who holds it: {again:?}");
    wait_for("why names it too", BOUND, || {
        let why = greenroom.cli(&["why", "image"]).expect(0).stdout;
        why.contains("greenroom gpus") && why.contains("greenroom plan image")
    });

    // As soon as it is back after all, it is given out again: the one that was pushed out comes back by itself.
    card.delay(Duration::ZERO);
    greenroom.wait_state("llm", "ready");
    greenroom.cli(&["load", "image"]).expect(0);
    greenroom.shutdown_clean();
    greenroom.assert_clean();
}
