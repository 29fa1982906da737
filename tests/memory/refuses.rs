//! Refusals: what is missing, who holds it, and why they stay.

use serde_json::json;

use crate::{
    common::{BOUND, Greenroom, wait_for},
    house::{chat, chat_well, door, refused, running, service},
};

#[test]
fn what_is_pinned_stays() {
    let greenroom =
        running(|g| service(g, "a", "vram = \"5GiB\"\npinned = true", "") + &service(g, "b", "vram = \"5GiB\"", ""));
    chat_well(&greenroom, "a");
    let pid = greenroom.service_pid("a");
    let answer = chat(&greenroom, "b");
    let message = refused(&answer, 503, "insufficient_memory");
    assert!(message.contains("5GiB") && message.contains("3GiB") && message.contains("pinned"), "{message}");
    let error = &answer.json()["error"];
    assert_eq!(error["holders"][0]["service"], "a", "{error:#}");
    assert_eq!(error["needed"]["vram"]["declared-0"], json!(5_u64 << 30), "{error:#}");
    assert_eq!(greenroom.service_pid("a"), pid);
    let why = greenroom.cli(&["why", "b"]).stdout;
    assert!(why.contains("pinned") && why.contains('a'), "{why}");
    let load = greenroom.cli(&["load", "b"]);
    assert_eq!(load.code, 1, "{}", load.stdout);
    assert!(load.stderr.contains("pinned"), "{}", load.stderr);
    assert!(load.stderr.contains("what to do: greenroom why b"), "{}", load.stderr);
    // When the way is free, the next request goes through without a word from anybody.
    assert_eq!(greenroom.cli(&["stop", "a"]).code, 0);
    chat_well(&greenroom, "b");
}

#[test]
fn what_never_fits_is_refused_at_once_and_pushes_out_nobody() {
    let greenroom = running(|g| service(g, "a", "vram = \"5GiB\"", "") + &service(g, "b", "vram = \"20GiB\"", ""));
    chat_well(&greenroom, "a");
    let pid = greenroom.service_pid("a");
    let message = refused(&chat(&greenroom, "b"), 503, "insufficient_memory");
    assert!(message.contains("never fits") && message.contains("20GiB") && message.contains("8GiB"), "{message}");
    assert_eq!(greenroom.service_pid("a"), pid);
}

#[test]
fn a_plan_says_what_would_happen_and_does_nothing() {
    let greenroom = running(|g| service(g, "a", "vram = \"5GiB\"", "") + &service(g, "b", "vram = \"5GiB\"", ""));
    chat_well(&greenroom, "a");
    let before = greenroom.service("a");
    let plan = greenroom.api().get("/api/plan/b").expect("an answer").json();
    assert_eq!(plan["offload"][0]["service"], "a", "{plan:#}");
    assert_eq!(plan["gpus"], json!(["declared-0"]), "{plan:#}");
    assert_eq!(plan["need"]["source"], "user");
    let told = greenroom.cli(&["plan", "b"]).stdout;
    assert!(told.contains('a') && told.contains("5GiB"), "{told}");
    assert_eq!(greenroom.service("a")["run_id"], before["run_id"]);
    assert_eq!(greenroom.state("b"), "stopped");
    let gpus = greenroom.api().get("/api/gpus").expect("an answer").json();
    assert_eq!(gpus["cards"][0]["services"]["a"], json!(5_u64 << 30), "{gpus:#}");
    assert_eq!(gpus["cards"][0]["free"], json!(3_u64 << 30), "{gpus:#}");
}

#[test]
fn a_crash_on_the_way_in_is_told_with_its_last_words_and_gives_the_memory_back() {
    let greenroom = running(|g| {
        let broken = "vram = \"5GiB\"\nrestart.policy = \"never\"";
        service(g, "a", "vram = \"5GiB\"", "")
            + &service(g, "b", broken, "--stderr terrible_things_happened --load-ms 60000 --crash-after-ms 50")
    });
    let answer = chat(&greenroom, "b");
    refused(&answer, 502, "start_failed");
    assert!(answer.body.contains("terrible_things_happened"), "{}", answer.body);
    wait_for("its memory is back", BOUND, || greenroom.service("b")["lease"].is_null());
    chat_well(&greenroom, "a");
}

#[test]
fn without_cards_a_model_that_finds_no_ram_is_told_of_ram() {
    let greenroom = Greenroom::running(|g| {
        std::fs::write(g.folder().join("m.gguf"), [0_u8; 4096]).expect("the test's folder is writable");
        let keys = "engine = \"llama-server\"\nmodel_file = \"m.gguf\"\nram = \"auto\"";
        let model = service(g, "m", keys, "").replace("ram = \"0B\"\n", "");
        format!("{}[resources]\ngpu_backend = \"none\"\nram_reserve = \"1000000GiB\"\n{model}", door(g))
    });
    let message = refused(&chat(&greenroom, "m"), 503, "insufficient_memory");
    assert!(message.contains("of RAM, of which at most 0B can be given"), "{message}");
}
