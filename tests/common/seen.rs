//! What is seen of a test's runtime: its answers, and the processes that are there.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use serde_json::Value;

use super::{
    greenroom::Greenroom,
    http::Http,
    processes::{Process, carrying, catches_term},
    wait::{BOUND, pause, stopwatch, wait_for, wait_until},
};

impl Greenroom {
    /// The control socket's API.
    pub fn api(&self) -> Http {
        Http::unix(&self.socket())
    }

    pub(super) fn try_status(&self) -> Option<Value> {
        let answer = self.api().get("/api/status").ok().filter(|answer| answer.status == 200)?;
        let status = answer.json();
        if let Some(root) = status["runtime"]["containment_root"].as_str().filter(|root| root.starts_with('/')) {
            self.roots.borrow_mut().insert(root.to_owned());
            self.roots.borrow_mut().extend(kept_beside(root));
        }
        Some(status)
    }

    /// `GET /api/status`.
    #[track_caller]
    pub fn status(&self) -> Value {
        wait_until("the runtime answers", BOUND, || self.try_status()).0
    }

    /// `GET /api/services/{name}`.
    #[track_caller]
    pub fn service(&self, name: &str) -> Value {
        self.api().get(&format!("/api/services/{name}")).expect("the runtime answers").json()
    }

    /// What a service says on its own port, past the gateway.
    #[track_caller]
    pub fn engine(&self, name: &str) -> Http {
        self.try_engine(name).unwrap_or_else(|| panic!("no port: {:#}", self.service(name)))
    }

    /// The same; `None` while it has no port.
    #[track_caller]
    pub fn try_engine(&self, name: &str) -> Option<Http> {
        self.service(name)["endpoint"].as_str()?.rsplit(':').next()?.parse().ok().map(Http::Tcp)
    }

    /// A service's state.
    #[track_caller]
    pub fn state(&self, name: &str) -> String {
        self.service(name)["state"].as_str().unwrap_or_default().to_owned()
    }

    /// A service's main process.
    #[track_caller]
    pub fn service_pid(&self, name: &str) -> i32 {
        self.service(name)["pid"].as_i64().unwrap_or_else(|| panic!("no pid: {}", self.service(name))) as i32
    }

    /// The guardian's process.
    #[track_caller]
    pub fn guardian(&self) -> i32 {
        self.status()["runtime"]["guardian"].as_i64().expect("there is a guardian") as i32
    }

    /// Waits until a service is in `state`; returns how long that took.
    #[track_caller]
    pub fn wait_state(&self, name: &str, state: &str) -> Duration {
        let began = stopwatch();
        loop {
            // Looked at once more after the bound, so that a test which was not scheduled for long is not failed for it.
            let late = began.elapsed() > BOUND;
            let service = self.service(name);
            if service["state"] == state {
                return began.elapsed();
            }
            assert!(!late, "{name} is not {state} within {BOUND:?}: {service:#}\n{}", self.output());
            pause(Duration::from_millis(5));
        }
    }

    /// Starts the runtime and waits until `count` services are ready; returns how long that took.
    #[track_caller]
    pub fn start_until_ready(&self, count: usize, bound: Duration) -> Duration {
        let began = stopwatch();
        self.spawn();
        wait_for("all services are ready", bound, || {
            let Some(status) = self.try_status() else { return false };
            let states = status["services"].as_array().into_iter().flatten();
            states.filter(|service| service["state"] == "ready").count() == count
        });
        began.elapsed()
    }

    /// Cgroups that runtimes of this test had.
    pub fn roots(&self) -> BTreeSet<String> {
        self.roots.borrow().clone()
    }

    /// Names of the cgroups beside this runtime's.
    pub fn cgroups_beside(&self) -> Vec<String> {
        let parents: BTreeSet<PathBuf> =
            self.roots().iter().filter_map(|r| Some(Path::new(r).parent()?.into())).collect();
        let entries = parents.iter().flat_map(|parent| fs::read_dir(parent).into_iter().flatten().flatten());
        entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
    }

    /// Living processes of one service.
    pub fn processes_of(&self, service: &str) -> Vec<Process> {
        carrying(&self.tag(service), &BTreeSet::new())
    }

    /// Living processes of all services: those that carry the tag and those in the runtime's cgroups.
    pub fn survivors(&self) -> Vec<Process> {
        carrying(&self.tag, &self.roots())
    }

    /// Waits until `count` processes of services live and have set up their handling of signals.
    #[track_caller]
    pub fn wait_settled(&self, count: usize) {
        wait_for(&format!("{count} processes live"), BOUND, || {
            let living = self.survivors();
            living.len() == count && living.iter().all(|process| catches_term(process.pid))
        });
    }

    /// All living processes that have to do with this test: services, runtime, guardian, commands.
    pub fn everything(&self) -> Vec<Process> {
        let mut all = self.survivors();
        all.extend(carrying(&self.folder().display().to_string(), &BTreeSet::new()));
        all.sort();
        all.dedup();
        all
    }

    /// Fails the test if a process of a service lives.
    #[track_caller]
    pub fn assert_no_survivor(&self) {
        // Twice: a family that starts its members anew could slip through one look at the table of processes.
        for _ in 0..2 {
            let left = self.survivors();
            assert!(left.is_empty(), "{} left:\n{}", left.len(), list(&left));
        }
    }

    /// Waits until no process of a service lives; fails the test after `bound`. Returns how long it took.
    #[track_caller]
    pub fn wait_gone(&self, bound: Duration) -> Duration {
        let began = stopwatch();
        loop {
            let late = began.elapsed() > bound;
            let left = self.survivors();
            if left.is_empty() && self.survivors().is_empty() {
                return began.elapsed();
            }
            assert!(!late, "after {bound:?} {} are left:\n{}\n{}", left.len(), list(&left), self.output());
            pause(Duration::from_millis(5));
        }
    }

    /// Fails the test unless everything is gone after an ordered end: processes, guardian, cgroups, socket.
    #[track_caller]
    pub fn assert_clean(&self) {
        wait_for(&format!("nothing is left: {:#?}", self.everything()), BOUND, || self.everything().is_empty());
        let roots: Vec<String> = self.roots().into_iter().filter(|root| Path::new(root).exists()).collect();
        assert!(roots.is_empty(), "cgroups left: {roots:?}");
        assert!(!self.socket().exists(), "the socket is left");
    }
}

/// The root of the kept services, if there is one beside a runtime's root `.../greenroom-INSTANCE-INCARNATION`, or one
/// further up, as when the runtime is in a unit.
fn kept_beside(root: &str) -> Vec<String> {
    let Some((name, _)) = root.rsplit_once('-') else { return Vec::new() };
    let Some((_, instance)) = name.rsplit_once('/') else { return Vec::new() };
    let places = Path::new(root).ancestors().skip(1).take(2).map(|place| place.join(format!("{instance}-keep")));
    places.filter(|place| place.exists()).map(|place| place.display().to_string()).collect()
}

fn list(processes: &[Process]) -> String {
    processes.iter().map(|process| format!("  {process}\n")).collect()
}
