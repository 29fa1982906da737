//! Jobs of a test's runtime, over its control socket.

use std::{collections::BTreeMap, time::Duration};

use serde_json::{Value, json};

use super::{
    greenroom::Greenroom,
    http::Answer,
    wait::{BOUND, pause, stopwatch},
};

/// States after which nothing comes.
pub const FINAL: [&str; 3] = ["succeeded", "failed", "cancelled"];

impl Greenroom {
    /// What `POST /api/jobs` says.
    #[track_caller]
    pub fn try_submit(&self, job: &str, params: &Value, priority: i32) -> Answer {
        let body = json!({ "job": job, "params": params, "priority": priority });
        self.api().post("/api/jobs", Some(&body)).expect("the runtime answers")
    }

    /// Submits a job, which must be accepted; its id.
    #[track_caller]
    pub fn submit(&self, job: &str, params: &Value) -> String {
        self.submit_with(job, params, 0)
    }

    /// The same with a priority.
    #[track_caller]
    pub fn submit_with(&self, job: &str, params: &Value, priority: i32) -> String {
        let answer = self.try_submit(job, params, priority);
        assert_eq!(answer.status, 202, "{answer:?}");
        answer.json()["id"].as_str().expect("an id").to_owned()
    }

    /// `GET /api/jobs/{id}`.
    #[track_caller]
    pub fn job(&self, id: &str) -> Value {
        self.api().get(&format!("/api/jobs/{id}")).expect("the runtime answers").json()
    }

    /// Takes a job back.
    #[track_caller]
    pub fn cancel_job(&self, id: &str) -> Answer {
        self.api().ask("DELETE", &format!("/api/jobs/{id}"), "", "").expect("the runtime answers")
    }

    /// Waits until a job is in one of these states; the job as it is then.
    #[track_caller]
    pub fn wait_job(&self, id: &str, states: &[&str]) -> Value {
        self.wait_job_for(id, states, BOUND)
    }

    /// The same with another bound.
    #[track_caller]
    pub fn wait_job_for(&self, id: &str, states: &[&str], bound: Duration) -> Value {
        let began = stopwatch();
        loop {
            let late = began.elapsed() > bound;
            let job = self.job(id);
            if states.iter().any(|state| job["state"] == *state) {
                return job;
            }
            let hopeless = FINAL.iter().any(|state| job["state"] == *state);
            assert!(!late && !hopeless, "{id} is not {states:?} within {bound:?}: {job:#}\n{}", self.output());
            pause(Duration::from_millis(5));
        }
    }

    /// Waits until a job has come to its end, whichever.
    #[track_caller]
    pub fn wait_job_over(&self, id: &str) -> Value {
        self.wait_job(id, &FINAL)
    }

    /// Waits until all of them have come to their ends; how many ended how.
    #[track_caller]
    pub fn wait_jobs_over(&self, ids: &[String], bound: Duration) -> BTreeMap<String, usize> {
        let began = stopwatch();
        let mut ends = BTreeMap::new();
        for id in ids {
            let left = bound.saturating_sub(began.elapsed());
            let job = self.wait_job_for(id, &FINAL, left);
            *ends.entry(job["state"].as_str().unwrap_or_default().to_owned()).or_insert(0) += 1;
        }
        ends
    }
}
