//! What a shim does besides, when its run is to outlive the runtime: it pumps the output, listens for the next runtime,
//! and writes down how the run ended.

use std::{
    fs::OpenOptions,
    io::{self, Write},
    os::fd::{AsFd, OwnedFd},
    time::Duration,
};

use rustix::event::{PollFd, PollFlags};

use super::{
    pump::Pump,
    wire::{FromShim, KeepOrders},
};
use crate::{
    os::{
        clock,
        containment::tree,
        keep::{handover, record, record::EndRecord},
        service_log::{LogFile, log_dir},
    },
    spec::ServiceLogSpec,
    units::ByteSize,
};

/// How long a cgroup that nobody lives in any more may resist its removal: it counts as populated for a moment longer.
const REMOVED_WITHIN: Duration = Duration::from_secs(1);

/// The keeping half of a shim.
#[derive(Debug)]
pub(in crate::os) struct Keeper {
    orders: KeepOrders,
    pump: Pump,
    listener: OwnedFd,
    attached: bool,
    /// What the runtime knows of the log's trouble.
    told: Option<String>,
}

impl Keeper {
    /// Leaves the runtime's unit and opens the socket for the next runtime. The one that gave the orders is attached.
    ///
    /// # Errors
    /// When it could not keep what it is about to hold.
    pub(in crate::os) fn new(orders: KeepOrders) -> io::Result<Self> {
        if let Some(cgroup) = &orders.own_cgroup {
            let join = || OpenOptions::new().write(true).open(cgroup.join("cgroup.procs"))?.write_all(b"0");
            join().map_err(|error| said("its shim cannot leave the runtime's unit", &error))?;
        }
        let listener = handover::listen(&orders.state_dir, orders.run)
            .map_err(|error| said("the socket for the next runtime cannot be made", &error))?;
        let spec = ServiceLogSpec { max_size: ByteSize(orders.log_max_size), keep: orders.log_keep };
        let log = LogFile::new(log_dir(&orders.state_dir, &orders.service), spec);
        Ok(Self { orders, pump: Pump::new(log), listener, attached: true, told: None })
    }

    /// The pipes that the main process is to write to: output, errors. `readers` get a copy.
    ///
    /// # Errors
    /// When the kernel has no descriptors left.
    pub(in crate::os) fn open(&mut self, readers: [OwnedFd; 2]) -> io::Result<[OwnedFd; 2]> {
        self.pump.attach(readers)?;
        self.pump.open()
    }

    /// What the next poll has to watch besides.
    pub(in crate::os) fn watched(&self) -> impl Iterator<Item = PollFd<'_>> {
        let listener = PollFd::from_borrowed_fd(self.listener.as_fd(), PollFlags::IN);
        std::iter::once(listener).chain(self.pump.watched())
    }

    /// Does what can be done without waiting. Gives the socket of a runtime that has come, if there was none; a second
    /// one is sent away.
    pub(in crate::os) fn turn(&mut self) -> Option<OwnedFd> {
        self.pump.turn();
        let socket = handover::accept(&self.listener)?;
        if self.attached {
            return None;
        }
        self.attached = true;
        Some(socket)
    }

    /// The state of the log, when it is another than the runtime knows.
    pub(in crate::os) fn news_of_log(&mut self) -> Option<FromShim> {
        let trouble = self.pump.trouble();
        if !self.attached || trouble == self.told.as_deref() {
            return None;
        }
        self.told = trouble.map(str::to_owned);
        Some(FromShim::Log { trouble: self.told.clone() })
    }

    /// Copies the output to the runtime that is here now.
    ///
    /// # Errors
    /// When its pipes cannot be written to without waiting; then only the log gets it.
    pub(in crate::os) fn attach(&mut self, readers: [OwnedFd; 2]) -> io::Result<()> {
        self.pump.attach(readers)
    }

    /// The runtime is gone: nobody reads along, and the next one may come.
    pub(in crate::os) fn detach(&mut self) {
        self.attached = false;
        self.told = None;
        self.pump.detach();
    }

    /// The main process has ended with this status, as `waitpid` gives it.
    pub(in crate::os) fn main_ended(&mut self, status: i32) {
        self.pump.turn();
        let KeepOrders { run, service, .. } = &self.orders;
        let record = EndRecord { run: *run, service: service.clone(), status, at: clock::wall() };
        // On a full disk the next runtime learns that it has ended, but not how.
        drop(record.write(&self.orders.state_dir));
    }

    /// Kills whatever of the tree the shim's own means do not reach.
    pub(in crate::os) fn kill(&self) {
        if let Some(cgroup) = &self.orders.tree_cgroup {
            // Failing means that it is gone, or shows in the removal.
            drop(tree::kill(cgroup));
        }
    }

    /// Nobody is left: the last of the output goes to the log. Without a runtime to do it, the cgroup is given back. The
    /// record stays.
    pub(in crate::os) fn finish(mut self) {
        self.pump.finish();
        if let Some(cgroup) = self.orders.tree_cgroup.as_ref().filter(|_| !self.attached) {
            clock::wait_until(REMOVED_WITHIN, || tree::kill(cgroup).and_then(|()| tree::remove(cgroup)).is_ok());
        }
        record::clear_socket(&self.orders.state_dir, self.orders.run);
    }
}

fn said(what: &str, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{what}: {error}"))
}
