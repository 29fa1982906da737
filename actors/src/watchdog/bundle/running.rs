//! Parts of a bundle that only a running runtime has: services and their trees, memory, what the watchdog sees. No actor is
//! asked for them.

use serde_json::{Value, json};

use super::{
    parts::{Had, last_line, log, pretty},
    secrets::Secrets,
    source::{Running, Source},
    summary::{MemoryFacts, ServiceFacts, Trouble},
    tree::TreeShot,
};
use crate::{
    event::{Event, EventKind},
    ids::{Pid, ServiceName},
    memory::Amounts,
    os::clock,
    services::Supervised,
    state::{ServiceState, ServiceStatus},
};

/// Events that are named in the summary.
const HAPPENED: usize = 4;
/// Most processes that are looked at over all services.
const PROCESSES: usize = 2048;

impl Running {
    fn all(&self) -> Vec<Supervised> {
        self.services.all().iter().chain(self.workers.all().iter()).cloned().collect()
    }

    fn find(&self, name: &ServiceName) -> Option<Supervised> {
        self.services.find(name.as_str()).or_else(|| self.workers.find(name.as_str()))
    }

    /// Processes of the run that a service has now.
    fn members(&self, status: &ServiceStatus) -> Vec<Pid> {
        match status.run_id {
            Some(run) if status.state.is_live() => self.containment.members(&status.name, run).unwrap_or_default(),
            Some(_) | None => Vec::new(),
        }
    }

    /// What every service is doing.
    pub(super) fn services(&self) -> Had {
        let services: Vec<Value> = self
            .all()
            .iter()
            .map(|service| {
                let waiting = service.gate.waiting();
                let mut shown = status(&service.status.borrow());
                shown["in_flight"] = service.gate.in_flight().into();
                shown["waiting"] = waiting.count.into();
                shown["engine"] = service.spec.engine.name().into();
                shown["command"] = service.spec.command.iter().map(|part| part.known(None)).collect::<Vec<_>>().into();
                shown
            })
            .collect();
        Ok(pretty(&json!({ "services": services })))
    }

    /// Cards, leases, needs, and who waits.
    pub(super) fn memory(&self) -> Had {
        let snapshot = self.memory.look().by(clock::now());
        serde_json::to_value(&*snapshot).map(|value| pretty(&value)).map_err(|error| error.to_string())
    }

    /// The cards alone.
    pub(super) fn gpus(&self) -> Had {
        let snapshot = self.memory.look().by(clock::now());
        let cards = serde_json::to_value(&snapshot.cards).map_err(|error| error.to_string())?;
        let (backend, problem, age) = (&snapshot.backend, &snapshot.problem, snapshot.age);
        Ok(pretty(&json!({ "backend": backend, "problem": problem, "age": age, "cards": cards })))
    }

    /// What the watchdog has seen.
    pub(super) fn watch(&self) -> Had {
        Ok(pretty(&self.watch.now()))
    }

    /// The trees of all services as they are now, for people and for programs; `before` is how one was before.
    pub(super) fn trees(&self, before: Option<(&ServiceName, &TreeShot)>, secrets: &Secrets) -> (Vec<u8>, Vec<u8>) {
        let (mut text, mut all) = (String::new(), Vec::new());
        let mut add = |title: String, shot: &TreeShot| {
            text.push_str(&format!("## {title}\n{}\n", shot.text()));
            all.push(json!({ "of": title, "tree": shot.json() }));
        };
        if let Some((name, shot)) = before {
            add(format!("{name}, when this was asked for"), shot);
        }
        let own = TreeShot::take(&[Pid(std::process::id())]).cleaned(secrets);
        add("Greenroom itself".to_owned(), &own);
        let mut left = PROCESSES;
        for service in self.all() {
            let status = service.status.borrow().clone();
            let members = self.members(&status);
            if !members.is_empty() {
                let shot = TreeShot::take(&members[..members.len().min(left)]).cleaned(secrets);
                left -= members.len().min(left);
                add(format!("{}, {} processes, {}", status.name, members.len(), status.state.name()), &shot);
            }
        }
        (text.into_bytes(), pretty(&Value::from(all)))
    }

    /// What the summary says about a service.
    pub(super) fn facts(&self, source: &Source, name: &ServiceName, before: Option<&TreeShot>) -> Option<ServiceFacts> {
        let status = self.find(name)?.status.borrow().clone();
        let memory = self.memory.look();
        let vram = memory.leases.get(name).map_or(0, |lease| on_cards(&lease.measured));
        let now = before.is_none().then(|| TreeShot::take(&self.members(&status)));
        let tree = before.or(now.as_ref())?;
        Some(ServiceFacts {
            name: name.to_string(),
            state: status.state.name().to_owned(),
            reason: status.reason,
            run: status.run_id.map(|run| run.to_string()),
            since: Some(status.since),
            restarts: status.restarts_total,
            processes: tree.count(),
            ram: tree.held(),
            vram,
            last_line: last_line(&log(source, name)),
            happened: self.bus.last_about(name, HAPPENED).iter().filter_map(happened).collect(),
        })
    }

    /// Who is not well, and then which alerts stand, the worst first.
    pub(super) fn troubles(&self) -> Vec<Trouble> {
        let not_well = |service: &Supervised| {
            let status = service.status.borrow();
            let ServiceStatus { name, state, reason, .. } = &*status;
            let trouble =
                || Trouble { service: Some(name.to_string()), what: state.name().to_owned(), text: reason.clone() };
            is_not_well(*state).then(trouble)
        };
        let watched = self.watch.now();
        let alerts = watched["alerts"].as_array().map(Vec::as_slice).unwrap_or_default().iter().filter_map(alert);
        self.all().iter().filter_map(not_well).chain(alerts).collect()
    }

    /// What the summary says about the machine.
    pub(super) fn machine(&self) -> MemoryFacts {
        let memory = self.memory.look();
        let cards = memory.cards.iter().map(|card| (card.name.clone(), card.used, card.total)).collect();
        MemoryFacts { ram_free: memory.ram.free, ram_capacity: memory.ram.capacity, cards }
    }
}

/// Whether a service in this state wants somebody to look at it.
fn is_not_well(state: ServiceState) -> bool {
    use ServiceState::{Backoff, Failed, Quarantined, Stuck, Unready};
    matches!(state, Stuck | Quarantined | Failed | Backoff | Unready)
}

/// One alert of what the watchdog shows.
fn alert(shown: &Value) -> Option<Trouble> {
    let text = |key: &str| shown[key].as_str().map(str::to_owned);
    let what = format!("{} {}", shown["severity"].as_str()?, shown["alert"].as_str()?);
    Some(Trouble { service: text("service"), what, text: text("message") })
}

fn on_cards(amounts: &Amounts) -> u64 {
    amounts.vram.values().copied().fold(0, u64::saturating_add)
}

/// A change of state, in a few words.
fn happened(event: &Event) -> Option<String> {
    let EventKind::ServiceState { from, to, reason, .. } = &event.kind else { return None };
    let reason = reason.as_ref().map(|reason| format!(" ({reason})")).unwrap_or_default();
    Some(format!("{} -> {}{reason}", from.name(), to.name()))
}

fn status(status: &ServiceStatus) -> Value {
    json!({
        "name": status.name,
        "state": status.state,
        "disposition": status.disposition,
        "reason": status.reason,
        "pid": status.pid,
        "run_id": status.run_id,
        "since": status.since,
        "ready_since": status.ready_since,
        "restarts": { "consecutive": status.restarts_consecutive, "total": status.restarts_total },
        "port": status.port,
        "load": status.load,
        "last_exit": status.last_exit,
        "next_start": status.next_start,
        "refusal": status.refusal.as_deref(),
        "loaded_in": status.loaded_in.map(|took| took.as_secs_f64()),
    })
}
