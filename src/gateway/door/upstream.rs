//! The connections of one worker to the services, pooled run by run: one to an earlier run is never used for another.

use std::{cell::RefCell, collections::HashMap, time::Duration};

use actix_web::dev::RequestHead;
use greenroom_actors::ids::{RunId, ServiceName};
use hyper::{Method, Request, Uri, http::uri::PathAndQuery};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::{TokioExecutor, TokioTimer},
};

use super::{headers, outgoing::Outgoing, refusal::upstream_closed};
use crate::{gateway::errors::ApiError, runtime::RunEndpoint};

/// How long a connection may be idle. Servers close theirs after 5 s and more; one that is closed while a request is on
/// its way is tried again only if nothing of it was sent.
const IDLE: Duration = Duration::from_secs(4);

/// A pool of connections to one run.
pub type Connections = Client<HttpConnector, Outgoing>;

/// The pools of one worker.
#[derive(Debug, Default)]
pub struct Upstreams(RefCell<HashMap<ServiceName, (RunId, Connections)>>);

impl Upstreams {
    /// The pool of this run. One of another run of the same service is dropped; what is on its way on it goes on.
    pub fn of(&self, service: &ServiceName, run: RunId) -> Connections {
        let mut pools = self.0.borrow_mut();
        if let Some((of, pool)) = pools.get(service)
            && *of == run
        {
            return pool.clone();
        }
        let pool = connections();
        pools.insert(service.clone(), (run, pool.clone()));
        pool
    }
}

fn connections() -> Connections {
    let mut connector = HttpConnector::new();
    // Without it a small piece waits for the acknowledgement of the one before.
    connector.set_nodelay(true);
    Client::builder(TokioExecutor::new()).pool_timer(TokioTimer::new()).pool_idle_timeout(IDLE).build(connector)
}

/// A request as it goes to a run: the same method, headers and body, and this path, byte for byte.
///
/// # Errors
/// When it cannot be said in HTTP/1.1, or the run has no port.
pub fn to_service(
    from: &RequestHead,
    path: &str,
    endpoint: &RunEndpoint,
    body: Outgoing,
) -> Result<Request<Outgoing>, ApiError> {
    let bad = |error: &dyn std::fmt::Display| ApiError::bad_param("path", format!("it cannot be passed on: {error}"));
    let port = endpoint.port.ok_or_else(|| upstream_closed(&NoPort))?;
    let method = Method::from_bytes(from.method.as_str().as_bytes()).map_err(|error| bad(&error))?;
    if method == Method::CONNECT {
        return Err(bad(&"CONNECT asks for a tunnel"));
    }
    let path = PathAndQuery::try_from(path).map_err(|error| bad(&error))?;
    let uri = Uri::builder().scheme("http").authority(format!("127.0.0.1:{port}")).path_and_query(path);
    let mut request = Request::new(body);
    *request.method_mut() = method;
    *request.uri_mut() = uri.build().map_err(|error| bad(&error))?;
    *request.headers_mut() = headers::to_service(&from.headers);
    Ok(request)
}

/// A run without a port, which its service was to have.
#[derive(Debug, thiserror::Error)]
#[error("it has no port")]
struct NoPort;
