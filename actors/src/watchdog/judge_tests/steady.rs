//! Nothing grows with time.

use super::world::{MIB, World, limited, service};
use crate::{
    failure::{FailureAction, FailureClass},
    ids::RunId,
    spec::{Growth, sample},
    units::ByteSize,
    watchdog::{deed::Deed, sample::ActorSample},
    witness::{FailureSeen, SeenIn},
};

/// An hour of 200 services, which come and go, fail, and are watched for growth: the judge keeps what is there and no more.
#[test]
fn an_hour_of_two_hundred_services_keeps_no_more_than_a_minute_of_them() {
    let growth = Growth { bytes: ByteSize(200 * MIB), within: std::time::Duration::from_secs(600) };
    let services = (0..200).map(|i| limited(&format!("s{i}"), |spec| spec.limits.growth = Some(growth)));
    let mut world = World::of(services.collect());
    for i in 0..210 {
        let lag = std::time::Duration::from_millis(1);
        world.sample.actors.push(ActorSample { name: format!("service s{i}"), lag, answered: true });
    }
    let mut largest = 0;
    for i in 0..1800usize {
        let seen = &mut world.sample.services[i % 200];
        // Each of them restarts now and then, and one in three says something bad.
        if i % 3 == 0 {
            let failure = FailureSeen {
                service: seen.name().clone(),
                run: seen.run,
                class: FailureClass::Nan,
                action: FailureAction::RestartOnce,
                line: "NaN".to_owned(),
                seen: SeenIn::Output,
            };
            let at = world.sample.at;
            world.judge.failure(&failure, std::time::Duration::from_secs(60), false, at);
        }
        world.sample.services[i % 200].run = RunId::fresh();
        world.look();
        largest = largest.max(world.judge.size());
    }
    assert!(largest <= 200 + 2 * 30, "{largest}: a service each, and what failed within the last minute");
    world.sample.services.clear();
    world.looks(31);
    assert_eq!(world.judge.size(), 0);
}

#[test]
fn names_that_are_gone_are_forgotten() {
    let mut world = World::of(vec![]);
    for i in 0..1000 {
        world.sample.services = vec![service(sample::service(&format!("n{i}")))];
        world.sample.services[0].processes = 1;
        assert!(world.looks(2).iter().all(|deed| !matches!(deed, Deed::Raise(_))));
    }
    assert_eq!(world.judge.size(), 1);
}
