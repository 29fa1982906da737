//! The wait until a service that is to leave is idle: nobody is in, and it does not say itself that it works.

use std::time::Duration;

use hyper::StatusCode;
use tokio::time::sleep;

use super::probe::{busy::works, http};
use crate::{
    gate::Gate,
    spec::{BusySpec, ServiceSpec},
};

/// The longest wait for one answer.
const WITHIN: Duration = Duration::from_secs(2);
/// Pause between two questions: begins at the first, doubles to the second.
const PAUSES: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(1));
/// The largest answer that is read. ComfyUI's queue names every node of every prompt that waits.
const LARGEST: usize = 16 << 20;

/// How a service is asked whether it works.
#[derive(Debug, Clone)]
pub(crate) struct BusyQuestion {
    port: u16,
    path: String,
    nonempty: Vec<String>,
}

impl BusyQuestion {
    /// That of a service on this port, if it can be asked.
    pub(crate) fn of(spec: &ServiceSpec, port: u16) -> Option<Self> {
        match &spec.memory.busy {
            BusySpec::Requests => None,
            BusySpec::Http { path, nonempty } => Some(Self { port, path: path.clone(), nonempty: nonempty.clone() }),
        }
    }

    /// Whether it works. One that does not answer may be too busy to: what is not known to be idle works.
    pub(crate) async fn is_busy(&self) -> bool {
        match http::fetch(self.port, &self.path, WITHIN, LARGEST).await {
            Ok((StatusCode::OK, body)) => works(&body, &self.nonempty),
            Ok(_) | Err(_) => true,
        }
    }
}

/// Ends when nobody is in and the service does not say that it works. Whoever waits bounds the wait.
pub(super) async fn idle(gate: Gate, question: Option<BusyQuestion>) {
    let mut pause = PAUSES.0;
    loop {
        gate.drained().await;
        match &question {
            Some(question) if question.is_busy().await => {}
            Some(_) | None => return,
        }
        sleep(pause).await;
        pause = (pause * 2).min(PAUSES.1);
    }
}
