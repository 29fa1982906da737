//! One try of a probe.

use std::{error::Error, time::Duration};

use tokio::{net::TcpStream, time::timeout};

use super::{
    health::Health,
    http::{self, HttpError},
};
use crate::{
    os::ports::{PortHolder, PortOwner, owner},
    plain::without_query,
    process_supervisor::run::exec_in_hold,
    spec::Probe,
};

/// What one try found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Found {
    /// It can be used.
    Up,
    /// Not now, and why.
    Down(String),
    /// Somebody else answers on its port.
    Stranger(String),
}

/// Tries once, at most `within` long.
pub(super) async fn attempt(health: &Health, probe: &Probe, within: Duration) -> Found {
    match (probe, health.values.port) {
        (Probe::None | Probe::Delay(_) | Probe::Log(_), _) => Found::Up,
        (Probe::Http(_) | Probe::Tcp, None) => Found::Down("it has no port to be asked on".to_owned()),
        (Probe::Http(path), Some(port)) => match http::request("GET", port, path, within).await {
            Ok(status) if status.as_u16() < 400 => listener(health, port, Found::Up),
            Ok(status) => {
                let told = format!("{} answers {}", without_query(path), status.as_u16());
                listener(health, port, Found::Down(told))
            }
            Err(HttpError::Refused(port)) => Found::Down(HttpError::Refused(port).to_string()),
            Err(error) => listener(health, port, Found::Down(format!("{}: {error}", without_query(path)))),
        },
        (Probe::Tcp, Some(port)) => match timeout(within, TcpStream::connect((http::HOST, port))).await {
            Ok(Ok(_)) => listener(health, port, Found::Up),
            Ok(Err(_)) | Err(_) => Found::Down(HttpError::Refused(port).to_string()),
        },
        (Probe::Exec(command), _) => {
            let command = command.iter().map(|part| part.render(&health.values)).collect();
            let working_dir = health.spec.working_dir.clone();
            let outcome = exec_in_hold(command, (health.env)(), working_dir, health.hold.clone(), within).await;
            match outcome {
                Ok(status) if status.success() => Found::Up,
                Ok(status) => Found::Down(format!("the probe's command ended with {status}")),
                Err(error) => match error.source() {
                    Some(cause) => Found::Down(format!("{error}: {cause}")),
                    None => Found::Down(error.to_string()),
                },
            }
        }
    }
}

/// Takes what was found on a port only from one of the run's own processes.
fn listener(health: &Health, port: u16, found: Found) -> Found {
    if !health.spec.owner_check {
        return found;
    }
    let members = health.hold.members().unwrap_or_default();
    match owner(port, &members) {
        Ok(PortOwner::Member(_)) => found,
        Ok(PortOwner::Nobody) => Found::Down(format!("nobody listens on port {port} any more")),
        Ok(PortOwner::Stranger(holder)) => Found::Stranger(stranger(port, holder)),
        Err(error) => Found::Down(format!("who listens on port {port} cannot be seen: {error}")),
    }
}

fn stranger(port: u16, holder: Option<PortHolder>) -> String {
    let who = holder.map_or("a process of somebody else".to_owned(), |h| format!("process {} ({})", h.pid, h.command));
    format!("port {port} is held by {who}, which is none of its processes")
}
