//! One runtime of a test: its folder, its process, its command line.

use std::{
    cell::RefCell,
    collections::BTreeSet,
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use nix::sys::signal::Signal;
use serde_json::Value;
use tempfile::TempDir;

use super::{
    cli::code,
    layer::Layer,
    ports::Ports,
    processes::{self, kill_all},
    wait::{BOUND, pause, random, wait_for, wait_until},
};

/// The program under test.
pub const BIN: &str = env!("CARGO_BIN_EXE_greenroom");

/// The variable that leaves out the gateway, with its value.
const NO_GATEWAY: (&str, &str) = ("GREENROOM__GATEWAY__LISTEN", "[]");

/// A runtime under test. Dropping it ends it and all that it started, by force, and removes its files.
pub struct Greenroom {
    layer: Layer,
    /// The program under test, where the layer's user can reach it.
    bin: String,
    folder: TempDir,
    pub(super) tag: String,
    ports: Ports,
    runtime: RefCell<Option<Child>>,
    /// Cgroups that runtimes of this test had.
    pub(super) roots: RefCell<BTreeSet<String>>,
}

impl Greenroom {
    /// A folder, ports and a tag of its own; nothing runs yet.
    pub fn new() -> Self {
        Self::in_layer(Layer::Cgroup)
    }

    /// The same, with another way of holding process trees.
    pub fn in_layer(layer: Layer) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        // Short: a socket's path has 107 bytes at most.
        let folder = tempfile::Builder::new().prefix("gr").rand_bytes(6).tempdir().expect("a temporary folder");
        // Not the folder's name: the runtime itself has that in its command line.
        let tag = format!("tag-{}-{}-{:x}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed), random());
        let (runtime, roots) = (RefCell::default(), RefCell::default());
        layer.give(folder.path());
        let bin = layer.reachable(BIN, folder.path());
        Self { layer, bin, folder, tag, ports: Ports::claim(), runtime, roots }
    }

    /// A runtime with this configuration (see [`Self::configure`]), started.
    #[track_caller]
    pub fn running(config: impl FnOnce(&Self) -> String) -> Self {
        Self::running_in(Layer::Cgroup, config)
    }

    /// The same, with another way of holding process trees.
    #[track_caller]
    pub fn running_in(layer: Layer, config: impl FnOnce(&Self) -> String) -> Self {
        let greenroom = Self::in_layer(layer);
        greenroom.configure(&config(&greenroom));
        greenroom.start();
        greenroom
    }

    /// The test's folder.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The state dir.
    pub fn state_dir(&self) -> PathBuf {
        self.folder().join("s")
    }

    /// The configuration file.
    pub fn config_file(&self) -> PathBuf {
        self.folder().join("greenroom.toml")
    }

    /// The control socket.
    pub fn socket(&self) -> PathBuf {
        self.state_dir().join("greenroom.sock")
    }

    /// A port that nobody else uses, `n` from 0 to 5.
    pub fn port(&self, n: u16) -> u16 {
        self.ports.own(n)
    }

    /// The ports that this test's runtime may hand out, as `runtime.ports` takes them.
    pub fn port_range(&self) -> String {
        self.ports.range()
    }

    /// The first port that this test's runtime may hand out.
    pub fn first_port(&self) -> u16 {
        self.ports.first()
    }

    /// The word that every process of `service` carries.
    pub fn tag(&self, service: &str) -> String {
        format!("{}.{service}.", self.tag)
    }

    /// A stand-in's command as TOML, with the service's tag and name and these options, separated by blanks.
    pub fn stand_in(&self, service: &str, options: &str) -> String {
        let tag = self.tag(service);
        let fixed = [&self.bin, "stand-in", "--name", service, "--tag", &tag];
        toml_array(fixed.into_iter().chain(options.split_whitespace()))
    }

    /// Words as a TOML array.
    pub fn words(&self, words: &[&str]) -> String {
        toml_array(words.iter().copied())
    }

    /// A stand-in's command as a word list for a shell.
    pub fn stand_in_line(&self, service: &str, options: &str) -> String {
        format!("{} stand-in --name {service} --tag {} {options}", self.bin, self.tag(service))
    }

    /// A shell's command as TOML.
    pub fn shell(&self, script: &str) -> String {
        toml_array(["/bin/sh", "-c", script])
    }

    /// Writes the configuration: `[runtime]` with this test's folder and ports, then `text`.
    pub fn configure(&self, text: &str) {
        let head = format!("[runtime]\nstate_dir = \"s\"\nports = \"{}\"\n{}", self.ports.range(), self.layer.config());
        self.write_config(format!("{head}\n{text}"));
    }

    /// Writes the configuration as it stands.
    pub fn write_config(&self, text: impl AsRef<[u8]>) {
        fs::write(self.config_file(), text).expect("the test's folder is writable");
    }

    /// Starts the runtime and waits until it answers; its services may still be on their way.
    #[track_caller]
    pub fn start(&self) {
        self.spawn();
        self.wait_answers();
    }

    /// Starts the runtime with other arguments and variables than usual and waits until it answers.
    #[track_caller]
    pub fn start_as(&self, adjust: impl FnOnce(&mut Command)) {
        self.spawn_as(adjust);
        self.wait_answers();
    }

    #[track_caller]
    fn wait_answers(&self) {
        wait_for("the runtime answers", BOUND, || {
            if let Some(status) = self.exited() {
                panic!("the runtime ended with {status}:\n{}", self.output());
            }
            self.try_status().is_some()
        });
    }

    /// Starts the runtime and waits for nothing.
    pub fn spawn(&self) {
        self.spawn_as(|command| {
            command.args(["run", "-c"]).arg(self.config_file());
        });
    }

    fn spawn_as(&self, adjust: impl FnOnce(&mut Command)) {
        assert!(self.runtime.borrow().is_none(), "one runtime at a time");
        let log = File::options().append(true).create(true).open(self.log()).expect("the test's folder is writable");
        let mut command = self.command();
        adjust(&mut command);
        self.without_gateway(&mut command);
        command.stdin(Stdio::null()).stdout(log.try_clone().expect("a descriptor")).stderr(log);
        *self.runtime.borrow_mut() = Some(command.spawn().expect("the binary under test runs"));
    }

    /// The binary, in the test's folder and without the environment's own settings.
    pub(super) fn command(&self) -> Command {
        let mut command = Command::new(&self.bin);
        self.layer.dress(&mut command);
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("GREENROOM_") {
                command.env_remove(name);
            }
        }
        command.current_dir(self.folder());
        self.without_gateway(&mut command);
        command
    }

    /// No gateway unless the test's file speaks of it or the test sets it: all runtimes of all tests would want one port.
    fn without_gateway(&self, command: &mut Command) {
        let text = fs::read_to_string(self.config_file()).unwrap_or_default();
        let speaks = text.lines().any(|line| line.starts_with("[gateway") || line.starts_with("gateway"));
        if !speaks && !command.get_envs().any(|(name, _)| name == NO_GATEWAY.0) {
            command.env(NO_GATEWAY.0, NO_GATEWAY.1);
        }
    }

    fn log(&self) -> PathBuf {
        self.folder().join("out.log")
    }

    /// All that runtimes of this test have printed.
    pub fn output(&self) -> String {
        String::from_utf8_lossy(&fs::read(self.log()).unwrap_or_default()).into_owned()
    }

    /// The runtime's process.
    #[track_caller]
    pub fn pid(&self) -> i32 {
        self.runtime.borrow().as_ref().expect("a runtime was started").id() as i32
    }

    /// How the runtime ended, if it has.
    pub fn exited(&self) -> Option<ExitStatus> {
        self.runtime.borrow_mut().as_mut()?.try_wait().expect("the runtime is a child of the test")
    }

    /// Waits for the runtime's end; returns its exit status (128 + the number for a signal) and the time it took.
    #[track_caller]
    pub fn wait(&self, bound: Duration) -> (i32, Duration) {
        let (status, took) = wait_until("the runtime ends", bound, || self.exited());
        *self.runtime.borrow_mut() = None;
        (code(status), took)
    }

    /// Sends the runtime a signal.
    pub fn signal(&self, signal: Signal) {
        processes::signal(self.pid(), signal);
    }

    /// SIGKILL to the runtime, and waits until it is gone (not for its guardian).
    pub fn kill(&self) {
        self.signal(Signal::SIGKILL);
        self.wait(BOUND);
    }

    /// Ordered stop by the command line; fails the test unless it ends with exit status 0.
    #[track_caller]
    pub fn shutdown_clean(&self) {
        let code = self.shutdown();
        assert_eq!(code, 0, "the end was not clean:\n{}", self.output());
    }

    /// Ordered stop by the command line; returns the runtime's exit status.
    #[track_caller]
    pub fn shutdown(&self) -> i32 {
        self.cli(&["shutdown"]);
        self.wait(Duration::from_secs(60)).0
    }
}

impl Drop for Greenroom {
    fn drop(&mut self) {
        if let Some(mut runtime) = self.runtime.borrow_mut().take() {
            runtime.kill().ok();
            runtime.wait().ok();
        }
        kill_all(|| self.everything());
        for root in self.roots() {
            remove_cgroup(Path::new(&root));
        }
        let output = self.output();
        // More than once: something that has just been killed may have been writing.
        for _ in 0..100 {
            fs::remove_dir_all(self.folder()).ok();
            if !self.folder().exists() {
                break;
            }
            pause(Duration::from_millis(20));
        }
        if !std::thread::panicking() {
            assert!(!output.contains("panicked at"), "the runtime panicked:\n{output}");
        }
    }
}

/// Removes a cgroup and those below it; what is gone already is fine.
fn remove_cgroup(path: &Path) {
    for entry in fs::read_dir(path).into_iter().flatten().flatten() {
        if entry.path().is_dir() {
            remove_cgroup(&entry.path());
        }
    }
    fs::remove_dir(path).ok();
}

fn toml_array<'a>(words: impl IntoIterator<Item = &'a str>) -> String {
    // JSON strings are TOML strings for all that stands in a command here.
    Value::from(words.into_iter().collect::<Vec<_>>()).to_string()
}
