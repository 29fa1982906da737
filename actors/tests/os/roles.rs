//! What this binary plays when it is started with `role`: a runtime that can be killed.

use std::{
    io::{Read, Write},
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
};

use greenroom_actors::{
    ids::{Pid, RunId},
    os::{
        containment::{
            Containment, best_effort::BestEffortContainment, cgroup::CgroupContainment, location, shim::ShimContainment,
        },
        guardian::{Charge, Guardian},
        proc::{self, ProcessIdentity},
        registry::{Registry, RegistryEntry},
        shim::nursery::Nursery,
        state_dir::StateDir,
    },
};
use nix::sys::signal::SigSet;
use serde::{Deserialize, Serialize};

use crate::support::{HIDING, HIDING_COUNT, Stage, populated, run_to_end, runtime, script};

/// What a played runtime tells of itself, as one line.
#[derive(Debug, Serialize, Deserialize)]
pub struct Told {
    pub guardian: Pid,
    pub root: Option<PathBuf>,
    pub tree: Vec<ProcessIdentity>,
    /// Children of the guardian.
    pub shims: Vec<Pid>,
}

pub fn play(role: &[String]) -> ExitCode {
    match role.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["signals"] => signals(),
        ["runtime", layer, state_dir] => play_runtime(layer, Path::new(state_dir)),
        _ => return ExitCode::FAILURE,
    }
    ExitCode::SUCCESS
}

/// Shows the signals of this process and of one that it spawns with all signals blocked.
fn signals() {
    let own = std::fs::read_to_string("/proc/self/status").expect("a status");
    own.lines().filter(|line| line.starts_with("SigIgn")).for_each(|line| println!("parent {line}"));
    SigSet::all().thread_block().expect("blocked");
    let stage = Stage::new();
    let hold = stage.hold();
    print!("{}", run_to_end(&script("grep Sig /proc/self/status", &*hold), &*hold).1);
}

/// Claims, holds, starts the guardian and one tree that hides, tells, and waits to be killed. On input it ends in order.
fn play_runtime(layer: &str, state_dir: &Path) {
    runtime().block_on(async {
        let claim = StateDir::claim(state_dir).expect("a claim");
        let place = claim.place();
        let nursery = Nursery::default();
        let containment: Arc<dyn Containment> = match layer {
            "cgroup" => {
                let own = location::own().expect("a cgroup");
                Arc::new(CgroupContainment::new(&own, &place).expect("a containment"))
            }
            "shim" => Arc::new(ShimContainment::shims(&place, nursery.clone())),
            "namespace" => Arc::new(ShimContainment::namespaces(&place, nursery.clone())),
            _ => Arc::new(BestEffortContainment::new(&place)),
        };
        let guardian = Guardian::start(&Charge::new(&place, containment.cgroup_root())).await.expect("a guardian");
        nursery.follow(&guardian.nursery());
        std::fs::write(claim.socket(), "").expect("a stand-in for the socket");
        let (service, run) = ("chat".parse().expect("a name"), RunId::fresh());
        let hold = containment.open(&service, run).expect("a hold");
        let found = layer == "best_effort";
        let (text, count) =
            if found { ("sleep 987 & (setsid sleep 987 &); wait", (2, 1)) } else { (HIDING, HIDING_COUNT) };
        let mut spawned = hold.spawn(&script(text, &*hold)).await.expect("spawned");
        hold.set_main(spawned.pid);
        let main = ProcessIdentity::of(spawned.pid).expect("an identity");
        let registry = Registry::open(claim.path()).expect("a registry");
        registry
            .add(&RegistryEntry { run, service, main, hold: hold.describe(), port: None, kept: None })
            .expect("an entry");
        let tree = populated(&*hold, count);
        // Of one with a namespace there are two copies at first, and the first ends.
        let mut shims = Vec::new();
        crate::support::until("there is one shim for the tree, or none", || {
            shims = proc::children(guardian.pid()).expect("children");
            shims.len() == usize::from(["shim", "namespace"].contains(&layer))
        });
        let told = Told { guardian: guardian.pid(), root: containment.cgroup_root(), tree, shims };
        println!("{}", serde_json::to_string(&told).expect("text"));
        std::io::stdout().flush().expect("told");
        let _order = std::io::stdin().read(&mut [0]);
        hold.kill().expect("killed");
        spawned.running.status().await.expect("a status");
        crate::support::until("the hold is empty", || hold.remove().is_ok());
        registry.remove(run).expect("removed");
        guardian.dismiss().await;
        containment.close().expect("closed");
    });
}
