//! `[gateway]`: where model traffic comes in.

use std::{fmt, net::SocketAddr, path::PathBuf, time::Duration};

use super::{CleanupSpec, ResetSpec};
use crate::{engines::EngineRef, ids::ServiceName, units::ByteSize};

/// `[gateway]`, as far as it is in force.
#[derive(Clone, PartialEq, Eq)]
pub struct GatewaySpec {
    /// Where it listens; nowhere: no gateway.
    pub listen: Vec<ListenAddress>,
    /// Any of these opens it; none: it is open.
    pub api_keys: Vec<String>,
    /// The model of requests that name none; empty: they are refused.
    pub default_model: String,
    /// Largest request body.
    pub max_body: ByteSize,
    /// Connections at a time.
    pub max_connections: u32,
    /// How long a client may take to send its headers.
    pub header_timeout: Duration,
    /// Origins whose pages may call it from a browser; none: no page of another origin may.
    pub cors_origins: Vec<String>,
    /// Whether a streaming client is sent comments while its model loads.
    pub loading_comments: bool,
    /// Requests that may wait for one service; more are refused.
    pub max_waiting: u32,
    /// The longest wait for a service to be loaded.
    pub max_wait: Duration,
    /// The longest that requests for what is in memory may overtake those for what is not.
    pub fairness: Duration,
}

impl Default for GatewaySpec {
    /// No gateway; the rest as in a configuration that says nothing.
    fn default() -> Self {
        Self {
            listen: Vec::new(),
            api_keys: Vec::new(),
            default_model: String::new(),
            max_body: ByteSize(64 << 20),
            max_connections: 4096,
            header_timeout: Duration::from_secs(10),
            cors_origins: Vec::new(),
            loading_comments: true,
            max_waiting: 512,
            max_wait: Duration::from_secs(300),
            fairness: Duration::from_secs(10),
        }
    }
}

/// Without the keys.
impl fmt::Debug for GatewaySpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GatewaySpec")
            .field("listen", &self.listen)
            .field("api_keys", &self.api_keys.len())
            .field("default_model", &self.default_model)
            .field("max_body", &self.max_body)
            .field("max_connections", &self.max_connections)
            .field("header_timeout", &self.header_timeout)
            .field("cors_origins", &self.cors_origins)
            .field("loading_comments", &self.loading_comments)
            .field("max_waiting", &self.max_waiting)
            .field("max_wait", &self.max_wait)
            .field("fairness", &self.fairness)
            .finish()
    }
}

/// One of `gateway.listen`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ListenAddress {
    /// An address and a port; port 0: one that is free.
    Tcp(SocketAddr),
    /// A socket file.
    Unix(PathBuf),
}

/// How requests get to one service.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DoorSpec {
    /// Requests that it is given at a time; `None`: as many as there are.
    pub max_concurrency: Option<u32>,
    /// What `model` becomes in the bodies of requests, for an engine that accepts its own name alone.
    pub upstream_model: Option<String>,
    /// A door of its own, beside the gateway's, in which every path is one of its own.
    pub listen: Option<ListenAddress>,
}

/// `[remote.NAME]`: one that is not started here.
#[derive(Clone, PartialEq)]
pub struct RemoteSpec {
    /// Its name; no service has the same.
    pub name: ServiceName,
    /// Where it is to be found: `http://` or `https://`, a host, and perhaps a port and a path. One at least.
    pub urls: Vec<String>,
    /// What kind of program answers there.
    pub engine: EngineRef,
    /// Names that clients use for it.
    pub serves: Vec<String>,
    /// Which of several is asked.
    pub balance: Balance,
    /// Sent as `Authorization: Bearer` in the place of the client's own key; none: nothing is sent.
    pub api_key: Option<String>,
    /// Pause between two looks at the health of each.
    pub alive_interval: Duration,
    /// What is done after each job on it.
    pub cleanup: CleanupSpec,
    /// The last resort, when clean-up does not help.
    pub reset: ResetSpec,
}

/// Without the key.
impl fmt::Debug for RemoteSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RemoteSpec")
            .field("name", &self.name)
            .field("urls", &self.urls)
            .field("engine", &self.engine)
            .field("serves", &self.serves)
            .field("balance", &self.balance)
            .field("has_key", &self.api_key.is_some())
            .field("alive_interval", &self.alive_interval)
            .field("cleanup", &self.cleanup)
            .field("reset", &self.reset.is_set())
            .finish()
    }
}

/// `remote.NAME.balance`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Balance {
    /// The one with the fewest requests in flight.
    #[default]
    LeastBusy,
    /// One after the other.
    RoundRobin,
}
