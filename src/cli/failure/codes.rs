//! What a failure is for programs: the exit code, a word, and the shape that errors have over HTTP.

use std::io;

use greenroom_actors::{
    cause,
    os::{state_dir::StateDirError, sweep::SweepError},
};
use serde_json::{Value, json};

use super::Failure;
use crate::cli::client::ClientError;

/// The code of a configuration that cannot be used, here and over HTTP.
const BAD_CONFIG: &str = "bad_config";

impl Failure {
    /// The exit code: 1 to 4, 124 or 130; 0 when only the reader of the output has gone.
    #[must_use]
    pub fn exit_code(&self) -> i32 {
        match self {
            Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe => 0,
            Self::NotRunning(_) | Self::NotThere(_) => 3,
            Self::Running(_) => 4,
            Self::NoConfig
            | Self::Config(_)
            | Self::Unplaced(_)
            | Self::NotReloaded(_)
            | Self::Unused { .. }
            | Self::LogLevel(_)
            | Self::Option { .. }
            | Self::Since(_) => 2,
            // The running runtime has read it.
            Self::Refused { code, .. } if code == BAD_CONFIG => 2,
            Self::Start(error) => error.exit_code(),
            Self::Detached { code, .. } => *code,
            Self::StateDir(StateDirError::AlreadyRunning { .. }) | Self::Sweep(SweepError::Running(_)) => 4,
            Self::TimedOut { .. } | Self::Client(ClientError::Silent(_)) => 124,
            Self::Interrupted | Self::LeftToItself(_) => 130,
            Self::Client(_)
            | Self::Key { .. }
            | Self::NotGreenroom { .. }
            | Self::End(_)
            | Self::Refused { .. }
            | Self::StateDir(_)
            | Self::Sweep(_)
            | Self::Kept(_)
            | Self::NotDelegated { .. }
            | Self::History(_)
            | Self::NoLogs { .. }
            | Self::NoEstimate(_)
            | Self::NoModel(_)
            | Self::NoModelFile(_)
            | Self::NoJob(_)
            | Self::WhichJob { .. }
            | Self::JobOpen { .. }
            | Self::JobLeft(_)
            | Self::Exists(_)
            | Self::Io { .. }
            | Self::Output(_)
            | Self::Demo(_) => 1,
        }
    }

    /// A word for programs.
    #[must_use]
    pub fn code(&self) -> &str {
        match self {
            Self::NotRunning(_) | Self::NotThere(_) => "not_running",
            Self::Key { .. } => "unauthorized",
            Self::NotGreenroom { .. } => "not_greenroom",
            Self::Running(_)
            | Self::StateDir(StateDirError::AlreadyRunning { .. })
            | Self::Sweep(SweepError::Running(_)) => "already_running",
            Self::NoConfig => "no_config",
            Self::Config(_) | Self::Unplaced(_) | Self::NotReloaded(_) => BAD_CONFIG,
            Self::Unused { .. } | Self::LogLevel(_) | Self::Option { .. } | Self::Since(_) => "usage",
            Self::Start(_) | Self::Detached { .. } => "not_started",
            Self::NotDelegated { .. } => "not_delegated",
            Self::End(_) => "no_report",
            Self::Client(_) => "no_answer",
            Self::Refused { code, .. } => code,
            Self::StateDir(_) => "bad_state_dir",
            Self::Sweep(_) | Self::Kept(_) => "sweep_failed",
            Self::History(_) => "history_unavailable",
            Self::NoLogs { .. } => "no_logs",
            Self::NoEstimate(_) | Self::NoModel(_) | Self::NoModelFile(_) => "no_estimate",
            Self::NoJob(_) | Self::WhichJob { .. } => "job_not_found",
            Self::JobOpen { .. } | Self::JobLeft(_) => "job_open",
            Self::Exists(_) => "exists",
            Self::Io { .. } | Self::Output(_) => "io",
            Self::Demo(_) => "demo_failed",
            Self::TimedOut { .. } => "timed_out",
            Self::Interrupted | Self::LeftToItself(_) => "interrupted",
        }
    }

    /// The message and its causes, as one text.
    #[must_use]
    pub fn chain(&self) -> String {
        cause::chain(self)
    }

    /// The shape that errors have over HTTP as well.
    #[must_use]
    pub fn json(&self) -> Value {
        if let Self::Refused { body, .. } = self {
            return body.clone();
        }
        let kind = if self.exit_code() == 2 { "invalid_request_error" } else { "server_error" };
        let mut error = json!({ "message": self.chain(), "type": kind, "param": null, "code": self.code() });
        if let (Self::Config(errors) | Self::Unplaced(errors) | Self::NotReloaded(errors), Some(object)) =
            (self, error.as_object_mut())
        {
            object.insert("problems".to_owned(), json!(errors.0));
        }
        json!({ "error": error, "src": "greenroom" })
    }
}

#[cfg(test)]
mod tests {
    use std::{path::PathBuf, time::Duration};

    use super::*;

    #[test]
    fn exit_codes_are_as_promised() {
        let dir = || PathBuf::from("/s");
        let codes = [
            (Failure::NotRunning(dir()), 3),
            (Failure::Running(dir()), 4),
            (Failure::NoConfig, 2),
            (Failure::Interrupted, 130),
            (Failure::TimedOut { what: "it".to_owned(), bound: Duration::from_secs(1) }, 124),
            (Failure::Exists(dir()), 1),
            (Failure::Output(io::ErrorKind::BrokenPipe.into()), 0),
            (Failure::Output(io::ErrorKind::StorageFull.into()), 1),
        ];
        for (failure, code) in codes {
            assert_eq!(failure.exit_code(), code, "{failure}");
        }
    }

    #[test]
    fn a_runtime_that_is_in_the_way_has_one_code_whoever_has_found_it() {
        let pid = greenroom_actors::ids::Pid(7);
        for failure in [Failure::Running(PathBuf::from("/s")), Failure::Sweep(SweepError::Running(pid))] {
            assert_eq!((failure.exit_code(), failure.code()), (4, "already_running"), "{failure}");
        }
    }

    #[test]
    fn a_chain_is_said_once_and_in_order() {
        let source = io::Error::other("no space");
        let failure = Failure::Io { operation: "write", path: PathBuf::from("/x"), source };
        assert_eq!(failure.chain(), "cannot write /x: no space");
        assert_eq!(failure.json()["error"]["code"], "io");
    }
}
