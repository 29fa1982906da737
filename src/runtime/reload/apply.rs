//! Carries a plan out: tells the supervisors, in the order that their dependencies ask for.
//!
//! First those that stay or come, each after what it depends on: whatever one is to wait for is there when it is told,
//! and in no moment do two need each other, as those that were told need only others that were told. One that is
//! restarted together with a dependency finds it on its way already and waits for it by itself. Then what nobody needs
//! any more goes and is waited for. New services are started last: their ports and their memory may have been its.

use std::sync::Arc;

use futures_util::future::join_all;
use greenroom_actors::{
    assembly::RosterError,
    cause::chain,
    ids::{RunId, ServiceName},
    spec::{RuntimeSpec, ServiceSpec, StartMode},
    state::{Disposition, ServiceState, ServiceStatus},
};
use tokio::sync::watch;

use super::{
    diff::{Change, ReloadPlan},
    report::{Action, ServiceReload},
};
use crate::runtime::ServiceCommand;

/// The supervisors, as a reload needs them.
#[allow(async_fn_in_trait, reason = "only used on the control thread")]
pub(super) trait Supervisors {
    /// Makes a new one, which starts nothing yet.
    async fn add(&self, spec: Arc<ServiceSpec>) -> Result<(), RosterError>;
    /// Stops a service by its own rules and forgets it.
    async fn remove(&self, name: &ServiceName) -> Result<(), RosterError>;
    /// Gives a service new values; with `restart` its process is replaced.
    async fn reconfigure(&self, spec: Arc<ServiceSpec>, restart: bool) -> Result<(), RosterError>;
    /// What a service is doing.
    fn status(&self, name: &ServiceName) -> Option<watch::Receiver<ServiceStatus>>;
    /// Starts a service and what it depends on.
    fn start(&self, name: &ServiceName);
    /// Puts them into the order of the configuration.
    fn arrange(&self, names: &[ServiceName]);
}

/// What was told to whom.
#[derive(Debug)]
pub(super) struct Applied {
    /// One for each service that was touched.
    pub services: Vec<ServiceReload>,
    /// What each service acts on now, in the order of the configuration: its old spec where the new one did not reach it.
    pub in_force: Vec<ServiceSpec>,
    /// Who is on the way to somewhere.
    pub awaited: Vec<Awaited>,
}

/// A service that is on its way.
#[derive(Debug, Clone)]
pub(super) struct Awaited {
    pub name: ServiceName,
    /// What was asked of it.
    pub command: ServiceCommand,
    /// Its run before.
    pub before: Option<RunId>,
}

/// Carries out `plan`, the way from `old` to `new`.
pub(super) async fn apply(
    plan: &ReloadPlan,
    old: &RuntimeSpec,
    new: &RuntimeSpec,
    supervisors: &impl Supervisors,
) -> Applied {
    let mut applied = Applied { services: Vec::new(), in_force: new.services.clone(), awaited: Vec::new() };
    let mut eager = Vec::new();
    for (name, change) in &plan.services {
        let Some(spec) = find(new, name) else { continue };
        let before = supervisors.status(name).map(|status| status.borrow().clone());
        let pid = before.as_ref().and_then(|status| status.pid);
        let Some(mut service) = ServiceReload::planned(name, change, pid) else { continue };
        match tell(change, Arc::new(spec.clone()), supervisors).await {
            Ok(()) => {
                let command = expected(change, spec, before.as_ref());
                eager.extend((command == Some(ServiceCommand::Start)).then_some(name));
                let before = before.and_then(|status| status.run_id);
                applied.awaited.extend(command.map(|command| Awaited { name: name.clone(), command, before }));
            }
            Err(error) => {
                service.error = Some(chain(&error));
                applied.in_force.retain(|s| s.name != *name);
                applied.in_force.extend(find(old, name).cloned());
            }
        }
        applied.services.push(service);
    }
    for wave in &plan.removed {
        let done = join_all(wave.iter().map(|name| remove(name, supervisors))).await;
        for service in &done {
            let lasting = service.error.is_some().then(|| find(old, &service.name)).flatten();
            applied.in_force.extend(lasting.cloned());
        }
        applied.services.extend(done);
    }
    let names: Vec<ServiceName> = new.services.iter().map(|service| service.name.clone()).collect();
    supervisors.arrange(&names);
    eager.into_iter().for_each(|name| supervisors.start(name));
    applied
}

fn find<'a>(spec: &'a RuntimeSpec, name: &ServiceName) -> Option<&'a ServiceSpec> {
    spec.services.iter().find(|service| service.name == *name)
}

async fn remove(name: &ServiceName, supervisors: &impl Supervisors) -> ServiceReload {
    let before = supervisors.status(name).and_then(|status| status.borrow().pid);
    let error = supervisors.remove(name).await.err().map(|error| chain(&error));
    ServiceReload { error, ..ServiceReload::removal(name, before) }
}

async fn tell(change: &Change, spec: Arc<ServiceSpec>, supervisors: &impl Supervisors) -> Result<(), RosterError> {
    match change {
        Change::Unchanged => Ok(()),
        Change::Live { .. } => supervisors.reconfigure(spec, false).await,
        Change::Restart { .. } => supervisors.reconfigure(spec, true).await,
        Change::Added => supervisors.add(spec).await,
    }
}

/// What is to come of it. A service that has become eager is started, as it would be with the runtime.
fn expected(change: &Change, spec: &ServiceSpec, before: Option<&ServiceStatus>) -> Option<ServiceCommand> {
    let is_eager = spec.start == StartMode::Eager;
    match (change, before) {
        (Change::Added, _) => is_eager.then_some(ServiceCommand::Start),
        (Change::Live { keys } | Change::Restart { keys }, Some(before))
            if is_eager && keys.contains(&"start") && before.state == ServiceState::Stopped =>
        {
            Some(ServiceCommand::Start)
        }
        (Change::Live { .. }, Some(before)) => tries_again(before).then_some(ServiceCommand::Restart),
        (Change::Restart { .. }, Some(before)) => comes_back(before).then_some(ServiceCommand::Restart),
        (Change::Unchanged, _) | (Change::Live { .. } | Change::Restart { .. }, None) => None,
    }
}

/// Whether a service that was so gets another chance with any change.
fn tries_again(before: &ServiceStatus) -> bool {
    before.disposition == Disposition::Up && matches!(before.state, ServiceState::Failed | ServiceState::Quarantined)
}

/// Whether a service that was so before its restart is up again after it. One that rests or waits goes on doing so.
fn comes_back(before: &ServiceStatus) -> bool {
    match before.disposition {
        Disposition::Up => before.state != ServiceState::Stopped,
        Disposition::OnDemand => before.state.is_live(),
        Disposition::Down => false,
    }
}

impl Applied {
    /// Names of the services that were told to do this.
    pub fn names(&self, action: Action) -> Vec<ServiceName> {
        let told = self.services.iter().filter(|s| s.action == action && s.error.is_none());
        told.map(|service| service.name.clone()).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::{
        cell::RefCell,
        collections::{BTreeMap, BTreeSet},
        path::Path,
    };

    use greenroom_actors::time::Timestamp;

    use super::*;
    use crate::{
        config::{Sources, load_text},
        runtime::reload::diff::plan,
    };

    /// Supervisors that write down what they are told, and some that do not answer.
    #[derive(Default)]
    struct Fake {
        told: RefCell<Vec<String>>,
        deaf: BTreeSet<&'static str>,
        states: BTreeMap<&'static str, (ServiceState, Disposition)>,
    }

    impl Fake {
        fn tell(&self, what: &str, name: &ServiceName) -> Result<(), RosterError> {
            self.told.borrow_mut().push(format!("{what} {name}"));
            let deaf = self.deaf.contains(name.as_str());
            if deaf { Err(RosterError::Ended) } else { Ok(()) }
        }
    }

    impl Supervisors for Fake {
        async fn add(&self, spec: Arc<ServiceSpec>) -> Result<(), RosterError> {
            self.tell("add", &spec.name)
        }
        async fn remove(&self, name: &ServiceName) -> Result<(), RosterError> {
            self.tell("remove", name)
        }
        async fn reconfigure(&self, spec: Arc<ServiceSpec>, restart: bool) -> Result<(), RosterError> {
            self.tell(if restart { "restart" } else { "configure" }, &spec.name)
        }
        fn status(&self, name: &ServiceName) -> Option<watch::Receiver<ServiceStatus>> {
            let (state, disposition) = *self.states.get(name.as_str())?;
            let status = ServiceStatus::initial(name.clone(), disposition, Timestamp::from_micros(0));
            Some(watch::channel(ServiceStatus { state, ..status }).1)
        }
        fn start(&self, name: &ServiceName) {
            self.told.borrow_mut().push(format!("start {name}"));
        }
        fn arrange(&self, _: &[ServiceName]) {}
    }

    /// Services as `name`, what it needs and its other lines.
    fn spec(services: &[(&str, &str, &str)]) -> RuntimeSpec {
        let text = |(name, needs, more): &(&str, &str, &str)| {
            let needs: String = needs.split_whitespace().map(|n| format!("depends_on.{n} = \"ready\"\n")).collect();
            format!("[service.{name}]\ncommand = [\"/bin/true\"]\n{needs}{more}\n")
        };
        let text: String = services.iter().map(text).collect();
        let sources = Sources { env: vec![("HOME".to_owned(), "/".to_owned())], ..Sources::default() };
        load_text("greenroom.toml", &text, Path::new("/"), &sources).unwrap_or_else(|errors| panic!("{errors}")).spec
    }

    async fn carried_out(old: &RuntimeSpec, new: &RuntimeSpec, fake: &Fake) -> Applied {
        apply(&plan(old, new).expect("no circle"), old, new, fake).await
    }

    #[actix_rt::test]
    async fn each_is_told_after_what_it_needs_and_what_goes_goes_before_anything_is_started() {
        let old = spec(&[("api", "db", ""), ("db", "", ""), ("web", "", ""), ("log", "", "")]);
        let (live, restart) = ("restart.max = 7", "env.A = \"1\"");
        let new = spec(&[
            ("web", "cache", restart),
            ("cache", "", ""),
            ("log", "", ""),
            ("extra", "web", "start = \"manual\""),
        ]);
        let fake = Fake::default();
        carried_out(&old, &new, &fake).await;
        let expected = ["add cache", "restart web", "add extra", "remove api", "remove db", "start cache"];
        assert_eq!(*fake.told.borrow(), expected);
        let fake = Fake::default();
        carried_out(&spec(&[("log", "", "")]), &spec(&[("log", "", live)]), &fake).await;
        assert_eq!(*fake.told.borrow(), ["configure log"]);
    }

    #[actix_rt::test]
    async fn what_a_change_did_not_reach_is_still_to_be_done() {
        let old = spec(&[("gone", "", ""), ("web", "", "")]);
        let new = spec(&[("web", "", "restart.max = 7"), ("new", "", "")]);
        let fake = Fake { deaf: ["gone", "web", "new"].into(), ..Fake::default() };
        let applied = carried_out(&old, &new, &fake).await;
        assert!(applied.services.iter().all(|service| service.error.is_some()));
        assert!(applied.awaited.is_empty());
        let left = RuntimeSpec { services: applied.in_force, ..new.clone() };
        assert_eq!(plan(&left, &new), plan(&old, &new));
    }

    #[actix_rt::test]
    async fn only_what_comes_back_is_waited_for() {
        use Disposition::{Down, OnDemand, Up};
        use ServiceState::{Completed, Failed, Ready, Stopped};
        let (live, restart) = ("restart.max = 7", "env.A = \"1\"");
        let cases = [
            ((Ready, Up), live, None),
            ((Ready, Up), restart, Some(ServiceCommand::Restart)),
            ((Completed, Up), restart, Some(ServiceCommand::Restart)),
            ((Ready, OnDemand), restart, Some(ServiceCommand::Restart)),
            ((Stopped, OnDemand), restart, None),
            ((Stopped, Down), restart, None),
            ((Failed, Up), live, Some(ServiceCommand::Restart)),
        ];
        for (status, line, expected) in cases {
            let fake = Fake { states: [("web", status)].into(), ..Fake::default() };
            let applied = carried_out(&spec(&[("web", "", "")]), &spec(&[("web", "", line)]), &fake).await;
            let awaited: Vec<_> = applied.awaited.iter().map(|awaited| awaited.command).collect();
            assert_eq!(awaited, expected.into_iter().collect::<Vec<_>>(), "{status:?} {line}");
        }
        let fake = Fake { states: [("web", (Stopped, Down))].into(), ..Fake::default() };
        let by_hand = spec(&[("web", "", "start = \"manual\"")]);
        let applied = carried_out(&by_hand, &spec(&[("web", "", "")]), &fake).await;
        assert_eq!(applied.awaited.len(), 1);
        assert_eq!(*fake.told.borrow(), ["configure web", "start web"]);
    }
}
