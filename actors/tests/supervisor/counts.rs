//! How many processes a look counts, and which trees it walks for that.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use greenroom_actors::{
    event::EventBus,
    ids::{Pid, RunId, ServiceName},
    os::{
        clock,
        containment::{Containment, ContainmentError, ContainmentKind, Hold},
        host::ProcHost,
        proc,
    },
    services::ServiceSet,
    spec::{Growth, ServiceSpec, StartMode, WatchdogSpec},
    state::ServiceState,
    units::ByteSize,
    watchdog::look::{Looker, Scene, TURNS},
};
use nix::sys::signal::{Signal, kill};

use crate::{
    rig::{PATIENCE, script},
    roster::{House, until},
};

/// Services beside the one that forks.
const OTHERS: usize = 30;

/// Trees that are found below the main process of each run, and how often one was walked.
#[derive(Debug)]
struct Below {
    services: ServiceSet,
    walks: AtomicUsize,
}

impl Below {
    fn main(&self, service: &ServiceName) -> Option<Pid> {
        self.services.find(service.as_str())?.status.borrow().pid
    }
}

impl Containment for Below {
    fn kind(&self) -> ContainmentKind {
        ContainmentKind::Shim
    }

    fn open(&self, _: &ServiceName, _: RunId) -> Result<Box<dyn Hold>, ContainmentError> {
        unreachable!("nobody is started here")
    }

    fn members(&self, service: &ServiceName, _: RunId) -> io::Result<Vec<Pid>> {
        self.walks.fetch_add(1, Ordering::Relaxed);
        let main = self.main(service).ok_or(io::ErrorKind::NotFound)?;
        Ok(proc::tree(main)?.into_iter().map(|(pid, _)| pid).chain([main]).collect())
    }

    fn reaper(&self, service: &ServiceName, _: RunId) -> Option<Pid> {
        self.main(service)
    }

    fn kill_all(&self) -> io::Result<()> {
        Ok(())
    }

    fn close(&self) -> io::Result<()> {
        Ok(())
    }

    fn describe(&self) -> String {
        "below the main processes".to_owned()
    }
}

fn named(name: &str, text: &str) -> ServiceSpec {
    ServiceSpec { name: name.parse().expect("a name"), start: StartMode::Eager, ..script(text) }
}

/// Somebody who looks at all services of a house.
fn looker(house: &House) -> (Arc<Below>, Looker) {
    let services = house.actors.roster.services();
    let below = Arc::new(Below { services: services.clone(), walks: AtomicUsize::new(0) });
    let looker = Looker::new(Scene {
        services: services.clone(),
        workers: ServiceSet::default(),
        containment: Arc::clone(&below) as Arc<dyn Containment>,
        memory: house.actors.memory.clone(),
        witness: house.actors.witness.clone(),
        host: Box::new(ProcHost::new()),
    });
    (below, looker)
}

async fn house(services: Vec<ServiceSpec>) -> House {
    let watchdog = WatchdogSpec { enabled: false, ..WatchdogSpec::default() };
    let house = House::watched(services, watchdog, EventBus::new(1)).await;
    for service in house.actors.roster.services().all().iter() {
        until(service, |status| status.state == ServiceState::Ready).await;
    }
    house
}

#[actix_rt::test]
async fn whoever_has_come_is_counted_at_the_next_look_and_trees_to_which_nobody_came_are_not_walked() {
    // Each signal makes one child more, and one of that child.
    let forks = "trap 'sh -c \"sleep 1000 & wait\" &' USR1; sleep 1000 & while :; do wait; done";
    let mut services = vec![named("forks", forks)];
    services.extend((0..OTHERS).map(|n| named(&format!("still{n}"), "exec sleep 1000")));
    let house = house(services).await;
    let main = house.find("forks").status.borrow().pid.expect("it runs");
    let (below, mut looker) = looker(&house);
    let mut count = || {
        let sample = looker.look(clock::now(), Vec::new());
        assert_eq!(sample.services.len(), OTHERS + 1);
        sample.services.iter().find(|service| service.spec.name.as_str() == "forks").map(|service| service.processes)
    };
    let are = |wanted: usize| move || proc::tree(main).expect("a tree").len() == wanted;
    assert!(clock::wait_until(PATIENCE, are(1)), "the trap is set before its first child");
    count();
    for round in 1..=10_usize {
        kill(nix::unistd::Pid::from_raw(main.0.cast_signed()), Signal::SIGUSR1).expect("told");
        assert!(clock::wait_until(PATIENCE, are(1 + 2 * round)), "{:?}", proc::tree(main));
        assert_eq!(count(), u32::try_from(2 + 2 * round).ok(), "in round {round}");
    }
    let (last, _) = proc::tree(main).expect("a tree").pop().expect("somebody");
    kill(nix::unistd::Pid::from_raw(last.0.cast_signed()), Signal::SIGKILL).expect("it is ours");
    assert!(clock::wait_until(PATIENCE, || count() < Some(22)), "who has ended is missed");
    // Other tests begin processes all the time, and where they are too many every tree is walked.
    let few = || {
        let before = below.walks.load(Ordering::Relaxed);
        count();
        below.walks.load(Ordering::Relaxed) - before <= OTHERS.div_ceil(TURNS) + 2
    };
    assert!(clock::wait_until(PATIENCE, few), "all trees are walked at each look");
    house.stop().await;
}

#[actix_rt::test]
async fn who_has_ended_and_is_not_waited_for_is_counted_and_named() {
    // What takes the shell's place knows nothing of its children.
    let house = house(vec![named("lazy", "sleep 0 & sleep 0 & sleep 1000 & exec sleep 1000")]).await;
    let (_, mut looker) = looker(&house);
    let mut counts = || {
        let sample = looker.look(clock::now(), Vec::new());
        sample.services.first().map(|service| (service.processes, service.unreaped))
    };
    assert!(clock::wait_until(PATIENCE, || counts() == Some((4, 2))), "{:?}", counts());
    house.stop().await;
}

#[actix_rt::test]
async fn what_grows_within_a_short_time_is_measured_at_each_look() {
    let doubles = "x=$(head -c 200000 /dev/zero | tr '\\0' x); trap 'x=$x$x' USR1; sleep 1000 & while :; do wait; done";
    let mut service = named("grows", doubles);
    service.limits.growth = Some(Growth { bytes: ByteSize(1 << 20), within: Duration::from_secs(60) });
    let house = house(vec![service]).await;
    let main = house.find("grows").status.borrow().pid.expect("it runs");
    let (_, mut looker) = looker(&house);
    let mut ram = || looker.look(clock::now(), Vec::new()).services.first().and_then(|service| service.ram);
    let is_set = || proc::tree(main).expect("a tree").iter().any(|(pid, _)| proc::command(*pid) == "sleep 1000");
    assert!(clock::wait_until(PATIENCE, is_set), "the trap is set before its child");
    for round in 0..=TURNS {
        let (before, held) = (ram(), proc::anonymous_bytes(&[main]));
        kill(nix::unistd::Pid::from_raw(main.0.cast_signed()), Signal::SIGUSR1).expect("told");
        assert!(clock::wait_until(PATIENCE, || proc::anonymous_bytes(&[main]) > held), "{held}");
        assert!(ram() > before, "in round {round}");
    }
    house.stop().await;
}
