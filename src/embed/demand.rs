//! Whether a load that is given up is to be undone. Pure.
//!
//! A load that brought a service up, and that everybody who waited for it has given up, leaves the service as it was
//! before, unless somebody else wants it by now. Once a load has come to its end, the service is left alone.

use greenroom_actors::{
    spec::StartMode,
    state::{Disposition, ServiceState, ServiceStatus},
};

/// Who waits for one service by loads.
#[derive(Debug, Default)]
pub struct Demand {
    waiting: usize,
    brought_up: Option<Before>,
}

/// What was so before the first of these loads.
#[derive(Debug, Clone, Copy)]
struct Before {
    disposition: Disposition,
    start: StartMode,
}

/// How a load is undone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Undo {
    /// It is stopped, and stays wanted as it is.
    Offload,
    /// It is stopped and kept down, as it was.
    Stop,
}

/// Who else may want the service.
#[derive(Debug, Clone, Copy, Default)]
pub struct Others {
    /// Requests in it.
    pub permits: u32,
    /// Vetoes against offloading it.
    pub holds: u32,
    /// Requests that wait for it to be ready.
    pub outside: u32,
    /// Whether a service that depends on it is live.
    pub dependents: bool,
}

impl Demand {
    /// A load begins. `now` is from before it.
    pub fn begin(&mut self, now: &ServiceStatus, start: StartMode) {
        // In these it comes up by itself, or because of somebody else, and what is wanted up is not this load's doing.
        let comes_up = matches!(now.state, ServiceState::Backoff | ServiceState::Reserved);
        let is_out = !now.state.is_live() || now.state == ServiceState::Sleeping;
        let is_down = is_out && !comes_up && now.disposition != Disposition::Up;
        if self.waiting == 0 {
            self.brought_up = is_down.then_some(Before { disposition: now.disposition, start });
        }
        self.waiting += 1;
    }

    /// A load has come to its end, good or bad.
    pub fn end(&mut self) {
        self.waiting = self.waiting.saturating_sub(1);
        self.brought_up = None;
    }

    /// A load was given up before its end; what is to be undone.
    pub fn withdraw(&mut self, now: &ServiceStatus, others: Others) -> Option<Undo> {
        self.waiting = self.waiting.saturating_sub(1);
        if self.waiting > 0 {
            return None;
        }
        let before = self.brought_up.take()?;
        let Others { permits, holds, outside, dependents } = others;
        let wanted = permits > 0 || holds > 0 || outside > 0 || dependents || before.is_started_since(now);
        match before.disposition {
            _ if wanted => None,
            Disposition::Down => Some(Undo::Stop),
            Disposition::Up | Disposition::OnDemand => Some(Undo::Offload),
        }
    }
}

impl Before {
    /// Whether somebody has asked for it to be up since: a load of one that was down makes it what its start mode says.
    fn is_started_since(self, now: &ServiceStatus) -> bool {
        let by_load = match (self.disposition, self.start) {
            (Disposition::Down, StartMode::Eager | StartMode::Manual) => Disposition::Up,
            (Disposition::Down, StartMode::OnDemand) => Disposition::OnDemand,
            (other, _) => other,
        };
        now.disposition == Disposition::Up && by_load != Disposition::Up
    }
}

#[cfg(test)]
mod tests {
    use greenroom_actors::time::Timestamp;
    use proptest::prelude::*;

    use super::*;

    fn status(state: ServiceState, disposition: Disposition) -> ServiceStatus {
        let name = "chat".parse().expect("a name");
        ServiceStatus { state, ..ServiceStatus::initial(name, disposition, Timestamp::from_micros(0)) }
    }

    fn stopped() -> ServiceStatus {
        status(ServiceState::Stopped, Disposition::OnDemand)
    }

    fn starting() -> ServiceStatus {
        status(ServiceState::Starting, Disposition::OnDemand)
    }

    #[test]
    fn the_last_one_who_gives_up_undoes_what_the_first_one_began() {
        let mut demand = Demand::default();
        demand.begin(&stopped(), StartMode::OnDemand);
        demand.begin(&starting(), StartMode::OnDemand);
        assert_eq!(demand.withdraw(&starting(), Others::default()), None);
        assert_eq!(demand.withdraw(&starting(), Others::default()), Some(Undo::Offload));
        demand.begin(&status(ServiceState::Stopped, Disposition::Down), StartMode::Manual);
        let up = status(ServiceState::Starting, Disposition::Up);
        assert_eq!(demand.withdraw(&up, Others::default()), Some(Undo::Stop));
    }

    #[test]
    fn what_was_up_before_or_is_wanted_by_others_stays() {
        let withdrawn = |before: &ServiceStatus, now: &ServiceStatus, others| {
            let mut demand = Demand::default();
            demand.begin(before, StartMode::OnDemand);
            demand.withdraw(now, others)
        };
        for before in [
            starting(),
            status(ServiceState::Backoff, Disposition::OnDemand),
            status(ServiceState::Reserved, Disposition::OnDemand),
            status(ServiceState::Stopped, Disposition::Up),
        ] {
            assert_eq!(withdrawn(&before, &starting(), Others::default()), None, "{before:?}");
        }
        for others in [
            Others { permits: 1, ..Others::default() },
            Others { holds: 1, ..Others::default() },
            Others { outside: 1, ..Others::default() },
            Others { dependents: true, ..Others::default() },
        ] {
            assert_eq!(withdrawn(&stopped(), &starting(), others), None, "{others:?}");
        }
        let started = status(ServiceState::Starting, Disposition::Up);
        assert_eq!(withdrawn(&stopped(), &started, Others::default()), None);
    }

    #[test]
    fn once_somebody_has_got_it_nobody_takes_it_away() {
        let mut demand = Demand::default();
        demand.begin(&stopped(), StartMode::OnDemand);
        demand.begin(&starting(), StartMode::OnDemand);
        demand.end();
        assert_eq!(demand.withdraw(&status(ServiceState::Ready, Disposition::OnDemand), Others::default()), None);
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]
        #[test]
        fn nothing_is_undone_while_somebody_waits(steps in prop::collection::vec(0_u8..3, 0..40)) {
            let (mut demand, mut waiting) = (Demand::default(), 0_u32);
            for step in steps {
                match step {
                    0 => {
                        demand.begin(&stopped(), StartMode::OnDemand);
                        waiting += 1;
                    }
                    1 if waiting > 0 => {
                        demand.end();
                        waiting -= 1;
                    }
                    2 if waiting > 0 => {
                        waiting -= 1;
                        let undo = demand.withdraw(&starting(), Others::default());
                        prop_assert!(undo.is_none() || waiting == 0);
                    }
                    _ => {}
                }
            }
        }
    }
}
