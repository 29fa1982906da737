//! A guardian and a containment by shims for a test, and how their trees are waited for without holding the thread up.

use std::{future::Future, time::Duration};

use greenroom_actors::{
    ids::{Pid, RunId},
    os::{
        containment::{Containment, ContainmentKind, Hold, Place, prove, shim::ShimContainment},
        guardian::{Charge, Guardian},
        pidfd,
        proc::{self, ProcessIdentity},
        shim::nursery::Nursery,
        spawn::Spawned,
    },
};
use nix::sys::signal::Signal;
use tempfile::TempDir;
use tokio::time::{sleep, timeout};
use tokio_process_stream::Item;

use crate::{
    Verdict,
    support::{LONG, place, runtime, script, whole},
};

/// A guardian and a containment by shims, in a temporary state dir.
pub struct Nursed {
    _dir: TempDir,
    pub guardian: Guardian,
    pub containment: ShimContainment,
}

impl Nursed {
    pub async fn new(kind: ContainmentKind) -> Self {
        let dir = tempfile::tempdir().expect("a folder");
        let place = place(dir.path());
        let guardian = Guardian::start(&Charge::new(&place, None)).await.expect("a guardian");
        let containment = containment(kind, &place, guardian.nursery());
        Self { _dir: dir, guardian, containment }
    }

    pub fn hold(&self) -> Box<dyn Hold> {
        self.containment.open(&"chat".parse().expect("a name"), RunId::fresh()).expect("a hold")
    }

    /// The shims: whoever is a child of the guardian and is called as it is.
    pub fn shims(&self) -> Vec<Pid> {
        let children = proc::children(self.guardian.pid()).expect("children");
        children.into_iter().filter(|pid| proc::stat(*pid).is_ok_and(|stat| stat.is_alive())).collect()
    }

    /// The one shim that there is. Of one with a namespace there are two copies at first, and the first ends.
    pub async fn shim(&self) -> Pid {
        until("there is one shim", || self.shims().len() == 1).await;
        self.shims()[0]
    }

    /// The end that every test comes to: nothing is left, and the guardian leaves.
    pub async fn end(self) {
        until("it can be closed", || self.containment.close().is_ok()).await;
        until("no shim is left", || self.shims().is_empty()).await;
        self.guardian.dismiss().await;
    }
}

/// Shims as they are, or each in a pid namespace of its own.
pub fn containment(kind: ContainmentKind, place: &Place, nursery: Nursery) -> ShimContainment {
    match kind {
        ContainmentKind::Namespace => ShimContainment::namespaces(place, nursery),
        _ => ShimContainment::shims(place, nursery),
    }
}

pub async fn until(what: &str, mut done: impl FnMut() -> bool) {
    let waited = timeout(LONG, async {
        while !done() {
            sleep(Duration::from_millis(1)).await;
        }
    });
    assert!(waited.await.is_ok(), "in {LONG:?} it was never so: {what}");
}

pub async fn start(text: &str, hold: &dyn Hold) -> Spawned {
    let spawned = hold.spawn(&script(text, hold)).await.expect("spawned");
    hold.set_main(spawned.pid);
    spawned
}

pub async fn populated(hold: &dyn Hold, counts: (usize, usize)) -> Vec<ProcessIdentity> {
    let mut members = None;
    until("the whole tree is up", || {
        members = whole(hold, counts);
        members.is_some()
    })
    .await;
    members.expect("it is up")
}

/// Kills everybody in a hold and waits for their end.
pub async fn end(hold: &dyn Hold) {
    hold.kill().expect("killed");
    until("the hold is empty", || hold.is_empty().expect("known")).await;
}

/// Gives the exit code and what was written to stdout and stderr.
pub async fn run_out(mut spawned: Spawned) -> (Option<i32>, Vec<u8>, Vec<u8>) {
    let (mut out, mut err) = (Vec::new(), Vec::new());
    loop {
        match timeout(LONG, spawned.running.next()).await.expect("in time").expect("an end") {
            Item::Stdout(bytes) => out.extend_from_slice(&bytes),
            Item::Stderr(bytes) => err.extend_from_slice(&bytes),
            Item::Done(status) => return (status.expect("a status").code(), out, err),
        }
    }
}

/// Once with shims as they are, once with namespaces where they are allowed.
pub fn in_both<F: Future<Output = ()>>(test: impl Fn(ContainmentKind) -> F) -> Verdict {
    runtime().block_on(async {
        test(ContainmentKind::Shim).await;
        let nursed = Nursed::new(ContainmentKind::Namespace).await;
        let allowed = prove(&nursed.containment).await;
        nursed.end().await;
        if allowed.is_ok() {
            test(ContainmentKind::Namespace).await;
        } else {
            println!("without namespaces, which are not allowed here: {allowed:?}");
        }
    });
    Verdict::Held
}

pub fn signal(pid: Pid, signal: Signal) {
    assert!(pidfd::send(pidfd::open(pid).expect("it lives"), signal).expect("sent"));
}
