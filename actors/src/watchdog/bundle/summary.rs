//! `SUMMARY.md`: at most ten lines that say what happened and what to try. Pure.

use super::runbook::{what_to_try, without_a_runtime};
use crate::{time::Timestamp, units::ByteSize, watchdog::deed::Occasion};

/// Longest line, in characters.
const LINE: usize = 600;
/// Missing parts that are named one by one.
const NAMED: usize = 6;
/// Troubles that are named one by one.
const TROUBLES: usize = 4;
/// Longest text about one trouble, in characters, so that all of them fit into a line.
const TROUBLE: usize = 100;

/// What a summary is made of.
#[derive(Debug, Clone, PartialEq)]
pub struct Facts<'a> {
    /// What the bundle was made for.
    pub occasion: &'a Occasion,
    /// When.
    pub at: Timestamp,
    /// The version of Greenroom.
    pub version: &'a str,
    /// When the runtime was started; `None` where none is running.
    pub started: Option<Timestamp>,
    /// The service that it is about, if there is one and it is known.
    pub service: Option<ServiceFacts>,
    /// The machine's memory, and the cards'.
    pub memory: Option<MemoryFacts>,
    /// All that is not well, services before alerts; `None` where nobody knows.
    pub troubles: Option<Vec<Trouble>>,
    /// Files of the bundle.
    pub files: &'a [String],
    /// Parts that could not be had, or not wholly, and why.
    pub missing: &'a [(String, String)],
}

/// What is said about a service.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ServiceFacts {
    /// Its name.
    pub name: String,
    /// What it is doing now.
    pub state: String,
    /// Why.
    pub reason: Option<String>,
    /// Its current or last run.
    pub run: Option<String>,
    /// Since when it is in that state.
    pub since: Option<Timestamp>,
    /// Restarts after failures.
    pub restarts: u64,
    /// Processes of its tree, when the alert was raised where that is known.
    pub processes: usize,
    /// What they held, in bytes.
    pub ram: u64,
    /// What they held on the cards, in bytes.
    pub vram: u64,
    /// The last line of its output that was not empty.
    pub last_line: Option<String>,
    /// What happened to it last, oldest first.
    pub happened: Vec<String>,
}

/// A service that is not well, or an alert that stands.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Trouble {
    /// Whose, if it is about a service.
    pub service: Option<String>,
    /// The state of the service, or the alert's severity and name.
    pub what: String,
    /// Why, or what the alert says.
    pub text: Option<String>,
}

/// What is said about memory.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct MemoryFacts {
    /// What of the host's memory may be given out now, in bytes.
    pub ram_free: u64,
    /// All that may ever be.
    pub ram_capacity: u64,
    /// Each card: its name, used and total bytes.
    pub cards: Vec<(String, Option<u64>, u64)>,
}

/// The text: a title, an empty line and at most eight more, each one point of a list.
#[must_use]
pub fn summary(facts: &Facts<'_>) -> String {
    let Facts { occasion, at, version, started, service, memory, troubles, files, missing } = facts;
    let about = occasion.service.as_ref().map(ToString::to_string);
    let of_whom = about.as_ref().map(|name| format!(" of {name}")).unwrap_or_default();
    let runtime = started.map_or_else(|| "no runtime was running".to_owned(), |at| format!("running since {at}"));
    let mut lines = vec![format!("**What happened**: {}", occasion.message)];
    if let Some(service) = service {
        lines.push(whose(service));
        lines.push(held(service, memory.as_ref()));
        lines.extend(service.last_line.as_ref().map(|line| format!("**Its last line**: {line}")));
        if !service.happened.is_empty() {
            lines.push(format!("**What was done**: {}", service.happened.join("; ")));
        }
    }
    if service.is_none() {
        lines.extend(memory.as_ref().map(|memory| format!("**Machine**: {}", machine(memory))));
    }
    lines.extend(troubles.as_ref().and_then(|troubles| not_well(troubles, about.as_deref())));
    let first = || troubles.as_ref()?.iter().find_map(|trouble| trouble.service.as_deref());
    let to_try = match started {
        Some(_) => what_to_try(&occasion.what, about.as_deref().or_else(first)),
        None => without_a_runtime(),
    };
    lines.push(format!("**What to try**: {}; more in docs/runbooks/{}.md", to_try.text, to_try.page));
    lines.push(contents(files, missing));
    let points: Vec<String> = lines.iter().map(|line| format!("- {}", one_line(line))).collect();
    let title = one_line(&format!("{}{of_whom}: bundle of {at}, Greenroom {version}, {runtime}", occasion.what));
    format!("# {title}\n\n{}\n", points.join("\n"))
}

fn whose(service: &ServiceFacts) -> String {
    let ServiceFacts { name, state, reason, run, since, restarts, .. } = service;
    let run = run.as_ref().map(|run| format!(", run {run}")).unwrap_or_default();
    let since = since.map(|at| format!(" since {at}")).unwrap_or_default();
    let reason = reason.as_ref().map(|reason| format!(" ({reason})")).unwrap_or_default();
    format!("**Service**: {name}{run}, {state}{since}{reason}, {restarts} restarts")
}

fn held(service: &ServiceFacts, memory: Option<&MemoryFacts>) -> String {
    let (count, ram, on_cards) = (service.processes, ByteSize(service.ram), ByteSize(service.vram));
    let processes = if count == 1 { "process" } else { "processes" };
    let machine = memory.map(|memory| format!("; machine: {}", machine(memory))).unwrap_or_default();
    format!("**It held**: {count} {processes}, {ram} of memory, {on_cards} on cards{machine}")
}

/// Who else is not well; that nobody is, where the bundle is about none.
fn not_well(troubles: &[Trouble], about: Option<&str>) -> Option<String> {
    let is_other = |trouble: &&Trouble| about.is_none() || trouble.service.as_deref() != about;
    let others: Vec<String> = troubles.iter().filter(is_other).map(Trouble::shown).collect();
    if others.is_empty() {
        return about.is_none().then(|| "**Not well**: nobody, and no alert stands".to_owned());
    }
    let more = others.len().saturating_sub(TROUBLES);
    let more = if more == 0 { String::new() } else { format!("; and {more} more") };
    Some(format!("**Not well**: {}{more}", others[..others.len().min(TROUBLES)].join("; ")))
}

impl Trouble {
    fn shown(&self) -> String {
        let whose = self.service.as_ref().map(|name| format!("{name}: ")).unwrap_or_default();
        let text = self.text.as_ref().map(|text| format!(" ({})", cut(text, TROUBLE))).unwrap_or_default();
        format!("{whose}{}{text}", self.what)
    }
}

fn machine(memory: &MemoryFacts) -> String {
    let (free, capacity) = (ByteSize(memory.ram_free), ByteSize(memory.ram_capacity));
    let cards = memory.cards.iter().map(|(name, used, total)| {
        let used = used.map_or_else(|| "?".to_owned(), |used| ByteSize(used).to_string());
        format!("; {name}: {used} of {} used", ByteSize(*total))
    });
    format!("{free} of {capacity} of memory free{}", cards.collect::<String>())
}

fn contents(files: &[String], missing: &[(String, String)]) -> String {
    let logs = files.iter().filter(|name| name.starts_with("logs/")).count();
    let mut named: Vec<String> = files.iter().filter(|name| !name.starts_with("logs/")).cloned().collect();
    if logs > 0 {
        named.push(format!("{logs} in logs/"));
    }
    let mut text = format!("**Files**: {}", named.join(", "));
    if !missing.is_empty() {
        let shown: Vec<String> = missing.iter().take(NAMED).map(|(name, why)| format!("{name} ({why})")).collect();
        let more = missing.len().saturating_sub(NAMED);
        let more = if more == 0 { String::new() } else { format!(", and {more} more") };
        text.push_str(&format!(". **Not had**: {}{more}", shown.join(", ")));
    }
    text
}

/// What came from outside stays one line and does nothing to a terminal.
fn one_line(text: &str) -> String {
    let clean: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(LINE + 1).collect();
    cut(&clean, LINE)
}

/// At most so many characters, and a mark where some are missing.
fn cut(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_micros((1_763_715_600 + seconds) * 1_000_000)
    }

    fn service() -> ServiceFacts {
        ServiceFacts {
            name: "chat".to_owned(),
            state: "killing".to_owned(),
            reason: Some("runaway".to_owned()),
            run: Some("01M7YVGCFCM54YTD4HWH511JAP".to_owned()),
            since: Some(at(2)),
            restarts: 1,
            processes: 24,
            ram: 3 << 30,
            vram: 5 << 30,
            last_line: Some("fork: \u{1b}[31mfailed".to_owned()),
            happened: vec!["ready -> killing (runaway)".to_owned()],
        }
    }

    #[test]
    fn ten_lines_say_all_that_is_known() {
        let occasion = Occasion {
            what: "runaway".to_owned(),
            service: Some("chat".parse().expect("a name")),
            message: "24 processes, 4 when it was ready".to_owned(),
        };
        let memory = MemoryFacts {
            ram_free: 1 << 30,
            ram_capacity: 8 << 30,
            cards: vec![("L4".to_owned(), Some(6 << 30), 24 << 30)],
        };
        let files = ["config.toml".to_owned(), "logs/chat.log".to_owned(), "logs/sdxl.log".to_owned()];
        let missing = [("jobs.json".to_owned(), "no history".to_owned())];
        let facts = Facts {
            occasion: &occasion,
            at: at(3),
            version: "1.2.3",
            started: Some(at(0)),
            service: Some(service()),
            memory: Some(memory),
            troubles: Some(troubles()),
            files: &files,
            missing: &missing,
        };
        let expected = "\
# runaway of chat: bundle of 2025-11-21T09:00:03.000000Z, Greenroom 1.2.3, running since 2025-11-21T09:00:00.000000Z

- **What happened**: 24 processes, 4 when it was ready
- **Service**: chat, run 01M7YVGCFCM54YTD4HWH511JAP, killing since 2025-11-21T09:00:02.000000Z (runaway), 1 restarts
- **It held**: 24 processes, 3GiB of memory, 5GiB on cards; machine: 1GiB of 8GiB of memory free; L4: 6GiB of 24GiB used
- **Its last line**: fork:  [31mfailed
- **What was done**: ready -> killing (runaway)
- **Not well**: sdxl: failed (gave up after 5 failures in a row); critical actor_silent
- **What to try**: `greenroom why chat`: is it ready again; tree.txt: which command is there many times, and below which \
parent; then its own option for the number of workers (`--workers`, `OMP_NUM_THREADS`), or `limits.processes` where so many \
are right; `greenroom stop chat` until then; more in docs/runbooks/runaway.md
- **Files**: config.toml, 2 in logs/. **Not had**: jobs.json (no history)
";
        assert_eq!(summary(&facts), expected);
    }

    fn troubles() -> Vec<Trouble> {
        let trouble = |service: Option<&str>, what: &str, text: Option<&str>| Trouble {
            service: service.map(str::to_owned),
            what: what.to_owned(),
            text: text.map(str::to_owned),
        };
        vec![
            trouble(Some("chat"), "emergency runaway", Some("24 processes")),
            trouble(Some("sdxl"), "failed", Some("gave up after 5 failures in a row")),
            trouble(None, "critical actor_silent", None),
        ]
    }

    fn asked<'a>(occasion: &'a Occasion, troubles: Option<Vec<Trouble>>, started: Option<Timestamp>) -> Facts<'a> {
        let (service, memory) = (None, None);
        Facts { occasion, at: at(3), version: "1", started, service, memory, troubles, files: &[], missing: &[] }
    }

    #[test]
    fn one_that_is_about_nobody_says_who_is_not_well_and_what_to_ask() {
        let message = "somebody has asked for this bundle".to_owned();
        let occasion = Occasion { what: "asked".to_owned(), service: None, message };
        let text = summary(&asked(&occasion, Some(troubles()), Some(at(0))));
        let wanted = "- **Not well**: chat: emergency runaway (24 processes); sdxl: failed (gave up after 5 failures in a row); \
                      critical actor_silent\n- **What to try**: `greenroom status`: who is not well; `greenroom why chat`: ";
        assert!(text.contains(wanted), "{text}");
        let text = summary(&asked(&occasion, Some(Vec::new()), Some(at(0))));
        assert!(text.contains("\n- **Not well**: nobody, and no alert stands\n"), "{text}");
        let text = summary(&asked(&occasion, None, None));
        assert!(!text.contains("Not well") && text.contains("`greenroom sweep --dry-run`"), "{text}");
        let many = vec![Trouble { text: Some("x".repeat(500)), ..troubles()[1].clone() }; 9];
        let text = summary(&asked(&occasion, Some(many), Some(at(0))));
        let line = text.lines().find(|line| line.starts_with("- **Not well**")).expect("the line");
        assert!(line.ends_with("xxx...); and 5 more"), "{line}");
    }

    proptest! {
        #[test]
        fn whatever_is_known_it_is_at_most_ten_lines(
            what in "\\PC{0,20}", message in "(?s).{0,900}", line in proptest::option::of("(?s).{0,900}"),
            has_service in any::<bool>(), gone in 0usize..30,
        ) {
            let occasion = Occasion { what, service: None, message };
            let missing = vec![("a\nb".to_owned(), "c".repeat(90)); gone];
            let trouble = Trouble { service: line.clone(), what: "failed".to_owned(), text: line.clone() };
            let service = has_service.then(|| ServiceFacts { last_line: line, ..service() });
            let facts = Facts {
                occasion: &occasion, at: at(0), version: "1", started: None, service,
                memory: Some(MemoryFacts::default()), troubles: Some(vec![trouble; gone]), files: &[], missing: &missing,
            };
            let text = summary(&facts);
            prop_assert!(text.lines().count() <= 10 && text.len() < 30_000, "{}", text);
            prop_assert!(text.chars().all(|c| c == '\n' || !c.is_control()));
        }
    }
}
