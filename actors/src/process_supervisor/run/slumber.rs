//! Puts an engine to sleep, and wakes it, by the calls that it knows.

use std::{sync::Arc, time::Duration};

use crate::{
    cause::chain,
    engines::HttpCall,
    process_supervisor::{lifecycle::RunNews, probe::http},
    spec::{FailureClass, ServiceSpec},
};

/// What has come of it.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Slumber {
    /// It has unloaded its model.
    Asleep,
    /// It loads its model, or will with the next request; whether it can be used is for its probe to say.
    Awake,
    /// It did not do what it was asked for.
    Refused(RunNews),
}

/// Calls the engine, and waits for its answer as long as `within`. Gives `wanted`, or what to tell of the failure.
pub(super) async fn slumber(spec: Arc<ServiceSpec>, port: Option<u16>, wanted: Slumber, within: Duration) -> Slumber {
    let calls = spec.engine.sleep();
    let falls_asleep = wanted == Slumber::Asleep;
    let call = match calls {
        Some(calls) if falls_asleep => Some(calls.sleep),
        Some(calls) => calls.wake,
        None if falls_asleep => return refused(true, "its engine cannot sleep".to_owned()),
        None => None,
    };
    let outcome = match (call, port) {
        (None, _) => Ok(()),
        (Some(_), None) => Err("it has no port to be asked on".to_owned()),
        (Some(call), Some(port)) => ask(port, &call, within).await,
    };
    match outcome {
        Ok(()) => wanted,
        Err(reason) => refused(falls_asleep, reason),
    }
}

async fn ask(port: u16, call: &HttpCall, within: Duration) -> Result<(), String> {
    let HttpCall { method, path, .. } = call;
    match http::call(port, call, within).await {
        Ok(status) if status.is_success() => Ok(()),
        Ok(status) => Err(format!("{method} {path} answers {}", status.as_u16())),
        Err(error) => Err(format!("{method} {path}: {}", chain(&error))),
    }
}

fn refused(falls_asleep: bool, reason: String) -> Slumber {
    Slumber::Refused(if falls_asleep {
        RunNews::NotAsleep { reason }
    } else {
        RunNews::Failing { class: FailureClass::Unknown, reason: format!("it could not be woken: {reason}") }
    })
}
