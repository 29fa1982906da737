//! What a swap costs beyond what the children themselves take: `cargo bench --bench swap`. Prints a table of medians;
//! fails on nothing, for figures of a loaded machine say little.

#[path = "../common/mod.rs"]
mod common;

use std::{
    process::{Child, Command, Stdio},
    time::Duration,
};

use common::{BIN, Greenroom, Http, nvml::FakeNvml, pause, stopwatch};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::json;

/// Swaps of each kind; the median of them is told.
const SWAPS: usize = 60;
const PATIENCE: Duration = Duration::from_secs(60);
/// Between two looks at a child that is alone.
const LOOK: Duration = Duration::from_micros(200);

fn main() {
    println!("{:<72} {:>10} {:>10}   promised", "", "median", "90 %");
    let alone = alone();
    row("the child alone: from its start until it answers, and from SIGTERM to its end", &alone, "");
    let floor = median(&alone);
    for (what, swaps) in [("a declared card", declared()), ("a card measured through NVML", measured())] {
        row(&format!("a swap on {what}, from the request to its answer"), &swaps, "");
        let beyond: Vec<Duration> = swaps.iter().map(|swap| swap.saturating_sub(floor)).collect();
        row("  beyond what the children take", &beyond, "< 20 ms");
    }
    row("from the child's answer to the probe until the request that waits reaches it", &from_ready(), "< 10 ms");
}

fn row(what: &str, times: &[Duration], promised: &str) {
    let told = |time: Duration| format!("{:.1} ms", time.as_secs_f64() * 1e3);
    println!("{what:<72} {:>10} {:>10}   {promised}", told(median(times)), told(share(times, 90)));
}

fn median(times: &[Duration]) -> Duration {
    share(times, 50)
}

fn share(times: &[Duration], percent: usize) -> Duration {
    let mut times = times.to_vec();
    times.sort();
    times[(times.len() * percent / 100).min(times.len() - 1)]
}

/// One child started and one ended by hand, one after the other, as a swap does it.
fn alone() -> Vec<Duration> {
    let greenroom = Greenroom::new();
    let port = greenroom.port(0);
    let start = || {
        let mut command = Command::new(BIN);
        command.args(["stand-in", "--port", &port.to_string()]).stdout(Stdio::null()).stderr(Stdio::null());
        command.spawn().expect("the binary runs")
    };
    let answers = || Http::Tcp(port).post("/v1/chat/completions", Some(&question("x"))).is_ok_and(|a| a.status == 200);
    let end = |mut child: Child| {
        let began = stopwatch();
        kill(Pid::from_raw(child.id().try_into().expect("a pid")), Signal::SIGTERM).expect("it lives");
        child.wait().expect("a child of ours");
        began.elapsed()
    };
    let round = |_| {
        let began = stopwatch();
        let child = start();
        // More often than a test looks: what is lost here would seem to be the children's.
        while !answers() {
            assert!(began.elapsed() < PATIENCE, "it does not answer");
            pause(LOOK);
        }
        let up = began.elapsed();
        up + end(child)
    };
    (0..SWAPS).map(round).collect()
}

fn question(model: &str) -> serde_json::Value {
    json!({ "model": model, "messages": [{ "role": "user", "content": "?" }], "max_tokens": 1 })
}

/// Two services of which a card holds one.
fn services(greenroom: &Greenroom, extra: impl Fn(&str) -> String) -> String {
    let service = |name: &str| {
        let command = greenroom.stand_in(name, &format!("--port ${{port}} {}", extra(name)));
        format!(
            "[service.{name}]\ncommand = {command}\nready = \"/health\"\nstart = \"on_demand\"\nvram = \"5GiB\"\nram = \"0B\"\n"
        )
    };
    let listen = greenroom.port(0);
    format!("[gateway]\nlisten = \"127.0.0.1:{listen}\"\n{}{}", service("a"), service("b"))
}

fn swap(greenroom: &Greenroom) -> Vec<Duration> {
    let ask = |model: &str| {
        let began = stopwatch();
        let answer = Http::Tcp(greenroom.port(0)).post("/v1/chat/completions", Some(&question(model)));
        let took = began.elapsed();
        let answer = answer.expect("an answer");
        assert_eq!(answer.status, 200, "{}", answer.body);
        took
    };
    ask("a");
    (0..SWAPS).map(|n| ask(if n % 2 == 0 { "b" } else { "a" })).collect()
}

fn declared() -> Vec<Duration> {
    let card = "[resources]\ngpu_backend = \"declared\"\ngpu = [{ name = \"declared\", memory = \"8GiB\" }]\n";
    let greenroom = Greenroom::running(|g| format!("{card}{}", services(g, |_| String::new())));
    let swaps = swap(&greenroom);
    greenroom.shutdown();
    swaps
}

/// One service that is loaded by a request, again and again. The child notes both moments.
fn from_ready() -> Vec<Duration> {
    let greenroom = Greenroom::running(|g| services(g, |_| "--load-ms 20".to_owned()));
    let door = Http::Tcp(greenroom.port(0));
    let round = |_| {
        let answer = door.post("/v1/chat/completions", Some(&question("a"))).expect("an answer");
        assert_eq!(answer.status, 200, "{}", answer.body);
        let props = door.get("/upstream/a/props").expect("an answer").json();
        let moment = |name: &str| props[name].as_u64().expect("microseconds");
        let offloaded = greenroom.api().post("/api/services/a/offload", None).expect("an answer");
        assert_eq!(offloaded.status, 200, "{}", offloaded.body);
        Duration::from_micros(moment("first_chat") - moment("told_ready"))
    };
    let times = (0..SWAPS).map(round).collect();
    greenroom.shutdown();
    times
}

fn measured() -> Vec<Duration> {
    let nvml = FakeNvml::new(&[8 << 30]);
    let card = format!("[resources]\ngpu_backend = \"nvml\"\nnvml_library = \"{}\"\n", nvml.library().display());
    let folder = nvml.allocations().display().to_string();
    let vram = |_: &str| format!("--vram 0:5GiB --vram-dir {folder}");
    let greenroom = Greenroom::running(|g| format!("{card}{}", services(g, vram)));
    let swaps = swap(&greenroom);
    greenroom.shutdown();
    swaps
}
