//! What a guardian is in charge of, and how that is said on its command line.

use std::{ffi::OsString, path::PathBuf};

use crate::{
    ids::Pid,
    os::{containment::Place, registry::RegistryEntry},
};

/// What a guardian ends when its runtime is gone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Charge {
    /// Absolute.
    pub state_dir: PathBuf,
    /// [`Place::root_name`]: in the registry, the holds of this incarnation lie below a folder of this name.
    pub root_name: String,
    /// The cgroup that everything is in; without one, registry and environment have to do.
    pub cgroup: Option<PathBuf>,
}

impl Charge {
    /// For one incarnation; `cgroup` is its [`cgroup_root`](crate::os::containment::Containment::cgroup_root).
    #[must_use]
    pub fn new(place: &Place, cgroup: Option<PathBuf>) -> Self {
        Self { state_dir: place.state_dir.clone(), root_name: place.root_name(), cgroup }
    }

    /// Whether a registered run belongs to this incarnation.
    pub(super) fn covers(&self, entry: &RegistryEntry) -> bool {
        entry.hold.split(['/', ':']).any(|part| part == self.root_name)
    }
}

/// A guardian's command line.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Orders {
    /// The runtime to watch.
    pub(super) runtime: Pid,
    /// With the id, names it for good.
    pub(super) start_time: u64,
    /// What to end.
    pub(super) charge: Charge,
}

impl Orders {
    /// As arguments after `__guardian`.
    pub(super) fn to_args(&self) -> Vec<OsString> {
        let mut args: Vec<OsString> = vec![
            "--runtime".into(),
            self.runtime.to_string().into(),
            "--start-time".into(),
            self.start_time.to_string().into(),
            "--state-dir".into(),
            self.charge.state_dir.clone().into(),
            "--root".into(),
            self.charge.root_name.clone().into(),
        ];
        if let Some(cgroup) = &self.charge.cgroup {
            args.extend(["--cgroup".into(), cgroup.clone().into()]);
        }
        args
    }

    /// Back from arguments; `None` when something is missing or unknown.
    pub(super) fn from_args(args: &[OsString]) -> Option<Self> {
        let value = |name: &str| args.chunks_exact(2).find(|pair| pair[0] == name).map(|pair| &pair[1]);
        let number = |name: &str| value(name)?.to_str()?.parse::<u64>().ok();
        let charge = Charge {
            state_dir: value("--state-dir")?.into(),
            root_name: value("--root")?.to_str()?.to_owned(),
            cgroup: value("--cgroup").map(PathBuf::from),
        };
        // An empty name would cover nothing; a relative path would depend on where it runs.
        let sound = !charge.root_name.is_empty()
            && charge.state_dir.is_absolute()
            && charge.cgroup.as_ref().is_none_or(|cgroup| cgroup.ends_with(&charge.root_name));
        let runtime = Pid(u32::try_from(number("--runtime")?).ok()?);
        sound.then_some(Self { runtime, start_time: number("--start-time")?, charge })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn orders(cgroup: Option<&str>) -> Orders {
        let charge = Charge {
            state_dir: "/s d".into(),
            root_name: "greenroom-a-b".to_owned(),
            cgroup: cgroup.map(PathBuf::from),
        };
        Orders { runtime: Pid(7), start_time: 99, charge }
    }

    #[test]
    fn orders_survive_the_command_line() {
        for orders in [orders(None), orders(Some("/c/greenroom-a-b"))] {
            assert_eq!(Orders::from_args(&orders.to_args()), Some(orders));
        }
    }

    #[test]
    fn the_runs_of_the_incarnation_are_covered_in_every_layer() {
        let entry = |hold: &str| RegistryEntry {
            run: crate::ids::RunId::fresh(),
            service: "chat".parse().expect("a name"),
            main: crate::os::proc::ProcessIdentity::own().expect("an identity"),
            hold: hold.to_owned(),
            port: None,
            kept: None,
        };
        let charge = orders(None).charge;
        for (hold, expected) in [
            ("/sys/fs/cgroup/greenroom-a-b/chat.1", true),
            ("greenroom-a-b/chat.1", true),
            ("shim:greenroom-a-b/chat.1", true),
            ("shim:greenroom-a-c/chat.1", false),
            ("/sys/fs/cgroup/greenroom-a-bc/chat.1", false),
        ] {
            assert_eq!(charge.covers(&entry(hold)), expected, "{hold}");
        }
    }

    #[test]
    fn a_cgroup_that_is_not_the_root_is_refused() {
        assert_eq!(Orders::from_args(&orders(Some("/sys/fs/cgroup")).to_args()), None);
        assert_eq!(Orders::from_args(&[]), None);
    }
}
