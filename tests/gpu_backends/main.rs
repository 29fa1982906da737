//! The real wrapper of NVIDIA's library against a stand-in of that library: what is read, and what becomes of errors and
//! hangs.

#[path = "../common/mod.rs"]
mod common;

use std::{
    fs,
    path::Path,
    process::{Child, Command},
    time::Duration,
};

use common::{
    BOUND, Greenroom,
    nvml::{DRIVER_NOT_LOADED, FakeNvml, GPU_IS_LOST},
    timed, wait_for,
};
use greenroom::actors::{
    ids::Pid,
    os::gpu::{Card, CardState, GpuError, GpuSampler, Gpus, nvml::NvmlGpus},
    spec::{GpuBackend, ResourcesSpec},
};

const GIB: u64 = 1 << 30;
/// Often enough that a test does not wait for it.
const OFTEN: Duration = Duration::from_millis(2);

fn open(library: &Path) -> Result<NvmlGpus, GpuError> {
    NvmlGpus::open(&library.display().to_string())
}

#[track_caller]
fn read(gpus: &mut NvmlGpus) -> Vec<Card> {
    gpus.read().expect("the driver works")
}

fn spec(library: &Path, backend: GpuBackend) -> ResourcesSpec {
    ResourcesSpec { backend, nvml_library: library.display().to_string(), ..ResourcesSpec::default() }
}

fn sampler(fake: &FakeNvml) -> GpuSampler {
    let sampler = GpuSampler::start(&spec(&fake.library(), GpuBackend::Nvml)).expect("the driver works");
    sampler.pace(OFTEN);
    sampler
}

fn used(sampler: &GpuSampler) -> Vec<Option<u64>> {
    sampler.latest().cards.iter().map(|card| card.used).collect()
}

/// A process that ends with the test.
struct Sleeper(Child);

impl Sleeper {
    fn new() -> Self {
        Self(Command::new("sleep").arg("985").spawn().expect("sleep is there"))
    }

    fn pid(&self) -> Pid {
        Pid(self.0.id())
    }

    fn end(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

impl Drop for Sleeper {
    fn drop(&mut self) {
        self.end();
    }
}

#[test]
fn cards_are_read_with_who_uses_how_much() {
    let fake = FakeNvml::new(&[8 * GIB, 24 * GIB]);
    let (one, other) = (Sleeper::new(), Sleeper::new());
    fake.hold(one.pid().0, 0, 3 * GIB);
    fake.hold(one.pid().0, 1, 10 * GIB);
    fake.hold(other.pid().0, 1, 2 * GIB);
    fake.strangers(0, GIB);
    fake.stranger(1, 1, GIB / 2);
    // In both lists: it computes and draws.
    fake.draws(one.pid().0, 1, 9 * GIB);
    fake.reserved(0, GIB / 4);

    let mut gpus = open(&fake.library()).expect("the driver works");
    let cards = read(&mut gpus);
    let shown: Vec<_> = cards.iter().map(|c| (c.id.0.as_str(), c.index, c.name.as_str(), c.total)).collect();
    assert_eq!(shown, [("GPU-fake-0", 0, "Card 0", 8 * GIB), ("GPU-fake-1", 1, "Card 1", 24 * GIB)]);
    // What the driver keeps for itself is used as well.
    assert_eq!(cards[0].used, Some(4 * GIB + GIB / 4));
    assert_eq!(cards[1].used, Some(12 * GIB + GIB / 2));
    assert_eq!(cards[0].processes, [(one.pid(), Some(3 * GIB))]);
    let mut on_second = vec![(Pid(1), Some(GIB / 2)), (one.pid(), Some(10 * GIB)), (other.pid(), Some(2 * GIB))];
    on_second.sort_unstable();
    assert_eq!(cards[1].processes, on_second);
    assert_eq!((cards[0].utilization, cards[0].temperature), (Some(7), Some(41)));
    assert!(cards.iter().all(|card| card.state == CardState::Works));
}

#[test]
fn what_the_driver_does_not_tell_is_left_open_and_no_error() {
    let fake = FakeNvml::new(&[8 * GIB]);
    let process = Sleeper::new();
    fake.hold(process.pid().0, 0, 3 * GIB);
    fake.unavailable();
    let mut gpus = open(&fake.library()).expect("the driver works");
    assert_eq!(read(&mut gpus)[0].processes, [(process.pid(), None)]);
    fake.bare();
    let card = read(&mut gpus).remove(0);
    assert_eq!((card.used, card.utilization, card.temperature), (Some(3 * GIB), None, None));
    assert_eq!((card.processes, card.state), (Vec::new(), CardState::Works));
}

#[test]
fn two_libraries_are_two_machines() {
    let (small, large) = (FakeNvml::new(&[GIB]), FakeNvml::new(&[9 * GIB]));
    let mut both = [open(&small.library()).expect("it works"), open(&large.library()).expect("it works")];
    let totals = both.each_mut().map(|gpus| read(gpus)[0].total);
    assert_eq!(totals, [GIB, 9 * GIB]);
}

#[test]
fn a_card_that_is_lost_is_named_and_the_other_works() {
    let fake = FakeNvml::new(&[8 * GIB, 8 * GIB]);
    let mut gpus = open(&fake.library()).expect("the driver works");
    fake.fail(0, Some(GPU_IS_LOST));
    let cards = read(&mut gpus);
    let CardState::Lost(problem) = &cards[0].state else { panic!("{cards:?}") };
    assert!(problem.contains("fell off the bus"), "{problem}");
    assert_eq!((cards[0].id.0.as_str(), cards[0].total, cards[0].used), ("GPU-fake-0", 8 * GIB, None));
    assert_eq!((&cards[1].state, cards[1].used), (&CardState::Works, Some(0)));
    fake.fail(0, None);
    assert_eq!(read(&mut gpus)[0].state, CardState::Works);
}

#[test]
fn a_card_that_is_lost_from_the_start_is_listed_without_its_name() {
    let fake = FakeNvml::new(&[8 * GIB, 8 * GIB]);
    fake.fail(1, Some(GPU_IS_LOST));
    let mut gpus = open(&fake.library()).expect("one card works");
    let cards = read(&mut gpus);
    assert!(matches!(cards[1].state, CardState::Lost(_)) && cards[1].id.0 == "nvml-1", "{cards:?}");
    fake.fail(1, None);
    assert_eq!(read(&mut gpus)[1].id.0, "GPU-fake-1");
}

#[test]
fn a_driver_that_is_not_there_says_what_is_missing() {
    let fake = FakeNvml::new(&[8 * GIB]);
    fake.fail_all(Some(DRIVER_NOT_LOADED));
    let folder = tempfile::tempdir().expect("a folder");
    let empty = FakeNvml::new(&[]);
    let cases = [
        (fake.library(), "modprobe nvidia"),
        (folder.path().join("libnvidia-ml.so.1"), "is not there"),
        ("libm.so.6".into(), "is not NVML"),
        (empty.library(), "has no card"),
    ];
    for (library, says) in cases {
        let error = open(&library).expect_err("nothing to find");
        assert!(matches!(error, GpuError::Absent { backend: "nvml", .. }), "{error:?}");
        assert!(error.to_string().contains(says), "{error}");
        let started = GpuSampler::start(&spec(&library, GpuBackend::Nvml)).expect_err("it was asked for by name");
        assert_eq!(started, error);
    }
}

#[test]
fn a_library_that_is_broken_is_told_also_where_another_backend_is_found() {
    let folder = tempfile::tempdir().expect("a folder");
    let library = folder.path().join("libnvidia-ml.so.1");
    fs::write(&library, "no shared object at all").expect("written");
    let error = open(&library).expect_err("it is broken");
    assert!(matches!(error, GpuError::Failed { .. }) && error.to_string().contains("cannot be loaded"), "{error}");
    let sampler = GpuSampler::start(&spec(&library, GpuBackend::Auto)).expect("auto goes on without");
    assert_eq!(sampler.problem(), Some(error.to_string()));
    sampler.end(BOUND).expect("the thread ends");
}

#[test]
fn a_driver_that_fails_is_named_and_comes_back() {
    let fake = FakeNvml::new(&[8 * GIB]);
    let sampler = sampler(&fake);
    fake.fail_all(Some(DRIVER_NOT_LOADED));
    wait_for("the problem", BOUND, || sampler.problem().is_some_and(|problem| problem.starts_with("nvml: ")));
    let latest = sampler.latest();
    assert!(matches!(latest.cards[0].state, CardState::Lost(_)), "{latest:?}");
    assert_eq!(latest.cards[0].total, 8 * GIB);
    fake.strangers(0, GIB);
    fake.fail_all(None);
    wait_for("the card is back", BOUND, || used(&sampler) == [Some(GIB)]);
    assert_eq!(sampler.problem(), None);
    sampler.end(BOUND).expect("the thread ends");
}

#[test]
fn nobody_waits_for_a_driver_that_hangs() {
    let fake = FakeNvml::new(&[8 * GIB]);
    let sampler = sampler(&fake);
    fake.strangers(0, GIB);
    wait_for("the use is seen", BOUND, || used(&sampler) == [Some(GIB)]);
    fake.hang(true);
    let slowest = std::cell::Cell::new(Duration::ZERO);
    let problem = || {
        let (problem, took) = timed(|| sampler.problem());
        slowest.set(slowest.get().max(took));
        problem
    };
    wait_for("the hang is named", BOUND, || problem().is_some_and(|text| text.contains("has not answered for")));
    // It hangs for as long as the test wants.
    assert!(slowest.get() < Duration::from_secs(15), "a reader waited {:?}", slowest.get());
    assert_eq!(used(&sampler), [Some(GIB)], "the last reading stays");
    fake.strangers(0, 2 * GIB);
    fake.hang(false);
    wait_for("it is measured again", BOUND, || used(&sampler) == [Some(2 * GIB)] && sampler.problem().is_none());
    sampler.end(BOUND).expect("the thread ends");
}

#[test]
fn a_start_does_not_wait_for_a_driver_that_hangs() {
    let fake = FakeNvml::new(&[8 * GIB]);
    fake.hang(true);
    let (sampler, took) = timed(|| GpuSampler::start(&spec(&fake.library(), GpuBackend::Auto)));
    let sampler = sampler.expect("it goes on without");
    assert!((Duration::from_millis(2900)..Duration::from_secs(20)).contains(&took), "{took:?}");
    assert!(sampler.problem().is_some_and(|problem| problem.contains("has not answered for")));
    let stuck = sampler.end(Duration::from_millis(50)).expect_err("it hangs");
    assert!(matches!(stuck, GpuError::Stuck { .. }), "{stuck}");
}

#[test]
fn memory_comes_back_a_while_after_its_process_has_ended() {
    let fake = FakeNvml::new(&[8 * GIB]);
    // Until the test says otherwise.
    fake.delay(Duration::from_secs(3600));
    let mut process = Sleeper::new();
    fake.hold(process.pid().0, 0, 3 * GIB);
    let sampler = sampler(&fake);
    wait_for("the use is seen", BOUND, || used(&sampler) == [Some(3 * GIB)]);
    process.end();
    // A process that is gone is not memory that is free.
    wait_for("nobody is listed and the memory is used", BOUND, || {
        let card = sampler.latest().cards[0].clone();
        card.processes.is_empty() && card.used == Some(3 * GIB)
    });
    fake.delay(Duration::ZERO);
    wait_for("the memory is back", BOUND, || used(&sampler) == [Some(0)]);
    sampler.end(BOUND).expect("the thread ends");
}

/// What `doctor --json` says of the cards.
fn doctor(fake: &FakeNvml) -> serde_json::Value {
    let greenroom = Greenroom::new();
    greenroom.configure(&fake.config());
    let report = greenroom.bare(&["doctor", "--json", "-c", "greenroom.toml"]).expect(0).json();
    let findings = report["findings"].as_array().expect("findings");
    findings.iter().find(|finding| finding["name"] == "gpu").expect("the cards are looked at").clone()
}

#[test]
fn the_doctor_shows_cards_and_what_is_wrong_with_them() {
    let fake = FakeNvml::new(&[8 * GIB, 24 * GIB]);
    fake.strangers(0, GIB);
    let gpu = doctor(&fake);
    assert_eq!(gpu["state"], "ok");
    assert_eq!(
        gpu["detail"],
        "nvml: 0 Card 0 (GPU-fake-0), 7GiB of 8GiB free; 1 Card 1 (GPU-fake-1), 24GiB of 24GiB free"
    );
    fake.fail(1, Some(GPU_IS_LOST));
    let gpu = doctor(&fake);
    assert_eq!(gpu["state"], "degraded");
    assert!(gpu["detail"].as_str().is_some_and(|text| text.contains("fell off the bus")), "{gpu}");
    fake.hang(true);
    let gpu = doctor(&fake);
    assert_eq!((&gpu["state"], &gpu["detail"]), (&"missing".into(), &"the driver has not answered for 3 s".into()));
}
