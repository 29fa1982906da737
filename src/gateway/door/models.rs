//! The models that clients may ask for, as `/v1/models` tells them. Pure.
//!
//! The shape is the list of the OpenAI API with the `status` of llama.cpp's router (`tools/server/server-models.cpp`), so
//! that clients of either find what they look for.

use greenroom_actors::state::{ExitReport, ServiceState};
use serde::Serialize;

/// Who is said to own a model that runs here.
const OWNER: &str = "greenroom";

/// Something that answers to the names of models.
#[derive(Debug, Clone, PartialEq)]
pub struct Host<'a> {
    /// Its own name.
    pub name: &'a str,
    /// The names that clients use.
    pub serves: &'a [String],
    /// What it is doing.
    pub stand: Stand<'a>,
}

/// What something that answers to the names of models is doing.
#[derive(Debug, Clone, PartialEq)]
pub enum Stand<'a> {
    /// A service.
    Service {
        /// Its state.
        state: ServiceState,
        /// How its last run ended.
        last_exit: Option<&'a ExitReport>,
    },
    /// It runs elsewhere.
    Remote {
        /// Whether it can be reached.
        is_reached: bool,
    },
    /// Each request is a job.
    Job {
        /// Whether one is being worked on.
        is_at_work: bool,
    },
}

/// `GET /v1/models`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct List {
    object: &'static str,
    data: Vec<Model>,
}

/// One entry of it, and `GET /v1/models/{id}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Model {
    id: String,
    object: &'static str,
    /// Seconds since 1970; the same at each look.
    created: u64,
    owned_by: &'static str,
    /// The service, the remote or the kind of job that answers.
    service: String,
    status: Status,
}

/// Whether it is in memory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Status {
    /// `loaded`, `loading` or `unloaded`.
    value: &'static str,
    /// The state of the service, or `remote`; of a kind of job `running` or `idle`.
    state: &'static str,
    /// Whether it gave up.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    failed: bool,
    /// How its last run ended, if it gave up.
    #[serde(skip_serializing_if = "Option::is_none")]
    exit_code: Option<i32>,
}

/// Every name of every host, in their order; `created` is the start of the runtime in seconds since 1970.
#[must_use]
pub fn list(hosts: &[Host<'_>], created: u64) -> List {
    let names = |host: &Host<'_>| match host.serves {
        [] => vec![host.name.to_owned()],
        serves => serves.to_vec(),
    };
    let data = hosts.iter().flat_map(|host| names(host).into_iter().map(|id| entry(host, id, created))).collect();
    List { object: "list", data }
}

/// The model of this name, which may be the host's own.
#[must_use]
pub fn find(hosts: &[Host<'_>], id: &str, created: u64) -> Option<Model> {
    let host = hosts.get(place(hosts, id)?)?;
    Some(entry(host, id.to_owned(), created))
}

/// The place of the host that answers to this name.
#[must_use]
pub fn place(hosts: &[Host<'_>], id: &str) -> Option<usize> {
    hosts.iter().position(|host| host.name == id || host.serves.iter().any(|served| served == id))
}

/// The names to tell clients, one of each host.
#[must_use]
pub fn names(hosts: &[Host<'_>]) -> Vec<String> {
    hosts.iter().map(|host| host.serves.first().map_or(host.name, String::as_str).to_owned()).collect()
}

fn entry(host: &Host<'_>, id: String, created: u64) -> Model {
    Model { id, object: "model", created, owned_by: OWNER, service: host.name.to_owned(), status: status(host) }
}

fn status(host: &Host<'_>) -> Status {
    let in_memory = |is_in| if is_in { "loaded" } else { "unloaded" };
    match host.stand {
        Stand::Service { state, last_exit } => {
            let failed = matches!(state, ServiceState::Failed | ServiceState::Quarantined);
            let exit_code = last_exit.filter(|_| failed).and_then(|exit| exit.code);
            Status { value: value(state), state: state.name(), failed, exit_code }
        }
        Stand::Remote { is_reached } => {
            Status { value: in_memory(is_reached), state: "remote", failed: !is_reached, exit_code: None }
        }
        Stand::Job { is_at_work } => {
            let state = if is_at_work { "running" } else { "idle" };
            Status { value: in_memory(is_at_work), state, failed: false, exit_code: None }
        }
    }
}

/// Of a state the three that clients know. What is about to leave still answers those who are in.
#[must_use]
pub fn value(state: ServiceState) -> &'static str {
    match state {
        ServiceState::Ready | ServiceState::Unready | ServiceState::Draining => "loaded",
        ServiceState::Reserved | ServiceState::Spawning | ServiceState::Starting | ServiceState::Backoff => "loading",
        ServiceState::Stopped
        | ServiceState::Stopping
        | ServiceState::Killing
        | ServiceState::Reclaiming
        | ServiceState::Offloaded
        | ServiceState::Sleeping
        | ServiceState::Completed
        | ServiceState::Failed
        | ServiceState::Quarantined
        | ServiceState::Stuck => "unloaded",
    }
}

/// What llama-swap calls the state of a process (`proxy/process.go`); `None` where none of it is in memory.
#[must_use]
pub fn process_state(state: ServiceState) -> Option<&'static str> {
    match state {
        ServiceState::Ready | ServiceState::Unready => Some("ready"),
        ServiceState::Reserved | ServiceState::Spawning | ServiceState::Starting => Some("starting"),
        ServiceState::Draining | ServiceState::Stopping | ServiceState::Killing | ServiceState::Stuck => {
            Some("stopping")
        }
        ServiceState::Stopped
        | ServiceState::Reclaiming
        | ServiceState::Offloaded
        | ServiceState::Sleeping
        | ServiceState::Backoff
        | ServiceState::Completed
        | ServiceState::Failed
        | ServiceState::Quarantined => None,
    }
}

#[cfg(test)]
mod tests {
    use greenroom_actors::time::Timestamp;
    use serde_json::{json, to_value};

    use super::*;

    #[test]
    fn every_name_is_an_entry_with_its_state() {
        let serves = ["gemma".to_owned(), "org/gemma:latest".to_owned()];
        let at = Timestamp::from_micros(0);
        let exit = ExitReport { code: Some(3), signal: None, class: None, stderr: Vec::new(), at };
        let host = |name, serves, stand| Host { name, serves, stand };
        let service = |state| Stand::Service { state, last_exit: Some(&exit) };
        let hosts = [
            host("chat", &serves[..], service(ServiceState::Ready)),
            host("bad", &[], service(ServiceState::Failed)),
            host("far", &[], Stand::Remote { is_reached: true }),
            host("image", &[], Stand::Job { is_at_work: true }),
            host("video", &[], Stand::Job { is_at_work: false }),
        ];
        let entry = |id: &str, service: &str, status| {
            json!({ "id": id, "object": "model", "created": 7, "owned_by": "greenroom", "service": service,
                    "status": status })
        };
        let ready = json!({ "value": "loaded", "state": "ready" });
        let failed = json!({ "value": "unloaded", "state": "failed", "failed": true, "exit_code": 3 });
        let data = json!([
            entry("gemma", "chat", ready.clone()),
            entry("org/gemma:latest", "chat", ready.clone()),
            entry("bad", "bad", failed),
            entry("far", "far", json!({ "value": "loaded", "state": "remote" })),
            entry("image", "image", json!({ "value": "loaded", "state": "running" })),
            entry("video", "video", json!({ "value": "unloaded", "state": "idle" })),
        ]);
        assert_eq!(to_value(list(&hosts, 7)).expect("JSON"), json!({ "object": "list", "data": data }));
        let found = |id| find(&hosts, id, 7).map(|model| to_value(model).expect("JSON"));
        assert_eq!(found("org/gemma:latest"), Some(entry("org/gemma:latest", "chat", ready.clone())));
        assert_eq!(found("chat"), Some(entry("chat", "chat", ready)));
        assert_eq!(found("gemm"), None);
        assert_eq!(names(&hosts), ["gemma", "bad", "far", "image", "video"]);
    }

    #[test]
    fn every_state_is_one_of_three() {
        let of = |wanted| ServiceState::ALL.iter().filter(move |state| value(**state) == wanted).count();
        assert_eq!(of("loaded") + of("loading") + of("unloaded"), ServiceState::ALL.len());
        assert!(of("loaded") == 3 && of("loading") == 4);
    }
}
