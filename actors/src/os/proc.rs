//! Processes as `/proc` shows them.

use std::{
    fs::{self, File},
    io::{self, Read},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::OnceLock,
};

use nix::unistd::{SysconfVar, sysconf};
use serde::{Deserialize, Serialize};

use crate::ids::Pid;

/// Bytes that are asked for at a time: more than most files of a process hold.
const PIECE: usize = 4096;

/// Longest command line shown to people, in characters.
const COMMAND_SHOWN: usize = 120;

/// Names one process for good: ids are reused, this triple is not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessIdentity {
    /// From `/proc/sys/kernel/random/boot_id`.
    pub boot_id: String,
    /// The process id.
    pub pid: Pid,
    /// Field 22 of `/proc/PID/stat`: clock ticks since boot at its start.
    pub start_time: u64,
}

impl ProcessIdentity {
    /// Of a process that has not been waited for yet.
    ///
    /// # Errors
    /// `NotFound` when there is none with this id.
    pub fn of(pid: Pid) -> io::Result<Self> {
        let start_time = stat(pid)?.start_time;
        Ok(Self { boot_id: boot_id()?.to_owned(), pid, start_time })
    }

    /// Of this process.
    ///
    /// # Errors
    /// When `/proc` cannot be read.
    pub fn own() -> io::Result<Self> {
        Self::of(Pid(std::process::id()))
    }

    /// Whether that very process still lives (a zombie does not).
    #[must_use]
    pub fn is_alive(&self) -> bool {
        let same_boot = boot_id().is_ok_and(|boot_id| boot_id == self.boot_id);
        same_boot && stat(self.pid).is_ok_and(|stat| stat.start_time == self.start_time && stat.is_alive())
    }
}

/// What is used of `/proc/PID/stat`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stat {
    /// `R`, `S`, `D`, `Z`, ...
    pub state: char,
    /// The parent.
    pub parent: Pid,
    /// The session.
    pub session: Pid,
    /// Field 22: clock ticks since boot at its start.
    pub start_time: u64,
    /// Field 24: resident memory in pages.
    pub resident_pages: u64,
}

impl Stat {
    /// Whether it still runs: neither ended nor being ended.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        !matches!(self.state, 'Z' | 'X' | 'x')
    }
}

/// Reads a line of `/proc/PID/stat`. The name in it may contain spaces and parentheses, so fields are counted from the
/// last closing one.
fn parse_stat(text: &str) -> Option<Stat> {
    let (_, rest) = text.rsplit_once(')')?;
    let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
    // fields[0] is field 3, the state.
    let number = |field: usize| fields.get(field - 3)?.parse::<u64>().ok();
    let pid = |field: usize| Some(Pid(u32::try_from(number(field)?).ok()?));
    Some(Stat {
        state: fields.first()?.chars().next()?,
        parent: pid(4)?,
        session: pid(6)?,
        start_time: number(22)?,
        resident_pages: number(24)?,
    })
}

/// One process.
///
/// # Errors
/// `NotFound` when there is none with this id.
pub fn stat(pid: Pid) -> io::Result<Stat> {
    let bytes = short(&path(pid, "stat")).map_err(gone)?;
    // The name may hold any bytes.
    parse_stat(&String::from_utf8_lossy(&bytes))
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, format!("/proc/{pid}/stat is not as documented")))
}

/// One file of a process. A process that ended meanwhile is `NotFound`, whichever way the kernel says it.
fn read(pid: Pid, file: &str) -> io::Result<Vec<u8>> {
    fs::read(path(pid, file)).map_err(gone)
}

fn gone(error: io::Error) -> io::Error {
    match error.raw_os_error() {
        Some(raw) if raw == nix::errno::Errno::ESRCH as i32 => io::Error::from(io::ErrorKind::NotFound),
        _ => error,
    }
}

/// All of a file that the kernel writes record by record (`seq_file`), in one piece where it is short, as `stat` and
/// `children` are: hundreds of them are read every other second.
fn short(path: &Path) -> io::Result<Vec<u8>> {
    let mut file = File::open(path)?;
    let mut buffer = [0; PIECE];
    let count = file.read(&mut buffer)?;
    let mut text = buffer[..count].to_vec();
    // A record that did not fit any more comes with the next piece, so only much room left means the end.
    if count > PIECE / 2 {
        file.read_to_end(&mut text)?;
    }
    Ok(text)
}

fn path(pid: Pid, file: &str) -> PathBuf {
    PathBuf::from(format!("/proc/{pid}/{file}"))
}

/// Every process there is.
///
/// # Errors
/// When `/proc` cannot be read.
pub fn all() -> io::Result<Vec<Pid>> {
    let numbers = fs::read_dir("/proc")?.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    Ok(numbers.map(Pid).collect())
}

/// Every process with what `/proc/PID/stat` says of it; those that end meanwhile are left out.
///
/// # Errors
/// When `/proc` cannot be read.
pub fn table() -> io::Result<Vec<(Pid, Stat)>> {
    Ok(all()?.into_iter().filter_map(|pid| Some((pid, stat(pid).ok()?))).collect())
}

/// The children of a process, also those that have ended and not been waited for.
///
/// # Errors
/// When `/proc` cannot be read.
pub fn children(pid: Pid) -> io::Result<Vec<Pid>> {
    Ok(table()?.into_iter().filter(|(_, stat)| stat.parent == pid).map(|(child, _)| child).collect())
}

/// Those of whom `table` says that they descend from `roots`, without the roots. Pure.
#[must_use]
pub fn descendants(table: &[(Pid, Stat)], roots: &[Pid]) -> Vec<Pid> {
    let mut found: Vec<Pid> = Vec::new();
    let mut parents: Vec<Pid> = roots.to_vec();
    while let Some(parent) = parents.pop() {
        for (child, stat) in table {
            if stat.parent == parent && !found.contains(child) && !roots.contains(child) {
                found.push(*child);
                parents.push(*child);
            }
        }
    }
    found
}

/// The living processes that descend from one, without it: what it holds if it takes every orphan of its tree. Reads
/// only the tree, where the kernel lists children (`CONFIG_PROC_CHILDREN`), and every process where it does not.
///
/// # Errors
/// When `/proc` cannot be read.
pub fn tree(root: Pid) -> io::Result<Vec<(Pid, Stat)>> {
    let Some(first) = listed_children(root) else {
        let table = table()?;
        let found = descendants(&table, &[root]);
        return Ok(table.into_iter().filter(|(pid, stat)| stat.is_alive() && found.contains(pid)).collect());
    };
    let (mut found, mut parents) = (Vec::new(), first);
    while let Some(pid) = parents.pop() {
        let Ok(stat) = stat(pid) else { continue };
        if found.iter().any(|(known, _)| *known == pid) {
            continue;
        }
        found.push((pid, stat));
        parents.extend(listed_children(pid).unwrap_or_default());
    }
    found.retain(|(_, stat)| stat.is_alive());
    Ok(found)
}

/// Whether this kernel lists children (`CONFIG_PROC_CHILDREN`).
pub(super) fn lists_children() -> bool {
    static LISTS: OnceLock<bool> = OnceLock::new();
    *LISTS.get_or_init(|| listed_children(Pid(std::process::id())).is_some())
}

/// The children of all threads of a process; `None` when the kernel does not list them, or there is no such process.
pub(super) fn listed_children(pid: Pid) -> Option<Vec<Pid>> {
    let tasks = path(pid, "task");
    // Most processes have one thread, and hundreds of them are asked every other second. As a folder, `task` has a link for
    // each thread besides its own two.
    if fs::metadata(&tasks).is_ok_and(|tasks| tasks.nlink() == 3)
        && let Ok(text) = short(&tasks.join(pid.to_string()).join("children"))
    {
        return Some(numbers(&text).collect());
    }
    let threads = fs::read_dir(tasks).ok()?;
    let mut found = None;
    for thread in threads.flatten() {
        if let Ok(text) = fs::read(thread.path().join("children")) {
            found.get_or_insert_with(Vec::new).extend(numbers(&text));
        }
    }
    found
}

/// Process ids that stand in a text, with spaces between them.
fn numbers(text: &[u8]) -> impl Iterator<Item = Pid> + '_ {
    let words = text.split(u8::is_ascii_whitespace).filter_map(|word| std::str::from_utf8(word).ok());
    words.filter_map(|word| word.parse().ok()).map(Pid)
}

/// The parents of a process, nearest first, as far as they can be seen.
#[must_use]
pub fn ancestors(pid: Pid) -> Vec<Pid> {
    let mut line = Vec::new();
    let mut current = pid;
    while let Ok(stat) = stat(current) {
        if stat.parent.0 == 0 || line.contains(&stat.parent) {
            break;
        }
        line.push(stat.parent);
        current = stat.parent;
    }
    line
}

/// Which boot of the machine this is.
///
/// # Errors
/// When `/proc` cannot be read.
pub fn boot_id() -> io::Result<&'static str> {
    static BOOT_ID: OnceLock<String> = OnceLock::new();
    if let Some(known) = BOOT_ID.get() {
        return Ok(known);
    }
    let text = fs::read_to_string("/proc/sys/kernel/random/boot_id")?;
    Ok(BOOT_ID.get_or_init(|| text.trim().to_owned()))
}

/// A command line for people: arguments separated by spaces, shortened, without control characters; the name in
/// brackets where there are no arguments; `?` where nothing can be read.
#[must_use]
pub fn command(pid: Pid) -> String {
    let line = read(pid, "cmdline").unwrap_or_default();
    let text = if line.is_empty() {
        let name = read(pid, "comm").unwrap_or_default();
        if name.is_empty() { "?".to_owned() } else { format!("[{}]", String::from_utf8_lossy(&name).trim_end()) }
    } else {
        String::from_utf8_lossy(&line).trim_end_matches('\0').replace('\0', " ")
    };
    let clean = text.chars().map(|c| if c.is_control() { ' ' } else { c });
    clean.take(COMMAND_SHOWN).collect()
}

/// Whether one of the variables (`NAME=value`) that a process was started with is as `wanted` says. `false` for
/// processes of other users, and for those that have cleared or overwritten their environment: a hint, never a proof.
#[must_use]
pub fn any_variable(pid: Pid, wanted: impl Fn(&[u8]) -> bool) -> bool {
    read(pid, "environ").is_ok_and(|environment| environment.split(|byte| *byte == 0).any(wanted))
}

/// Whether a process belongs to the user that this one runs as.
#[must_use]
pub fn is_same_user(pid: Pid) -> bool {
    let own = nix::unistd::geteuid().as_raw();
    fs::metadata(path(pid, "")).is_ok_and(|folder| folder.uid() == own)
}

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
    use proptest::prelude::*;

    use super::*;

    const LINE: &str = "12 (a) S (b) c) S 1 12 9 0 -1 4194560 0 0 0 0 0 0 0 0 20 0 1 0 777 5 42 0 0";

    #[test]
    fn a_name_with_spaces_and_parentheses_does_not_shift_the_fields() {
        let stat = parse_stat(LINE).expect("a stat");
        assert_eq!((stat.state, stat.parent, stat.session), ('S', Pid(1), Pid(9)));
        assert_eq!((stat.start_time, stat.resident_pages), (777, 42));
    }

    #[test]
    fn this_process_is_there_and_alive() {
        let own = ProcessIdentity::own().expect("an identity");
        assert!(own.is_alive());
        assert!(stat(own.pid).expect("a stat").is_alive());
        assert!(command(own.pid).len() > 1);
        assert!(resident_bytes(&[own.pid]) > 100_000);
        assert!((1..=resident_bytes(&[own.pid]) * 2).contains(&anonymous_bytes(&[own.pid, Pid(u32::MAX)])));
        assert!(all().expect("processes").contains(&own.pid));
    }

    #[test]
    fn memory_without_a_file_is_anonymous_and_shared() {
        let status = "Name:\tx\nVmRSS:\t  900 kB\nRssAnon:\t  120 kB\nRssFile:\t  700 kB\nRssShmem:\t   80 kB\n";
        assert_eq!(parse_anonymous(status), 200 << 10);
        assert_eq!(parse_anonymous("Name:\tkthreadd\n"), 0);
    }

    #[test]
    fn another_process_with_the_same_id_is_another_process() {
        let own = ProcessIdentity::own().expect("an identity");
        assert!(!ProcessIdentity { start_time: own.start_time + 1, ..own.clone() }.is_alive());
        assert!(!ProcessIdentity { boot_id: "earlier".to_owned(), ..own }.is_alive());
    }

    #[test]
    fn no_process_is_not_found() {
        assert_eq!(ProcessIdentity::of(Pid(u32::MAX)).map_err(|e| e.kind()), Err(io::ErrorKind::NotFound));
    }

    fn child_of(parent: u32) -> Stat {
        Stat { state: 'S', parent: Pid(parent), session: Pid(1), start_time: 0, resident_pages: 0 }
    }

    #[test]
    fn descendants_are_found_across_generations() {
        let table = [(Pid(2), child_of(1)), (Pid(3), child_of(2)), (Pid(4), child_of(3)), (Pid(5), child_of(1))];
        let mut found = descendants(&table, &[Pid(2)]);
        found.sort();
        assert_eq!(found, [Pid(3), Pid(4)]);
    }

    #[test]
    fn a_tree_is_read_by_its_children_as_by_the_table() {
        let mut child =
            std::process::Command::new("sh").args(["-c", "sleep 987 & sleep 987"]).spawn().expect("spawned");
        let parent = Pid(child.id());
        let up = || tree(parent).expect("a tree").iter().filter(|(pid, _)| command(*pid) == "sleep 987").count() == 2;
        let is_up = crate::os::clock::wait_until(std::time::Duration::from_secs(20), up);
        let mut listed: Vec<Pid> = tree(parent).expect("a tree").into_iter().map(|(pid, _)| pid).collect();
        let mut all = descendants(&table().expect("a table"), &[parent]);
        for pid in std::iter::once(parent).chain(all.clone()) {
            super::super::pidfd::kill_if(pid, || true).expect("killed");
        }
        child.wait().expect("waited for");
        listed.sort();
        all.sort();
        assert!(is_up && listed == all, "{listed:?} {all:?}");
    }

    proptest! {
        #[test]
        fn no_text_makes_the_parser_panic(text in "[ -~]{0,60}\\)?[ -~]{0,120}") {
            let _stat = parse_stat(&text);
        }

        #[test]
        fn any_name_is_skipped(name in "[ -~]{0,15}") {
            let text = format!("12 ({name}) S 1 12 9 0 -1 4194560 0 0 0 0 0 0 0 0 20 0 1 0 777 5 42 0 0");
            prop_assert_eq!(parse_stat(&text), parse_stat(LINE));
        }

        #[test]
        fn walking_down_ends_even_in_a_circle(parents in proptest::collection::vec(0u32..12, 12)) {
            let table: Vec<_> = parents.iter().zip(0..).map(|(parent, pid)| (Pid(pid), child_of(*parent))).collect();
            let found = descendants(&table, &[Pid(0)]);
            prop_assert!(found.len() <= table.len());
            prop_assert!(!found.contains(&Pid(0)));
        }
    }
}
