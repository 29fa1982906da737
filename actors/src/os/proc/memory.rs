//! What processes hold of the host's memory.

use nix::unistd::{SysconfVar, sysconf};

use super::{file::read, stat};
use crate::ids::Pid;

/// Resident memory of these processes together, in bytes. Pages that they share count in each; those that have ended
/// count nothing.
#[must_use]
pub fn resident_bytes(pids: &[Pid]) -> u64 {
    let pages: u64 = pids.iter().filter_map(|pid| Some(stat(*pid).ok()?.resident_pages)).sum();
    pages * page_size()
}

/// Memory of these processes together that no file stands behind, in bytes: `RssAnon` and `RssShmem` of proc(5). It is
/// what they need of the host; pages of files can be dropped and read again. Those that have ended count nothing.
#[must_use]
pub fn anonymous_bytes(pids: &[Pid]) -> u64 {
    let status = |pid: &Pid| Some(parse_anonymous(&String::from_utf8_lossy(&read(*pid, "status").ok()?)));
    pids.iter().filter_map(status).fold(0, u64::saturating_add)
}

/// From the text of `/proc/PID/status`, whose `kB` are KiB.
fn parse_anonymous(status: &str) -> u64 {
    let kib = |line: &str| {
        let figure = line.strip_prefix("RssAnon:").or_else(|| line.strip_prefix("RssShmem:"))?;
        figure.split_ascii_whitespace().next()?.parse::<u64>().ok()
    };
    status.lines().filter_map(kib).fold(0, u64::saturating_add).saturating_mul(1 << 10)
}

fn page_size() -> u64 {
    sysconf(SysconfVar::PAGE_SIZE).ok().flatten().and_then(|size| u64::try_from(size).ok()).unwrap_or(4096)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_holds_some_and_no_process_none() {
        let own = Pid(std::process::id());
        assert!(resident_bytes(&[own]) > 100_000);
        assert!((1..=resident_bytes(&[own]) * 2).contains(&anonymous_bytes(&[own, Pid(u32::MAX)])));
    }

    #[test]
    fn memory_without_a_file_is_anonymous_and_shared() {
        let status = "Name:\tx\nVmRSS:\t  900 kB\nRssAnon:\t  120 kB\nRssFile:\t  700 kB\nRssShmem:\t   80 kB\n";
        assert_eq!(parse_anonymous(status), 200 << 10);
        assert_eq!(parse_anonymous("Name:\tkthreadd\n"), 0);
    }
}
