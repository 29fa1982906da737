//! From the copy that the guardian has made of itself to a shim at work.

use std::{
    ffi::CStr,
    fs::{File, OpenOptions},
    io::{self, Write},
    os::fd::OwnedFd,
};

use nix::{
    sys::{
        prctl::{set_child_subreaper, set_name},
        signalfd::SignalFd,
    },
    unistd::{dup2_stdin, dup2_stdout, setsid},
};

use super::{
    children,
    fork::{Forked, fork},
    keeper::Keeper,
    namespace,
    process::{Shim, Watched},
    socket,
    wire::{FromShim, ShimOrders},
};
use crate::cause::chain;

/// What a list of processes says of a shim.
pub(in crate::os) const SHIM_NAME: &CStr = c"greenroom-shim";

/// A copy of the guardian that is about to be a shim.
#[derive(Debug)]
pub(in crate::os) struct Newborn {
    /// How it is to be.
    pub orders: ShimOrders,
    /// Its end of the socket to the runtime.
    pub control: OwnedFd,
    /// The guardian's pidfd.
    pub guardian: Option<OwnedFd>,
    /// Where the guardian reads the id of the second copy, for one with a namespace.
    pub report: Option<OwnedFd>,
}

impl Newborn {
    /// Lives the shim's life; `runtime` is whom to watch. Gives the exit code. Everything else that the original held must
    /// have been closed.
    pub(in crate::os) fn live(self, runtime: OwnedFd) -> i32 {
        let Self { orders, control, guardian, report } = self;
        if orders.namespace {
            match second_copy(report) {
                Ok(Forked::Copy) => namespace::settle(),
                Ok(Forked::Original(_)) => return 0,
                Err(why) => return give_up(&control, why),
            }
        }
        let runtime = orders.keep.is_none().then_some(runtime);
        let prepared =
            settle(orders.namespace).and_then(|signals| Ok((signals, orders.keep.map(Keeper::new).transpose()?)));
        match prepared {
            Ok((signals, keeper)) => {
                Shim::new(control, Watched { runtime, guardian }, signals, keeper, orders.namespace).run();
                0
            }
            Err(error) => give_up(&control, error.to_string()),
        }
    }
}

/// Has the first process of a new pid namespace made, and tells the guardian its id.
fn second_copy(report: Option<OwnedFd>) -> Result<Forked, String> {
    namespace::enter().map_err(|error| chain(&error))?;
    let forked = fork().map_err(|error| error.to_string())?;
    if let (Forked::Original(pid), Some(report)) = (forked, report) {
        // Should it fail, the guardian takes the second copy for a stray and ends it.
        drop(File::from(report).write_all(&pid.0.to_le_bytes()));
    }
    Ok(forked)
}

fn give_up(control: &OwnedFd, why: String) -> i32 {
    // Who does not hear it sees the end of the socket.
    drop(socket::send(control, &FromShim::Unable { why }, &[]));
    1
}

/// Cuts the last ties to the guardian and takes the orphans of the tree.
fn settle(is_first: bool) -> io::Result<SignalFd> {
    // A copy leads no group, so this does not fail.
    setsid()?;
    let null = OpenOptions::new().read(true).write(true).open("/dev/null")?;
    dup2_stdin(&null)?;
    dup2_stdout(&null)?;
    // For people who look at a list of processes.
    set_name(SHIM_NAME)?;
    if !is_first {
        set_child_subreaper(true)?;
    }
    children::watch_children()
}
