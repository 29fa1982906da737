//! Requests and memory: a card that holds one of two at a time.

use serde_json::json;

use crate::{
    CHAT, chat,
    common::{Greenroom, alive},
    door, gateway, on_demand, refused, tokens,
};

/// One card of 8 GB and two services that do not fit on it together, with further keys of the first. First come, first
/// served.
fn card(greenroom: &Greenroom, keys: &str) -> String {
    let resources = "[resources]\ngpu_backend = \"declared\"\nvram_reserve = \"0B\"\nram_reserve = \"0B\"\n\
                     [[resources.gpu]]\nname = \"card\"\nmemory = \"8GiB\"\n";
    gateway(greenroom, "queue.fairness = \"0s\"")
        + resources
        + &on_demand(greenroom, "chat", "--token-ms 50", &format!("vram = \"6GiB\"\nram = \"0B\"\n{keys}"))
        + &on_demand(greenroom, "image", "", "vram = \"5GiB\"\nram = \"0B\"")
}

#[test]
fn each_request_gets_the_model_it_names_though_only_one_of_them_fits() {
    let greenroom = Greenroom::running(|g| card(g, ""));
    for model in ["chat", "image", "image", "chat", "image"] {
        let answer = chat(&greenroom, model);
        assert_eq!(answer.status, 200, "{answer:?}");
        assert_eq!(answer.json()["system_fingerprint"], model);
        let ready = |name: &str| greenroom.state(name) == "ready";
        assert!(ready(model) && !(ready("chat") && ready("image")));
    }
    greenroom.shutdown_clean();
    greenroom.assert_clean();
}

/// Three clients that change their minds at every turn: each turn of one is a swap, or finds what another one has loaded.
#[test]
fn many_swaps_under_traffic_mix_nothing_up() {
    const TURNS: usize = 35;
    let greenroom = Greenroom::running(|g| card(g, ""));
    let door = door(&greenroom);
    let ask = &|client: usize| {
        for turn in 0..TURNS {
            let model = ["chat", "image"][(client + turn) % 2];
            let answer = door.post(CHAT, Some(&json!({ "model": model, "max_tokens": 1 }))).expect("the door answers");
            assert_eq!(answer.status, 200, "{answer:?}");
            assert_eq!(answer.json()["system_fingerprint"], model);
        }
    };
    std::thread::scope(|scope| {
        for client in 0..3 {
            scope.spawn(move || ask(client));
        }
    });
    let runs = crate::runs(&greenroom, "chat") + crate::runs(&greenroom, "image");
    assert!(runs >= TURNS, "{runs} runs");
    greenroom.shutdown_clean();
    greenroom.assert_clean();
}

#[test]
fn who_gets_no_memory_is_told_who_holds_it() {
    let greenroom = Greenroom::running(|g| card(g, "pinned = true"));
    assert_eq!(chat(&greenroom, "chat").status, 200);
    for _ in 0..2 {
        let error = refused(&chat(&greenroom, "image"), 503, "insufficient_memory");
        let only = |amounts: &serde_json::Value| {
            let all = amounts["vram"].as_object().expect("card by card").values().cloned().collect::<Vec<_>>();
            assert_eq!(all.len(), 1, "{amounts}");
            all[0].as_u64().expect("bytes")
        };
        assert_eq!((only(&error["needed"]), only(&error["free"])), (5 << 30, 2 << 30), "{error}");
        let holder = &error["holders"][0];
        assert_eq!(
            (&holder["service"], &holder["why"], &holder["amount"]),
            (&json!("chat"), &json!("pinned"), &json!(6_u64 << 30))
        );
        assert!(error["message"].as_str().expect("a sentence").contains("chat holds 6GiB"), "{error}");
    }
    let command = greenroom.cli(&["load", "image"]).expect(1);
    assert!(command.text().contains("chat"), "{command:?}");
}

#[test]
fn a_request_waits_until_the_one_before_has_finished() {
    let greenroom = Greenroom::running(|g| card(g, ""));
    let mut stream = tokens(&greenroom, 50);
    stream.next().expect("a token");
    let pid = greenroom.service_pid("chat");
    std::thread::scope(|scope| {
        let other = door(&greenroom);
        let image = scope.spawn(move || crate::chat_at(&other, "image"));
        greenroom.wait_was("chat", "draining");
        // What was sent may lie in the socket when its sender has ended; an answer that was cut short would lack tokens.
        assert_eq!(1 + stream.count(), 51, "nothing busy is ended");
        assert_eq!(image.join().expect("it is answered").status, 200);
    });
    assert!(!alive(pid));
}

#[test]
fn who_does_not_leave_in_time_stays_and_the_newcomer_is_told() {
    let greenroom = Greenroom::running(|g| card(g, "offload.drain = \"300ms\""));
    let mut stream = tokens(&greenroom, 100_000);
    stream.next().expect("a token");
    let error = refused(&chat(&greenroom, "image"), 503, "insufficient_memory");
    assert_eq!(
        (&error["holders"][0]["service"], &error["holders"][0]["why"]),
        (&json!("chat"), &json!("busy")),
        "{error}"
    );
    stream.next().expect("it goes on");
    assert_eq!(chat(&greenroom, "chat").status, 200, "and lets others in again");
}
