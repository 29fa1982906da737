//! Parts of a bundle that lie on disk, with a runtime or without: what happened, what was worked on, what was printed.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{self, Read, Seek, SeekFrom},
    path::Path,
};

use serde_json::{Value, json};

use super::{lines::last_lines, source::Source};
use crate::{
    cause::chain,
    event::Event,
    history_store::{HistoryReader, messages::HistoryFilter},
    ids::ServiceName,
    os::service_log,
};

/// A part, or why it cannot be had.
pub(super) type Had = Result<Vec<u8>, String>;

/// Events in a bundle.
const EVENTS: usize = 500;
/// Jobs in a bundle: those that ended last, and of those that are open the oldest.
const JOBS: usize = 100;
/// Most bytes of events, or of jobs; the oldest go.
const MOST: usize = 1 << 20;
/// Lines of each log.
const LOG_LINES: usize = 200;
/// Most bytes of each log.
const LOG_BYTES: usize = 64 << 10;
/// Logs in a bundle: with more services than that the one that it is about is there all the same.
const LOGS: usize = 300;

/// The last events as lines of JSON, oldest first: those of the history, and of `recent` those that are not there yet.
pub(super) fn events(source: &Source, recent: &[Event]) -> Had {
    let filter = HistoryFilter { limit: u32::try_from(EVENTS).unwrap_or(u32::MAX), ..HistoryFilter::default() };
    let past = HistoryReader::open(&source.history).and_then(|reader| reader.events(&filter));
    let past = match past {
        Ok(past) => past,
        Err(error) if recent.is_empty() => return Err(chain(&error)),
        Err(_) => Vec::new(),
    };
    // By time and id, so that each is there once.
    let mut all: BTreeMap<(i64, String), Value> =
        past.into_iter().map(|row| ((row.at.as_micros(), row.id), row.event)).collect();
    for event in recent {
        if let Ok(value) = serde_json::to_value(event) {
            all.insert((event.at.as_micros(), event.id.to_string()), value);
        }
    }
    let lines: Vec<String> = all.into_values().rev().take(EVENTS).map(|event| format!("{event}\n")).collect();
    Ok(newest(lines))
}

/// Of lines, newest first, as many as fit, oldest first.
fn newest(lines: Vec<String>) -> Vec<u8> {
    let mut bytes = 0;
    let fits = |line: &String| {
        bytes += line.len();
        bytes <= MOST
    };
    let mut kept: Vec<String> = lines.into_iter().take_while(fits).collect();
    kept.reverse();
    kept.concat().into_bytes()
}

/// Jobs that are open, and those that were submitted last.
pub(super) fn jobs(source: &Source) -> Had {
    let filter = HistoryFilter { limit: u32::try_from(JOBS).unwrap_or(u32::MAX), ..HistoryFilter::default() };
    let read = || {
        let reader = HistoryReader::open(&source.history)?;
        Ok((reader.open_jobs()?, reader.jobs(&filter)?))
    };
    let (mut open, mut last) = read().map_err(|error: crate::history_store::HistoryError| chain(&error))?;
    let count = open.len();
    open.truncate(JOBS);
    loop {
        let text = pretty(&json!({ "open_count": count, "open": open, "last": last }));
        if text.len() <= MOST || (open.is_empty() && last.is_empty()) {
            return Ok(text);
        }
        open.truncate(open.len() / 2);
        last.truncate(last.len() / 2);
    }
}

/// The runs that were started last, with how they ended.
pub(super) fn runs(source: &Source) -> Had {
    let filter = HistoryFilter { limit: u32::try_from(JOBS).unwrap_or(u32::MAX), ..HistoryFilter::default() };
    let runs = HistoryReader::open(&source.history).and_then(|reader| reader.runs(&filter));
    let lines = runs.map_err(|error| chain(&error))?.into_iter();
    Ok(newest(lines.filter_map(|run| Some(format!("{}\n", serde_json::to_string(&run).ok()?))).collect()))
}

/// The last lines of a file below the state dir: the reports of earlier ends, the memory log.
pub(super) fn last_of(source: &Source, file: &str) -> Had {
    let bytes = tail(&source.state_dir.join(file), LOG_BYTES as u64).map_err(|error| error.to_string())?;
    Ok(last_lines(&bytes, LOG_LINES, LOG_BYTES - 1).to_vec())
}

/// Names of those whose logs there are, the one that the bundle is about first.
pub(super) fn logged(source: &Source, about: Option<&ServiceName>) -> Result<Vec<ServiceName>, String> {
    let entries = match fs::read_dir(source.state_dir.join("logs")) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error.to_string()),
    };
    let name = |entry: io::Result<fs::DirEntry>| {
        let entry = entry.ok().filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))?;
        entry.file_name().to_str()?.parse::<ServiceName>().ok()
    };
    let mut names: Vec<ServiceName> = entries.filter_map(name).collect();
    names.sort_by_key(|name| (Some(name) != about, name.clone()));
    names.truncate(LOGS);
    Ok(names)
}

/// The last lines of a service's log, byte for byte.
pub(super) fn log(source: &Source, name: &ServiceName) -> Vec<u8> {
    last_of_log(&service_log::log_dir(&source.state_dir, name))
}

/// The last lines of the log in a folder, byte for byte.
pub(super) fn last_of_log(folder: &Path) -> Vec<u8> {
    // One byte more than is kept, so that it is seen whether something is cut off.
    let bytes = service_log::tail(folder, LOG_BYTES as u64 + 1);
    last_lines(&bytes, LOG_LINES, LOG_BYTES).to_vec()
}

/// The last line of a log that is not empty.
pub(super) fn last_line(log: &[u8]) -> Option<String> {
    let mut lines = log.rsplit(|byte| *byte == b'\n');
    let line = lines.find(|line| !line.trim_ascii().is_empty())?;
    Some(String::from_utf8_lossy(line.trim_ascii()).into_owned())
}

fn tail(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    let mut file = File::open(path)?;
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(most)))?;
    let mut bytes = Vec::new();
    file.take(most).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// As JSON over several lines. What this is called with has no keys but texts, so that it cannot fail.
pub(super) fn pretty(value: &Value) -> Vec<u8> {
    let mut text = serde_json::to_vec_pretty(value).unwrap_or_default();
    text.push(b'\n');
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        event::{EventBus, EventKind},
        watchdog::bundle::ConfigText,
    };

    fn source(dir: &Path) -> Source {
        Source {
            version: "1".to_owned(),
            state_dir: dir.to_owned(),
            history: dir.join("history.db"),
            config: ConfigText::default(),
            running: None,
        }
    }

    #[test]
    fn events_come_from_the_bus_where_there_is_no_history() {
        let dir = tempfile::tempdir().expect("a folder");
        let source = source(dir.path());
        assert!(events(&source, &[]).is_err());
        let bus = EventBus::new(7);
        for n in 0..EVENTS + 3 {
            bus.emit(EventKind::RuntimeState { state: n.to_string(), reason: None });
        }
        let text = String::from_utf8(events(&source, &bus.last(9999)).expect("events")).expect("text");
        assert_eq!(text.lines().count(), EVENTS);
        assert!(text.lines().next().is_some_and(|line| line.contains("\"state\":\"3\"")), "{text}");
    }

    #[test]
    fn a_log_is_cut_to_its_end_and_the_service_in_question_comes_first() {
        let dir = tempfile::tempdir().expect("a folder");
        let source = source(dir.path());
        assert_eq!(logged(&source, None), Ok(Vec::new()));
        for name in ["a", "b", "c"] {
            let folder = dir.path().join("logs").join(name);
            fs::create_dir_all(&folder).expect("made");
            let text: String = (0..20_000).map(|n| format!("line {n}\n")).collect();
            fs::write(folder.join("current.log"), text).expect("written");
        }
        let b: ServiceName = "b".parse().expect("a name");
        let names: Vec<String> = logged(&source, Some(&b)).expect("names").iter().map(ToString::to_string).collect();
        assert_eq!(names, ["b", "a", "c"]);
        let text = log(&source, &b);
        assert_eq!(text.split(|byte| *byte == b'\n').count(), LOG_LINES + 1);
        assert_eq!(last_line(&text).as_deref(), Some("line 19999"));
        assert_eq!(last_line(b"one\n \n\n").as_deref(), Some("one"));
        assert_eq!(last_line(b"\n"), None);
    }

    #[test]
    fn of_too_many_events_the_newest_stay() {
        let lines: Vec<String> = (0..20).map(|n| format!("{n}{}\n", "x".repeat(MOST / 10))).collect();
        let kept = newest(lines);
        assert!(kept.len() <= MOST && kept.starts_with(b"8x"), "{}", String::from_utf8_lossy(&kept[..20]));
    }
}
