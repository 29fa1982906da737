//! `run --detach`: the same command again, in a session of its own, with its output in `runtime.log`.
//!
//! The caller waits until the new runtime answers on its socket, or has ended, in which case it says why.

use std::{
    fs,
    io::{self, Read, Seek, SeekFrom},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::{Pid, setsid},
};
use serde_json::json;

use super::{ask::block_on, client::Client, failure::Failure, place::Place, seen::Status, terminal::Terminal};

/// How long a start may take: waiting for an earlier guardian (15 s), a sweep, a slow disk.
const START: Duration = Duration::from_secs(60);
/// Pause between two looks.
const LOOK: Duration = Duration::from_millis(20);
/// Most of the log that is repeated when the start fails, in bytes.
const REPEATED: u64 = 8 * 1024;

/// Starts the runtime in the background and waits until it answers.
pub fn run(state_dir: &Path, terminal: &Terminal) -> Result<i32, Failure> {
    let place = Place::at(state_dir);
    let log = state_dir.join("runtime.log");
    let begin = prepare(state_dir, &log)?;
    let mut child = spawn(&log)?;
    let client = Client::new(&place.socket());
    let answered = block_on(async {
        let wait = wait_for_answer(&mut child, &client, &log, begin);
        let late = |_| Failure::TimedOut { what: "the start of the runtime".to_owned(), bound: START };
        tokio::time::timeout(START, wait).await.map_err(late)?
    });
    let status = match answered {
        Ok(status) => status,
        Err(failure) => {
            end(&child);
            return Err(failure);
        }
    };
    let (pid, socket) = (status.runtime.pid, place.socket());
    if terminal.json {
        terminal.value(&json!({ "pid": pid, "socket": socket, "log": log }))?;
    } else {
        terminal.say(format!(
            "running in the background: pid {pid}, socket {}, log {}",
            socket.display(),
            log.display()
        ))?;
    }
    Ok(0)
}

/// Makes this process the leader of a session of its own, so that no terminal's end reaches it.
pub fn leave_session() -> Result<(), Failure> {
    setsid().map(drop).map_err(|e| Failure::Io {
        operation: "leave",
        path: PathBuf::from("the caller's session"),
        source: e.into(),
    })
}

/// Makes the state dir and its log; says where the log ends now.
fn prepare(state_dir: &Path, log: &Path) -> Result<u64, Failure> {
    let refuse = |operation: &'static str, path: &Path| {
        let path = path.to_owned();
        move |source| Failure::Io { operation, path, source }
    };
    fs::DirBuilder::new().recursive(true).mode(0o700).create(state_dir).map_err(refuse("create", state_dir))?;
    open(log).and_then(|file| Ok(file.metadata()?.len())).map_err(refuse("open", log))
}

fn open(log: &Path) -> io::Result<fs::File> {
    fs::OpenOptions::new().create(true).append(true).mode(0o600).open(log)
}

/// The same command line, with `--in-background` added, which overrules `--detach`.
fn spawn(log: &Path) -> Result<Child, Failure> {
    let start = || {
        let (out, err) = (open(log)?, open(log)?);
        let args = std::env::args_os().skip(1);
        let mut command = Command::new(std::env::current_exe()?);
        command.args(args).arg("--in-background").stdin(Stdio::null()).stdout(out).stderr(err).spawn()
    };
    start().map_err(|source| Failure::Io { operation: "start", path: PathBuf::from("greenroom"), source })
}

/// The new runtime's status, once it is that process that answers.
async fn wait_for_answer(child: &mut Child, client: &Client, log: &Path, begin: u64) -> Result<Status, Failure> {
    loop {
        let waited = child.try_wait();
        if let Some(ended) = waited.map_err(|source| Failure::Io {
            operation: "wait for",
            path: PathBuf::from("the new runtime"),
            source,
        })? {
            let output = tail(log, begin).unwrap_or_else(|e| format!("(its log cannot be read: {e})"));
            return Err(Failure::Detached { code: ended.code().unwrap_or(1), log: log.to_owned(), output });
        }
        // Another runtime may hold the state dir and answer while the new one is still about to find out.
        if let Ok(status) = client.get::<Status>("/api/status").await
            && status.runtime.pid.0 == child.id()
        {
            return Ok(status);
        }
        tokio::time::sleep(LOOK).await;
    }
}

fn tail(log: &Path, begin: u64) -> io::Result<String> {
    let mut file = fs::File::open(log)?;
    let from = begin.max(file.metadata()?.len().saturating_sub(REPEATED));
    file.seek(SeekFrom::Start(from))?;
    let mut text = Vec::new();
    file.read_to_end(&mut text)?;
    Ok(String::from_utf8_lossy(&text).trim_end().to_owned())
}

/// Asks a runtime that nobody waits for any more to stop; one that has ended is fine.
fn end(child: &Child) {
    if let Ok(pid) = i32::try_from(child.id()) {
        kill(Pid::from_raw(pid), Signal::SIGTERM).ok();
    }
}
