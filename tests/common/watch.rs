//! What the Watchdog of a test's runtime has seen and done.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::Value;

use super::{
    greenroom::Greenroom,
    wait::{BOUND, wait_until},
};

/// How bad an alert is, from the least.
pub const LEVELS: [&str; 3] = ["warning", "critical", "emergency"];

impl Greenroom {
    /// Past events, the oldest first. The history writes in groups: what has just happened may be missing.
    #[track_caller]
    pub fn events(&self) -> Vec<Value> {
        let rows = self.api().get("/api/history/events?limit=1000").expect("the runtime answers").json();
        let mut rows: Vec<Value> = rows.as_array().cloned().unwrap_or_default();
        rows.reverse();
        rows.into_iter().map(|mut row| row["event"].take()).collect()
    }

    /// Alerts that were raised, the oldest first; those about a service, or those about none.
    #[track_caller]
    pub fn alerts(&self, service: Option<&str>) -> Vec<Value> {
        let about = service.map_or(Value::Null, Value::from);
        let is_it = |event: &Value| event["type"] == "alert.raised" && event["service"] == about;
        self.events().into_iter().filter(is_it).collect()
    }

    /// How bad the alerts of one kind about a service were, one after the other.
    #[track_caller]
    pub fn levels(&self, service: &str, alert: &str) -> Vec<String> {
        let alerts = self.alerts(Some(service)).into_iter().filter(|event| event["alert"] == alert);
        alerts.map(|event| event["severity"].as_str().unwrap_or_default().to_owned()).collect()
    }

    /// Waits for an alert about a service.
    #[track_caller]
    pub fn wait_alert(&self, service: Option<&str>, alert: &str) -> Value {
        let what = format!("the alert {alert} about {service:?}");
        wait_until(&what, BOUND, || self.alerts(service).into_iter().find(|event| event["alert"] == alert)).0
    }

    /// Waits until what an alert was about is over.
    #[track_caller]
    pub fn wait_cleared(&self, service: Option<&str>, alert: &str) {
        let about = service.map_or(Value::Null, Value::from);
        let is_it =
            |event: &Value| event["type"] == "alert.cleared" && event["service"] == about && event["alert"] == alert;
        wait_until(&format!("the end of {alert} about {service:?}"), BOUND, || self.events().into_iter().find(is_it));
    }

    /// Waits until the history tells that a service came into a state, whether it is still in it or not.
    #[track_caller]
    pub fn wait_was(&self, service: &str, state: &str) {
        let is_it =
            |event: &Value| event["type"] == "service.state" && event["service"] == service && event["to"] == state;
        wait_until(&format!("{service} is or was {state}"), BOUND, || self.events().into_iter().find(is_it));
    }

    /// How many runs of a service have been started. Whatever has just been seen of a service came after the events that
    /// led to it; the history has them a moment later, so it is asked once it has the newest.
    #[track_caller]
    pub fn starts(&self, service: &str) -> usize {
        self.wait_told(service);
        let is_start = |event: &&Value| {
            event["type"] == "service.state" && event["service"] == service && event["to"] == "spawning"
        };
        self.events().iter().filter(is_start).count()
    }

    /// Waits until the history has the state in which a service is.
    #[track_caller]
    pub fn wait_told(&self, service: &str) {
        wait_until(&format!("the history knows the state of {service}"), BOUND, || {
            let now = self.service(service);
            let of = |event: &&Value| event["type"] == "service.state" && event["service"] == service;
            let last = self.events().iter().rev().find(of).cloned();
            // One that has done nothing yet has nothing to tell.
            let is_known = last.map_or(now["run_id"].is_null(), |last| {
                last["to"] == now["state"] && (last["run_id"] == now["run_id"] || now["run_id"].is_null())
            });
            is_known.then_some(())
        });
    }

    /// Waits until the Watchdog has seen a service that is ready: what comes next is measured against that.
    #[track_caller]
    pub fn wait_watched(&self, service: &str) {
        self.wait_state(service, "ready");
        wait_until(&format!("{service} is watched"), BOUND, || {
            let status = self.status();
            let of = |one: &&Value| one["name"] == service;
            let ready = status["services"].as_array()?.iter().find(of)?["ready_since"].as_str()?.to_owned();
            // Both are written the same way, to the microsecond, in UTC.
            status["watch"]["sampled_at"].as_str().filter(|sampled| **sampled > *ready).map(drop)
        });
    }

    /// Diagnostic bundles that are complete, by their names.
    pub fn bundles(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.state_dir().join("bundles")).into_iter().flatten().flatten();
        let paths = entries.map(|entry| entry.path()).filter(|path| path.extension().is_some_and(|e| e == "tar"));
        let mut paths: Vec<PathBuf> = paths.collect();
        paths.sort();
        paths
    }

    /// Waits until there are so many bundles; fails the test when there are more.
    #[track_caller]
    pub fn wait_bundles(&self, count: usize) -> Vec<PathBuf> {
        let (found, _) = wait_until(&format!("{count} bundles"), BOUND, || {
            Some(self.bundles()).filter(|found| found.len() >= count)
        });
        assert_eq!(found.len(), count, "{found:?}");
        found
    }

    /// Takes a bundle apart with the system's own `tar`; the folder of what was in it.
    #[track_caller]
    pub fn unpacked(&self, archive: &Path) -> PathBuf {
        let folder = self.folder().join("unpacked");
        fs::create_dir_all(&folder).expect("the test's folder is writable");
        let done = Command::new("tar").arg("-xf").arg(archive).arg("-C").arg(&folder).output().expect("tar runs");
        assert!(done.status.success(), "{done:?}");
        folder
    }
}
