//! A containment in a temporary state dir, processes in it, and waiting with a bound.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use futures_util::FutureExt;
use greenroom_actors::{
    ids::{Pid, RunId},
    os::{
        clock,
        containment::{Containment, Hold, Place, cgroup::CgroupContainment, location, tree},
        proc::{self, ProcessIdentity},
        spawn::{SpawnRequest, Spawned},
        state_dir,
    },
};
use tempfile::TempDir;
use tokio::runtime::Runtime;
use tokio_process_stream::Item;

/// Far more than anything here takes on a machine that is not broken.
pub const LONG: Duration = Duration::from_secs(20);

/// A tree of five that hides in every way: a wrapper, a plain child, one that ignores TERM, one in a new session, and
/// one that double-forked with a cleared environment.
pub const HIDING: &str = "
    sleep 987 &
    sh -c 'trap \"\" TERM HUP INT; while :; do sleep 987; done' &
    setsid sleep 987 &
    (setsid env -i sleep 987 &)
    wait; sleep 987";

/// How many processes [`HIDING`] is in the end: sleeps and shells.
pub const HIDING_COUNT: (usize, usize) = (4, 2);

/// Waits until something is so; fails the test when it does not come.
pub fn until(what: &str, done: impl FnMut() -> bool) {
    assert!(within(LONG, done), "in {LONG:?} it was never so: {what}");
}

/// Whether something is so before the bound.
pub fn within(bound: Duration, done: impl FnMut() -> bool) -> bool {
    clock::wait_until(bound, done)
}

/// A tokio runtime for one test.
pub fn runtime() -> Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a tokio runtime")
}

/// A state dir and a containment in it. Everything in it is gone when it is dropped, also by a panic.
pub struct Stage {
    pub dir: TempDir,
    pub place: Place,
    pub containment: CgroupContainment,
}

impl Stage {
    pub fn new() -> Self {
        let dir = tempfile::tempdir().expect("a folder");
        let place = place(dir.path());
        let own = location::own().expect("a cgroup of this process");
        let containment = CgroupContainment::new(&own, &place).expect("a containment");
        Self { dir, place, containment }
    }

    pub fn hold(&self) -> Box<dyn Hold> {
        self.containment.open(&"chat".parse().expect("a name"), RunId::fresh()).expect("a hold")
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        clear(self.containment.root());
    }
}

/// Names for a state dir, as a claim gives them.
pub fn place(dir: &Path) -> Place {
    let state_dir = dir.canonicalize().expect("a folder");
    let instance = state_dir::instance(&state_dir);
    Place { state_dir, instance, incarnation: "test".to_owned() }
}

/// Kills and removes a cgroup; does not panic.
pub fn clear(root: &Path) {
    within(LONG, || {
        drop(tree::kill(root));
        tree::remove(root).is_ok()
    });
}

/// A request for a shell script in a hold.
pub fn script(text: &str, hold: &dyn Hold) -> SpawnRequest {
    request(&["sh", "-c", text], hold)
}

/// A request for a command in a hold, with this process's `PATH` and the hold's marker.
pub fn request(command: &[&str], hold: &dyn Hold) -> SpawnRequest {
    let mut env = vec![("PATH".into(), std::env::var_os("PATH").unwrap_or_default())];
    env.extend(hold.marker().map(|(name, value)| (name.into(), value.into())));
    SpawnRequest {
        command: command.iter().map(|&part| part.to_owned()).collect(),
        env,
        working_dir: PathBuf::from("/"),
    }
}

/// Spawns a script and tells the hold.
pub fn start(text: &str, hold: &dyn Hold) -> Spawned {
    let spawned = hold.spawn(&script(text, hold)).now_or_never().expect("at once").expect("spawned");
    hold.set_main(spawned.pid);
    spawned
}

/// Identities of everybody in a hold, if there are as many sleeps and as many others as in the end. Sleeps are told by
/// name, because on the way there may be as many in all with a shell among them that is about to go.
pub fn whole(hold: &dyn Hold, (sleeps, others): (usize, usize)) -> Option<Vec<ProcessIdentity>> {
    let pids = hold.members().expect("members");
    let asleep = pids.iter().filter(|pid| proc::command(**pid) == "sleep 987").count();
    let members = identities(&pids);
    (asleep == sleeps && members.len() == sleeps + others).then_some(members)
}

/// The same, once it is so.
pub fn populated(hold: &dyn Hold, counts: (usize, usize)) -> Vec<ProcessIdentity> {
    let mut members = None;
    until("the whole tree is up", || {
        members = whole(hold, counts);
        members.is_some()
    });
    members.expect("it is up")
}

pub fn identities(pids: &[Pid]) -> Vec<ProcessIdentity> {
    pids.iter().filter_map(|pid| ProcessIdentity::of(*pid).ok()).collect()
}

pub fn survivors(processes: &[ProcessIdentity]) -> Vec<Pid> {
    processes.iter().filter(|one| one.is_alive()).map(|one| one.pid).collect()
}

/// Runs a request to its end; gives the exit code and what it wrote to stdout and stderr.
pub fn run_to_end(request: &SpawnRequest, hold: &dyn Hold) -> (Option<i32>, String, String) {
    runtime().block_on(async {
        let mut spawned = hold.spawn(request).await.expect("spawned");
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let code = loop {
            match spawned.running.next().await.expect("an end") {
                Item::Stdout(bytes) => out.extend_from_slice(&bytes),
                Item::Stderr(bytes) => err.extend_from_slice(&bytes),
                Item::Done(status) => break status.expect("a status").code(),
            }
        };
        (code, String::from_utf8_lossy(&out).into_owned(), String::from_utf8_lossy(&err).into_owned())
    })
}
