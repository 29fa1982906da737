//! The hold of a run that outlives its runtime: a shim that stays, and in the cgroup layer a cgroup around its tree.

use std::{io, path::PathBuf};

use nix::sys::signal::Signal;

use super::{Hold, KeeperInfo, Place, Starting, cgroup::CgroupHold, shim::Held};
use crate::{
    ids::{Pid, RunId, ServiceName},
    os::{keep::record, proc::ProcessIdentity, shim::link::Link, spawn::SpawnRequest},
};

/// One kept run's hold.
#[derive(Debug)]
pub(super) struct KeptHold {
    held: Held,
    service: ServiceName,
    run: RunId,
    state_dir: PathBuf,
    namespace: bool,
    /// Where there is one, it says who is in the tree, and kills it by one write.
    cgroup: Option<CgroupHold>,
}

impl KeptHold {
    pub(super) fn new(
        held: Held,
        service: ServiceName,
        run: RunId,
        place: &Place,
        namespace: bool,
        cgroup: Option<PathBuf>,
    ) -> Self {
        let state_dir = place.state_dir.clone();
        let cgroup = cgroup.map(|path| CgroupHold::new(path, state_dir.clone()));
        Self { held, service, run, state_dir, namespace, cgroup }
    }

    /// Who takes every orphan of the tree: the shim, with or without a cgroup around the tree.
    pub(super) fn reaper(&self) -> Option<Pid> {
        self.held.reaper()
    }

    pub(super) fn is(&self, service: &ServiceName, run: RunId) -> bool {
        self.service == *service && self.run == run
    }
}

impl Hold for KeptHold {
    fn spawn<'a>(&'a self, request: &'a SpawnRequest) -> Starting<'a> {
        Box::pin(self.held.spawn(request))
    }

    fn marker(&self) -> Option<(String, String)> {
        Some(self.held.tree().marker())
    }

    fn set_main(&self, pid: Pid) {
        self.held.tree().set_main(pid);
        if let Some(cgroup) = &self.cgroup {
            cgroup.set_main(pid);
        }
    }

    fn members(&self) -> io::Result<Vec<Pid>> {
        self.cgroup.as_ref().map_or_else(|| self.held.members(), Hold::members)
    }

    fn signal(&self, signal: Signal) -> io::Result<usize> {
        let Some(cgroup) = &self.cgroup else { return self.held.signal(signal) };
        // Who ends of it is told by the shim, also when somebody has stopped that.
        self.held.link().into_iter().for_each(Link::wake);
        cgroup.signal(signal)
    }

    fn kill(&self) -> io::Result<()> {
        // The shim as well: it reaches who has not entered the cgroup yet.
        let by_shim = self.held.kill();
        self.cgroup.as_ref().map_or(by_shim, Hold::kill)
    }

    fn is_empty(&self) -> io::Result<bool> {
        self.cgroup.as_ref().map_or_else(|| self.held.is_empty(), Hold::is_empty)
    }

    fn remove(&self) -> io::Result<()> {
        if let Some(cgroup) = &self.cgroup {
            cgroup.remove()?;
        }
        self.held.remove()?;
        record::clear(&self.state_dir, self.run);
        Ok(())
    }

    fn trouble(&self) -> Option<String> {
        self.held.trouble()
    }

    fn describe(&self) -> String {
        self.cgroup.as_ref().map_or_else(|| self.held.tree().name().to_owned(), Hold::describe)
    }

    fn log_trouble(&self) -> Option<String> {
        self.held.link().and_then(Link::log_trouble)
    }

    fn keeper(&self) -> Option<KeeperInfo> {
        let shim = ProcessIdentity::of(self.held.link()?.pid()?).ok()?;
        let cgroup = self.cgroup.as_ref().map(|cgroup| cgroup.path().to_owned());
        Some(KeeperInfo { shim, cgroup, namespace: self.namespace })
    }

    fn release(&self) {
        if let Some(link) = self.held.link() {
            Link::let_go(link);
        }
    }
}
