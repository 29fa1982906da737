//! The ways to find out how a service fares. What a try means, and who tries, is `process_supervisor::probe`.

use std::time::Duration;

use crate::template::Template;

/// A way to find out how a service fares.
#[derive(Debug, Clone, PartialEq)]
pub enum Probe {
    /// As soon as the process runs.
    None,
    /// An HTTP GET on the service's port answers with a status from 200 to 399. The path begins with `/`.
    Http(String),
    /// The service's port accepts a connection.
    Tcp,
    /// A line of output matches this regular expression.
    Log(String),
    /// This command ends with status 0.
    Exec(Vec<Template>),
    /// This much time has passed.
    Delay(Duration),
}
