//! What holding process trees costs in each layer: `cargo bench --bench layers`. Prints a table of medians; fails on
//! nothing, for figures of a loaded machine say little.

#[path = "../common/mod.rs"]
mod common;

use std::time::Duration;

use common::{Greenroom, Layer, alive, pause, pss, stopwatch, wait_for};

/// Rounds of each figure; the layers take turns, so that all of them meet the same weather.
const ROUNDS: usize = 5;
const SERVICES: usize = 200;
const PATIENCE: Duration = Duration::from_secs(120);
const LAYERS: [Layer; 3] = [Layer::Cgroup, Layer::Shim, Layer::Namespace];

/// One round in one layer.
#[derive(Debug, Clone, Copy)]
struct Figures {
    up: f64,
    runtime: f64,
    guardian: f64,
    shims: f64,
    stop: f64,
    gone: f64,
}

fn main() {
    println!("{SERVICES} services of `sleep`, medians of {ROUNDS} rounds\n");
    let mut all: Vec<(Layer, Vec<Figures>)> = LAYERS.map(|layer| (layer, Vec::new())).into();
    for _ in 0..ROUNDS {
        for (layer, figures) in all.iter_mut().filter(|(layer, _)| layer.is_allowed()) {
            figures.push(round(*layer));
        }
    }
    let name = |layer: Layer| format!("{layer:?}").to_lowercase();
    println!("{:<58} {}", "", LAYERS.map(|layer| format!("{:>12}", name(layer))).join(" "));
    row(&all, "all ready, s", |f| f.up);
    row(&all, "memory of the runtime (PSS), MB", |f| f.runtime);
    row(&all, "memory of the guardian (PSS), MB", |f| f.guardian);
    row(&all, "memory of one shim (PSS), MB", |f| f.shims);
    row(&all, "ordered end, s", |f| f.stop);
    row(&all, "all gone after SIGKILL of the runtime, s", |f| f.gone);
}

fn row(all: &[(Layer, Vec<Figures>)], what: &str, figure: impl Fn(&Figures) -> f64) {
    let cell = |(_, figures): &(Layer, Vec<Figures>)| {
        let mut values: Vec<f64> = figures.iter().map(&figure).collect();
        values.sort_by(f64::total_cmp);
        values.get(values.len() / 2).map_or_else(|| format!("{:>12}", "-"), |value| format!("{value:>12.3}"))
    };
    println!("{what:<58} {}", all.iter().map(cell).collect::<Vec<_>>().join(" "));
}

fn round(layer: Layer) -> Figures {
    let greenroom = Greenroom::in_layer(layer);
    let services: String = (0..SERVICES).map(|n| format!("[service.s{n}]\ncommand = \"sleep 3600\"\n")).collect();
    greenroom.configure(&services);
    let up = greenroom.start_until_ready(SERVICES, PATIENCE).as_secs_f64();
    pause(Duration::from_secs(1));
    let shims = shims(&greenroom);
    let in_all: u64 = shims.iter().map(|&pid| pss(pid)).sum();
    let (runtime, guardian) = (megabytes(pss(greenroom.pid())), megabytes(pss(greenroom.guardian())));
    let began = stopwatch();
    greenroom.shutdown();
    let stop = began.elapsed().as_secs_f64();

    greenroom.start_until_ready(SERVICES, PATIENCE);
    let mut watched = mains(&greenroom);
    watched.extend(self::shims(&greenroom));
    greenroom.kill();
    let gone = wait_for("everything is gone", PATIENCE, || !watched.iter().any(|&pid| alive(pid))).as_secs_f64();
    let shims = if shims.is_empty() { 0.0 } else { megabytes(in_all) / shims.len() as f64 };
    Figures { up, runtime, guardian, shims, stop, gone }
}

fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}

/// Main processes of all services.
fn mains(greenroom: &Greenroom) -> Vec<i32> {
    let status = greenroom.status();
    let services = status["services"].as_array().into_iter().flatten();
    services.filter_map(|service| Some(service["pid"].as_i64()? as i32)).collect()
}

/// Parents of the services' processes that are not the runtime.
fn shims(greenroom: &Greenroom) -> Vec<i32> {
    let parent = |pid: i32| {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()
    };
    let mut shims: Vec<i32> = mains(greenroom).into_iter().filter_map(parent).collect();
    shims.retain(|&pid| pid != greenroom.pid());
    shims.sort_unstable();
    shims.dedup();
    shims
}
