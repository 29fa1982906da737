//! The command line of a test's runtime.

use std::{
    os::unix::process::ExitStatusExt,
    process::{Command, ExitStatus, Stdio},
};

use serde_json::Value;

use super::greenroom::Greenroom;

/// What a command printed and how it ended.
#[derive(Debug, Clone)]
pub struct Cli {
    /// The exit status; 128 + the number when a signal ended it.
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Cli {
    /// Runs a command to its end.
    #[track_caller]
    fn of(mut command: Command) -> Self {
        let output = command.output().expect("the binary under test runs");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let cli = Self { code: code(output.status), stdout: text(&output.stdout), stderr: text(&output.stderr) };
        assert!(!cli.text().contains("panicked at"), "a command panicked: {cli:?}");
        cli
    }

    /// The standard output as JSON.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("not JSON ({error}): {self:?}"))
    }

    /// Fails the test unless the command ended with `code`.
    #[track_caller]
    pub fn expect(self, code: i32) -> Self {
        assert_eq!(self.code, code, "stdout:\n{}\nstderr:\n{}", self.stdout, self.stderr);
        self
    }

    /// Both outputs.
    pub fn text(&self) -> String {
        format!("{}{}", self.stdout, self.stderr)
    }
}

impl Greenroom {
    /// Runs a command against this test's state dir and waits for it.
    #[track_caller]
    pub fn cli(&self, args: &[&str]) -> Cli {
        Cli::of(self.cli_command(args))
    }

    /// A command against this test's state dir, to be run by the caller.
    pub fn cli_command(&self, args: &[&str]) -> Command {
        let mut command = self.command();
        command.arg("--state-dir").arg(self.state_dir()).args(args).stdin(Stdio::null());
        command
    }

    /// The binary alone: no state dir, in the test's folder.
    #[track_caller]
    pub fn bare(&self, args: &[&str]) -> Cli {
        let mut command = self.command();
        command.args(args).stdin(Stdio::null());
        Cli::of(command)
    }
}

/// The exit status as a shell tells it: 128 + the number for a signal.
pub fn code(status: ExitStatus) -> i32 {
    status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0))
}
