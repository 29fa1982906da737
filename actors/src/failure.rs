//! Why things fail, and by which line of output that is known.

use serde::{Deserialize, Serialize};

/// Names the cause of a failure by a line of output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FailureRule {
    /// A regular expression, already known to compile.
    pub pattern: String,
    /// The class it stands for.
    pub class: FailureClass,
    /// What is done when a program that goes on running says it.
    pub action: FailureAction,
}

/// What is done about a failure of a program that goes on running. In order: what is severer is greater.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureAction {
    /// Nothing: the line only names the cause, should it end.
    None,
    /// It is restarted, but not again for the same class before it has been healthy for `restart.reset_after`.
    RestartOnce,
    /// It is restarted, within its policy.
    Restart,
    /// It is stopped and stays down.
    Stop,
    /// It is stopped, and starts for nobody but a person or a changed configuration.
    Quarantine,
}

/// Why something failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureClass {
    /// Not-a-number in the computation.
    Nan,
    /// GPU memory ran out.
    OomGpu,
    /// Host memory ran out.
    OomHost,
    /// Another process listens on its port.
    PortInUse,
    /// The program is not there or cannot be executed.
    MissingCommand,
    /// A shared library is not there.
    MissingLibrary,
    /// The model file is not there, not readable or damaged.
    BadModel,
    /// The GPU driver failed.
    Driver,
    /// It was not ready, or not alive, in time.
    Timeout,
    /// A signal that Greenroom did not send ended it.
    Killed,
    /// It ended with a status other than 0.
    Exit,
    /// Nothing is known.
    Unknown,
}

impl FailureClass {
    /// Whether trying again with the same command and files cannot help.
    #[must_use]
    pub fn is_permanent(self) -> bool {
        matches!(self, Self::MissingCommand | Self::MissingLibrary | Self::BadModel)
    }

    /// What is done where the engine's own rules recognise it: one not-a-number can poison all that follows until the
    /// program is restarted; of everything else its health and its exit say whether it matters.
    #[must_use]
    pub fn action(self) -> FailureAction {
        match self {
            Self::Nan => FailureAction::RestartOnce,
            Self::OomGpu
            | Self::OomHost
            | Self::PortInUse
            | Self::MissingCommand
            | Self::MissingLibrary
            | Self::BadModel
            | Self::Driver
            | Self::Timeout
            | Self::Killed
            | Self::Exit
            | Self::Unknown => FailureAction::None,
        }
    }

    /// The name in config, API and history.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Nan => "nan",
            Self::OomGpu => "oom_gpu",
            Self::OomHost => "oom_host",
            Self::PortInUse => "port_in_use",
            Self::MissingCommand => "missing_command",
            Self::MissingLibrary => "missing_library",
            Self::BadModel => "bad_model",
            Self::Driver => "driver",
            Self::Timeout => "timeout",
            Self::Killed => "killed",
            Self::Exit => "exit",
            Self::Unknown => "unknown",
        }
    }
}
