//! The service's own request to stop: `stop.http`, then `stop.exec`.

use std::{sync::Arc, time::Duration};

use super::{
    context::{Environment, render},
    exec::exec_in_hold,
};
use crate::{os::containment::Hold, process_supervisor::probe::http, spec::ServiceSpec, template::RunValues};

/// Whether there is a request to make.
pub(super) fn has_request(spec: &ServiceSpec) -> bool {
    spec.stop.http.is_some() || !spec.stop.exec.is_empty()
}

/// Makes the request; says whether all of it was taken. Bounded by `within` for each part.
pub(super) async fn ask(
    spec: Arc<ServiceSpec>,
    values: RunValues,
    env: Environment,
    hold: Arc<dyn Hold>,
    within: Duration,
) -> bool {
    let mut taken = true;
    if let (Some((method, path)), Some(port)) = (&spec.stop.http, values.port) {
        taken = match http::request(method, port, path, within).await {
            Ok(status) => status.is_success(),
            Err(error) => {
                // A server that exits while it answers has done what it was asked for.
                tracing::debug!(service = %spec.name, error = %error, "the request to stop was not answered");
                error.was_sent()
            }
        };
    }
    if !spec.stop.exec.is_empty() {
        let command = render(&spec.stop.exec, &values);
        let status = exec_in_hold(command, env(), spec.working_dir.clone(), hold, within).await;
        taken = taken && status.is_ok_and(|status| status.success());
    }
    taken
}
