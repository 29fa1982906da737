//! What watching costs: `cargo bench --bench watchdog`. 200 services and 1,800 processes of strangers. Prints a table; fails
//! on nothing, for figures of a loaded machine say little.

#[path = "../common/mod.rs"]
mod common;

use std::{
    collections::BTreeMap,
    fs,
    os::unix::process::CommandExt,
    process::{Child, Command, Stdio},
    sync::Arc,
    time::Duration,
};

use common::{Greenroom, Layer, pause, pss, stopwatch, wait_for};
use greenroom::{
    Config, Runtime,
    actors::{
        ids::RunId,
        spec::{ServiceSpec, WatchdogSpec},
        state::ServiceState,
        watchdog::{
            judge::Judge,
            sample::{ActorSample, HostSample, OwnSample, Sample, ServiceSample},
        },
    },
};
use nix::{
    sys::signal::{Signal, killpg},
    unistd::Pid,
};
use serde_json::Value;

const SERVICES: usize = 200;
const STRANGERS: usize = 1_800;
const PATIENCE: Duration = Duration::from_secs(120);
/// Looks for the figures of one look.
const LOOKS: usize = 300;
/// An hour at the usual 2 s.
const HOUR: usize = 1_800;
/// How long processor time is counted.
const COUNTED: Duration = Duration::from_secs(20);

fn main() {
    println!("{:<72} {:>12}   promised", "", "measured");
    let crowd = Crowd::new();
    for (layer, name) in [(Layer::Cgroup, "cgroups"), (Layer::Shim, "shims")] {
        one_look(layer, name, None);
        let restless = Restless::new();
        one_look(layer, name, Some(&restless));
        drop(restless);
        share_of_a_core(layer, name);
    }
    an_hour_of_looks();
    drop(crowd);
    an_hour_of_samples();
}

fn row(what: &str, figure: &str, promised: &str) {
    println!("{what:<72} {figure:>12}   {promised}");
}

/// Processes that belong to nobody here. Dropping it ends them.
struct Crowd(Child);

impl Crowd {
    fn new() -> Self {
        let script = format!("n=0; while [ $n -lt {STRANGERS} ]; do sleep 3600 & n=$((n+1)); done; wait");
        let crowd = Self(group(&script));
        let processes = || fs::read_dir("/proc").expect("/proc").flatten().filter(is_process).count();
        wait_for("the strangers are there", PATIENCE, || processes() > STRANGERS);
        crowd
    }
}

impl Drop for Crowd {
    fn drop(&mut self) {
        end(&mut self.0);
    }
}

/// Somebody who starts a process twenty times a second, so that nothing can be taken to be as it was.
struct Restless(Child);

impl Restless {
    fn new() -> Self {
        Self(group("while :; do sleep 0.05; done"))
    }
}

impl Drop for Restless {
    fn drop(&mut self) {
        end(&mut self.0);
    }
}

/// A shell in a process group of its own.
fn group(script: &str) -> Child {
    let mut command = Command::new("sh");
    command.args(["-c", script]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).process_group(0);
    command.spawn().expect("sh runs")
}

fn end(leader: &mut Child) {
    killpg(Pid::from_raw(leader.id().cast_signed()), Signal::SIGKILL).ok();
    leader.wait().ok();
}

fn is_process(entry: &fs::DirEntry) -> bool {
    entry.file_name().to_string_lossy().bytes().all(|byte| byte.is_ascii_digit())
}

/// A runtime with all services up.
fn house(layer: Layer, watchdog: &str) -> Greenroom {
    let greenroom = Greenroom::in_layer(layer);
    let services: String = (0..SERVICES).map(|n| format!("[service.s{n}]\ncommand = \"sleep 3600\"\n")).collect();
    let log = "[log]\nformat = \"json\"\nlevel = \"warn,greenroom_actors::watchdog::actor=trace\"\n";
    greenroom.configure(&format!("[watchdog]\n{watchdog}\n{log}{services}"));
    greenroom.start_until_ready(SERVICES, PATIENCE);
    greenroom
}

/// How long each look with all services in it took, in microseconds.
fn looks(greenroom: &Greenroom) -> Vec<u64> {
    let output = greenroom.output();
    let lines = output.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let looks = lines.filter(|line| line["message"] == "looked" && line["services"] == SERVICES);
    looks.filter_map(|line| line["us"].as_u64()).collect()
}

fn one_look(layer: Layer, name: &str, restless: Option<&Restless>) {
    let greenroom = house(layer, "interval = \"50ms\"");
    wait_for("it has looked often", PATIENCE, || looks(&greenroom).len() > LOOKS);
    let mut took = looks(&greenroom);
    greenroom.shutdown();
    took.sort_unstable();
    let around = if restless.is_some() { "while others start processes" } else { "nobody starts anything" };
    let what = format!("one look at {SERVICES} services by {name}, {around}");
    #[allow(clippy::cast_precision_loss, reason = "for people")]
    let ms = |share: usize| format!("{:.2} ms", took[(took.len() - 1) * share / 100] as f64 / 1e3);
    row(&format!("{what}, median"), &ms(50), "< 5 ms");
    row("  99 %", &ms(99), "< 5 ms");
}

/// Of one core, at the usual interval: what a runtime uses that watches, beyond what one uses that does not.
fn share_of_a_core(layer: Layer, name: &str) {
    let restless = Restless::new();
    let used = |watchdog: &str| {
        let greenroom = house(layer, watchdog);
        let before = cpu_time(greenroom.pid());
        pause(COUNTED);
        let used = cpu_time(greenroom.pid()) - before;
        greenroom.shutdown();
        used / COUNTED.as_secs_f64() * 100.0
    };
    let (without, with) = (used("enabled = false"), used(""));
    drop(restless);
    row(&format!("watching them by {name} every 2 s, of one core"), &format!("{:.3} %", with - without), "< 0.5 %");
    row("  the runtime that watches, all in all", &format!("{with:.3} %"), "");
}

/// Seconds of processor time that a process has used, by the scheduler's own count.
fn cpu_time(pid: i32) -> f64 {
    let of_thread = |entry: fs::DirEntry| {
        let text = fs::read_to_string(entry.path().join("schedstat")).ok()?;
        text.split_whitespace().next()?.parse::<f64>().ok()
    };
    let threads = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    threads.filter_map(of_thread).sum::<f64>() / 1e9
}

/// As many looks as in an hour, at real processes.
fn an_hour_of_looks() {
    let greenroom = house(Layer::Cgroup, "interval = \"20ms\"");
    wait_for("it has settled", PATIENCE, || looks(&greenroom).len() > 200);
    let before = pss(greenroom.pid());
    wait_for("an hour's looks are done", 2 * PATIENCE, || looks(&greenroom).len() > 200 + HOUR);
    let after = pss(greenroom.pid());
    greenroom.shutdown();
    row(&format!("{HOUR} looks, growth of the runtime's memory"), &kilobytes(before, after), "0");
}

/// Two hours of healthy samples, judged as fast as can be: in the first one windows fill, in the second nothing may grow.
fn an_hour_of_samples() {
    let text: String = (0..SERVICES)
        .map(|n| {
            format!("[service.s{n}]\ncommand = \"sleep 1\"\nlimits.growth = \"200MiB/10m\"\nlimits.ram = \"8GiB\"\n")
        })
        .collect();
    let runtime = Runtime::builder().config(Config::from_toml(text)).build().expect("sound");
    let services: Vec<Arc<ServiceSpec>> = runtime.spec().services.iter().cloned().map(Arc::new).collect();
    let runs: BTreeMap<_, _> = services.iter().map(|spec| (spec.name.clone(), RunId::fresh())).collect();
    let mut judge = Judge::new(&WatchdogSpec::default());
    let began = stopwatch();
    let mut deeds = 0;
    let mut hour = |first: usize| {
        for n in first..first + HOUR {
            let at = began + Duration::from_secs(2) * u32::try_from(n).expect("hours");
            deeds += judge.look(&healthy(&services, &runs, n, at)).len();
        }
        pss(std::process::id().cast_signed())
    };
    let (full, later) = (hour(0), hour(HOUR));
    let took = began.elapsed() / u32::try_from(2 * HOUR).expect("few");
    row(&format!("one sample of {SERVICES} services made and judged"), &format!("{took:.1?}"), "");
    row("an hour of samples judged, growth of memory once windows are full", &kilobytes(full, later), "0");
    row("  deeds", &deeds.to_string(), "0");
}

fn kilobytes(before: u64, after: u64) -> String {
    format!("{} kB", after.saturating_sub(before) / 1000)
}

/// The `n`-th sample: what healthy services hold goes up and down.
fn healthy(
    services: &[Arc<ServiceSpec>],
    runs: &BTreeMap<greenroom::actors::ids::ServiceName, RunId>,
    n: usize,
    at: std::time::Instant,
) -> Sample {
    let service = |(place, spec): (usize, &Arc<ServiceSpec>)| ServiceSample {
        spec: Arc::clone(spec),
        run: runs[&spec.name],
        state: ServiceState::Ready,
        unreaped: 0,
        processes: 3 + ((n + place) % 2) as u32,
        ram: Some((500 << 20) + (((n * 7 + place * 13) % 32) << 20) as u64),
        vram: 4 << 30,
        descriptors: 40,
        idle: !(n + place).is_multiple_of(5),
    };
    let actor = |spec: &Arc<ServiceSpec>| ActorSample {
        name: format!("service {}", spec.name),
        lag: Duration::from_micros(50),
        answered: true,
    };
    Sample {
        at,
        host: Some(HostSample { total: 64 << 30, available: 40 << 30, pressure: None }),
        services: services.iter().enumerate().map(service).collect(),
        own: OwnSample { ram: 20 << 20, descriptors: 300, descriptors_limit: 1 << 20 },
        actors: services.iter().map(actor).collect(),
    }
}
