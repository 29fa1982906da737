//! What supervision costs: `cargo bench --bench supervision`. Prints a table of medians; fails on nothing, for figures
//! of a loaded machine say little.

#[path = "../common/mod.rs"]
mod common;

use std::{
    fs::{self, File},
    process::{Command, Stdio},
    time::Duration,
};

use common::{BIN, Greenroom, Http, pause, pss, signal, stopwatch, wait_for, wait_until};
use nix::sys::signal::Signal;

/// Rounds of what takes seconds; the median of them is told.
const ROUNDS: usize = 5;
const PATIENCE: Duration = Duration::from_secs(120);
const FLOOD: &str = "200MB";

fn main() {
    println!("{:<64} {:>12}   promised", "", "median");
    two_hundred_sleepers();
    fifty_that_need_half_a_second();
    back_after_a_crash();
    crash_loop();
    output();
}

fn row(what: &str, figure: &str, promised: &str) {
    println!("{what:<64} {figure:>12}   {promised}");
}

fn median<T: PartialOrd + Copy>(mut values: Vec<T>) -> T {
    values.sort_by(|a, b| a.partial_cmp(b).expect("figures are comparable"));
    values[values.len() / 2]
}

fn seconds(time: Duration) -> String {
    format!("{:.3} s", time.as_secs_f64())
}

fn megabytes(bytes: u64) -> String {
    #[allow(clippy::cast_precision_loss, reason = "for people")]
    let megabytes = bytes as f64 / 1e6;
    format!("{megabytes:.1} MB")
}

fn services(count: usize, body: impl Fn(usize) -> String) -> String {
    (0..count).map(|n| format!("[service.s{n}]\n{}\n", body(n))).collect()
}

fn two_hundred_sleepers() {
    let mut up = Vec::new();
    let mut memory = Vec::new();
    let mut idle = Vec::new();
    for round in 0..ROUNDS {
        let greenroom = Greenroom::new();
        greenroom.configure(&services(200, |_| "command = \"sleep 3600\"".into()));
        up.push(greenroom.start_until_ready(200, PATIENCE));
        let both = [greenroom.pid(), greenroom.guardian()];
        memory.push(both.map(pss).iter().sum::<u64>());
        if round == 0 {
            let before = cpu_time(&both);
            pause(Duration::from_secs(10));
            idle.push(cpu_time(&both) - before);
        }
        greenroom.shutdown();
    }
    row("200 services of `sleep`, from the start until all are ready", &seconds(median(up)), "< 0.5 s");
    row("runtime and guardian with them, memory (PSS)", &megabytes(median(memory)), "< 25 MB");
    row("runtime and guardian idle with them, of one core over 10 s", &format!("{:.3} %", idle[0] * 10.0), "< 0.1 %");
}

/// Seconds of processor time that processes have used: by the scheduler's own count in nanoseconds, since the ticks of
/// `/proc/PID/stat` are 10 ms each and an idle process may be charged a whole one for a moment.
fn cpu_time(pids: &[i32]) -> f64 {
    let of_thread = |entry: fs::DirEntry| {
        let text = fs::read_to_string(entry.path().join("schedstat")).ok()?;
        text.split_whitespace().next()?.parse::<f64>().ok()
    };
    let used = |pid: &i32| {
        let threads = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
        threads.filter_map(of_thread).sum::<f64>()
    };
    pids.iter().map(used).sum::<f64>() / 1e9
}

fn fifty_that_need_half_a_second() {
    let round = |_| {
        let greenroom = Greenroom::new();
        let command = |n| greenroom.stand_in(&format!("s{n}"), "--no-http --stop-ms 500");
        greenroom.configure(&services(50, |n| format!("command = {}", command(n))));
        greenroom.start_until_ready(50, PATIENCE);
        // All have set up their signal handling: none ends at once.
        pause(Duration::from_secs(1));
        greenroom.signal(Signal::SIGTERM);
        greenroom.wait(PATIENCE).1
    };
    row(
        "50 services that need 0.5 s each, ordered stop",
        &seconds(median((0..ROUNDS).map(round).collect())),
        "< 0.7 s",
    );
}

fn back_after_a_crash() {
    let greenroom = Greenroom::new();
    let command = greenroom.stand_in("x", "--port ${port}");
    greenroom.configure(&format!(
        "[service.x]\ncommand = {command}\nready = \"/health\"\nrestart.max = 1000\nrestart.reset_after = \"1ms\"\n"
    ));
    greenroom.start();
    greenroom.wait_state("x", "ready");
    let alone = median((0..ROUNDS).map(|_| load_time(greenroom.port(0))).collect());
    let round = |_| {
        // Past `reset_after`, so that each restart is a first one.
        pause(Duration::from_millis(200));
        let old = greenroom.service_pid("x");
        let began = stopwatch();
        signal(old, Signal::SIGKILL);
        wait_for("it is back", PATIENCE, || {
            let service = greenroom.service("x");
            service["state"] == "ready" && service["pid"] != old
        });
        began.elapsed()
    };
    let back = median((0..4 * ROUNDS).map(round).collect());
    row("a crashed child, from its death until it is ready again", &seconds(back), "");
    row("  the same program started by hand until it answers", &seconds(alone), "");
    row("  difference", &seconds(back.saturating_sub(alone)), "< 0.050 s");
}

/// How long the stand-in takes from its start until it answers, without Greenroom.
fn load_time(port: u16) -> Duration {
    let began = stopwatch();
    let mut command = Command::new(BIN);
    command.args(["stand-in", "--port", &port.to_string()]).stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = command.spawn().expect("the binary runs");
    wait_for("it answers", PATIENCE, || Http::Tcp(port).get("/health").is_ok_and(|answer| answer.status == 200));
    let took = began.elapsed();
    child.kill().ok();
    child.wait().ok();
    took
}

fn crash_loop() {
    let greenroom = Greenroom::running(|g| {
        let command = g.stand_in("x", "--no-http --crash-after-ms 1");
        format!("[service.x]\ncommand = {command}\nrestart.max = 1000\n")
    });
    let before = cpu_time(&[greenroom.pid()]);
    pause(Duration::from_secs(10));
    let used = cpu_time(&[greenroom.pid()]) - before;
    row("a crash loop with the default backoff, of one core over 10 s", &format!("{:.3} %", used * 10.0), "< 1 %");
}

fn output() {
    let cat = median((0..ROUNDS).map(|_| flood_into_cat()).collect());
    let (ours, growth): (Vec<Duration>, Vec<u64>) = (0..ROUNDS).map(|_| flood_into_greenroom()).unzip();
    let ours = median(ours);
    row(&format!("{FLOOD} of output taken in"), &seconds(ours), "");
    row("  the same into `cat > file`", &seconds(cat), "");
    row("  ratio", &format!("{:.2}", ours.as_secs_f64() / cat.as_secs_f64()), "< 2");
    row("  growth of the runtime's memory", &megabytes(median(growth)), "< 1 MB");
}

fn flood_into_cat() -> Duration {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = File::create(folder.path().join("out")).expect("a file");
    let began = stopwatch();
    let mut command = Command::new(BIN);
    command.args(["stand-in", "--no-http", "--flood", FLOOD, "--end-after-flood"]);
    let mut flood = command.stdout(Stdio::piped()).spawn().expect("the binary runs");
    let pipe = flood.stdout.take().expect("a pipe");
    let mut cat = Command::new("cat").stdin(pipe).stdout(file).spawn().expect("cat runs");
    flood.wait().expect("it is a child of ours");
    cat.wait().expect("it is a child of ours");
    began.elapsed()
}

fn flood_into_greenroom() -> (Duration, u64) {
    let greenroom = Greenroom::running(|g| {
        // A first small flood, so that what is needed for any output is there before.
        let warm = g.stand_in("warm", "--no-http --flood 1MB --end-after-flood");
        let flood = g.stand_in("x", &format!("--no-http --flood {FLOOD} --end-after-flood"));
        format!("[service.warm]\ncommand = {warm}\n[service.x]\ncommand = {flood}\nstart = \"manual\"\n")
    });
    greenroom.wait_state("warm", "completed");
    let before = pss(greenroom.pid());
    let began = stopwatch();
    greenroom.api().post("/api/services/x/start", None).expect("an answer");
    let (took, _) =
        wait_until("the flood is over", PATIENCE, || (greenroom.state("x") == "completed").then(|| began.elapsed()));
    (took, pss(greenroom.pid()).saturating_sub(before))
}
