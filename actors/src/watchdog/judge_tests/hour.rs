//! An hour of real services that were well, sample by sample, and the same hour with one thing wrong in it.

use std::{collections::HashMap, time::Duration};

use super::world::{GIB, INTERVAL, MIB, World, alerts, limited};
use crate::{
    spec::Growth,
    units::ByteSize,
    watchdog::{
        deed::Deed,
        sample::{ActorSample, HostSample, Pressure, Sample},
    },
};

const HOUR: &str = include_str!("../../../tests/fixtures/healthy-hour.csv");
const SERVICES: [&str; 3] = ["chat", "files", "pool"];
/// The window in which leaks are looked for.
const WITHIN: Duration = Duration::from_secs(600);

/// The samples that were recorded, with limits set for every service.
fn recorded() -> Vec<Sample> {
    let mut lines = HOUR.lines().filter(|line| !line.starts_with('#'));
    let names: HashMap<&str, usize> =
        lines.next().expect("a line of names").split(',').enumerate().map(|(i, name)| (name, i)).collect();
    let world = World::of(Vec::new());
    let start = world.now();
    let services: Vec<_> = SERVICES
        .map(|name| {
            limited(name, |spec| {
                spec.limits.growth = Some(Growth { bytes: ByteSize(200 * MIB), within: WITHIN });
                spec.limits.ram = Some(ByteSize(2 * GIB));
            })
        })
        .into();
    lines
        .map(|line| {
            let fields: Vec<f64> = line.split(',').map(|field| field.parse().expect("a number")).collect();
            let field = |name: &str| fields[names[name]];
            #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
            let whole = |name: &str| field(name) as u64;
            let pressure = Some(Pressure { some: field("psi_some"), full: field("psi_full") });
            let (total, available) = (whole("host_total_kib") << 10, whole("host_available_kib") << 10);
            let mut sample = Sample {
                at: start + Duration::from_secs_f64(field("seconds")),
                host: Some(HostSample { total, available, pressure }),
                services: services.clone(),
                ..world.sample.clone()
            };
            for seen in &mut sample.services {
                let of = |what: &str| whole(&format!("{}_{what}", seen.spec.name));
                let count = |what: &str| u32::try_from(of(what)).expect("a count");
                let (processes, descriptors) = (count("processes"), count("descriptors"));
                (seen.ram, seen.idle) = (Some(of("memory_kib") << 10), of("busy") == 0);
                (seen.processes, seen.descriptors) = (processes, descriptors);
            }
            sample
        })
        .collect()
}

/// What is done from sample `from` on when each of them is changed like this; with how many samples had passed by then.
fn told(from: usize, fault: impl Fn(&mut Sample, u64)) -> Vec<(usize, Deed)> {
    let mut world = World::of(Vec::new());
    let mut told = Vec::new();
    for (i, mut sample) in recorded().into_iter().enumerate() {
        if i >= from {
            fault(&mut sample, (i - from) as u64);
        }
        let deeds = world.judge.look(&sample);
        assert!(i > from || deeds.is_empty(), "sample {i}: {deeds:?}");
        told.extend(deeds.into_iter().map(|deed| (i + 1 - from, deed)));
    }
    told
}

/// After how many samples this was raised first.
fn raised(told: &[(usize, Deed)], alert: &str) -> Option<usize> {
    told.iter().find(|(_, deed)| matches!(deed, Deed::Raise(raised) if raised.alert == alert)).map(|(i, _)| *i)
}

#[test]
fn healthy_services_raise_no_alert() {
    assert!(recorded().len() >= 1800, "{} samples", recorded().len());
    assert_eq!(told(usize::MAX, |_, _| ()), []);
}

#[test]
fn each_fault_but_a_leak_is_noticed_within_two_samples() {
    let last = recorded().len() - 100;
    for from in [5, 150, 300, last] {
        for (i, service) in SERVICES.iter().enumerate() {
            let burst = told(from, |sample, _| sample.services[i].processes += 20);
            assert_eq!(raised(&burst, "runaway"), Some(2), "{service} from {from}");
            let first: Vec<Deed> = burst.into_iter().filter(|(at, _)| *at == 2).map(|(_, deed)| deed).collect();
            assert_eq!(alerts(&first), ["runaway warning", "runaway critical", "runaway emergency"]);

            let some = told(from, |sample, _| sample.services[i].processes += 5);
            assert_eq!(alerts(&some.into_iter().map(|(_, deed)| deed).collect::<Vec<_>>()), ["runaway warning"]);

            let holds = told(from, |sample, _| sample.services[i].ram = Some(3 * GIB));
            assert_eq!(raised(&holds, "ram_limit"), Some(2), "{service} from {from}");
        }
        let host =
            |change: &dyn Fn(&mut HostSample)| told(from, |sample, _| change(sample.host.as_mut().expect("a machine")));
        assert_eq!(raised(&host(&|host| host.available = host.total / 50), "memory"), Some(2));
        let pressure = Some(Pressure { some: 60.0, full: 55.0 });
        assert_eq!(raised(&host(&|host| host.pressure = pressure), "memory_pressure"), Some(2));
        let silent = told(from, |sample, since| {
            let lag = INTERVAL * u32::try_from(since).expect("not that many") + Duration::from_secs(5);
            sample.actors = vec![ActorSample { name: "jobs".to_owned(), lag, answered: false }];
        });
        assert_eq!(raised(&silent, "actor_silent"), Some(2));
    }
}

#[test]
fn a_leak_is_noticed_within_its_window() {
    // Half as much again as the limit allows, from a point on, beside all that the services do themselves.
    let window = usize::try_from(WITHIN.as_secs() / INTERVAL.as_secs()).expect("a count");
    let pace = 300 * MIB / window as u64;
    for (i, service) in SERVICES.iter().enumerate() {
        for from in [10, 200] {
            let leak = told(from, |sample, since| {
                let seen = &mut sample.services[i];
                seen.ram = seen.ram.map(|ram| ram + pace * since);
            });
            let noticed = raised(&leak, "leak");
            assert!(noticed.is_some_and(|samples| samples <= window), "{service} from {from}: {noticed:?}");
        }
    }
}
