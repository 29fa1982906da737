//! Where kept runs can live so that nobody ends them together with the runtime. Pure, but for [`own_unit`].
//!
//! A service manager ends everything that is in its unit's cgroup. So in the cgroup layer kept runs live beside the unit,
//! in the slice that it is in; also when the unit is a login session's scope, which is ended at the logout where
//! `KillUserProcesses=yes` is set. Without a unit around us, the runtime's own cgroup is as good as any.
//!
//! Where there is no cgroup to move to, a run stays in the unit. A `*.service` is ended with its main process, so there
//! `keep` would be a promise that nobody keeps. A `*.scope` lives for as long as anybody is in it.

use std::{
    fs,
    path::{Path, PathBuf},
};

use crate::ids::{RunId, ServiceName};

/// Begins the name of the cgroup that all kept runs of an instance are in, and ends it.
const SUFFIX: &str = "keep";
/// In it, the cgroup of the shims. No service's name can be this, because those are followed by a dot and a run.
const SHIMS: &str = "shims";

/// The cgroup in which that of the kept runs is to be made, for a runtime in the cgroup `own`.
#[must_use]
pub fn beside_the_unit(own: &Path) -> &Path {
    let unit = own.ancestors().find(|part| is_unit(part, &[".service", ".scope"]));
    unit.and_then(Path::parent).unwrap_or(own)
}

/// The name of the cgroup of all kept runs: `greenroom-<instance>-keep`.
#[must_use]
pub fn root_name(instance: &str) -> String {
    format!("{}{SUFFIX}", crate::os::containment::root_prefix(instance))
}

/// Whether a path is that of a root of kept runs of this instance.
#[must_use]
pub fn is_root(path: &Path, instance: &str) -> bool {
    path.file_name().is_some_and(|name| name == root_name(instance).as_str())
}

/// The cgroup of the shims below the root of the kept runs.
#[must_use]
pub fn shims(root: &Path) -> PathBuf {
    root.join(SHIMS)
}

/// Whether a cgroup is that of one kept run of this instance, or the shims'.
#[must_use]
pub fn is_below_root(cgroup: &Path, instance: &str) -> bool {
    cgroup.is_absolute() && cgroup.parent().is_some_and(|root| is_root(root, instance))
}

/// The name of the cgroup of one kept run.
#[must_use]
pub fn run_name(service: &ServiceName, run: RunId) -> String {
    format!("{service}.{run}")
}

/// Whether a cgroup can be nothing but that of this run, of whichever instance.
#[must_use]
pub fn is_of_run(cgroup: &Path, service: &ServiceName, run: RunId) -> bool {
    cgroup.is_absolute()
        && cgroup.file_name().is_some_and(|name| name == run_name(service, run).as_str())
        && cgroup.parent().is_some_and(is_any_root)
}

/// Whether a path is that of a root of kept runs of any instance.
#[must_use]
pub fn is_any_root(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    name.strip_prefix("greenroom-")
        .and_then(|rest| rest.strip_suffix("-keep"))
        .is_some_and(|instance| !instance.is_empty())
}

/// The unit that this process is in and that would be ended with everything in it when the runtime ends.
#[must_use]
pub fn own_unit() -> Option<String> {
    unit_that_ends(&fs::read_to_string("/proc/self/cgroup").ok()?)
}

/// From the text of `/proc/self/cgroup`: the service among the units around us, if it is the innermost one.
fn unit_that_ends(cgroup: &str) -> Option<String> {
    let paths = cgroup.lines().filter_map(|line| {
        let (controllers, path) = line.split_once(':')?.1.split_once(':')?;
        (controllers.is_empty() || controllers == "name=systemd").then_some(Path::new(path))
    });
    let mut units = paths.filter_map(|path| path.ancestors().find(|part| is_unit(part, &[".service", ".scope"])));
    let unit = units.find(|unit| is_unit(unit, &[".service"]))?;
    unit.file_name()?.to_str().map(str::to_owned)
}

fn is_unit(path: &Path, kinds: &[&str]) -> bool {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    kinds.iter().any(|kind| name.strip_suffix(kind).is_some_and(|rest| !rest.is_empty()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kept_runs_live_beside_the_innermost_unit() {
        for (own, expected) in [
            ("/cg/system.slice/greenroom.service", "/cg/system.slice"),
            ("/cg/system.slice/greenroom.service/sub/deeper", "/cg/system.slice"),
            (
                "/cg/user.slice/user-1.slice/user@1.service/app.slice/run-r7.scope",
                "/cg/user.slice/user-1.slice/user@1.service/app.slice",
            ),
            ("/cg/user.slice/user-1.slice/session-3.scope", "/cg/user.slice/user-1.slice"),
            ("/cg/docker/0123", "/cg/docker/0123"),
            ("/cg", "/cg"),
        ] {
            assert_eq!(beside_the_unit(Path::new(own)), Path::new(expected), "{own}");
        }
    }

    #[test]
    fn a_service_ends_with_its_main_process_and_a_scope_does_not() {
        let text = |path: &str| format!("9:name=systemd:{path}\n4:memory:/other.service\n0::/\n");
        assert_eq!(unit_that_ends(&text("/system.slice/x.service/y")).as_deref(), Some("x.service"));
        assert_eq!(unit_that_ends("0::/user.slice/user@1.service/app.slice/x.service\n").as_deref(), Some("x.service"));
        assert_eq!(unit_that_ends("0::/user.slice/user@1.service/app.slice/run-r7.scope\n"), None);
        assert_eq!(unit_that_ends(&text("/user.slice/session-3.scope")), None);
        assert_eq!(unit_that_ends(&text("/docker/0123")), None);
        assert_eq!(unit_that_ends(""), None);
    }

    #[test]
    fn a_runs_cgroup_is_known_by_its_name_in_every_instance() {
        let (service, run): (ServiceName, _) = ("chat".parse().expect("a name"), RunId::fresh());
        let name = run_name(&service, run);
        for (cgroup, expected) in [
            (format!("/cg/greenroom-0123-keep/{name}"), true),
            (format!("/cg/greenroom-4567-keep/{name}"), true),
            (format!("/cg/other/{name}"), false),
            (format!("greenroom-0123-keep/{name}"), false),
            (format!("/cg/greenroom-0123-keep/chat.{}", RunId::fresh()), false),
            ("/cg/greenroom-0123-keep".to_owned(), false),
        ] {
            assert_eq!(is_of_run(Path::new(&cgroup), &service, run), expected, "{cgroup}");
        }
    }

    #[test]
    fn only_this_instances_cgroups_count() {
        let root = Path::new("/cg/x").join(root_name("0123"));
        assert!(is_root(&root, "0123") && !is_root(&root, "4567"));
        assert!(is_below_root(&root.join("chat.1"), "0123") && is_below_root(&shims(&root), "0123"));
        for other in ["/cg/x/chat.1", "greenroom-0123-keep/chat.1", "/cg/greenroom-0123-keep", "/"] {
            assert!(!is_below_root(Path::new(other), "0123"), "{other}");
        }
    }
}
