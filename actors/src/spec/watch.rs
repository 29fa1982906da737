//! What is watched, what is too much, and what is done then.

use std::{fmt, time::Duration};

use crate::{failure::FailureClass, template::Template, units::ByteSize};

/// `[watchdog]`.
#[derive(Debug, Clone, PartialEq)]
pub struct WatchdogSpec {
    /// Whether anything is watched at all.
    pub enabled: bool,
    /// Pause between two samples.
    pub interval: Duration,
    /// Share of the host's memory in use from which it is a warning, `0.0..=1.0`.
    pub memory_warning: f64,
    /// The same for critical.
    pub memory_critical: f64,
    /// A count of processes that doubles within this, and is above `critical`, is an emergency.
    pub double_within: Duration,
    /// An actor that does not answer within this is reported by name.
    pub actor_heartbeat: Duration,
    /// Diagnostic bundles that are made without being asked for.
    pub bundles: BundleSpec,
    /// Who is told of alerts.
    pub notify: NotifySpec,
}

impl Default for WatchdogSpec {
    /// The defaults of the configuration.
    fn default() -> Self {
        Self {
            enabled: true,
            interval: Duration::from_secs(2),
            memory_warning: 0.85,
            memory_critical: 0.95,
            double_within: Duration::from_secs(300),
            actor_heartbeat: Duration::from_secs(5),
            bundles: BundleSpec::default(),
            notify: NotifySpec::default(),
        }
    }
}

/// `watchdog.bundle_*`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BundleSpec {
    /// What makes one.
    pub on: Vec<BundleOn>,
    /// The shortest time between two.
    pub min_interval: Duration,
    /// Bundles kept; the oldest go.
    pub keep: u32,
}

impl Default for BundleSpec {
    fn default() -> Self {
        use BundleOn::{Class, Critical, Emergency};
        Self {
            on: vec![
                Critical,
                Emergency,
                Class(FailureClass::Nan),
                Class(FailureClass::OomGpu),
                Class(FailureClass::OomHost),
            ],
            min_interval: Duration::from_secs(60),
            keep: 20,
        }
    }
}

/// One of `watchdog.bundle_on`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BundleOn {
    /// An alert of this severity.
    Warning,
    /// The same.
    Critical,
    /// The same.
    Emergency,
    /// A failure of this class.
    Class(FailureClass),
}

/// `watchdog.notify`: who is told of each alert, at `warning` and above.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct NotifySpec {
    /// An `http://` or `https://` URL that gets a POST with the alert as JSON.
    pub webhook: Option<String>,
    /// A program and its arguments; the message is added as the last one.
    pub exec: Option<Vec<String>>,
}

/// Without the URL: whoever knows it can post there.
impl fmt::Debug for NotifySpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NotifySpec").field("webhook", &self.webhook.is_some()).field("exec", &self.exec).finish()
    }
}

/// `service.*.limits`.
#[derive(Debug, Clone, PartialEq)]
pub struct LimitsSpec {
    /// The most anonymous and shared memory of its whole tree.
    pub ram: Option<ByteSize>,
    /// The most processes of its tree.
    pub processes: ProcessLimits,
    /// Growth while idle that is a leak.
    pub growth: Option<Growth>,
    /// What is done past one of them.
    pub on_exceed: OnExceed,
    /// Work without progress for this long is stuck; zero: never.
    pub progress: Duration,
}

impl Default for LimitsSpec {
    /// The defaults of the configuration.
    fn default() -> Self {
        Self {
            ram: None,
            processes: ProcessLimits::Auto,
            growth: None,
            on_exceed: OnExceed::default(),
            progress: Duration::from_secs(600),
        }
    }
}

/// `limits.processes`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProcessLimits {
    /// The count when it was ready, + 5 for a warning, + 10 for critical.
    Auto,
    /// These; what is not named counts as under `Auto`.
    Set {
        /// From so many on it is a warning.
        warning: Option<u32>,
        /// From so many on it is critical.
        critical: Option<u32>,
    },
}

/// `limits.growth`: so many bytes within so long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Growth {
    /// How much.
    pub bytes: ByteSize,
    /// The window in which it is looked for.
    pub within: Duration,
}

/// `limits.on_exceed`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnExceed {
    /// An alert, and on.
    Warn,
    /// It is restarted as soon as nobody uses it.
    #[default]
    RestartWhenIdle,
    /// It is restarted.
    Restart,
    /// It is stopped and stays down.
    Stop,
}

/// `alive.generation`: asks the engine for one token now and then.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GenerationSpec {
    /// How often.
    pub every: Duration,
    /// How long the token may take.
    pub timeout: Duration,
}

/// `remote.*.reset`: the last resort for one that is not started here. One of them, or both, one after the other.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ResetSpec {
    /// Method and whole URL; any answer below 400 will do.
    pub http: Option<(String, String)>,
    /// Program and arguments; status 0 will do.
    pub exec: Vec<Template>,
}

impl ResetSpec {
    /// Whether there is any.
    #[must_use]
    pub fn is_set(&self) -> bool {
        self.http.is_some() || !self.exec.is_empty()
    }
}
