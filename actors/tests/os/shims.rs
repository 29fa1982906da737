//! Holding and ending whole trees by shims, as they are and in pid namespaces of their own.

use std::time::Duration;

use futures_util::FutureExt;
use greenroom_actors::{
    ids::{Pid, RunId},
    os::{
        containment::{Containment, ContainmentKind, prove, select},
        guardian::{Charge, Guardian},
        pidfd, proc,
        shim::nursery::Nursery,
        spawn::SpawnError,
    },
    spec::{ContainmentChoice, GuardianChoice},
};
use nix::sys::signal::Signal;
use tokio::time::timeout;

use crate::{
    Verdict,
    nursed::{Nursed, containment, end, in_both, populated, run_out, signal, start, until},
    support::{HIDING, HIDING_COUNT, LONG, place, request, runtime, script, survivors, within},
};

crate::tests!(
    a_tree_that_hides_ends_by_one_kill,
    every_member_descends_from_the_reaper,
    a_signal_reaches_every_member,
    the_status_of_the_main_process_is_told,
    commands_run_beside_the_main_process,
    ten_megabytes_of_output_come_whole,
    a_process_that_ends_at_once_has_its_id_all_the_same,
    what_cannot_be_started_is_told_and_leaves_nothing,
    a_hold_with_members_is_not_given_back,
    a_shim_that_was_stopped_is_woken_for_the_kill,
    a_killed_shim_is_noticed_and_its_tree_ends,
    a_storm_of_forks_is_outrun,
    a_dropped_hold_ends_its_tree,
    another_guardian_bears_the_next_shim,
    the_proof_holds_and_leaves_nothing,
    without_a_guardian_the_choice_is_refused_or_replaced,
);

fn a_tree_that_hides_ends_by_one_kill() -> Verdict {
    in_both(async |kind| {
        let nursed = Nursed::new(kind).await;
        let hold = nursed.hold();
        assert!(hold.is_empty().expect("known") && hold.members().expect("members").is_empty());
        let mut spawned = start(HIDING, &*hold).await;
        let tree = populated(&*hold, HIDING_COUNT).await;
        assert!(tree.iter().any(|process| process.pid == spawned.pid), "ids are those of this side");
        assert!(!hold.is_empty().expect("known"));
        end(&*hold).await;
        assert_eq!(survivors(&tree), []);
        assert!(pidfd::wait_end(std::os::fd::AsFd::as_fd(&spawned.pidfd), LONG).expect("known"));
        spawned.running.status().await.expect("a status");
        assert_eq!(hold.trouble(), None);
        until("the hold is given back", || hold.remove().is_ok()).await;
        assert_eq!(hold.trouble(), None);
        nursed.end().await;
    })
}

fn every_member_descends_from_the_reaper() -> Verdict {
    in_both(async |kind| {
        let nursed = Nursed::new(kind).await;
        let (service, run) = ("chat".parse().expect("a name"), RunId::fresh());
        let hold = nursed.containment.open(&service, run).expect("a hold");
        assert_eq!(nursed.containment.reaper(&service, run), None, "there is nobody to take anybody yet");
        let _main = start(HIDING, &*hold).await;
        populated(&*hold, HIDING_COUNT).await;
        let reaper = nursed.containment.reaper(&service, run).expect("a shim");
        let members = hold.members().expect("members");
        assert!(!members.contains(&reaper), "{reaper:?} {members:?}");
        for member in &members {
            assert!(proc::ancestors(*member).contains(&reaper), "{member:?} does not descend from {reaper:?}");
        }
        end(&*hold).await;
        until("the hold is given back", || hold.remove().is_ok()).await;
        assert_eq!(nursed.containment.reaper(&service, run), None);
        nursed.end().await;
    })
}

fn a_signal_reaches_every_member() -> Verdict {
    in_both(async |kind| {
        let nursed = Nursed::new(kind).await;
        let (told, spared) = (nursed.hold(), nursed.hold());
        let _told = start("sleep 987 & setsid sleep 987 & wait; sleep 987", &*told).await;
        let _spared = start("sleep 987 & wait", &*spared).await;
        populated(&*told, (2, 1)).await;
        let others = populated(&*spared, (1, 1)).await;
        told.signal(Signal::SIGTERM).expect("sent");
        until("those who were told have ended", || told.is_empty().expect("known")).await;
        assert_eq!(survivors(&others).len(), 2);
        nursed.containment.kill_all().expect("killed");
        until("all have ended", || spared.is_empty().expect("known")).await;
        nursed.end().await;
    })
}

fn the_status_of_the_main_process_is_told() -> Verdict {
    in_both(async |kind| {
        let nursed = Nursed::new(kind).await;
        let hold = nursed.hold();
        // Its end is told although another process keeps its output open.
        let mut spawned = start("sleep 987 & exit 3", &*hold).await;
        let status = timeout(LONG, spawned.running.status()).await.expect("in time").expect("a status");
        assert_eq!(status.code(), Some(3));
        assert!(!hold.is_empty().expect("known"));
        end(&*hold).await;
        drop(hold);

        let hold = nursed.hold();
        let mut spawned = start("kill -9 $$", &*hold).await;
        let status = timeout(LONG, spawned.running.status()).await.expect("in time").expect("a status");
        assert_eq!(std::os::unix::process::ExitStatusExt::signal(&status), Some(9));
        until("the hold is given back", || hold.remove().is_ok()).await;
        nursed.end().await;
    })
}

fn commands_run_beside_the_main_process() -> Verdict {
    in_both(async |kind| {
        let nursed = Nursed::new(kind).await;
        let hold = nursed.hold();
        let _main = start("exec sleep 987", &*hold).await;
        let tree = populated(&*hold, (1, 0)).await;
        for code in [0, 7] {
            let mut beside = request(&["sh", "-c", &format!("pwd; echo $WORD >&2; exit {code}")], &*hold);
            beside.env.push(("WORD".into(), "spoken".into()));
            beside.working_dir = "/tmp".into();
            let spawned = hold.spawn(&beside).await.expect("spawned");
            assert_eq!(run_out(spawned).await, (Some(code), b"/tmp\n".to_vec(), b"spoken\n".to_vec()));
        }
        assert_eq!(survivors(&tree).len(), 1);
        end(&*hold).await;
        nursed.end().await;
    })
}

fn ten_megabytes_of_output_come_whole() -> Verdict {
    in_both(async |kind| {
        let nursed = Nursed::new(kind).await;
        let hold = nursed.hold();
        let text = "yes 0123456789abcde | head -c 10000000; yes x | head -c 1000000 >&2";
        let (code, out, err) = run_out(start(text, &*hold).await).await;
        assert_eq!((code, out.len(), err.len()), (Some(0), 10_000_000, 1_000_000));
        assert!(out.chunks(16).all(|line| line == b"0123456789abcde\n") && err.chunks(2).all(|line| line == b"x\n"));
        until("the hold is given back", || hold.remove().is_ok()).await;
        nursed.end().await;
    })
}

fn a_process_that_ends_at_once_has_its_id_all_the_same() -> Verdict {
    runtime().block_on(async {
        let nursed = Nursed::new(ContainmentKind::Shim).await;
        let hold = nursed.hold();
        let request = request(&["true"], &*hold);
        // The first one waits for the shim as well.
        assert_eq!(run_out(hold.spawn(&request).await.expect("spawned")).await.0, Some(0));
        for _ in 0..5 {
            let mut starting = hold.spawn(&request);
            assert!((&mut starting).now_or_never().is_none());
            // Nobody here looks before it is gone and waited for, as when this side is busy.
            let emptied = hold.is_empty().expect("known");
            assert!(!emptied, "one is on its way");
            within(Duration::from_millis(100), || false);
            let spawned = starting.await.expect("spawned");
            assert_ne!(spawned.pid, Pid(0));
            assert_eq!(run_out(spawned).await.0, Some(0));
        }
        until("the hold is given back", || hold.remove().is_ok()).await;
        nursed.end().await;
    });
    Verdict::Held
}

fn what_cannot_be_started_is_told_and_leaves_nothing() -> Verdict {
    in_both(async |kind| {
        let nursed = Nursed::new(kind).await;
        let hold = nursed.hold();
        let absent = hold.spawn(&request(&["greenroom-no-such-program"], &*hold)).await;
        assert!(matches!(absent, Err(SpawnError::Program { .. })), "{absent:?}");
        // It is there and executable, and turns out to be none when it is to be executed.
        let dir = tempfile::tempdir().expect("a folder");
        let bad = dir.path().join("bad");
        std::fs::write(&bad, "no program").expect("written");
        std::fs::set_permissions(&bad, std::os::unix::fs::PermissionsExt::from_mode(0o755)).expect("set");
        let spawned = hold.spawn(&request(&[&bad.display().to_string()], &*hold)).await.expect("spawned");
        let (code, _, err) = run_out(spawned).await;
        assert_eq!(code, Some(126), "{}", String::from_utf8_lossy(&err));
        until("the hold is given back", || hold.remove().is_ok()).await;
        nursed.end().await;
    })
}

fn a_hold_with_members_is_not_given_back() -> Verdict {
    in_both(async |kind| {
        let nursed = Nursed::new(kind).await;
        let hold = nursed.hold();
        let _main = start("exec sleep 987", &*hold).await;
        assert!(hold.remove().is_err() && nursed.containment.close().is_err());
        assert_eq!(nursed.containment.remains().len(), 2, "the shim and the process");
        hold.kill().expect("killed");
        until("the hold is given back", || hold.remove().is_ok()).await;
        assert_eq!(nursed.containment.remains(), []);
        nursed.end().await;
    })
}

fn a_shim_that_was_stopped_is_woken_for_the_kill() -> Verdict {
    in_both(async |kind| {
        let nursed = Nursed::new(kind).await;
        let hold = nursed.hold();
        let _main = start(HIDING, &*hold).await;
        let tree = populated(&*hold, HIDING_COUNT).await;
        let shims = nursed.shims();
        assert_eq!(shims.len(), 1);
        signal(shims[0], Signal::SIGSTOP);
        until("it is stopped", || proc::stat(shims[0]).is_ok_and(|stat| stat.state == 'T')).await;
        end(&*hold).await;
        assert_eq!(survivors(&tree), []);
        nursed.end().await;
    })
}

fn a_killed_shim_is_noticed_and_its_tree_ends() -> Verdict {
    in_both(async |kind| {
        let nursed = Nursed::new(kind).await;
        let hold = nursed.hold();
        let mut spawned = start(HIDING, &*hold).await;
        let tree = populated(&*hold, HIDING_COUNT).await;
        signal(nursed.shims()[0], Signal::SIGKILL);
        until("the guardian has ended its tree", || survivors(&tree).is_empty()).await;
        until("the hold is empty", || hold.is_empty().expect("known")).await;
        let status = timeout(LONG, spawned.running.status()).await.expect("in time");
        assert_eq!(status, None, "nobody knows it");
        assert!(hold.trouble().is_some_and(|text| text.contains("shim was killed")));
        let again = hold.spawn(&script("exit 0", &*hold)).await;
        assert!(matches!(again, Err(SpawnError::Shim(_))), "{again:?}");
        hold.remove().expect("removed");
        nursed.end().await;
    })
}

fn a_storm_of_forks_is_outrun() -> Verdict {
    in_both(async |kind| {
        let nursed = Nursed::new(kind).await;
        let hold = nursed.hold();
        // In a session of its own; each of its children loses its parent at once.
        let storm = "setsid sh -c 'while :; do (sleep 0.2 &); done' & wait";
        let _main = start(storm, &*hold).await;
        until("it has begun", || hold.members().expect("members").len() > 10).await;
        end(&*hold).await;
        assert_eq!(hold.members().expect("members"), []);
        nursed.end().await;
    })
}

fn a_dropped_hold_ends_its_tree() -> Verdict {
    in_both(async |kind| {
        let dir = tempfile::tempdir().expect("a folder");
        let place = place(dir.path());
        let guardian = Guardian::start(&Charge::new(&place, None)).await.expect("a guardian");
        let containment = containment(kind, &place, guardian.nursery());
        let hold = containment.open(&"chat".parse().expect("a name"), RunId::fresh()).expect("a hold");
        let _main = start(HIDING, &*hold).await;
        let tree = populated(&*hold, HIDING_COUNT).await;
        drop((hold, containment));
        until("the tree has ended", || survivors(&tree).is_empty()).await;
        guardian.dismiss().await;
    })
}

fn another_guardian_bears_the_next_shim() -> Verdict {
    in_both(async |kind| {
        let dir = tempfile::tempdir().expect("a folder");
        let place = place(dir.path());
        let charge = Charge::new(&place, None);
        let nursery = Nursery::default();
        let first = Guardian::start(&charge).await.expect("a guardian");
        nursery.follow(&first.nursery());
        let containment = containment(kind, &place, nursery.clone());
        let service = "chat".parse().expect("a name");
        let old = containment.open(&service, RunId::fresh()).expect("a hold");
        let _old = start("exec sleep 987", &*old).await;
        signal(first.pid(), Signal::SIGKILL);
        first.died().await;
        first.dismiss().await;
        // A start while there is none waits for the next.
        let new = containment.open(&service, RunId::fresh()).expect("a hold");
        let request = script("exec sleep 987", &*new);
        let mut starting = new.spawn(&request);
        assert!((&mut starting).now_or_never().is_none());
        let second = Guardian::start(&charge).await.expect("another guardian");
        nursery.follow(&second.nursery());
        let _new = timeout(LONG, starting).await.expect("in time").expect("spawned");
        for hold in [&old, &new] {
            assert_eq!(hold.members().expect("members").len(), 1);
            hold.kill().expect("killed");
            until("the hold is given back", || hold.remove().is_ok()).await;
        }
        containment.close().expect("closed");
        nursery.close();
        second.dismiss().await;
    })
}

fn the_proof_holds_and_leaves_nothing() -> Verdict {
    runtime().block_on(async {
        let nursed = Nursed::new(ContainmentKind::Shim).await;
        timeout(LONG, prove(&nursed.containment)).await.expect("in time").expect("proven");
        assert_eq!(nursed.containment.remains(), []);
        nursed.end().await;
    });
    Verdict::Held
}

fn without_a_guardian_the_choice_is_refused_or_replaced() -> Verdict {
    runtime().block_on(async {
        let dir = tempfile::tempdir().expect("a folder");
        let place = place(dir.path());
        for choice in [ContainmentChoice::Shim, ContainmentChoice::Namespace] {
            let selection = select(choice, GuardianChoice::BestEffort, &place).expect("chosen");
            let refusal = selection.settle().await.expect_err("nobody bears shims");
            assert!(refusal.to_string().contains("there is no guardian"), "{refusal}");
        }
        let selection = select(ContainmentChoice::Cgroup, GuardianChoice::Required, &place).expect("a cgroup");
        let settled = selection.settle().await.expect("a cgroup needs no proof by shims");
        assert_eq!(settled.containment.kind(), ContainmentKind::Cgroup);
        settled.containment.close().expect("closed");
    });
    Verdict::Held
}
