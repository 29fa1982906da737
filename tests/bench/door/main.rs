//! What the door costs: `cargo bench --bench door`. In one run, with the same upstream and the same client, the upstream
//! asked directly, through a bare hyper-util proxy, through nginx's `proxy_pass` with keep-alive, and through Greenroom.
//! Prints tables; fails on nothing, for figures of a loaded machine say little.
//!
//! It needs `wrk` and `nginx` (Debian: `wrk`, `nginx-light`), and says so where they are missing.

#[path = "../../common/mod.rs"]
mod common;
mod nginx;
mod process;
mod servers;
mod streams;
mod wrk;

use std::{env, process::Command};

use common::{BIN, Greenroom, Http, wait_for};

use self::{process::Server, wrk::Load};

/// Rounds of each figure; the ways take turns, so that all of them meet the same weather.
const ROUNDS: usize = 5;
/// The paths that requests are sent to.
const CHAT: &str = "/v1/chat/completions";

/// One way to the upstream.
struct Way<'a> {
    name: &'static str,
    port: u16,
    /// What serves there, where that is not the upstream itself.
    server: Option<&'a dyn process::Spends>,
}

fn main() {
    let words: Vec<String> = env::args().collect();
    match words.iter().map(String::as_str).collect::<Vec<_>>()[1..] {
        ["upstream", port] => return servers::upstream(port.parse().expect("a port")),
        ["bare", listen, upstream] => {
            return servers::bare(listen.parse().expect("a port"), upstream.parse().expect("a port"));
        }
        _ => {}
    }
    if !wrk::is_there() {
        println!("wrk is not installed (Debian: apt-get install wrk); nothing is measured");
        return;
    }
    let greenroom = greenroom();
    let upstream = greenroom.port(1);
    let own = env::current_exe().expect("this program");
    let bare_port = greenroom.port(2);
    let mut bare = Command::new(&own);
    bare.args(["bare", &bare_port.to_string(), &upstream.to_string()]);
    let bare = Server::start(bare, bare_port);
    let nginx = nginx::start(greenroom.folder(), greenroom.port(3), upstream);
    let runtime = greenroom.pid();
    let mut ways = vec![
        Way { name: "directly", port: upstream, server: None },
        Way { name: "a bare hyper-util proxy", port: bare_port, server: Some(&bare) },
    ];
    match &nginx {
        Some(nginx) => ways.push(Way { name: "nginx", port: greenroom.port(3), server: Some(nginx) }),
        None => println!("nginx is not installed (Debian: apt-get install nginx-light); it is left out"),
    }
    ways.push(Way { name: "Greenroom", port: greenroom.port(0), server: Some(&runtime) });

    println!("idle, before the first request: {:.1} MB resident\n", process::resident(runtime) as f64 / 1e6);
    for connections in [1, 32] {
        load(&ways, connections);
    }
    streams::delays(&ways);
    println!("\nidle, after all this: {:.1} MB resident", process::resident(runtime) as f64 / 1e6);
    streams::idle(greenroom.port(0), runtime);
    drop((bare, nginx));
    greenroom.shutdown();
}

/// A runtime whose one service is the upstream, ready.
fn greenroom() -> Greenroom {
    let own = env::current_exe().expect("this program").display().to_string();
    let greenroom = Greenroom::running(|g| {
        let command = g.words(&[&own, "upstream", &g.port(1).to_string()]);
        format!(
            "[gateway]\nlisten = \"127.0.0.1:{}\"\n[service.upstream]\ncommand = {command}\nport = {}\nready = \"/health\"\n",
            g.port(0),
            g.port(1)
        )
    });
    wait_for("the upstream answers", process::PATIENCE, || {
        Http::Tcp(greenroom.port(1)).get("/health").is_ok_and(|answer| answer.status == 200)
    });
    println!("the program under test: {BIN}");
    greenroom
}

/// Requests with an answer of 1 KB, one after the other on each of so many connections.
fn load(ways: &[Way<'_>], connections: u32) {
    let mut all: Vec<Vec<Load>> = ways.iter().map(|_| Vec::new()).collect();
    for _ in 0..ROUNDS {
        for (way, loads) in ways.iter().zip(&mut all) {
            loads.push(wrk::run(way.port, connections, way.server));
        }
    }
    println!("{connections} connections, 1 KB, median of {ROUNDS} rounds of {:?}", wrk::TIME);
    println!(
        "{:<26} {:>10} {:>10} {:>10} {:>12} {:>14} {:>8}",
        "", "p50", "beyond", "99 %", "requests/s", "CPU/request", "errors"
    );
    let direct = median(&all[0], |load| load.p50);
    for (way, loads) in ways.iter().zip(&all) {
        let cpu = way.server.map(|_| format!("{:.1} us", median(loads, |load| load.cpu * 1e6)));
        println!(
            "{:<26} {:>7.1} us {:>7.1} us {:>7.1} us {:>12.0} {:>14} {:>8}",
            way.name,
            median(loads, |load| load.p50) * 1e6,
            (median(loads, |load| load.p50) - direct) * 1e6,
            median(loads, |load| load.p99) * 1e6,
            median(loads, |load| load.per_second),
            cpu.unwrap_or_default(),
            loads.iter().map(|load| load.errors).sum::<u64>(),
        );
    }
    println!();
}

fn median<T>(all: &[T], figure: impl Fn(&T) -> f64) -> f64 {
    let mut values: Vec<f64> = all.iter().map(figure).collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
