//! How a test's runtime holds its process trees, and as whom it runs.

use std::{
    fs,
    os::unix::{fs::PermissionsExt, process::CommandExt},
    path::Path,
    process::Command,
};

use nix::unistd::{Gid, Uid, chown};

use super::{programs::copy_program, wait::note};

/// The user and group without any rights of their own, as every Linux has them.
const NOBODY: u32 = 65_534;

/// A layer of containment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layer {
    /// cgroup v2, as the user who runs the tests.
    Cgroup,
    /// A shim per service, as an ordinary user, who may make no cgroup.
    Shim,
    /// A PID namespace per service, as an ordinary user.
    Namespace,
}

impl Layer {
    /// Its part of `[runtime]`.
    pub fn config(self) -> &'static str {
        match self {
            Self::Cgroup => "",
            Self::Shim => "containment = \"shim\"\n",
            Self::Namespace => "containment = \"namespace\"\n",
        }
    }

    /// Whether this machine allows it; says so when not.
    pub fn is_allowed(self) -> bool {
        let number = |path: &str| fs::read_to_string(path).ok().and_then(|text| text.trim().parse::<u64>().ok());
        let allowed = self != Self::Namespace
            || (number("/proc/sys/user/max_user_namespaces").unwrap_or(0) > 0
                && number("/proc/sys/kernel/unprivileged_userns_clone") != Some(0)
                && number("/proc/sys/kernel/apparmor_restrict_unprivileged_userns") != Some(1));
        if !allowed {
            note("not run: this machine allows ordinary users no user namespaces");
        }
        allowed
    }

    /// Makes a command run as who this layer is for.
    pub fn dress(self, command: &mut Command) {
        if self.changes_user() {
            // With the user, a child of root loses all further groups.
            command.uid(NOBODY).gid(NOBODY);
        }
    }

    /// Gives a folder to who this layer is for.
    pub fn give(self, folder: &Path) {
        if self.changes_user() {
            chown(folder, Some(Uid::from_raw(NOBODY)), Some(Gid::from_raw(NOBODY))).expect("root may give folders");
        }
    }

    /// A path of `program` that who this layer is for can reach: where the folders around it are closed to others, a
    /// copy in `folder`.
    pub fn reachable(self, program: &str, folder: &Path) -> String {
        let open = |folder: &Path| fs::metadata(folder).is_ok_and(|meta| meta.permissions().mode() & 0o001 != 0);
        if !self.changes_user() || Path::new(program).ancestors().all(open) {
            return program.to_owned();
        }
        let copy = folder.join("greenroom");
        copy_program(Path::new(program), &copy);
        copy.display().to_string()
    }

    fn changes_user(self) -> bool {
        self != Self::Cgroup && Uid::effective().is_root()
    }
}

/// Makes a test of each function, once in every layer. The function takes the layer.
macro_rules! in_every_layer {
    ($($test:ident),* $(,)?) => {$(
        mod $test {
            $crate::common::with_shims!(@ $test);

            #[test]
            fn cgroup() {
                super::$test($crate::common::Layer::Cgroup);
            }
        }
    )*};
}

/// Makes a test of each function, once in each of the layers that have shims. The function takes the layer.
macro_rules! with_shims {
    (@ $test:ident) => {
        #[test]
        fn shim() {
            super::$test($crate::common::Layer::Shim);
        }

        #[test]
        fn namespace() {
            if $crate::common::Layer::Namespace.is_allowed() {
                super::$test($crate::common::Layer::Namespace);
            }
        }
    };
    ($($test:ident),* $(,)?) => {$(
        mod $test {
            $crate::common::with_shims!(@ $test);
        }
    )*};
}

pub(crate) use {in_every_layer, with_shims};
