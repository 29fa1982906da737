//! Many reloads under load leave the runtime as it was.

use std::{
    env,
    sync::atomic::{AtomicBool, AtomicU32, Ordering},
    thread,
};

use crate::{
    common::{BOUND, Greenroom, descriptors, note, random, threads, wait_for},
    reload, web,
};

/// Reloads, unless `GREENROOM_TEST_RELOADS` says how many.
const RELOADS: u32 = 100;

/// What is random about a configuration.
#[derive(Clone, Copy)]
struct Shape {
    tokens: u64,
    max: u64,
    has_guest: bool,
}

impl Shape {
    const FIRST: Self = Self { tokens: 1, max: 1, has_guest: false };

    fn random() -> Self {
        let dice = random();
        Self { tokens: 1 + dice % 2, max: 1 + (dice >> 8) % 3, has_guest: (dice >> 16).is_multiple_of(2) }
    }

    /// `same` never changes, `busy` is restarted by hand meanwhile, the others as the shape says.
    fn config(self, greenroom: &Greenroom) -> String {
        let same = web(greenroom, "same", "", "");
        let busy = web(greenroom, "busy", "", "");
        let other = web(greenroom, "other", &format!("--tokens {}", self.tokens), "depends_on.same = \"ready\"");
        let tuned = web(greenroom, "tuned", "", &format!("restart.max = {}", self.max));
        let guest =
            if self.has_guest { web(greenroom, "guest", "", "depends_on.tuned = \"ready\"") } else { String::new() };
        [same, busy, other, tuned, guest].concat()
    }
}

/// Brings the runtime to rest with the first shape.
fn rest(greenroom: &Greenroom) {
    greenroom.configure(&Shape::FIRST.config(greenroom));
    reload(greenroom, 0);
    for name in ["same", "busy", "other", "tuned"] {
        greenroom.wait_state(name, "ready");
    }
    wait_for("four processes live", BOUND, || greenroom.survivors().len() == 4);
}

#[test]
fn many_reloads_under_load_touch_only_what_they_must() {
    let reloads = env::var("GREENROOM_TEST_RELOADS").ok().and_then(|n| n.parse().ok()).unwrap_or(RELOADS);
    let greenroom = Greenroom::running(|g| Shape::FIRST.config(g));
    greenroom.wait_state("same", "ready");
    rest(&greenroom);
    let figures = || (threads(greenroom.pid()), descriptors(greenroom.pid()));
    let first = figures();
    let kept = ["same", "tuned"].map(|name| greenroom.service_pid(name));

    let (api, over, asked) = (greenroom.api(), AtomicBool::new(false), AtomicU32::new(0));
    thread::scope(|scope| {
        let (api, over, asked) = (&api, &over, &asked);
        scope.spawn(move || {
            while !over.load(Ordering::Relaxed) {
                let status = api.get("/api/status").expect("it answers").json();
                let same = status["services"].as_array().and_then(|all| all.iter().find(|s| s["name"] == "same"));
                assert_eq!(same.map(|s| s["state"].clone()), Some("ready".into()), "{status:#}");
                asked.fetch_add(1, Ordering::Relaxed);
            }
        });
        scope.spawn(move || {
            while !over.load(Ordering::Relaxed) {
                let answer = api.post("/api/services/busy/restart", None).expect("it answers");
                assert_eq!(answer.status, 200, "{}", answer.body);
            }
        });
        let _stop = Over(over);
        for n in 0..reloads {
            greenroom.configure(&Shape::random().config(&greenroom));
            let report = reload(&greenroom, 0);
            let same = report["services"].as_array().expect("services").iter().any(|s| s["name"] == "same");
            assert!(!same, "reload {n}: {report:#}");
        }
    });
    assert_eq!(["same", "tuned"].map(|name| greenroom.service_pid(name)), kept);
    rest(&greenroom);
    note(&format!("threads, descriptors: {first:?}, after {reloads} reloads {:?}; {asked:?} times asked", figures()));
    // A thread that has had nothing to do ends after ten seconds.
    wait_for(&format!("it is as it was: {first:?}"), BOUND, || {
        let last = figures();
        last.0 <= first.0 + 2 && last.1 <= first.1 + 4
    });
    assert_eq!(["same", "tuned"].map(|name| greenroom.service_pid(name)), kept);
    greenroom.shutdown_clean();
    greenroom.assert_clean();
}

/// Ends the load also when the test fails: a scope waits for its threads.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
