//! Holding and ending whole trees.

use std::{fs, sync::Arc};

use greenroom_actors::{
    ids::RunId,
    os::{
        containment::{
            Containment, ContainmentKind,
            best_effort::BestEffortContainment,
            location::{self, CgroupProblem},
            probe, select,
        },
        pidfd,
    },
    spec::{ContainmentChoice, GuardianChoice},
};
use nix::sys::signal::Signal;

use crate::{
    Verdict,
    support::{HIDING, HIDING_COUNT, LONG, Stage, place, populated, runtime, start, survivors, until},
};

crate::tests!(
    a_tree_that_hides_ends_by_one_kill,
    a_signal_reaches_every_member_and_nobody_else,
    cgroups_that_a_member_makes_are_part_of_its_hold,
    who_has_ended_and_was_not_waited_for_does_not_count,
    kill_all_ends_every_hold,
    the_proof_holds_here_and_leaves_nothing,
    the_choice_is_made_and_undone,
    best_effort_ends_what_has_not_hidden_completely,
);

fn a_tree_that_hides_ends_by_one_kill() -> Verdict {
    runtime().block_on(async {
        let stage = Stage::new();
        let hold = stage.hold();
        let mut spawned = start(HIDING, &*hold);
        let tree = populated(&*hold, HIDING_COUNT);
        assert!(!hold.is_empty().expect("known"));
        assert!(hold.remove().is_err(), "a hold with members was removed");
        hold.kill().expect("killed");
        until("the hold is empty", || hold.is_empty().expect("known"));
        assert_eq!(survivors(&tree), []);
        assert!(pidfd::wait_end(std::os::fd::AsFd::as_fd(&spawned.pidfd), LONG).expect("known"));
        spawned.running.status().await.expect("a status");
        hold.remove().expect("removed");
        stage.containment.close().expect("closed");
        assert!(!stage.containment.root().exists());
    });
    Verdict::Held
}

fn a_signal_reaches_every_member_and_nobody_else() -> Verdict {
    runtime().block_on(async {
        let stage = Stage::new();
        let (told, spared) = (stage.hold(), stage.hold());
        let _told = start("sleep 987 & sleep 987 & wait", &*told);
        let _spared = start("sleep 987 & wait", &*spared);
        populated(&*told, (2, 1));
        let others = populated(&*spared, (1, 1));
        assert_eq!(told.signal(Signal::SIGTERM).expect("sent"), 3);
        until("those who were told have ended", || told.is_empty().expect("known"));
        assert_eq!(survivors(&others).len(), 2);
    });
    Verdict::Held
}

fn cgroups_that_a_member_makes_are_part_of_its_hold() -> Verdict {
    runtime().block_on(async {
        let stage = Stage::new();
        let hold = stage.hold();
        let inner = format!("{}/inner/deep", hold.describe());
        let _child = start(&format!("mkdir -p {inner} && echo 0 >{inner}/cgroup.procs && exec sleep 987"), &*hold);
        until("it is in its own cgroup", || {
            fs::read_to_string(format!("{inner}/cgroup.procs")).is_ok_and(|procs| !procs.is_empty())
        });
        let tree = populated(&*hold, (1, 0));
        hold.kill().expect("killed");
        until("the hold is empty", || hold.is_empty().expect("known"));
        assert_eq!(survivors(&tree), []);
        until("the hold can be removed", || hold.remove().is_ok());
        assert!(!std::path::Path::new(&hold.describe()).exists());
    });
    Verdict::Held
}

fn who_has_ended_and_was_not_waited_for_does_not_count() -> Verdict {
    runtime().block_on(async {
        let stage = Stage::new();
        let hold = stage.hold();
        let mut spawned = start("exit 3", &*hold);
        assert!(pidfd::wait_end(std::os::fd::AsFd::as_fd(&spawned.pidfd), LONG).expect("known"));
        until("the hold is empty", || hold.is_empty().expect("known"));
        assert_eq!(hold.members().expect("members"), []);
        assert!(fs::metadata(format!("/proc/{}", spawned.pid)).is_ok(), "it is a zombie still");
        hold.remove().expect("removed");
        assert_eq!(spawned.running.status().await.expect("a status").code(), Some(3));
    });
    Verdict::Held
}

fn kill_all_ends_every_hold() -> Verdict {
    runtime().block_on(async {
        let stage = Stage::new();
        let holds = [stage.hold(), stage.hold()];
        let _children: Vec<_> = holds.iter().map(|hold| start("sleep 987 & wait", &**hold)).collect();
        let trees: Vec<_> = holds.iter().flat_map(|hold| populated(&**hold, (1, 1))).collect();
        stage.containment.kill_all().expect("killed");
        until("everybody has ended", || survivors(&trees).is_empty());
        until("it can be closed", || stage.containment.close().is_ok());
    });
    Verdict::Held
}

fn the_proof_holds_here_and_leaves_nothing() -> Verdict {
    let own = location::own().expect("a cgroup of this process");
    probe(&own).expect("cgroups work here");
    let name = format!("greenroom-probe-{}-", std::process::id());
    let left = fs::read_dir(&own).expect("a listing").flatten();
    assert!(!left.into_iter().any(|entry| entry.file_name().to_string_lossy().starts_with(&name)));

    // What an earlier process with this number left, killed in the middle of its proof, is in nobody's way.
    let stale: Vec<_> = (0..16).map(|n| own.join(format!("{name}{n}"))).collect();
    for path in &stale {
        fs::create_dir(path).expect("made");
    }
    let proven = probe(&own);
    for path in &stale {
        fs::remove_dir(path).ok();
    }
    proven.expect("cgroups still work here");

    let plain = tempfile::tempdir().expect("a folder");
    assert!(matches!(probe(plain.path()), Err(CgroupProblem::NoKill)));
    assert!(matches!(probe(std::path::Path::new("/proc/sys")), Err(CgroupProblem::NotWritable { .. })));
    Verdict::Held
}

fn the_choice_is_made_and_undone() -> Verdict {
    let dir = tempfile::tempdir().expect("a folder");
    let place = place(dir.path());
    let selection = select(ContainmentChoice::Auto, GuardianChoice::Required, &place).expect("a containment");
    assert_eq!((selection.containment.kind(), selection.tried.len()), (ContainmentKind::Cgroup, 0));
    let root = selection.containment.cgroup_root().expect("a root");
    assert!(root.ends_with(place.root_name()) && root.exists());
    selection.containment.close().expect("closed");
    assert!(!root.exists());
    assert!(!dir.path().join("cgroup_root").exists());
    Verdict::Held
}

fn best_effort_ends_what_has_not_hidden_completely() -> Verdict {
    runtime().block_on(async {
        let dir = tempfile::tempdir().expect("a folder");
        let containment: Arc<dyn Containment> = Arc::new(BestEffortContainment::new(&place(dir.path())));
        let hold = containment.open(&"chat".parse().expect("a name"), RunId::fresh()).expect("a hold");
        // One in the session, one in a new session that keeps its environment, one that double-forked but keeps it.
        let mut spawned = start("sleep 987 & setsid sleep 987 & (setsid sleep 987 &); wait", &*hold);
        let tree = populated(&*hold, (3, 1));
        assert!(containment.close().is_err(), "closed with members");
        hold.kill().expect("killed");
        until("the hold is empty", || hold.is_empty().expect("known"));
        assert_eq!(survivors(&tree), []);
        spawned.running.status().await.expect("a status");
        hold.remove().expect("removed");
        containment.close().expect("closed");
    });
    Verdict::Held
}
