//! `[gateway]`: where model traffic comes in.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use crate::units::ByteSize;

/// `[gateway]`, as far as it is in force.
#[derive(Debug, Clone, PartialEq, Eq)]
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
    /// The longest wait for a service to be loaded.
    pub max_wait: Duration,
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
            max_wait: Duration::from_secs(300),
        }
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
