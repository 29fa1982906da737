//! The sweep: it ends what is left of this state dir, and nothing else.

use std::process::{Child, Command};

use greenroom_actors::{
    ids::Pid,
    os::{
        pidfd,
        proc::ProcessIdentity,
        registry::{Registry, RegistryEntry},
        state_dir::{StateDir, instance},
        sweep::{FoundBy, Outcome, SweepError, sweep},
    },
};
use nix::sys::signal::Signal;

use crate::{
    Verdict,
    guardian::Played,
    support::{survivors, until},
};

crate::tests!(
    what_a_killed_pair_left_is_found_and_ended,
    nothing_is_swept_under_a_running_runtime,
    a_reused_process_id_in_the_registry_is_spared,
    the_environment_leads_to_the_rest_and_strangers_are_spared,
);

/// A process that ends with its guard.
struct Sleeper(Child);

impl Sleeper {
    fn new(variables: &[(&str, &str)]) -> Self {
        let mut command = Command::new("sleep");
        Self(command.arg("987").envs(variables.iter().copied()).spawn().expect("a process"))
    }

    fn identity(&self) -> ProcessIdentity {
        ProcessIdentity::of(Pid(self.0.id())).expect("an identity")
    }
}

impl Drop for Sleeper {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

fn what_a_killed_pair_left_is_found_and_ended() -> Verdict {
    for layer in ["cgroup", "best_effort"] {
        let dir = tempfile::tempdir().expect("a folder");
        let state_dir = dir.path().canonicalize().expect("a path");
        let instance = instance(&state_dir);
        let mut played = Played::new(layer, &state_dir);
        pidfd::send(pidfd::open(played.guardian()).expect("a pidfd"), Signal::SIGKILL).expect("killed");
        played.kill();
        assert_eq!(survivors(&played.told.tree).len(), played.told.tree.len(), "nobody was there to end them");

        let look = sweep(&state_dir, &instance, true).expect("a report");
        assert_eq!(look.processes.len(), played.told.tree.len(), "{look}");
        assert!(look.processes.iter().all(|process| process.outcome == Outcome::Found), "{look}");
        assert_eq!(survivors(&played.told.tree).len(), played.told.tree.len(), "a dry run ended somebody");

        let report = sweep(&state_dir, &instance, false).expect("a report");
        assert_eq!(survivors(&played.told.tree), []);
        assert!(report.processes.iter().all(|process| process.outcome == Outcome::Ended), "{report}");
        assert_eq!(report.entries, 1, "{report}");
        if layer == "cgroup" {
            assert_eq!(report.cgroups_removed, [played.told.root.clone().expect("a root")]);
            assert!(report.processes.iter().all(|process| process.found_by == FoundBy::Cgroup), "{report}");
        }
        assert!(sweep(&state_dir, &instance, false).expect("a report").is_empty());
    }
    Verdict::Held
}

fn nothing_is_swept_under_a_running_runtime() -> Verdict {
    let dir = tempfile::tempdir().expect("a folder");
    let state_dir = dir.path().canonicalize().expect("a path");
    let played = Played::new("cgroup", &state_dir);
    let refused = sweep(&state_dir, &instance(&state_dir), false);
    assert!(matches!(refused, Err(SweepError::Running(_))));
    assert_eq!(survivors(&played.told.tree).len(), played.told.tree.len());
    Verdict::Held
}

fn a_reused_process_id_in_the_registry_is_spared() -> Verdict {
    let dir = tempfile::tempdir().expect("a folder");
    let state_dir = dir.path().canonicalize().expect("a path");
    let stranger = Sleeper::new(&[]);
    let mut main = stranger.identity();
    main.start_time -= 1;
    let (run, service) = (greenroom_actors::ids::RunId::fresh(), "chat".parse().expect("a name"));
    let entry = RegistryEntry { run, service, main, hold: "/nowhere".to_owned(), port: None, kept: None };
    Registry::open(&state_dir).and_then(|registry| registry.add(&entry)).expect("an entry");
    let report = sweep(&state_dir, &instance(&state_dir), false).expect("a report");
    assert_eq!((report.processes.len(), report.entries), (0, 1), "{report}");
    assert!(stranger.identity().is_alive());
    Verdict::Held
}

fn the_environment_leads_to_the_rest_and_strangers_are_spared() -> Verdict {
    let dir = tempfile::tempdir().expect("a folder");
    // Claimed by this very process, as at the start of a runtime.
    let claim = StateDir::claim(dir.path()).expect("a claim");
    let path = claim.path().to_str().expect("text").to_owned();
    let (other, run) = (format!("{path}/other"), format!("01J@{path}"));
    let ours = [Sleeper::new(&[("GREENROOM_STATE_DIR", &path)]), Sleeper::new(&[("GREENROOM_RUN", &run)])];
    let strangers = [Sleeper::new(&[]), Sleeper::new(&[("GREENROOM_STATE_DIR", &other)])];
    let ids: Vec<_> = ours.iter().map(Sleeper::identity).collect();
    until("their environment is there", || {
        sweep(claim.path(), &claim.place().instance, true).expect("a report").processes.len() == 2
    });
    let report = sweep(claim.path(), &claim.place().instance, false).expect("a report");
    assert_eq!(survivors(&ids), [], "{report}");
    assert!(report.processes.iter().all(|process| process.found_by == FoundBy::Environment), "{report}");
    assert!(strangers.iter().all(|stranger| stranger.identity().is_alive()));
    Verdict::Held
}
