//! Whether this user may have user namespaces, as the settings of the kernel say it: for the reason and the remedy when
//! the namespace layer does not work.

use std::fs;

use nix::unistd::geteuid;

/// A setting that stands in the way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Obstacle {
    /// What it does.
    pub problem: &'static str,
    /// What to do about it.
    pub remedy: &'static str,
}

/// The settings that matter; `None` where the kernel has none of that name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Settings {
    root: bool,
    max_user_namespaces: Option<u64>,
    unprivileged_userns_clone: Option<u64>,
    apparmor_restrict: Option<u64>,
}

/// The setting that keeps this user from namespaces of their own; `None` where none is known to.
#[must_use]
pub fn obstacle() -> Option<Obstacle> {
    let number = |path: &str| fs::read_to_string(path).ok()?.trim().parse().ok();
    judge(Settings {
        root: geteuid().is_root(),
        max_user_namespaces: number("/proc/sys/user/max_user_namespaces"),
        unprivileged_userns_clone: number("/proc/sys/kernel/unprivileged_userns_clone"),
        apparmor_restrict: number("/proc/sys/kernel/apparmor_restrict_unprivileged_userns"),
    })
}

/// Pure.
fn judge(settings: Settings) -> Option<Obstacle> {
    let obstacle = |problem, remedy| Some(Obstacle { problem, remedy });
    match settings {
        // Root needs no user namespace for a pid namespace.
        Settings { root: true, .. } => None,
        Settings { max_user_namespaces: None | Some(0), .. } => {
            obstacle("the kernel allows no user namespaces", "sysctl user.max_user_namespaces=15000")
        }
        Settings { unprivileged_userns_clone: Some(0), .. } => {
            obstacle("only root may make user namespaces", "sysctl kernel.unprivileged_userns_clone=1")
        }
        Settings { apparmor_restrict: Some(1), .. } => {
            obstacle("AppArmor allows user namespaces to named programs only", "add an AppArmor profile for greenroom")
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_setting_in_the_way_is_named_with_its_remedy() {
        let free = Settings {
            root: false,
            max_user_namespaces: Some(15_000),
            unprivileged_userns_clone: None,
            apparmor_restrict: Some(0),
        };
        assert_eq!(judge(free), None);
        for (settings, remedy) in [
            (Settings { max_user_namespaces: Some(0), ..free }, "max_user_namespaces"),
            (Settings { max_user_namespaces: None, ..free }, "max_user_namespaces"),
            (Settings { unprivileged_userns_clone: Some(0), ..free }, "unprivileged_userns_clone"),
            (Settings { apparmor_restrict: Some(1), ..free }, "AppArmor"),
        ] {
            assert!(judge(settings).is_some_and(|o| o.remedy.contains(remedy)), "{settings:?}");
            assert_eq!(judge(Settings { root: true, ..settings }), None);
        }
    }
}
