//! Growth while idle.

use std::time::Duration;

use proptest::prelude::*;

use super::world::{INTERVAL, MIB, World, alerts, limited, message, said};
use crate::{
    os::clock,
    spec::{Growth as Limit, OnExceed, ServiceSpec},
    units::ByteSize,
    watchdog::judge::{
        growth::{Growth, POINTS, theil_sen},
        level::Change,
    },
};

const WITHIN: Duration = Duration::from_secs(600);
const BYTES: u64 = 200 * MIB;
/// Samples in one window.
const WINDOW: usize = 300;

/// After how many of these samples it is found; `None` for one that is in use.
fn found(samples: impl IntoIterator<Item = Option<u64>>) -> Option<usize> {
    let start = clock::now();
    let mut growth = Growth::new(BYTES, WITHIN, start);
    let at = |i: usize| start + INTERVAL * u32::try_from(i).expect("not that many");
    samples.into_iter().enumerate().position(|(i, held)| matches!(growth.note(at(i), held), Change::Up { .. }))
}

fn mib(amount: f64) -> Option<u64> {
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    Some((amount.max(0.0) * 1_048_576.0) as u64)
}

#[test]
fn a_leak_is_found_within_its_window_and_the_run_recycled_when_idle() {
    let limit = |spec: &mut ServiceSpec| spec.limits.growth = Some(Limit { bytes: ByteSize(BYTES), within: WITHIN });
    let mut world = World::of(vec![limited("webui", limit)]);
    let mut deeds = Vec::new();
    for _ in 0..WINDOW {
        world.first().ram = world.first().ram.map(|ram| ram + MIB);
        deeds = world.look();
        if !deeds.is_empty() {
            break;
        }
    }
    assert_eq!(said(&deeds), ["leak warning", "recycle when idle", "note memory"]);
    assert!(
        message(&deeds).starts_with("while nobody uses it, it takes 300MiB more of memory each 10m, more than `limits.growth` = 200MiB/10m: a leak"),
        "{}",
        message(&deeds)
    );
    assert_eq!(said(&world.look()), ["recycle when idle"]);
}

#[test]
fn memory_on_the_cards_leaks_as_well_and_a_warning_is_all_where_that_is_said() {
    let mut world = World::of(vec![limited("webui", |spec| {
        spec.limits.growth = Some(Limit { bytes: ByteSize(BYTES), within: WITHIN });
        spec.limits.on_exceed = OnExceed::Warn;
    })]);
    let mut told = Vec::new();
    for _ in 0..WINDOW {
        world.first().vram += MIB;
        told.extend(world.look());
    }
    assert_eq!(alerts(&told), ["leak warning"]);
    assert!(message(&told).contains("more of memory of the cards each 10m"), "{}", message(&told));
    assert!(message(&told).ends_with("nothing is done about it (`limits.on_exceed`)"));
    // It stops: over as soon as the window shows it.
    assert_eq!(alerts(&world.looks(WINDOW as u32)), ["leak over"]);
}

#[test]
fn what_is_added_by_work_is_no_growth_while_idle() {
    // Each minute some seconds of work, which leave 30 MiB behind.
    let course = (0..3 * WINDOW).map(|i| if i % 30 < 3 { None } else { mib(100.0 + 30.0 * (i / 30) as f64) });
    assert_eq!(found(course), None);
    // The same and 1 MiB with each idle sample.
    let course = (0..WINDOW).map(|i| if i % 30 < 3 { None } else { mib(100.0 + (30 * (i / 30) + i) as f64) });
    assert!(found(course).is_some());
}

#[test]
fn one_that_is_hardly_ever_idle_is_not_judged() {
    let course = (0..3 * WINDOW).map(|i| if i % 2 == 0 { None } else { mib(100.0 + 2.0 * i as f64) });
    assert_eq!(found(course), None);
}

#[test]
fn a_figure_that_is_measured_now_and_then_is_good_enough() {
    // Measured each ten seconds, and shown five times.
    let found = found((0..WINDOW).map(|i| mib(100.0 + 5.0 * (i / 5) as f64)));
    assert!(found.is_some_and(|found| found < WINDOW), "{found:?}");
}

#[test]
fn a_window_of_some_seconds_works_as_well() {
    let (start, step) = (clock::now(), Duration::from_millis(200));
    let mut growth = Growth::new(MIB, Duration::from_secs(5), start);
    let found = (0..25u32)
        .position(|i| matches!(growth.note(start + step * i, Some(u64::from(i) * MIB / 10)), Change::Up { .. }));
    assert!(found.is_some(), "2.5 MiB in five seconds");
}

/// Noise of a few MiB from a few bits.
fn noise(seed: u64, i: usize) -> f64 {
    let mixed = (seed ^ i as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    (mixed >> 40) as f64 / f64::from(1u32 << 24) * 6.0
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// A quarter more than the limit, with noise, and it is found within the window.
    #[test]
    fn steady_growth_is_found_within_its_window(start in 0f64..10_000.0, more in 1.25f64..20.0, seed: u64) {
        let pace = 200.0 / WINDOW as f64 * more;
        let found = found((0..=WINDOW).map(|i| mib(start + pace * i as f64 + noise(seed, i))));
        prop_assert!(found.is_some_and(|found| found <= WINDOW), "{:?}", found);
    }

    /// Less than two thirds of the limit is none.
    #[test]
    fn slow_growth_is_not(less in 0f64..0.66, seed: u64) {
        let pace = 200.0 / WINDOW as f64 * less;
        prop_assert_eq!(found((0..4 * WINDOW).map(|i| mib(500.0 + pace * i as f64 + noise(seed, i)))), None);
    }

    /// Up and down again at least twice in a window, whatever the height.
    #[test]
    fn a_sawtooth_is_no_leak(period in 4usize..WINDOW / 2, phase in 0usize..WINDOW, height in 1f64..20_000.0, seed: u64) {
        let tooth = |i: usize| height * ((i + phase) % period) as f64 / period as f64;
        prop_assert_eq!(found((0..3 * WINDOW).map(|i| mib(500.0 + tooth(i) + noise(seed, i)))), None);
    }

    /// One step, wherever and however high.
    #[test]
    fn one_step_is_no_leak(step in 0usize..2 * WINDOW, height in 1f64..50_000.0, seed: u64) {
        let held = |i: usize| 500.0 + if i >= step { height } else { 0.0 } + noise(seed, i);
        prop_assert_eq!(found((0..3 * WINDOW).map(|i| mib(held(i)))), None);
    }

    /// Spikes on a level are none, and spikes on a leak do not hide it.
    #[test]
    fn spikes_neither_make_nor_hide_a_leak(seed: u64, every in 3usize..20, height in 10f64..5_000.0) {
        let spike = |i: usize| if (i + seed as usize % 7).is_multiple_of(every) { height } else { 0.0 };
        prop_assert_eq!(found((0..3 * WINDOW).map(|i| mib(500.0 + spike(i) + noise(seed, i)))), None);
        let leak = 200.0 / WINDOW as f64 * 2.0;
        prop_assert!(found((0..=WINDOW).map(|i| mib(500.0 + leak * i as f64 + spike(i)))).is_some());
    }

    /// Up to 29 % of the points anywhere, and it is the slope of the others to the last digit; a third to both sides moves it
    /// by little.
    #[test]
    fn theil_sen_bears_outliers(slope in -50f64..50.0, wild in prop::collection::vec(-1e9f64..1e9, 34), seed in 1usize..1000) {
        let line: Vec<(f64, f64)> = (0..100).map(|i| (f64::from(i), 7.0 + slope * f64::from(i))).collect();
        let spoilt = |count: usize, sided: bool| {
            let mut points = line.clone();
            for (k, wild) in wild.iter().enumerate().take(count) {
                // 37 and 100 have no divisor in common: every point once.
                let i = (seed + 37 * k) % 100;
                points[i].1 += if sided { if k % 2 == 0 { 1e6 } else { -1e6 } } else { *wild };
            }
            theil_sen(&points).expect("a slope")
        };
        prop_assert!((spoilt(28, false) - slope).abs() < 1e-6 * slope.abs().max(1.0));
        prop_assert!((spoilt(33, true) - slope).abs() < 1e-6 * slope.abs().max(1.0), "{} for {slope}", spoilt(33, true));
    }
}

#[test]
fn a_window_holds_a_bounded_number_of_points() {
    let start = clock::now();
    let mut growth = Growth::new(BYTES, WITHIN, start);
    for i in 0..20_000u32 {
        growth.note(start + Duration::from_millis(200) * i, Some(u64::from(i)));
    }
    assert!(growth.points() <= POINTS as usize + 2, "{}", growth.points());
    assert_eq!(theil_sen(&[]), None);
    assert_eq!(theil_sen(&[(1.0, 1.0), (1.0, 2.0)]), None);
    assert_eq!(theil_sen(&[(0.0, 0.0), (1.0, 1.0), (2.0, 5.0), (3.0, 3.0)]), Some(1.0));
}
