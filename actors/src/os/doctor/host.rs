//! The machine: kernel, limits, ports, memory, and the state dir.

use std::{
    fs,
    path::{Path, PathBuf},
};

use rustix::{
    fs::{Access, access},
    process::{Resource, getrlimit},
};
use sysinfo::{MemoryRefreshKind, RefreshKind, System};

use super::{Finding, FindingState};
use crate::{
    os::{ports as tcp, state_dir as claim},
    units::ByteSize,
};

/// `cgroup.kill` came with this one.
const OLDEST_KERNEL: (u32, u32) = (5, 14);
/// A service needs about four descriptors, and the gateway two for each connection.
const ENOUGH_DESCRIPTORS: u64 = 4096;
const ENOUGH_PROCESSES: u64 = 1024;

pub(super) fn kernel() -> Finding {
    let version = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default().trim().to_owned();
    match parse_version(&version) {
        Some(found) if found < OLDEST_KERNEL => Finding::lacking(
            "kernel",
            FindingState::Missing,
            format!("Linux {version}"),
            "trees cannot be ended by one write",
            "use Linux 5.14 or later",
        ),
        Some(_) => Finding::ok("kernel", format!("Linux {version}")),
        None => Finding::lacking(
            "kernel",
            FindingState::Degraded,
            format!("a version that cannot be read: `{version}`"),
            "it is not known whether it is new enough",
            "use Linux 5.14 or later",
        ),
    }
}

/// Major and minor of a text like `6.18.44-generic`.
fn parse_version(text: &str) -> Option<(u32, u32)> {
    let mut parts = text.split(|c: char| !c.is_ascii_digit());
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

pub(super) fn state_dir(path: &Path) -> Finding {
    let shown = path.display();
    let lacking = |detail: String| {
        let remedy = "choose another with runtime.state_dir or --state-dir";
        Finding::lacking("state_dir", FindingState::Missing, detail, "the runtime does not start", remedy)
    };
    let length = path.join(claim::SOCKET).as_os_str().len();
    if length > claim::MAX_SOCKET_PATH {
        return lacking(format!("{shown}: the path of the socket in it is {length} bytes long"));
    }
    // It is made at the first start: until then its nearest parent has to do.
    let nearest = path.ancestors().find(|folder| folder.exists()).map_or_else(|| PathBuf::from("/"), Path::to_owned);
    if !nearest.is_dir() {
        return lacking(format!("{shown}: {} is not a folder", nearest.display()));
    }
    if access(&nearest, Access::WRITE_OK | Access::EXEC_OK).is_err() {
        return lacking(format!("{shown}: {} cannot be written to", nearest.display()));
    }
    match claim::read_owner(path) {
        Ok(Some(owner)) if owner.alive => {
            Finding::ok("state_dir", format!("{shown}, used by the runtime with process {}", owner.identity.pid))
        }
        _ => Finding::ok("state_dir", format!("{shown}, free")),
    }
}

pub(super) fn ports((from, to): (u16, u16)) -> Finding {
    let free = tcp::free_count(from, to);
    let all = usize::from(to.saturating_sub(from)) + 1;
    let detail = format!("{free} of {all} ports from {from} to {to} are free");
    if free * 2 >= all {
        return Finding::ok("ports", detail);
    }
    let state = if free == 0 { FindingState::Missing } else { FindingState::Degraded };
    Finding::lacking(
        "ports",
        state,
        detail,
        "services without a port do not start",
        "choose another range in runtime.ports",
    )
}

pub(super) fn descriptors() -> Finding {
    let remedy = "raise the hard limit (ulimit -Hn, or LimitNOFILE= of the unit)";
    limit("descriptors", Resource::Nofile, ENOUGH_DESCRIPTORS, remedy)
}

pub(super) fn processes() -> Finding {
    let remedy = "raise the hard limit (ulimit -Hu, or LimitNPROC= of the unit)";
    limit("processes", Resource::Nproc, ENOUGH_PROCESSES, remedy)
}

/// The hard limit counts: the soft one can be raised to it.
fn limit(name: &str, resource: Resource, enough: u64, remedy: &str) -> Finding {
    match getrlimit(resource).maximum {
        Some(most) if most < enough => Finding::lacking(
            name,
            FindingState::Degraded,
            format!("at most {most}"),
            "many services at once may fail",
            remedy,
        ),
        Some(most) => Finding::ok(name, format!("at most {most}")),
        None => Finding::ok(name, "not limited"),
    }
}

pub(super) fn memory() -> Finding {
    let what = RefreshKind::nothing().with_memory(MemoryRefreshKind::nothing().with_ram());
    match System::new_with_specifics(what) {
        Ok(system) => {
            let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
            let (free, total) = (ByteSize(system.available_memory()), ByteSize(system.total_memory()));
            Finding::ok("memory", format!("{free} of {total} are available; {cores} processor cores"))
        }
        Err(error) => Finding::lacking(
            "memory",
            FindingState::Degraded,
            format!("it cannot be read: {error}"),
            "services cannot be checked against the memory of the machine",
            "mount /proc",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kernel_versions_are_read_and_compared_by_number() {
        assert_eq!(parse_version("6.18.44-fc-v669"), Some((6, 18)));
        assert_eq!(parse_version("5.9"), Some((5, 9)));
        assert!((5, 9) < OLDEST_KERNEL && (5, 14) >= OLDEST_KERNEL && (6, 1) >= OLDEST_KERNEL);
        assert_eq!(parse_version("Plan 9"), None);
    }

    #[test]
    fn a_state_dir_that_cannot_be_is_said_so() {
        let dir = tempfile::tempdir().expect("a folder");
        assert_eq!(state_dir(&dir.path().join("not/yet")).state, FindingState::Ok);
        assert_eq!(state_dir(&dir.path().join("x".repeat(120))).state, FindingState::Missing);
        let file = dir.path().join("file");
        fs::write(&file, "").expect("written");
        assert_eq!(state_dir(&file).state, FindingState::Missing);
    }
}
