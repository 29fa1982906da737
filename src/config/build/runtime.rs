//! `[runtime]`, `[history]` and `[log]`, and with them all that is no service.

use std::{
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
};

use greenroom_actors::spec::{
    ContainmentChoice, GuardianChoice, HistorySpec, RunningJobs, RuntimeSpec, ServiceLogSpec, ShutdownSpec,
};

use super::{gateway, read::Reader, resources, template, watchdog};
use crate::config::kind::port_range;

/// Longest path of a unix socket in bytes (`sun_path` less its closing zero).
pub(super) const SOCKET_PATH: usize = 107;

/// Where the runtime itself is spoken to.
pub(super) fn control_socket(state_dir: &Path) -> PathBuf {
    state_dir.join("greenroom.sock")
}

pub(super) fn build(reader: &mut Reader<'_>) -> RuntimeSpec {
    let state_dir = named_path(reader, &["runtime", "state_dir"], &[]);
    let socket = control_socket(&state_dir);
    let length = socket.as_os_str().as_bytes().len();
    if length > SOCKET_PATH {
        let span = reader.node(&["runtime", "state_dir"]).map(|node| node.span).unwrap_or_default();
        reader.error(
            span,
            format!(
                "`runtime.state_dir` is too long for a socket: `{}` has {length} bytes, at most {SOCKET_PATH} are possible",
                socket.display()
            ),
            "choose a shorter folder",
        );
    }
    let state = state_dir.display().to_string();
    RuntimeSpec {
        name: reader.text(&["runtime", "name"]),
        ports: reader.value(&["runtime", "ports"], |node| port_range(node.text()?)),
        containment: match reader.text(&["runtime", "containment"]).as_str() {
            "cgroup" => ContainmentChoice::Cgroup,
            "shim" => ContainmentChoice::Shim,
            "namespace" => ContainmentChoice::Namespace,
            _ => ContainmentChoice::Auto,
        },
        guardian: match reader.text(&["runtime", "guardian"]).as_str() {
            "best_effort" => GuardianChoice::BestEffort,
            _ => GuardianChoice::Required,
        },
        shutdown: ShutdownSpec {
            deadline: reader.duration(&["runtime", "shutdown", "deadline"]),
            drain: reader.duration(&["runtime", "shutdown", "drain"]),
            running_jobs: match reader.text(&["runtime", "shutdown", "running_jobs"]).as_str() {
                "cancel" => RunningJobs::Cancel,
                _ => RunningJobs::Drain,
            },
        },
        history: HistorySpec {
            path: named_path(reader, &["history", "path"], &[("state_dir", &state)]),
            retain: reader.duration(&["history", "retain"]),
            max_size: reader.size(&["history", "max_size"]),
        },
        service_logs: ServiceLogSpec {
            max_size: reader.size(&["log", "service_logs", "max_size"]),
            keep: reader.number(&["log", "service_logs", "keep"]),
        },
        resources: resources::build(reader),
        gateway: gateway::build(reader, &state_dir),
        watchdog: watchdog::build(reader),
        metrics: reader.bool(&["metrics", "enabled"]),
        remotes: Vec::new(),
        services: Vec::new(),
        jobs: Vec::new(),
        state_dir,
    }
}

/// A path that must not be empty.
fn named_path(reader: &mut Reader<'_>, key: &[&str], extra: &[(&str, &str)]) -> PathBuf {
    let node = reader.node(key);
    if node.is_some_and(|node| node.text() == Some("")) {
        let span = node.map(|node| node.span).unwrap_or_default();
        reader.error(span, format!("`{}` is empty", key.join(".")), "name a path, or leave the key out");
    }
    template::path(reader, key, extra).unwrap_or_default()
}
