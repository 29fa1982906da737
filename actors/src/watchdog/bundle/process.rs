//! One process as a bundle shows it, and trees of them as text. Pure.

use serde::Serialize;

use super::secrets::Secrets;
use crate::{ids::Pid, plain::is_acted_on, units::ByteSize};

/// Longest command line in a bundle, in characters.
const COMMAND: usize = 300;
/// Deepest step in a drawn tree; what lies deeper is drawn there.
const DEEPEST: usize = 24;

/// One process at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ProcessShot {
    /// Its id.
    pub pid: Pid,
    /// Its parent's.
    pub parent: Pid,
    /// `R`, `S`, `D`, `Z`, ... as in proc(5).
    pub state: char,
    /// Threads.
    pub threads: u64,
    /// Open descriptors; `None` where they cannot be counted, as those of other users.
    pub descriptors: Option<u64>,
    /// Resident memory, in bytes.
    pub resident: u64,
    /// Anonymous part of it.
    pub anonymous: u64,
    /// Shared part of it.
    pub shared: u64,
    /// Where in the kernel it waits, if it does and that may be known.
    pub waits_in: Option<String>,
    /// Its arguments, separated by zero bytes; its name in brackets where there are none.
    pub command: String,
}

/// What `/proc/PID/status` says, as far as it is of use; `None` where it is none. `kB` in it are KiB.
#[must_use]
pub fn parse_status(pid: Pid, status: &str) -> Option<ProcessShot> {
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        line.map(str::trim)
    };
    let number = |name: &str| field(name)?.split_ascii_whitespace().next()?.parse::<u64>().ok();
    let bytes = |name: &str| number(name).unwrap_or(0).saturating_mul(1 << 10);
    Some(ProcessShot {
        pid,
        parent: Pid(u32::try_from(number("PPid")?).ok()?),
        state: field("State")?.chars().next()?,
        threads: number("Threads").unwrap_or(0),
        descriptors: None,
        resident: bytes("VmRSS"),
        anonymous: bytes("RssAnon"),
        shared: bytes("RssShmem"),
        waits_in: None,
        command: format!("[{}]", field("Name").unwrap_or("?")),
    })
}

/// A command line without its secrets, shortened, on one line.
#[must_use]
pub fn shown_command(command: &str, secrets: &Secrets) -> String {
    // Before it is cut: half a secret would not be known again.
    let clean = secrets.remove_from(command.trim_end_matches('\0'));
    let mut shown: String = clean.chars().map(|c| if is_acted_on(c) { ' ' } else { c }).take(COMMAND + 1).collect();
    if shown.chars().count() > COMMAND {
        shown = shown.chars().take(COMMAND).collect();
        shown.push_str("...");
    }
    shown
}

/// The processes as a tree, each below its parent, with their sum at the top.
#[must_use]
pub fn draw(processes: &[ProcessShot], left_out: usize) -> String {
    let sum = |of: fn(&ProcessShot) -> u64| processes.iter().map(of).fold(0, u64::saturating_add);
    let descriptors = processes.iter().filter_map(|p| p.descriptors).fold(0, u64::saturating_add);
    let (held, resident) = (ByteSize(sum(|p| p.anonymous.saturating_add(p.shared))), ByteSize(sum(|p| p.resident)));
    let threads = sum(|p| p.threads);
    let more = if left_out == 0 { String::new() } else { format!(", and {left_out} more that are not shown") };
    let mut text = format!(
        "{} processes{more}, {threads} threads, {descriptors} descriptors; {held} anonymous and shared, {resident} resident\n",
        processes.len(),
    );
    let [pid, parent, threads, fds, anonymous, shared] = ["pid", "parent", "thr", "fds", "anon", "shared"];
    text.push_str(&format!("{pid:>8} {parent:>8} S {threads:>5} {fds:>5} {anonymous:>9} {shared:>9}  command\n"));
    for (depth, process) in in_order(processes) {
        let fds = process.descriptors.map_or_else(|| "?".to_owned(), |count| count.to_string());
        let waits = process.waits_in.as_deref().map(|place| format!("  (in {place})")).unwrap_or_default();
        text.push_str(&format!(
            "{:>8} {:>8} {} {:>5} {:>5} {:>9} {:>9}  {}{}{waits}\n",
            process.pid.0,
            process.parent.0,
            process.state,
            process.threads,
            fds,
            ByteSize(process.anonymous).to_string(),
            ByteSize(process.shared).to_string(),
            "  ".repeat(depth.min(DEEPEST)),
            process.command,
        ));
    }
    text
}

/// Each after its parent, with its depth. Those whose parent is not among them are roots; so are the members of a circle,
/// which reused ids can make.
fn in_order(processes: &[ProcessShot]) -> Vec<(usize, &ProcessShot)> {
    let mut seen = vec![false; processes.len()];
    let mut ordered = Vec::with_capacity(processes.len());
    let is_root = |p: &ProcessShot| p.parent == p.pid || !processes.iter().any(|other| other.pid == p.parent);
    let roots = (0..processes.len()).filter(|at| is_root(&processes[*at]));
    for start in roots.collect::<Vec<_>>().into_iter().chain(0..processes.len()) {
        let mut open = vec![(0, start)];
        while let Some((depth, at)) = open.pop() {
            if std::mem::replace(&mut seen[at], true) {
                continue;
            }
            ordered.push((depth, &processes[at]));
            let children = (0..processes.len()).rev().filter(|child| processes[*child].parent == processes[at].pid);
            open.extend(children.map(|child| (depth + 1, child)));
        }
    }
    ordered
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const STATUS: &str = "Name:\tllama-server\nState:\tS (sleeping)\nPPid:\t1\nVmRSS:\t  900 kB\nRssAnon:\t  120 kB\n\
                          RssFile:\t  700 kB\nRssShmem:\t   80 kB\nThreads:\t7\n";

    fn process(pid: u32, parent: u32) -> ProcessShot {
        let mut process = parse_status(Pid(pid), STATUS).expect("a status");
        process.parent = Pid(parent);
        process
    }

    #[test]
    fn a_status_is_read_by_its_names() {
        let shot = parse_status(Pid(9), STATUS).expect("a status");
        assert_eq!((shot.parent, shot.state, shot.threads), (Pid(1), 'S', 7));
        assert_eq!((shot.resident, shot.anonymous, shot.shared), (900 << 10, 120 << 10, 80 << 10));
        assert_eq!(shot.command, "[llama-server]");
        assert_eq!(parse_status(Pid(9), "Name:\tx\n"), None);
    }

    #[test]
    fn a_tree_is_drawn_with_children_below_their_parents() {
        let text = draw(&[process(3, 2), process(2, 1), process(9, 1), process(4, 2)], 5);
        let order: Vec<&str> = text.lines().skip(2).filter_map(|line| line.split_whitespace().next()).collect();
        assert_eq!(order, ["2", "3", "4", "9"], "{text}");
        assert!(
            text.starts_with("4 processes, and 5 more that are not shown, 28 threads, 0 descriptors; 800KiB"),
            "{text}"
        );
        assert!(text.lines().nth(3).is_some_and(|line| line.contains("    [llama-server]")), "{text}");
    }

    #[test]
    fn a_command_is_cut_after_its_secrets_are_gone() {
        let long = format!("serve\0--token\0{}\0{}", "s".repeat(400), "x\n".repeat(200) + &"x\u{202e}".repeat(200));
        let shown = shown_command(&long, &Secrets::default());
        assert!(shown.starts_with("serve --token *** x x ") && shown.ends_with("..."), "{shown}");
        assert_eq!(shown.chars().count(), COMMAND + 3);
    }

    proptest! {
        #[test]
        fn every_process_is_drawn_once_also_in_a_circle(parents in proptest::collection::vec(0u32..14, 0..12)) {
            let processes: Vec<_> = parents.iter().zip(0..).map(|(parent, pid)| process(pid, *parent)).collect();
            let mut pids: Vec<u32> = in_order(&processes).iter().map(|(_, p)| p.pid.0).collect();
            pids.sort_unstable();
            prop_assert_eq!(pids, (0..processes.len() as u32).collect::<Vec<_>>());
        }

        #[test]
        fn no_text_makes_the_parser_panic(text in "\\PC{0,200}") {
            drop(parse_status(Pid(1), &text));
        }
    }
}
