//! Requests for what is in memory overtake others, and not for longer than `gateway.queue.fairness`: two models of which the
//! card holds one.

use std::{
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    thread,
};

use serde_json::{Value, json};

use crate::{
    CHAT,
    common::{BOUND, Greenroom, Http, wait_for},
    door, gateway, on_demand,
};

/// How long others may overtake: longer than a test is held up on a machine that has other work.
const FAIRNESS: f64 = 4.0;
/// What such a machine may take on top of that.
const MARGIN: f64 = 8.0;

/// Two services with these options, one of which fits.
fn two(fairness: &str, options: &str) -> Greenroom {
    Greenroom::running(|g| {
        let card = "[resources]\ngpu_backend = \"declared\"\nvram_reserve = \"0B\"\n\
                    gpu = [{ name = \"card\", memory = \"8GiB\" }]\n";
        let service = |name: &str| on_demand(g, name, options, "vram = \"5GiB\"\nram = \"0B\"");
        gateway(g, &format!("queue.fairness = \"{fairness}\"")) + card + &service("chat") + &service("image")
    })
}

#[track_caller]
fn ask(door: &Http, model: &str, tokens: usize) {
    let answer = door.post(CHAT, Some(&json!({ "model": model, "max_tokens": tokens }))).expect("the door answers");
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.json()["system_fingerprint"], model);
}

/// What the history tells of swaps, newest first. A swap is on record when it has been told, which may be after the answer.
fn swaps(greenroom: &Greenroom) -> Vec<Value> {
    let answer = greenroom.api().get("/api/history/swaps?limit=1000").expect("it answers");
    answer.json().as_array().expect("a list").clone()
}

#[test]
fn one_request_is_served_in_a_flood_for_another_model() {
    let greenroom = two(&format!("{FAIRNESS}s"), "--load-ms 300 --token-ms 100");
    let door = door(&greenroom);
    let (over, answered) = (AtomicBool::new(false), AtomicUsize::new(0));
    thread::scope(|scope| {
        // Of different lengths, and much longer than the pause between two, so that there is always one in.
        for client in 0..4 {
            let (door, over, answered) = (&door, &over, &answered);
            scope.spawn(move || {
                while !over.load(Ordering::Acquire) {
                    ask(door, "chat", 6 + client);
                    answered.fetch_add(1, Ordering::AcqRel);
                }
            });
        }
        wait_for("the flood has begun", BOUND, || answered.load(Ordering::Acquire) >= 4);
        let single = scope.spawn(|| ask(&door, "image", 1));
        wait_for("it waits", BOUND, || greenroom.state("image") == "reserved");
        let reason = greenroom.service("image")["reason"].as_str().unwrap_or_default().to_owned();
        // Where the flood is past its due already, it has been asked to leave.
        assert!(reason.contains("lets those finish who use chat") || reason.contains("chat to leave"), "{reason}");
        // The flood goes on until it is served.
        let served = single.join();
        over.store(true, Ordering::Release);
        served.expect("it is served");
    });
    let of_image = |swap: &Value| swap["service"] == "image";
    wait_for("the swap is on record", BOUND, || swaps(&greenroom).iter().any(of_image));
    let swap = swaps(&greenroom).into_iter().find(of_image).expect("a swap");
    let seconds = |part: &str| swap["seconds"][part].as_f64().expect("a number");
    assert!((FAIRNESS / 2.0..FAIRNESS + MARGIN).contains(&seconds("queue")), "others overtook it so long: {swap}");
    assert!(seconds("total") < FAIRNESS + 0.9 + 0.3 + 2.0 * MARGIN, "{swap}");
    assert_eq!(swap["from"], json!(["chat"]));
}

#[test]
fn clients_that_alternate_without_pause_are_served_in_few_stays() {
    const TURNS: usize = 30;
    let greenroom = two("3s", "--load-ms 500 --token-ms 20");
    let door = door(&greenroom);
    thread::scope(|scope| {
        for (client, model) in ["chat", "image", "chat", "image"].into_iter().enumerate() {
            let door = &door;
            scope.spawn(move || (0..TURNS).for_each(|_| ask(door, model, 2 + client)));
        }
    });
    // Served one after the other as they come, each turn is a swap: two ask for the same model at a time, so each has two
    // answers.
    let first_come = 2 * TURNS;
    let swaps = swaps(&greenroom).len();
    assert!(swaps * 5 <= first_come, "{swaps} swaps for {} requests", 4 * TURNS);
    greenroom.shutdown_clean();
    greenroom.assert_clean();
}
