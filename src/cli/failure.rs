//! Why a command did not do what was asked, in words; `codes` says it to programs.

mod codes;

use std::{io, path::PathBuf, time::Duration};

use greenroom_actors::{
    estimate::files::ReadError,
    history_store::HistoryError,
    job::{JobId, JobState},
    os::{keep::FindError, state_dir::StateDirError, sweep::SweepError},
};
use serde_json::Value;

use super::client::ClientError;
use crate::{
    config::ConfigErrors, embed::EndError, gateway::query::BadSince, runtime::StartError, telemetry::BadLevel,
};

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// Nobody listens on the state dir's socket.
    #[error("no runtime is running in {}; start one with `greenroom run`", .0.display())]
    NotRunning(PathBuf),
    /// Nobody listens where `--url` says.
    #[error("nobody listens at {0}; is the runtime running, and does its gateway.listen name that address?")]
    NotThere(String),
    /// What listens where `--url` says wants another key, or one at all.
    #[error(
        "{url} {}", if *.was_sent { "does not take this key; name one of its gateway.api_keys with GREENROOM_API_KEY or \
         --api-key-file" } else { "wants a key; set GREENROOM_API_KEY, or name a file with it with --api-key-file" }
    )]
    Key {
        /// Where it is.
        url: String,
        /// Whether there was one.
        was_sent: bool,
    },
    /// What listens where `--url` says is something else.
    #[error("what listens at {url} is no gateway of Greenroom: {why}")]
    NotGreenroom {
        /// Where it is.
        url: String,
        /// How it shows.
        why: String,
    },
    /// A runtime is running where there must be none.
    #[error("a runtime is running in {}; it looks after its processes itself. End it with `greenroom shutdown`", .0.display())]
    Running(PathBuf),
    /// No configuration was named and none lies where one is looked for.
    #[error(
        "there is no configuration: neither ./greenroom.toml nor one in the user's config folder; name one with -c, \
         write one with `greenroom init`, or watch `greenroom demo`, which needs none"
    )]
    NoConfig,
    /// The configuration cannot be used.
    #[error(transparent)]
    Config(#[from] ConfigErrors),
    /// A command that needs only the state dir asked a configuration that cannot be used.
    #[error(
        "{0}\n\nthe configuration says where the runtime is, so it must be sound; or name the state dir itself, with \
         --state-dir DIR and without -c"
    )]
    Unplaced(ConfigErrors),
    /// The configuration that was to be reloaded cannot be used.
    #[error("{0}\n\nnothing was reloaded; what runs goes on as it was")]
    NotReloaded(ConfigErrors),
    /// An option that means nothing to the command.
    #[error("`{command}` takes no {option}")]
    Unused {
        /// The command.
        command: &'static str,
        /// The option.
        option: &'static str,
    },
    /// `--log-level` or `log.level` is none.
    #[error(transparent)]
    LogLevel(#[from] BadLevel),
    /// An option's value is none.
    #[error("{option}: {why}")]
    Option {
        /// Which option.
        option: &'static str,
        /// What is wrong with it.
        why: String,
    },
    /// `--since` is neither an age nor a time.
    #[error(transparent)]
    Since(#[from] BadSince),
    /// The runtime did not start.
    #[error("the runtime did not start")]
    Start(#[from] StartError),
    /// There is no cgroup, and none can be had from systemd.
    #[error(
        "no cgroup can be had from systemd: {why}. Here and now: {problem}\n\nstart it in a systemd unit with Delegate=yes, \
         or in a container with a writable cgroup tree (docker run --cgroupns=private with a writable mount of \
         /sys/fs/cgroup); without --delegate it starts all the same and holds process trees by shims"
    )]
    NotDelegated {
        /// Why cgroups do not work here.
        problem: String,
        /// Why systemd cannot be asked.
        why: String,
    },
    /// It ran, and nobody can say how it ended.
    #[error(transparent)]
    End(#[from] EndError),
    /// The runtime that was to go into the background ended.
    #[error("the runtime did not start (exit code {code}); the end of {}:\n{output}", log.display())]
    Detached {
        /// Its exit code.
        code: i32,
        /// Its log.
        log: PathBuf,
        /// The end of its log.
        output: String,
    },
    /// Talking to the runtime failed.
    #[error("the runtime does not answer as it should")]
    Client(#[from] ClientError),
    /// The runtime said no.
    #[error("{message}{}", said(.body))]
    Refused {
        /// Its code.
        code: String,
        /// Its message.
        message: String,
        /// The whole answer.
        body: Value,
    },
    /// The state dir cannot be used.
    #[error(transparent)]
    StateDir(#[from] StateDirError),
    /// The sweep could not look or could not end what it found.
    #[error(transparent)]
    Sweep(#[from] SweepError),
    /// What was kept could not be looked for.
    #[error(transparent)]
    Kept(#[from] FindError),
    /// The history cannot be read.
    #[error("cannot read the history")]
    History(#[from] HistoryError),
    /// There are no logs.
    #[error("there are no logs of `{name}` in {}; services that have run here: {}", folder.display(), list(.known))]
    NoLogs {
        /// The service asked for.
        name: String,
        /// Where they were looked for.
        folder: PathBuf,
        /// What is there.
        known: Vec<String>,
    },
    /// What is to be estimated is no model.
    #[error("there is no estimate")]
    NoEstimate(#[from] ReadError),
    /// What is to be estimated is neither a file nor a service.
    #[error("`{0}` is neither a file or folder here nor a service of the configuration")]
    NoModel(String),
    /// A service that names no model.
    #[error("`{0}` names no `model_file`, and what its program loads is not known")]
    NoModelFile(String),
    /// No job is meant.
    #[error("no job's id begins with `{0}`; see `greenroom job list` and `greenroom history jobs`")]
    NoJob(String),
    /// Several jobs are meant.
    #[error("the ids of several jobs begin with `{text}`: {}", list(.ids))]
    WhichJob {
        /// What was written.
        text: String,
        /// Those it may mean.
        ids: Vec<String>,
    },
    /// It has made nothing yet.
    #[error("job {id} is {} still; `greenroom job show {id}` tells how far it has come", .state.name())]
    JobOpen {
        /// Which job.
        id: JobId,
        /// Where it stands.
        state: JobState,
    },
    /// The runtime has ended before a job that was waited for.
    #[error(
        "the runtime has ended before job {0}, which is on disk and goes on with the next runtime; `greenroom job show {0}` tells then"
    )]
    JobLeft(JobId),
    /// Ctrl-C while a job was waited for.
    #[error("job {0} goes on: look with `greenroom job show {0}`, take it back with `greenroom job cancel {0}`")]
    LeftToItself(JobId),
    /// A file is there already.
    #[error("{} is there already and is not overwritten; choose another with -o, or say --force", .0.display())]
    Exists(PathBuf),
    /// The system refuses.
    #[error("cannot {operation} {}", path.display())]
    Io {
        /// What was tried.
        operation: &'static str,
        /// On what.
        path: PathBuf,
        /// Why it failed.
        #[source]
        source: io::Error,
    },
    /// Standard output is gone or full.
    #[error("cannot write the output")]
    Output(#[source] io::Error),
    /// A step of the demo did not hold.
    #[error("the demo did not hold: {0}")]
    Demo(String),
    /// It took too long.
    #[error("{what} took longer than {}", greenroom_actors::units::format_duration(*.bound))]
    TimedOut {
        /// What was waited for.
        what: String,
        /// How long.
        bound: Duration,
    },
    /// Ctrl-C.
    #[error("interrupted")]
    Interrupted,
}

/// What a failed start left to say: its class, its last lines, and what to do where the message does not say it.
fn said(body: &Value) -> String {
    let error = &body["error"];
    let mut text = error["class"].as_str().map(|class| format!(" (class {class})")).unwrap_or_default();
    for line in error["stderr"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        text.push_str("\n  | ");
        text.push_str(line);
    }
    let message = error["message"].as_str().unwrap_or_default();
    if let Some(remedy) = error["remedy"].as_str().filter(|remedy| !message.contains(remedy)) {
        text.push_str("\nwhat to do: ");
        text.push_str(remedy);
    }
    text
}

fn list(names: &[String]) -> String {
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_failed_start_shows_its_class_and_last_lines() {
        let body = json!({ "error": { "message": "`chat` is failed", "code": "start_failed", "class": "oom_gpu",
                                      "stderr": ["loading", "out of memory"], "remedy": "give it less" } });
        let failure = Failure::Refused {
            code: "start_failed".to_owned(),
            message: "`chat` is failed".to_owned(),
            body: body.clone(),
        };
        assert_eq!(
            failure.to_string(),
            "`chat` is failed (class oom_gpu)\n  | loading\n  | out of memory\nwhat to do: give it less"
        );
        assert_eq!(failure.json(), body);
    }
}
