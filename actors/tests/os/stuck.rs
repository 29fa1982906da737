//! A process that SIGKILL does not end. The old freezer stands in for a driver that hangs: what it has frozen keeps a
//! SIGKILL pending.

use std::{fs, path::PathBuf, time::Duration};

use greenroom_actors::os::containment::Containment;

use crate::{
    Verdict,
    support::{LONG, Stage, populated, runtime, start, survivors, until, within},
};

crate::tests!(a_hold_stays_populated_until_what_is_stuck_is_gone);

/// A cgroup of the old freezer; thaws and removes it when it is dropped.
struct Freezer(PathBuf);

impl Freezer {
    fn new() -> Option<Self> {
        let folder = PathBuf::from(format!("/sys/fs/cgroup/freezer/greenroom-test-{}", std::process::id()));
        fs::create_dir(&folder).ok()?;
        folder.join("freezer.state").exists().then_some(Self(folder))
    }

    fn set(&self, state: &str) {
        fs::write(self.0.join("freezer.state"), state).expect("a state");
    }
}

impl Drop for Freezer {
    fn drop(&mut self) {
        drop(fs::write(self.0.join("freezer.state"), "THAWED"));
        within(LONG, || fs::remove_dir(&self.0).is_ok());
    }
}

fn a_hold_stays_populated_until_what_is_stuck_is_gone() -> Verdict {
    let Some(freezer) = Freezer::new() else {
        return Verdict::LeftOut("needs a writable cgroup v1 freezer at /sys/fs/cgroup/freezer");
    };
    runtime().block_on(async {
        let stage = Stage::new();
        let hold = stage.hold();
        let mut spawned = start("exec sleep 987", &*hold);
        let tree = populated(&*hold, (1, 0));
        fs::write(freezer.0.join("cgroup.procs"), spawned.pid.to_string()).expect("moved");
        freezer.set("FROZEN");
        until("it is frozen", || {
            fs::read_to_string(freezer.0.join("freezer.state")).is_ok_and(|state| state.trim() == "FROZEN")
        });
        hold.kill().expect("the write returns at once");
        assert!(!within(Duration::from_millis(200), || hold.is_empty().expect("known")), "it is not stuck");
        assert_eq!(survivors(&tree), [spawned.pid]);
        assert!(hold.remove().is_err() && stage.containment.close().is_err());
        freezer.set("THAWED");
        until("the pending kill ends it", || hold.is_empty().expect("known"));
        spawned.running.status().await.expect("a status");
    });
    Verdict::Held
}
