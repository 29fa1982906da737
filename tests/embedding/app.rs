//! One of the example applications, run by a test.

use std::{
    collections::BTreeSet,
    fs,
    io::{BufRead, BufReader, Write},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::{Arc, Mutex, Once, PoisonError},
    thread::{self, JoinHandle},
    time::{Duration, SystemTime},
};

use tempfile::TempDir;

use crate::common::{BIN, BOUND, Process, carrying, kill_all, random, wait_for, wait_until};

/// The example applications.
pub const APPS: [&str; 2] = ["plain", "with_tokio"];

/// A running application. Dropping it ends it and everything that it brought in.
pub struct App {
    folder: Arc<TempDir>,
    tag: String,
    child: Child,
    said: Arc<Mutex<Vec<String>>>,
    readers: Vec<JoinHandle<()>>,
}

fn lines(said: &Mutex<Vec<String>>) -> Vec<String> {
    said.lock().unwrap_or_else(PoisonError::into_inner).clone()
}

impl App {
    /// Starts `name` to end in `way`, with its state dir in `folder`.
    pub fn start(name: &str, way: &str, folder: &Arc<TempDir>) -> Self {
        Self::start_in("auto", name, way, folder)
    }

    /// As [`start`](Self::start), with this containment.
    pub fn start_in(layer: &str, name: &str, way: &str, folder: &Arc<TempDir>) -> Self {
        let tag = format!("tag-{}-{:x}", std::process::id(), random());
        let mut command = Command::new(binary(name));
        command.arg(way).arg(folder.path().join("s"));
        command.args([BIN, "stand-in", "--port", "${port}", "--tag", &tag, "--tree", "2x2"]);
        command.env("GREENROOM__RUNTIME__CONTAINMENT", layer);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the example runs");
        let said = Arc::<Mutex<Vec<String>>>::default();
        let streams: [Option<Box<dyn std::io::Read + Send>>; 2] = [
            child.stdout.take().map(|stream| Box::new(stream) as _),
            child.stderr.take().map(|stream| Box::new(stream) as _),
        ];
        let readers = streams.into_iter().flatten().map(|stream| {
            let said = Arc::clone(&said);
            // It ends with its stream.
            thread::spawn(move || {
                for line in BufReader::new(stream).lines().map_while(Result::ok) {
                    said.lock().unwrap_or_else(PoisonError::into_inner).push(line);
                }
            })
        });
        let readers = readers.collect();
        Self { folder: Arc::clone(folder), tag, child, said, readers }
    }

    /// What it has said.
    pub fn said(&self) -> Vec<String> {
        lines(&self.said)
    }

    /// Waits for a line that begins with `start`; gives the rest of it.
    #[track_caller]
    pub fn line(&mut self, start: &str) -> String {
        let said = Arc::clone(&self.said);
        let find = || lines(&said).iter().find_map(|line| line.strip_prefix(start).map(str::to_owned));
        let (line, _) = wait_until(&format!("the application says `{start}`"), BOUND, || {
            // Looked at first: once nobody says anything any more, all that was said is there.
            let silent = self.readers.iter().all(JoinHandle::is_finished);
            let line = find();
            assert!(line.is_some() || !silent, "it ended: {:#?}", lines(&said));
            line
        });
        line.trim().to_owned()
    }

    /// Its process.
    pub fn pid(&self) -> i32 {
        i32::try_from(self.child.id()).expect("a pid")
    }

    /// Kills it as nothing else does.
    pub fn kill(&mut self) {
        self.child.kill().expect("it runs");
    }

    /// Lets it end in the way that it was started for.
    pub fn end(&mut self) {
        self.child.stdin.as_mut().expect("it is open").write_all(b"\n").expect("it reads");
    }

    /// Ends its standard input.
    pub fn close_input(&mut self) {
        drop(self.child.stdin.take());
    }

    /// Waits for its end and its last words.
    #[track_caller]
    pub fn wait(&mut self) -> ExitStatus {
        let (status, _) =
            wait_until("the application ends", BOUND, || self.child.try_wait().expect("a child of the test"));
        wait_for("all that it said is read", BOUND, || self.readers.iter().all(JoinHandle::is_finished));
        status
    }

    /// Living processes that it brought in, without itself.
    pub fn left(&self) -> Vec<Process> {
        let mut found = carrying(&self.tag, &self.roots());
        // Its guardian has the state dir on its command line.
        found.extend(carrying(&self.folder.path().display().to_string(), &BTreeSet::new()));
        found.retain(|process| process.pid != self.pid());
        found.sort();
        found.dedup();
        found
    }

    fn roots(&self) -> BTreeSet<String> {
        let said = self.said();
        said.iter()
            .filter_map(|line| line.strip_prefix("root "))
            .filter(|root| root.starts_with('/'))
            .map(str::to_owned)
            .collect()
    }

    /// Waits until nothing is left of what it brought in: processes, guardian, cgroups. Returns how long it took.
    #[track_caller]
    pub fn wait_gone(&self, bound: Duration) -> Duration {
        wait_for(&format!("nothing is left of {:?}: {:#?}", self.said(), self.left()), bound, || {
            self.left().is_empty() && !self.roots().iter().any(|root| Path::new(root).exists())
        })
    }
}

impl Drop for App {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
        kill_all(|| self.left());
    }
}

/// The example's binary, built if need be: `cargo test --test embedding` alone builds none.
fn binary(name: &str) -> PathBuf {
    static BUILT: Once = Once::new();
    let folder = Path::new(BIN).parent().expect("the target folder").join("examples");
    BUILT.call_once(|| {
        let sources =
            ["src", "actors/src", "tests/apps"].map(|part| newest(&Path::new(env!("CARGO_MANIFEST_DIR")).join(part)));
        let newest = sources.into_iter().flatten().max();
        let is_fresh = |name: &&str| fs::metadata(folder.join(name)).and_then(|about| about.modified()).ok() > newest;
        if APPS.iter().all(is_fresh) {
            return;
        }
        let mut cargo = Command::new(env!("CARGO"));
        cargo.args(["build", "--quiet", "--offline", "--examples", "--manifest-path"]);
        cargo.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml"));
        if !cfg!(debug_assertions) {
            cargo.arg("--release");
        }
        assert!(cargo.status().expect("cargo runs").success(), "the examples do not build");
    });
    folder.join(name)
}

fn newest(path: &Path) -> Option<SystemTime> {
    let about = fs::metadata(path).ok()?;
    if !about.is_dir() {
        return about.modified().ok();
    }
    fs::read_dir(path).ok()?.flatten().filter_map(|entry| newest(&entry.path())).max()
}
