//! Containment without the kernel's help: a tree is found by session, by descent and by a variable in its environment.
//!
//! Used only where no cgroup can be had and the config accepts it. What gets away: a process that is in a new session,
//! *and* whose parent has ended before it was seen here, *and* that cleared or overwrote its environment. A fork storm
//! may outrun it. Nothing of it is ended when the runtime and the guardian are killed at once; the next start sweeps by
//! registry and variable.
//!
//! Once seen, a member stays one, whatever it does to itself later: it is remembered by pid and start time.

use std::{
    collections::BTreeMap,
    future::ready,
    io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use nix::sys::signal::Signal;

use super::{Containment, ContainmentError, ContainmentKind, Hold, Place, Starting};
use crate::{
    ids::{Pid, RunId, ServiceName},
    os::{
        pidfd,
        proc::{self, Stat},
        spawn::{SpawnRequest, spawn},
    },
};

/// The variable that marks a run's processes; its value is `<run>@<state dir>`.
pub const RUN_MARKER: &str = "GREENROOM_RUN";

/// Rounds of a kill: each one finds what the one before has left behind or let be born.
const ROUNDS: usize = 8;

/// All trees of one incarnation.
#[derive(Debug)]
pub struct BestEffortContainment {
    root: String,
    state_dir: PathBuf,
    holds: Mutex<Vec<Arc<Tree>>>,
}

impl BestEffortContainment {
    /// Takes no resource.
    #[must_use]
    pub fn new(place: &Place) -> Self {
        Self { root: place.root_name(), state_dir: place.state_dir.clone(), holds: Mutex::default() }
    }
}

impl BestEffortContainment {
    fn name_of(&self, service: &ServiceName, run: RunId) -> String {
        format!("{}/{service}.{run}", self.root)
    }
}

impl Containment for BestEffortContainment {
    fn kind(&self) -> ContainmentKind {
        ContainmentKind::BestEffort
    }

    fn open(&self, service: &ServiceName, run: RunId) -> Result<Box<dyn Hold>, ContainmentError> {
        let tree = Arc::new(Tree::new(self.name_of(service, run), run, &self.state_dir));
        let mut holds = lock(&self.holds);
        // Those of whom nobody else knows any more have been given back.
        holds.retain(|hold| Arc::strong_count(hold) > 1);
        holds.push(Arc::clone(&tree));
        Ok(Box::new(BestEffortHold(tree)))
    }

    fn members(&self, service: &ServiceName, run: RunId) -> io::Result<Vec<Pid>> {
        let name = self.name_of(service, run);
        let hold = lock(&self.holds).iter().find(|hold| hold.name == name).cloned();
        hold.ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))?.members()
    }

    fn kill_all(&self) -> io::Result<()> {
        let holds = lock(&self.holds).clone();
        holds.iter().try_for_each(|hold| hold.kill())
    }

    fn close(&self) -> io::Result<()> {
        for hold in lock(&self.holds).iter() {
            if !hold.members()?.is_empty() {
                return Err(io::Error::new(io::ErrorKind::ResourceBusy, format!("{} is not empty", hold.name)));
            }
        }
        Ok(())
    }

    fn describe(&self) -> String {
        format!("{}: no cgroup; session, descent and environment", self.root)
    }
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing below can panic while a lock is held, so a poisoned one still guards whole data.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// One run's processes, found without anybody who holds them. Also what is left to a shim's hold once its shim is dead.
#[derive(Debug)]
pub(super) struct Tree {
    name: String,
    marker: String,
    seen: Mutex<Seen>,
}

/// What is known from earlier looks.
#[derive(Debug, Default)]
struct Seen {
    /// Also the number of the session it made. `None` before the start, and once everybody has ended: then both may
    /// be given to strangers.
    main: Option<Pid>,
    /// Start times of members seen alive.
    members: BTreeMap<Pid, u64>,
}

impl Tree {
    pub(super) fn new(name: String, run: RunId, state_dir: &Path) -> Self {
        Self { name, marker: format!("{run}@{}", state_dir.display()), seen: Mutex::default() }
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// The variable that its processes are started with.
    pub(super) fn marker(&self) -> (String, String) {
        (RUN_MARKER.to_owned(), self.marker.clone())
    }

    /// Its main process, which leads a session of its own.
    pub(super) fn set_main(&self, pid: Pid) {
        // Nobody is 0, but the kernel's own processes are in a session of that number.
        lock(&self.seen).main = Some(pid).filter(|pid| pid.0 != 0);
    }

    /// Takes note of members that somebody else has found.
    pub(super) fn remember(&self, members: &[(Pid, Stat)]) {
        lock(&self.seen).members = members.iter().map(|(pid, stat)| (*pid, stat.start_time)).collect();
    }

    pub(super) fn members(&self) -> io::Result<Vec<Pid>> {
        let table = proc::table()?;
        let mut seen = lock(&self.seen);
        let variable = format!("{RUN_MARKER}={}", self.marker);
        let found = find(&table, &seen, |pid| proc::any_variable(pid, |entry| entry == variable.as_bytes()));
        if found.is_empty() {
            seen.main = None;
        }
        let members = found.keys().copied().collect();
        seen.members = found;
        Ok(members)
    }

    pub(super) fn signal(&self, signal: Signal) -> io::Result<usize> {
        self.members()?;
        let members = lock(&self.seen).members.clone();
        let mut told = 0;
        for (pid, start_time) in members {
            let Ok(fd) = pidfd::open(pid) else { continue };
            if proc::stat(pid).is_ok_and(|stat| stat.start_time == start_time) && pidfd::send(fd, signal)? {
                told += 1;
            }
        }
        Ok(told)
    }

    pub(super) fn kill(&self) -> io::Result<()> {
        // Stopped first, so that none can start another while its siblings are being killed.
        self.signal(Signal::SIGSTOP)?;
        for _ in 0..ROUNDS {
            if self.signal(Signal::SIGKILL)? == 0 {
                break;
            }
        }
        Ok(())
    }
}

/// Who belongs to the tree: remembered, in the session, marked, or descending from one of these. Pure but for `marked`.
fn find(table: &[(Pid, Stat)], seen: &Seen, marked: impl Fn(Pid) -> bool) -> BTreeMap<Pid, u64> {
    let is_known = |pid: &Pid, stat: &Stat| seen.members.get(pid) == Some(&stat.start_time);
    let in_session = |pid: &Pid, stat: &Stat| seen.main.is_some_and(|main| *pid == main || stat.session == main);
    let certain = table.iter().filter(|(pid, stat)| is_known(pid, stat) || in_session(pid, stat) || marked(*pid));
    let certain: Vec<Pid> = certain.map(|(pid, _)| *pid).collect();
    let descendants = proc::descendants(table, &certain);
    let belongs = |pid: &Pid| certain.contains(pid) || descendants.contains(pid);
    let living = table.iter().filter(|(pid, stat)| stat.is_alive() && belongs(pid));
    living.map(|(pid, stat)| (*pid, stat.start_time)).collect()
}

/// One run's hold.
#[derive(Debug)]
struct BestEffortHold(Arc<Tree>);

impl Hold for BestEffortHold {
    fn spawn<'a>(&'a self, request: &'a SpawnRequest) -> Starting<'a> {
        // `__exec` makes the session in any case.
        Box::pin(ready(spawn(request, &[])))
    }

    fn marker(&self) -> Option<(String, String)> {
        Some(self.0.marker())
    }

    fn set_main(&self, pid: Pid) {
        self.0.set_main(pid);
    }

    fn members(&self) -> io::Result<Vec<Pid>> {
        self.0.members()
    }

    fn signal(&self, signal: Signal) -> io::Result<usize> {
        self.0.signal(signal)
    }

    fn kill(&self) -> io::Result<()> {
        self.0.kill()
    }

    fn is_empty(&self) -> io::Result<bool> {
        self.0.members().map(|members| members.is_empty())
    }

    fn remove(&self) -> io::Result<()> {
        if self.is_empty()? { Ok(()) } else { Err(io::Error::from(io::ErrorKind::ResourceBusy)) }
    }

    fn describe(&self) -> String {
        self.0.name.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn process(pid: u32, parent: u32, session: u32) -> (Pid, Stat) {
        let stat = Stat { state: 'S', parent: Pid(parent), session: Pid(session), start_time: 7, resident_pages: 0 };
        (Pid(pid), stat)
    }

    fn pids(found: &BTreeMap<Pid, u64>) -> Vec<u32> {
        found.keys().map(|pid| pid.0).collect()
    }

    #[test]
    fn session_descent_and_marker_each_find_a_member() {
        let table =
            [process(10, 1, 10), process(11, 1, 10), process(12, 11, 12), process(13, 1, 13), process(14, 1, 1)];
        let seen = Seen { main: Some(Pid(10)), members: BTreeMap::new() };
        assert_eq!(pids(&find(&table, &seen, |pid| pid == Pid(13))), [10, 11, 12, 13]);
    }

    #[test]
    fn a_member_once_seen_stays_one_and_its_id_alone_does_not_count() {
        let seen = Seen { main: None, members: BTreeMap::from([(Pid(20), 7), (Pid(21), 6)]) };
        let table = [process(20, 1, 20), process(21, 1, 21)];
        assert_eq!(pids(&find(&table, &seen, |_| false)), [20]);
    }

    #[test]
    fn the_dead_do_not_count_but_lead_to_their_children() {
        let mut zombie = process(10, 1, 10);
        zombie.1.state = 'Z';
        let seen = Seen { main: Some(Pid(10)), members: BTreeMap::new() };
        assert_eq!(pids(&find(&[zombie, process(11, 10, 11)], &seen, |_| false)), [11]);
    }
}
