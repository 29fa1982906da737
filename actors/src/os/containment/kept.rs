//! The containment of a runtime some of whose runs may outlive it.
//!
//! Runs that end with the runtime are held as the layer in force holds them. Those to be kept have a shim of their own
//! that does not watch the runtime, in every layer; in the cgroup layer their trees are also in cgroups, but outside of
//! the runtime's own unit and of its root, so that neither the unit's end nor the guardian's ends them. Whether there is
//! such a place is proven when the first such run is wanted.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, OnceLock, Weak},
};

use super::{
    Containment, ContainmentError, ContainmentKind, Hold, Place,
    best_effort::{Tree, lock},
    kept_hold::KeptHold,
    location::{self, CgroupProblem},
    probe,
    shim::Held,
};
use crate::{
    cause::chain,
    ids::{Pid, RunId, ServiceName},
    os::{
        keep::{Adoptable, place, record},
        proc::ProcessIdentity,
        roots::Roots,
        running::{Running, ShimChild},
        shim::{
            link::Link,
            nursery::Nursery,
            wire::{KeepOrders, ShimOrders},
        },
        spawn::Spawned,
    },
    spec::ServiceLogSpec,
};

/// Why no run can be kept here.
#[derive(Debug, thiserror::Error)]
pub enum KeepRefused {
    /// The service manager would end it.
    #[error("the runtime is in the unit `{unit}`, and everything in that is ended with it")]
    InUnit {
        /// The unit.
        unit: String,
    },
    /// There is no cgroup outside of the unit.
    #[error("kept services must live outside of the runtime's own unit, and {} cannot be used for that", path.display())]
    NoPlace {
        /// Where they would live.
        path: PathBuf,
        /// Why they cannot.
        #[source]
        source: CgroupProblem,
    },
    /// The folder of the sockets or the cgroups cannot be made.
    #[error("cannot make {}", path.display())]
    NotMade {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// There is nobody to hold it.
    #[error("process trees are held by best effort here, and nobody would hold a kept service")]
    NoShims,
}

impl KeepRefused {
    /// What to do about it.
    #[must_use]
    pub fn remedy(&self) -> &'static str {
        match self {
            Self::InUnit { .. } | Self::NoPlace { .. } => {
                "set stop.on_runtime_exit = \"stop\"; or start the runtime where it may make cgroups beside its own unit: \
                 as root, or as a unit of the user's own service manager (systemd-run --user --scope -p Delegate=yes)"
            }
            Self::NotMade { .. } => "see the state dir's permissions and the room on its disk",
            Self::NoShims => {
                "set stop.on_runtime_exit = \"stop\"; or make cgroups or a guardian possible, see `greenroom doctor`"
            }
        }
    }
}

/// Where kept runs live.
#[derive(Debug)]
enum Ground {
    /// In cgroups below this one.
    Cgroups(PathBuf),
    /// Below their shims alone.
    Shims { namespace: bool },
}

/// All trees of one incarnation, and those that outlive it.
#[derive(Debug)]
pub struct KeepingContainment {
    others: Arc<dyn Containment>,
    place: Place,
    nursery: Nursery,
    logs: ServiceLogSpec,
    ground: OnceLock<Result<Ground, Arc<KeepRefused>>>,
    /// For those who only look: who holds a run has it, and gives it back or lets go of it.
    holds: Mutex<Vec<Weak<KeptHold>>>,
}

impl KeepingContainment {
    /// Around the layer in force. `logs` is how shims rotate the logs.
    #[must_use]
    pub fn new(others: Arc<dyn Containment>, place: Place, nursery: Nursery, logs: ServiceLogSpec) -> Self {
        Self { others, place, nursery, logs, ground: OnceLock::new(), holds: Mutex::default() }
    }

    /// Finds the place for kept runs and proves it; the second time it knows. Blocks for some milliseconds.
    ///
    /// # Errors
    /// When nothing can be kept here.
    pub fn prepare(&self) -> Result<(), Arc<KeepRefused>> {
        self.ground().map(drop)
    }

    fn ground(&self) -> Result<&Ground, Arc<KeepRefused>> {
        let find = || find_ground(self.others.kind(), &self.place).map_err(Arc::new);
        self.ground.get_or_init(find).as_ref().map_err(Arc::clone)
    }

    fn orders(&self, service: &ServiceName, run: RunId, namespace: bool, cgroup: Option<&Path>) -> ShimOrders {
        let keep = KeepOrders {
            state_dir: self.place.state_dir.clone(),
            service: service.clone(),
            run,
            log_max_size: self.logs.max_size.0,
            log_keep: self.logs.keep,
            own_cgroup: cgroup.and_then(Path::parent).map(place::shims),
            tree_cgroup: cgroup.map(Path::to_owned),
        };
        ShimOrders { namespace, keep: Some(keep) }
    }

    /// The name in the registry of one that is in no cgroup.
    fn name_of(&self, service: &ServiceName, run: RunId) -> String {
        format!("shim:{}/{service}.{run}", place::root_name(&self.place.instance))
    }

    /// The hold of a kept run.
    fn find(&self, service: &ServiceName, run: RunId) -> Option<Arc<KeptHold>> {
        lock(&self.holds).iter().filter_map(Weak::upgrade).find(|hold| hold.is(service, run))
    }

    fn note(&self, hold: KeptHold) -> Arc<KeptHold> {
        let hold = Arc::new(hold);
        let mut holds = lock(&self.holds);
        holds.retain(|hold| hold.strong_count() > 0);
        holds.push(Arc::downgrade(&hold));
        hold
    }
}

impl Containment for KeepingContainment {
    fn kind(&self) -> ContainmentKind {
        self.others.kind()
    }

    fn open(&self, service: &ServiceName, run: RunId) -> Result<Box<dyn Hold>, ContainmentError> {
        self.others.open(service, run)
    }

    fn open_kept(&self, service: &ServiceName, run: RunId) -> Result<Arc<dyn Hold>, ContainmentError> {
        let failed = |operation, path: &Path, source| ContainmentError { operation, path: path.to_owned(), source };
        let refused = |why: Arc<KeepRefused>| {
            let source = io::Error::other(format!("{}; {}", chain(why.as_ref()), why.remedy()));
            failed("find a place to keep it, for", &self.place.state_dir, source)
        };
        let (namespace, cgroup, name) = match self.ground().map_err(refused)? {
            Ground::Shims { namespace } => (*namespace, None, self.name_of(service, run)),
            Ground::Cgroups(root) => {
                let cgroup = root.join(place::run_name(service, run));
                // Both may have gone with the last kept run.
                fs::create_dir_all(place::shims(root)).map_err(|e| failed("create the cgroup", root, e))?;
                fs::create_dir(&cgroup).map_err(|e| failed("create the cgroup", &cgroup, e))?;
                let name = cgroup.display().to_string();
                (false, Some(cgroup), name)
            }
        };
        let orders = self.orders(service, run, namespace, cgroup.as_deref());
        let tree = Tree::new(name, run, &self.place.state_dir);
        let held = Held::new(tree, self.nursery.clone(), orders, cgroup.clone());
        Ok(self.note(KeptHold::new(held, service.clone(), run, &self.place, namespace, cgroup)))
    }

    fn take_over(&self, run: Adoptable) -> io::Result<(Arc<dyn Hold>, Spawned)> {
        let Adoptable { entry, socket, shim, main } = run;
        let kept = entry.kept.ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?;
        let ((stdout, far_stdout), (stderr, far_stderr)) =
            super::shim::pipe().and_then(|out| Ok((out, super::shim::pipe()?)))?;
        let readers = [rustix::fd::AsFd::as_fd(&far_stdout), rustix::fd::AsFd::as_fd(&far_stderr)];
        let (link, ended) = Link::take_over(socket, shim, readers).map_err(io::Error::other)?;
        let running = Running::of_shim(ShimChild::new(stdout, stderr, ended)?);
        let tree = Tree::new(entry.hold, entry.run, &self.place.state_dir);
        let orders = self.orders(&entry.service, entry.run, kept.namespace, kept.cgroup.as_deref());
        let held = Held::taken_over(tree, self.nursery.clone(), orders, kept.cgroup.clone(), link);
        let hold = self.note(KeptHold::new(held, entry.service, entry.run, &self.place, kept.namespace, kept.cgroup));
        hold.set_main(entry.main.pid);
        Ok((hold, Spawned { running, pidfd: main, pid: entry.main.pid }))
    }

    fn members(&self, service: &ServiceName, run: RunId) -> io::Result<Vec<Pid>> {
        self.find(service, run).map_or_else(|| self.others.members(service, run), |hold| hold.members())
    }

    fn reaper(&self, service: &ServiceName, run: RunId) -> Option<Pid> {
        self.find(service, run).map_or_else(|| self.others.reaper(service, run), |hold| hold.reaper())
    }

    fn kill_all(&self) -> io::Result<()> {
        self.others.kill_all()
    }

    fn close(&self) -> io::Result<()> {
        if let Some(Ok(Ground::Cgroups(root))) = self.ground.get() {
            // Each fails while a kept run goes on, and then has to.
            if fs::remove_dir(place::shims(root)).is_ok() && fs::remove_dir(root).is_ok() {
                drop(Roots::at(&self.place.state_dir).remove(root));
            }
        }
        self.others.close()
    }

    fn describe(&self) -> String {
        self.others.describe()
    }

    fn cgroup_root(&self) -> Option<PathBuf> {
        self.others.cgroup_root()
    }

    fn remains(&self) -> Vec<ProcessIdentity> {
        self.others.remains()
    }
}

/// Finds where kept runs can live, by really moving a process there where it is a cgroup.
fn find_ground(kind: ContainmentKind, place: &Place) -> Result<Ground, KeepRefused> {
    let not_made = |path: PathBuf| move |source| KeepRefused::NotMade { path, source };
    record::make_folder(&place.state_dir).map_err(not_made(record::folder(&place.state_dir)))?;
    let namespace = match kind {
        ContainmentKind::Cgroup => return find_cgroups(place).map(Ground::Cgroups),
        ContainmentKind::Shim => false,
        ContainmentKind::Namespace => true,
        ContainmentKind::BestEffort => return Err(KeepRefused::NoShims),
    };
    place::own_unit().map_or(Ok(Ground::Shims { namespace }), |unit| Err(KeepRefused::InUnit { unit }))
}

fn find_cgroups(place: &Place) -> Result<PathBuf, KeepRefused> {
    let nowhere = |path: &Path| {
        let path = path.to_owned();
        move |source| KeepRefused::NoPlace { path, source }
    };
    let own = location::own().map_err(nowhere(Path::new("/sys/fs/cgroup")))?;
    let beside = place::beside_the_unit(&own);
    probe(beside).map_err(nowhere(beside))?;
    let root = beside.join(place::root_name(&place.instance));
    let not_made = |path: &Path| {
        let path = path.to_owned();
        move |source| KeepRefused::NotMade { path, source }
    };
    Roots::at(&place.state_dir).add(&root).map_err(not_made(&place.state_dir.join("cgroup_root")))?;
    fs::create_dir_all(place::shims(&root)).map_err(not_made(&root))?;
    Ok(root)
}
