//! With a real NVIDIA GPU. `tests/gpu.sh` takes these tests to a machine that has one and no Rust toolchain, and compiles
//! what holds the memory (`tests/gpu/hold.c`), which `GREENROOM_TEST_HOLD` names. The figures are printed: `--nocapture`.

#[path = "common/mod.rs"]
mod common;

use std::{
    env,
    io::{BufRead, BufReader, Write},
    process::{Child, ChildStdout, Command, Stdio},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use common::{Greenroom, note, timed, wait_until};
use greenroom_actors::{
    os::gpu::{Card, GpuSampler},
    spec::{GpuBackend, ResourcesSpec},
};

const GIB: u64 = 1 << 30;
/// A first context takes seconds on some machines.
const PATIENCE: Duration = Duration::from_secs(60);
const PACE: Duration = Duration::from_millis(10);

fn hold() -> String {
    env::var("GREENROOM_TEST_HOLD").expect("GREENROOM_TEST_HOLD names the compiled tests/gpu/hold.c: use tests/gpu.sh")
}

/// The first card, as the driver's library sees it.
struct Driver(GpuSampler);

impl Driver {
    fn start() -> Self {
        let spec = ResourcesSpec { backend: GpuBackend::Nvml, ..ResourcesSpec::default() };
        let sampler = GpuSampler::start(&spec).expect("a driver that answers");
        sampler.pace(PACE);
        Self(sampler)
    }

    /// As it is after this call.
    fn card(&self) -> Card {
        let begun = self.0.latest().sequence;
        // The next reading may have begun before this call.
        let fresh = || Some(self.0.latest()).filter(|reading| reading.sequence >= begun + 2);
        let (reading, _) = wait_until("the driver is read", PATIENCE, fresh);
        assert_eq!(reading.problem, None);
        reading.cards.first().expect("a card").clone()
    }

    fn used(&self) -> u64 {
        self.card().used.expect("NVML tells what is used")
    }

    /// What the card is said to hold for a process; `None` where that is not told (in some containers).
    fn used_by(&self, pid: u32) -> Option<u64> {
        let card = self.card();
        let (_, used) = card.processes.iter().find(|(process, _)| process.0 == pid)?;
        *used
    }
}

/// A process that holds GPU memory, ended with the value.
struct Holder {
    process: Child,
    lines: BufReader<ChildStdout>,
}

impl Holder {
    /// With a context, and no memory of its own yet.
    fn with_context(bytes: u64) -> Self {
        let mut command = Command::new(hold());
        command.arg(bytes.to_string()).arg("wait").stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = command.spawn().expect("tests/gpu/hold.c, compiled");
        let lines = BufReader::new(process.stdout.take().expect("its output"));
        let mut holder = Self { process, lines };
        holder.expect("context");
        holder
    }

    fn take(&mut self) {
        self.process.stdin.as_mut().expect("its input").write_all(b"go\n").expect("it listens");
        self.expect("held");
    }

    fn expect(&mut self, word: &str) {
        let mut line = String::new();
        self.lines.read_line(&mut line).expect("its output can be read");
        assert_eq!(line.trim(), word);
    }

    fn kill(&mut self) {
        self.process.kill().ok();
        self.process.wait().ok();
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        self.kill();
    }
}

fn assert_close(what: &str, measured: u64, bytes: u64) {
    note(&format!("{what}: {measured} bytes measured of {bytes}"));
    assert!(measured.abs_diff(bytes) <= bytes / 50, "{what}: {measured} bytes are measured, and it took {bytes}");
}

/// One at a time: side by side they would measure each other.
static CARD: Mutex<()> = Mutex::new(());

fn alone() -> MutexGuard<'static, ()> {
    CARD.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Runs this at every size in GiB: with what the card has in use before, and a process with a context and no memory yet.
fn at_every_size(test: impl Fn(&Driver, u64, u64, Holder)) {
    let _alone = alone();
    let driver = Driver::start();
    let total = driver.card().total;
    for gib in [1, 10, 40].into_iter().filter(|gib| gib * GIB < total / 10 * 9) {
        let idle = driver.used();
        test(&driver, gib, idle, Holder::with_context(gib * GIB));
    }
}

#[test]
#[ignore = "needs an NVIDIA GPU"]
fn the_driver_tells_what_was_taken() {
    at_every_size(|driver, gib, idle, mut holder| {
        let pid = holder.process.id();
        let (before, before_here) = (driver.used(), driver.used_by(pid));
        note(&format!("context alone: {} MiB of the card", before.saturating_sub(idle) >> 20));
        holder.take();
        assert_close(&format!("{gib} GiB by the card"), driver.used().saturating_sub(before), gib * GIB);
        match (before_here, driver.used_by(pid)) {
            (Some(before), Some(now)) => {
                assert_close(&format!("{gib} GiB by process"), now.saturating_sub(before), gib * GIB);
            }
            _ => note("the driver does not tell what this process uses: another pid namespace"),
        }
    });
}

#[test]
#[ignore = "needs an NVIDIA GPU"]
fn memory_is_measured_back_after_sigkill() {
    at_every_size(|driver, gib, idle, mut holder| {
        holder.take();
        assert!(driver.used() >= idle + gib * GIB);
        let ((), took) = timed(|| {
            holder.kill();
            wait_until("the memory is back", PATIENCE, || {
                let used = driver.0.latest().cards.first()?.used?;
                (used <= idle + gib * GIB / 50).then_some(())
            });
        });
        note(&format!("{gib} GiB measured back {} ms after SIGKILL", took.as_millis()));
        assert!(took < ResourcesSpec::default().reclaim_timeout, "{took:?}");
    });
}

#[test]
#[ignore = "needs an NVIDIA GPU"]
fn two_that_exclude_each_other_swap_twenty_times() {
    let _alone = alone();
    let card = Driver::start().card();
    let bytes = (card.total - card.used.expect("NVML tells what is used")) / 100 * 60;
    let greenroom = Greenroom::new();
    let service = |name: &str| {
        format!(
            "[service.{name}]\ncommand = [\"{}\", \"{bytes}\"]\nstart = \"on_demand\"\ngpu = 0\nvram = \"{}B\"\n\
             ready.probe = {{ log = \"held\" }}\n",
            hold(),
            bytes + GIB,
        )
    };
    greenroom.configure(&format!("[resources]\ngpu_backend = \"nvml\"\n{}{}", service("one"), service("two")));
    greenroom.start();
    let mut took = Vec::new();
    for name in ["one", "two"].into_iter().cycle().take(21) {
        let (cli, time) = timed(|| greenroom.cli(&["load", name]));
        cli.expect(0);
        assert_eq!(greenroom.state(name), "ready");
        assert_eq!(greenroom.service(name)["restarts"]["consecutive"], 0, "an allocation failed");
        took.push(time.as_millis());
    }
    // The first one found the card empty.
    took.remove(0);
    took.sort_unstable();
    note(&format!("20 swaps, ms: median {}, most {}", took[took.len() / 2], took[took.len() - 1]));
    greenroom.shutdown_clean();
}
