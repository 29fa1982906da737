//! The stage of a demo: a folder of its own and a `greenroom run` in a process of its own.

use std::{
    fs, io,
    os::unix::{fs::DirBuilderExt, process::CommandExt},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    time::{Duration, Instant},
};

use greenroom_actors::{
    ids::Pid,
    os::clock,
    state::{Disposition, ServiceState},
};
use nix::sys::signal::Signal;
use serde_json::Value;

use super::{
    super::{
        client::Client,
        columns,
        failure::Failure,
        place::Place,
        seen::{Service, Status},
        terminal::Terminal,
    },
    census::{Census, signal},
};
use crate::runtime::{ShutdownReport, shutdown_json};

/// The longest any step waits before it counts as not holding. Steps take well under a second; a busy machine more.
pub const BOUND: Duration = Duration::from_secs(20);
/// Pause between two looks.
const LOOK: Duration = Duration::from_millis(2);

/// A stage, with at most one runtime on it.
#[derive(Debug)]
pub struct Stage {
    place: Place,
    config: PathBuf,
    tag: String,
    client: Client,
    runtime: Option<Child>,
    /// Where its lines go.
    pub terminal: Terminal,
    began: Instant,
}

impl Stage {
    /// A fresh folder with this configuration; nothing runs yet.
    pub fn set(terminal: &Terminal, text: &str) -> Result<Self, Failure> {
        let began = clock::now();
        // Process ids come again; the time does not.
        let tag = format!("greenroom-demo-{}-{}", std::process::id(), clock::wall().as_micros() % 1_000_000);
        let folder = std::env::temp_dir().join(&tag);
        let refuse = |operation| {
            let path = folder.clone();
            move |source| Failure::Io { operation, path, source }
        };
        fs::DirBuilder::new().mode(0o700).create(&folder).map_err(refuse("create"))?;
        let config = folder.join("demo.toml");
        let place = Place::at(&folder);
        let client = Client::new(&place.socket());
        let stage = Self { place, config, tag, client, runtime: None, terminal: *terminal, began };
        fs::write(&stage.config, text).map_err(refuse("write to"))?;
        Ok(stage)
    }

    /// The control API of the runtime.
    #[must_use]
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// The state dir.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.place.state_dir
    }

    /// The database.
    #[must_use]
    pub fn history(&self) -> &Path {
        &self.place.history
    }

    /// Since the stage was set.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        clock::now().saturating_duration_since(self.began)
    }

    /// Everything that the services have started and that lives.
    #[must_use]
    pub fn census(&self) -> Census {
        Census::take(&self.tag)
    }

    /// A new part of the demo.
    pub fn scene(&self, title: &str) -> Result<(), Failure> {
        let title = super::super::table::paint(title, 1, self.terminal.color);
        self.terminal.say(format!("\n[{:5.2} s] {title}", self.elapsed().as_secs_f64()))
    }

    /// A line below it.
    pub fn say(&self, text: impl AsRef<str>) -> Result<(), Failure> {
        text.as_ref().lines().try_for_each(|line| self.terminal.say(format!("  {line}").trim_end()))
    }

    /// Starts the runtime and waits until every service that starts with it is ready; says how long that took.
    pub async fn start(&mut self) -> Result<(Status, Duration), Failure> {
        let began = clock::now();
        self.runtime = Some(self.spawn().map_err(|source| Failure::Io {
            operation: "start",
            path: PathBuf::from("greenroom run"),
            source,
        })?);
        let is_there = |s: &Service| s.state == ServiceState::Ready || s.disposition != Disposition::Up;
        let all_ready = |status: &Status| status.services.iter().all(is_there);
        let status = self.until("every service is ready", all_ready).await?;
        Ok((status, clock::now().saturating_duration_since(began)))
    }

    fn spawn(&self) -> io::Result<Child> {
        let log = fs::OpenOptions::new().create(true).append(true).open(self.log())?;
        let program = std::env::current_exe()?;
        let mut command = Command::new(&program);
        command
            .arg("run")
            .arg("-c")
            .arg(&self.config)
            .arg("--state-dir")
            .arg(self.folder())
            .args(["--log-level", "info"])
            .env("GREENROOM_DEMO_PROGRAM", &program)
            .env("GREENROOM_DEMO_TAG", &self.tag)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            // Ctrl-C is the demo's to handle.
            .process_group(0);
        // A person's settings are not the demo's.
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("GREENROOM__") {
                command.env_remove(name);
            }
        }
        command.spawn()
    }

    fn log(&self) -> PathBuf {
        self.folder().join("demo.log")
    }

    /// The runtime's process.
    pub fn runtime_pid(&self) -> Result<Pid, Failure> {
        let none = || Failure::Demo("no runtime is running".to_owned());
        self.runtime.as_ref().map(|child| Pid(child.id())).ok_or_else(none)
    }

    /// What runs.
    pub async fn status(&self) -> Result<Status, Failure> {
        Ok(self.client.get("/api/status").await?)
    }

    /// One service of `status`.
    pub fn service<'a>(&self, status: &'a Status, name: &str) -> Result<&'a Service, Failure> {
        let none = || Failure::Demo(format!("the runtime knows no service `{name}`"));
        status.services.iter().find(|s| s.name == name).ok_or_else(none)
    }

    /// Waits until the runtime's status is as wanted; none of its services may fail meanwhile.
    pub async fn until(&mut self, what: &str, wanted: impl Fn(&Status) -> bool) -> Result<Status, Failure> {
        self.until_despite(what, None, wanted).await
    }

    /// The same, with one service that is meant to fail.
    pub async fn until_despite(
        &mut self,
        what: &str,
        fails: Option<&str>,
        wanted: impl Fn(&Status) -> bool,
    ) -> Result<Status, Failure> {
        let is_lost = |s: &&Service| s.state == ServiceState::Failed && Some(s.name.as_str()) != fails;
        let end = clock::now() + BOUND;
        loop {
            if let Ok(status) = self.client.get::<Status>("/api/status").await {
                if wanted(&status) {
                    return Ok(status);
                }
                if let Some(lost) = status.services.iter().find(is_lost) {
                    let reason = lost.reason.as_deref().unwrap_or("no reason given");
                    return Err(Failure::Demo(format!("`{}` has failed: {reason}", lost.name)));
                }
            }
            let ended = self.runtime.as_mut().and_then(|child| child.try_wait().ok().flatten());
            if let Some(ended) = ended {
                return Err(Failure::Demo(format!(
                    "the runtime ended ({ended}) before {what}:\n{}",
                    self.last_lines()
                )));
            }
            if clock::now() > end {
                return Err(Failure::Demo(format!(
                    "not in {BOUND:?}: {what}; the runtime said:\n{}",
                    self.last_lines()
                )));
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Waits until `done`; says how long that took, or `None` if it did not happen within `bound`.
    pub async fn watch(&self, bound: Duration, done: impl Fn() -> bool) -> Option<Duration> {
        let began = clock::now();
        loop {
            if done() {
                return Some(clock::now().saturating_duration_since(began));
            }
            if clock::now() > began + bound {
                return None;
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// SIGKILL to the runtime, and waits for its end.
    pub fn kill_runtime(&mut self) -> Result<(), Failure> {
        signal(self.runtime_pid()?, Signal::SIGKILL);
        self.reap().map(drop)
    }

    /// Waits for the runtime's end. It has been asked for, so it comes.
    fn reap(&mut self) -> Result<Option<ExitStatus>, Failure> {
        let Some(mut child) = self.runtime.take() else { return Ok(None) };
        let refuse = |source| Failure::Io { operation: "wait for", path: PathBuf::from("the runtime"), source };
        child.wait().map(Some).map_err(refuse)
    }

    /// An ordered stop; gives the report, the exit code and the time it took.
    pub async fn shutdown(&mut self) -> Result<(ShutdownReport, i32, Duration), Failure> {
        let began = clock::now();
        self.client.post::<Value>("/api/shutdown").await?;
        let code = loop {
            let child = self.runtime.as_mut();
            if let Some(ended) = child.and_then(|child| child.try_wait().ok().flatten()) {
                break ended.code().unwrap_or(-1);
            }
            if clock::now() > began + 2 * BOUND {
                return Err(Failure::Demo("the ordered stop did not end".to_owned()));
            }
            tokio::time::sleep(LOOK).await;
        };
        self.runtime = None;
        let took = clock::now().saturating_duration_since(began);
        let path = shutdown_json(self.folder());
        let refuse = |source| Failure::Io { operation: "read", path: path.clone(), source };
        let text = fs::read(&path).map_err(refuse)?;
        let report = serde_json::from_slice(&text).map_err(|e| refuse(e.into()))?;
        Ok((report, code, took))
    }

    /// The table of services, as `greenroom status` shows it.
    pub fn table(&self, status: &Status) -> Result<(), Failure> {
        let width = self.terminal.width.map(|w| w.saturating_sub(2));
        let lines = columns::services(&status.services, clock::wall(), width, self.terminal.color);
        self.say(lines.join("\n"))
    }

    /// Ends whatever is left, also after an interruption, and removes the folder.
    pub async fn clear(mut self) -> Result<(), Failure> {
        if let Some(child) = &self.runtime {
            // Its guardian ends the trees; what it cannot find is ended below.
            signal(Pid(child.id()), Signal::SIGKILL);
            self.reap()?;
        }
        if self.watch(Duration::from_secs(2), || self.census().len() == 0).await.is_none() {
            let kill_all = || {
                let left = self.census();
                left.kill();
                left.len() == 0
            };
            let ended = self.watch(Duration::from_secs(5), kill_all).await;
            must(ended.is_some(), "what the demo started does not end")?;
        }
        // The guardian may write its last line while the folder is being removed.
        let folder = self.folder().to_owned();
        let removed = || fs::remove_dir_all(&folder).is_ok() || !folder.exists();
        match self.watch(Duration::from_secs(2), removed).await {
            Some(_) => Ok(()),
            None => Err(Failure::Demo(format!("{} could not be removed", folder.display()))),
        }
    }

    fn last_lines(&self) -> String {
        let text = fs::read(self.log()).unwrap_or_default();
        let text = String::from_utf8_lossy(&text).into_owned();
        let lines: Vec<&str> = text.lines().collect();
        lines.iter().rev().take(12).rev().map(|line| format!("  | {line}")).collect::<Vec<_>>().join("\n")
    }
}

/// A condition of the demo that must hold.
pub fn must(holds: bool, what: impl Into<String>) -> Result<(), Failure> {
    if holds { Ok(()) } else { Err(Failure::Demo(what.into())) }
}
