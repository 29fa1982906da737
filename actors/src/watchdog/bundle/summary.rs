//! `SUMMARY.md`: at most ten lines that say what happened and what to try. Pure.

use super::runbook::what_to_try;
use crate::{time::Timestamp, units::ByteSize, watchdog::deed::Occasion};

/// Longest line, in characters.
const LINE: usize = 600;
/// Missing parts that are named one by one.
const NAMED: usize = 6;

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
    let Facts { occasion, at, version, started, service, memory, files, missing } = facts;
    let about = occasion.service.as_ref().map(|name| format!(" of {name}")).unwrap_or_default();
    let runtime = started.map_or_else(|| "no runtime was running".to_owned(), |at| format!("running since {at}"));
    let mut lines = vec![format!("**What happened**: {}", occasion.message)];
    if let Some(service) = service {
        lines.push(whose(service));
        let (held, on_cards) = (ByteSize(service.ram), ByteSize(service.vram));
        lines.push(format!("**It held**: {} processes, {held} of memory, {on_cards} on cards", service.processes));
        lines.extend(service.last_line.as_ref().map(|line| format!("**Its last line**: {line}")));
        if !service.happened.is_empty() {
            lines.push(format!("**What was done**: {}", service.happened.join("; ")));
        }
    }
    lines.extend(memory.as_ref().map(machine));
    let (to_try, page) = what_to_try(&occasion.what);
    lines.push(format!("**What to try**: {to_try}; more in docs/runbooks/{page}.md"));
    lines.push(contents(files, missing));
    let points: Vec<String> = lines.iter().map(|line| format!("- {}", one_line(line))).collect();
    let title = one_line(&format!("{}{about}: bundle of {at}, Greenroom {version}, {runtime}", occasion.what));
    format!("# {title}\n\n{}\n", points.join("\n"))
}

fn whose(service: &ServiceFacts) -> String {
    let ServiceFacts { name, state, reason, run, since, restarts, .. } = service;
    let run = run.as_ref().map(|run| format!(", run {run}")).unwrap_or_default();
    let since = since.map(|at| format!(" since {at}")).unwrap_or_default();
    let reason = reason.as_ref().map(|reason| format!(" ({reason})")).unwrap_or_default();
    format!("**Service**: {name}{run}, {state}{since}{reason}, {restarts} restarts")
}

fn machine(memory: &MemoryFacts) -> String {
    let (free, capacity) = (ByteSize(memory.ram_free), ByteSize(memory.ram_capacity));
    let cards = memory.cards.iter().map(|(name, used, total)| {
        let used = used.map_or_else(|| "?".to_owned(), |used| ByteSize(used).to_string());
        format!("; {name}: {used} of {} used", ByteSize(*total))
    });
    format!("**Machine**: {free} of {capacity} of memory free{}", cards.collect::<String>())
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
    let clean = text.chars().map(|c| if c.is_control() { ' ' } else { c });
    let mut line: String = clean.take(LINE + 1).collect();
    if line.chars().count() > LINE {
        line = line.chars().take(LINE).collect();
        line.push_str("...");
    }
    line
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
            files: &files,
            missing: &missing,
        };
        let expected = "\
# runaway of chat: bundle of 2025-11-21T09:00:03.000000Z, Greenroom 1.2.3, running since 2025-11-21T09:00:00.000000Z

- **What happened**: 24 processes, 4 when it was ready
- **Service**: chat, run 01M7YVGCFCM54YTD4HWH511JAP, killing since 2025-11-21T09:00:02.000000Z (runaway), 1 restarts
- **It held**: 24 processes, 3GiB of memory, 5GiB on cards
- **Its last line**: fork:  [31mfailed
- **What was done**: ready -> killing (runaway)
- **Machine**: 1GiB of 8GiB of memory free; L4: 6GiB of 24GiB used
- **What to try**: see in tree.txt which program starts the others; a lower count of workers in its options, or a higher \
limits.processes; more in docs/runbooks/runaway.md
- **Files**: config.toml, 2 in logs/. **Not had**: jobs.json (no history)
";
        assert_eq!(summary(&facts), expected);
    }

    proptest! {
        #[test]
        fn whatever_is_known_it_is_at_most_ten_lines(
            what in "\\PC{0,20}", message in "(?s).{0,900}", line in proptest::option::of("(?s).{0,900}"),
            has_service in any::<bool>(), gone in 0usize..30,
        ) {
            let occasion = Occasion { what, service: None, message };
            let missing = vec![("a\nb".to_owned(), "c".repeat(90)); gone];
            let service = has_service.then(|| ServiceFacts { last_line: line, ..service() });
            let facts = Facts {
                occasion: &occasion, at: at(0), version: "1", started: None, service,
                memory: Some(MemoryFacts::default()), files: &[], missing: &missing,
            };
            let text = summary(&facts);
            prop_assert!(text.lines().count() <= 10 && text.len() < 30_000, "{}", text);
            prop_assert!(text.chars().all(|c| c == '\n' || !c.is_control()));
        }
    }
}
