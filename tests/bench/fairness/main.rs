//! What the fairness is worth: `cargo bench --bench fairness`. Simulates a minute of several kinds of traffic over the real
//! admission, first come first served and with several values of `gateway.queue.fairness`, and prints swaps, throughput and
//! waits. With `-- --write` it draws the plots of `docs/gateway` anew. Nothing is measured: every run prints the same.

mod mixes;
mod plot;
mod town;

use std::{fs, path::Path, time::Duration};

use mixes::{MINUTE, ms};
use town::Mix;

/// The default.
const FAIRNESS: Duration = Duration::from_secs(10);
const SEED: u64 = 1;

fn main() {
    println!("a minute each; load 1 s; waits in seconds until a request is let in\n");
    println!("| traffic | fairness | swaps | answered | median wait | 99 % | longest |");
    println!("|---|---|---|---|---|---|---|");
    for mix in
        [mixes::two_clients(), mixes::undecided(), mixes::flood(), mixes::by_chance(), mixes::three(), mixes::seldom()]
    {
        for fairness in [0, 2, 10, 30] {
            row(&mix, Duration::from_secs(fairness));
        }
    }
    if std::env::args().any(|word| word == "--write") {
        write("fairness-stays.svg", &stays());
        write("fairness-price.svg", &price());
    }
}

fn row(mix: &Mix, fairness: Duration) {
    let outcome = town::run(mix, fairness, MINUTE, SEED);
    let seconds = |wait: Duration| format!("{:.2}", wait.as_secs_f64());
    let waits = [50, 99, 100].map(|percent| seconds(outcome.wait(None, percent)));
    let fairness = match fairness.as_secs() {
        0 => "0s: first come, first served".to_owned(),
        fairness => format!("{fairness}s"),
    };
    println!("| {} | {fairness} | {} | {} | {} |", mix.name, outcome.swaps, outcome.answered, waits.join(" | "));
}

/// Which model is in when.
fn stays() -> String {
    let mut rows = Vec::new();
    for (what, mix) in [("two clients", mixes::two_clients()), ("a flood", mixes::flood())] {
        for (name, fairness) in [("first come, first served", Duration::ZERO), ("fairness = 10s", FAIRNESS)] {
            let outcome = town::run(&mix, fairness, MINUTE, SEED);
            let told = format!("{what}, {name}: {} swaps, {} answers", outcome.swaps, outcome.answered);
            rows.push((told, outcome.stays));
        }
    }
    plot::stays(&rows, MINUTE)
}

/// What is gained and what is paid by each fairness.
fn price() -> String {
    let steps: Vec<u64> = (0..=30).collect();
    let mix = mixes::two_clients();
    let outcomes = steps.iter().map(|fairness| town::run(&mix, Duration::from_secs(*fairness), 5 * MINUTE, SEED));
    let outcomes: Vec<_> = outcomes.collect();
    let points = |value: &dyn Fn(&town::Outcome) -> f64| -> Vec<(f64, f64)> {
        steps.iter().zip(&outcomes).map(|(fairness, outcome)| (*fairness as f64, value(outcome))).collect()
    };
    plot::curves(
        "gateway.queue.fairness, in seconds",
        &[
            ("answers a minute / 10", points(&|outcome| outcome.answered as f64 / 50.0)),
            ("swaps a minute", points(&|outcome| outcome.swaps as f64 / 5.0)),
            ("longest wait, in seconds", points(&|outcome| outcome.wait(None, 100).max(ms(0)).as_secs_f64())),
        ],
    )
}

fn write(name: &str, text: &str) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/gateway");
    fs::create_dir_all(&folder).expect("a folder");
    fs::write(folder.join(name), text).expect("a file");
    println!("wrote docs/gateway/{name}");
}
