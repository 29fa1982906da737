//! A hundred swaps under traffic: every answer comes from the model that was asked, and nobody is left over.

use std::{
    sync::atomic::{AtomicU32, Ordering},
    thread,
};

use serde_json::Value;

use crate::house::{chat_at, running, service};

const SWAPS: usize = 100;
const CLIENTS: u32 = 4;

#[test]
fn a_hundred_swaps_under_traffic_never_answer_from_the_wrong_model() {
    let models = ["a", "b", "c"];
    let greenroom = running(|g| models.map(|model| service(g, model, "vram = \"5GiB\"", "--token-ms 1")).concat());
    let swaps = || {
        let answer = greenroom.api().get("/api/history/swaps?limit=1000").expect("an answer").json();
        answer.as_array().map_or(0, Vec::len)
    };
    let (asked, done) = (AtomicU32::new(0), std::sync::atomic::AtomicBool::new(false));
    thread::scope(|scope| {
        let clients: Vec<_> = (0..CLIENTS)
            .map(|client| {
                let (port, asked, done) = (greenroom.port(0), &asked, &done);
                scope.spawn(move || {
                    for n in 0.. {
                        if done.load(Ordering::Acquire) {
                            break;
                        }
                        let model = models[((client * 7 + n) % 3) as usize];
                        let answer = chat_at(port, model, 1);
                        assert_eq!(answer.status, 200, "{}", answer.body);
                        let told: Value = answer.json();
                        assert_eq!(told["system_fingerprint"], model, "{told:#}");
                        asked.fetch_add(1, Ordering::Relaxed);
                    }
                })
            })
            .collect();
        // Ended also when a client fails, so that the others do not go on for ever.
        while swaps() < SWAPS && !clients.iter().any(thread::ScopedJoinHandle::is_finished) {
            crate::common::pause(std::time::Duration::from_millis(50));
        }
        done.store(true, Ordering::Release);
    });
    assert!(asked.load(Ordering::Relaxed) >= SWAPS as u32);
    greenroom.shutdown_clean();
    greenroom.assert_clean();
}
