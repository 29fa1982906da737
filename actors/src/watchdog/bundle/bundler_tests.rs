//! Whole bundles, unpacked by the `tar` of this machine.

use std::{collections::BTreeMap, os::unix::fs::PermissionsExt, process::Command};

use super::*;
use crate::{
    event::EventBus,
    ids::{Pid, ServiceName},
    os::containment::best_effort::BestEffortContainment,
    resource_orchestrator::view::MemoryBoard,
    services::ServiceSet,
    time::Timestamp,
    watchdog::bundle::{ConfigText, Running, Secrets, Shown},
};

const WAIT: Duration = Duration::from_secs(30);
/// Known from the configuration.
const KNOWN: &str = "hunter22";
/// Known to nobody, and told by the word before it.
const UNKNOWN: &str = "correcthorse";

struct Stage {
    dir: tempfile::TempDir,
    bus: EventBus,
    source: Source,
}

impl Stage {
    fn new() -> Self {
        let dir = tempfile::tempdir().expect("a folder");
        let bus = EventBus::new(7);
        let place = crate::os::containment::Place {
            state_dir: dir.path().to_owned(),
            instance: "i".to_owned(),
            incarnation: "1".to_owned(),
        };
        let running = Running {
            started: Timestamp::from_micros(0),
            bus: bus.clone(),
            services: ServiceSet::default(),
            workers: ServiceSet::default(),
            containment: Arc::new(BestEffortContainment::new(&place)),
            memory: MemoryBoard::default(),
            watch: Shown::new(|| {
                let message = format!("it said {KNOWN}");
                let alert = serde_json::json!({ "alert": "leak", "severity": "warning", "service": "sdxl", "message": message });
                serde_json::json!({ "alerts": [alert] })
            }),
        };
        let config = ConfigText::default();
        let text = format!("service.chat.env.A_KEY = \"{KNOWN}\"\ngateway.api_keys = \"***\"\n");
        config.put(Some(text), &Secrets::new([KNOWN.to_owned()]));
        let source = Source {
            version: "1.2.3".to_owned(),
            state_dir: dir.path().to_owned(),
            history: dir.path().join("history.db"),
            config,
            running: Some(running),
        };
        Self { dir, bus, source }
    }

    fn bundler(&self, keep: u32) -> Bundler {
        Bundler::start(self.source.clone(), BundleSpec { keep, min_interval: WAIT, ..BundleSpec::default() })
    }

    /// Names of the files in the folder of bundles.
    fn bundles(&self) -> Vec<String> {
        let entries = fs::read_dir(folder(self.dir.path())).into_iter().flatten().flatten();
        let mut names: Vec<String> = entries.map(|e| e.file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }
}

fn occasion(what: &str, service: Option<&str>, message: &str) -> Occasion {
    let service = service.map(|name| name.parse::<ServiceName>().expect("a name"));
    Occasion { what: what.to_owned(), service, message: message.to_owned() }
}

/// Every file of an archive.
fn unpacked(archive: &Path) -> BTreeMap<String, Vec<u8>> {
    let out = tempfile::tempdir().expect("a folder");
    let tar = Command::new("tar").arg("-xf").arg(archive).arg("-C").arg(out.path()).output().expect("tar");
    assert!(tar.status.success() && tar.stderr.is_empty(), "{}", String::from_utf8_lossy(&tar.stderr));
    let mut files = BTreeMap::new();
    let mut open = vec![out.path().to_owned()];
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(folder).expect("a folder").flatten() {
            if entry.path().is_dir() {
                open.push(entry.path());
            } else {
                let name = entry.path().strip_prefix(out.path()).expect("below").to_string_lossy().into_owned();
                files.insert(name, fs::read(entry.path()).expect("a file"));
            }
        }
    }
    files
}

#[actix_rt::test]
async fn a_bundle_holds_everything_and_no_secret() {
    let stage = Stage::new();
    let log = stage.dir.path().join("logs/chat");
    fs::create_dir_all(&log).expect("made");
    let printed = format!("loading\n\x1b[31mkey {KNOWN}\n--api-key {UNKNOWN}\nAuthorization: Bearer {UNKNOWN}\n\n");
    fs::write(log.join("current.log"), printed).expect("written");
    fs::write(stage.dir.path().join("shutdown.log"), format!("stopped: {KNOWN}\n")).expect("written");
    // It lies among the logs, and is nobody's.
    fs::write(stage.dir.path().join("logs/memory.jsonl"), format!("{{\"host\":1,\"was\":\"{KNOWN}\"}}\n"))
        .expect("written");
    let job = stage.dir.path().join("jobs/01M7YVGCFCM54YTD4HWH511JAP/log");
    fs::create_dir_all(&job).expect("made");
    fs::write(job.join("current.log"), format!("step 1 of 20\n--token {UNKNOWN}\n{KNOWN}\n")).expect("written");
    let message = format!("chat --password {UNKNOWN} said {KNOWN}");
    let (alert, severity) = ("nan".to_owned(), Severity::Critical);
    stage.bus.emit(EventKind::AlertRaised { alert, severity, service: None, message: message.clone() });
    let bundler = stage.bundler(9);
    let made = bundler.make_now(occasion("nan", Some("chat"), &message)).await.expect("a bundle");

    assert_eq!(fs::metadata(&made).expect("a file").permissions().mode() & 0o777, 0o600);
    let files = unpacked(&made);
    let names: Vec<&str> = files.keys().map(String::as_str).collect();
    let mut expected = vec![
        "SUMMARY.md",
        "config.toml",
        "events.jsonl",
        "gpus.json",
        "logs/chat.log",
        "logs/jobs/01M7YVGCFCM54YTD4HWH511JAP.log",
        "memory.json",
        "memory.jsonl",
        "services.json",
        "shutdown.log",
        "system.txt",
        "tree.json",
        "tree.txt",
        "watch.json",
    ];
    if cfg!(feature = "history") {
        assert!(!names.contains(&"jobs.json"), "there is no history to take it from");
    }
    expected.sort_unstable();
    assert_eq!(names, expected);
    for (name, bytes) in &files {
        let text = String::from_utf8_lossy(bytes);
        assert!(!text.contains(KNOWN) && !text.contains(UNKNOWN), "{name}: {text}");
        if name.ends_with(".json") {
            serde_json::from_slice::<serde_json::Value>(bytes).unwrap_or_else(|error| panic!("{name}: {error}"));
        }
    }
    for line in String::from_utf8_lossy(&files["events.jsonl"]).lines() {
        serde_json::from_str::<serde_json::Value>(line).expect("an event");
    }
    assert!(files["logs/chat.log"].starts_with(b"loading\n\x1b[31mkey ***\n--api-key ***\n"));
    assert_eq!(files["logs/jobs/01M7YVGCFCM54YTD4HWH511JAP.log"], b"step 1 of 20\n--token ***\n***\n");
    assert!(String::from_utf8_lossy(&files["tree.txt"]).contains("Greenroom itself"));
    let summary = String::from_utf8_lossy(&files["SUMMARY.md"]);
    assert!(summary.lines().count() <= 10 && summary.starts_with("# nan of chat: bundle of "), "{summary}");
    for part in [
        "chat --password *** said ***",
        "docs/runbooks/nan.md",
        "`greenroom why chat`",
        "**Not well**: sdxl: warning leak (it said ***)",
        "2 in logs/",
        "**Not had**: jobs.json (",
    ] {
        assert!(summary.contains(part), "{part}: {summary}");
    }
    assert!(bundler.end(WAIT));
}

#[actix_rt::test]
async fn how_it_was_before_is_in_the_bundle() {
    let stage = Stage::new();
    let bundler = stage.bundler(9);
    let shot = TreeShot::take(&[Pid(std::process::id())]);
    assert!(bundler.ask(occasion("runaway", Some("chat"), "too many"), Some(shot), None));
    // Asked for by a person it comes after that one, and says that it is done.
    bundler.make_now(occasion("asked", None, "asked for")).await.expect("a bundle");
    let names = stage.bundles();
    assert_eq!(names.len(), 2, "{names:?}");
    let name = names.iter().find(|name| name.ends_with("-runaway.tar")).expect("that one");
    let files = unpacked(&folder(stage.dir.path()).join(name));
    let tree = String::from_utf8_lossy(&files["tree.txt"]);
    assert!(tree.starts_with("## chat, when this was asked for\n1 processes, "), "{tree}");
    assert!(bundler.end(WAIT));
}

#[actix_rt::test]
async fn of_those_that_nobody_asked_for_one_in_a_while_is_made_and_the_oldest_go() {
    let stage = Stage::new();
    let bundler = stage.bundler(2);
    let place = folder(stage.dir.path());
    fs::create_dir_all(&place).expect("made");
    for name in [
        "greenroom-20250101-000000-nan.tar",
        "greenroom-20250102-000000-nan.tar",
        "notes.txt",
        ".greenroom-20250102-000000-nan.tar.partial",
    ] {
        fs::write(place.join(name), "").expect("written");
    }
    assert!(bundler.ask(occasion("nan", None, "once"), None, None));
    assert!(!bundler.ask(occasion("nan", None, "twice"), None, None), "the first one is too young");
    // Whether the first one is still being made or not, this one is waited for.
    bundler.make_now(occasion("asked", None, "by a person")).await.expect("a bundle");
    let names = stage.bundles();
    assert_eq!(names.len(), 3, "{names:?}");
    assert_eq!(names[2], "notes.txt");
    assert!(names[..2].iter().all(|name| !name.contains("2025")), "{names:?}");
    assert!(bundler.end(WAIT));
}

#[actix_rt::test]
async fn a_disk_that_takes_nothing_is_an_alert_and_leaves_nothing_behind() {
    let stage = Stage::new();
    let bundler = stage.bundler(9);
    let place = folder(stage.dir.path());
    fs::write(&place, "a file where the folder should be").expect("written");
    for _ in 0..2 {
        let error = bundler.make_now(occasion("asked", None, "x")).await.expect_err("no folder");
        assert!(chain(&error).contains("cannot be written to"), "{}", chain(&error));
    }
    let alerts = |bus: &EventBus| -> Vec<&'static str> { bus.last(99).iter().map(|event| event.kind.name()).collect() };
    assert_eq!(alerts(&stage.bus), ["alert.raised"], "it is said once");
    fs::remove_file(&place).expect("removed");
    bundler.make_now(occasion("asked", None, "x")).await.expect("a bundle");
    assert_eq!(alerts(&stage.bus), ["alert.raised", "alert.cleared"]);

    let full = fs::OpenOptions::new().write(true).open("/dev/full").expect("a full disk");
    let source = Arc::new(stage.source.clone());
    let about = occasion("asked", None, "x");
    let error = crate::watchdog::bundle::write_archive(full, &source, &about, None, || false).expect_err("full");
    assert_eq!(error.kind(), io::ErrorKind::StorageFull);
    let target = stage.dir.path().join("x.tar");
    let begun = std::cell::Cell::new(0);
    let is_over = || begun.replace(begun.get() + 1) > 3;
    let error = write_file(&target, &source, &about, None, is_over).expect_err("over");
    assert!(matches!(error, BundleError::Stopping), "{error}");
    let left: Vec<_> = fs::read_dir(stage.dir.path()).expect("a folder").flatten().map(|e| e.file_name()).collect();
    assert_eq!(left, ["bundles"], "no half file");
    assert!(bundler.end(WAIT));
}

#[actix_rt::test]
async fn one_that_has_ended_takes_nothing() {
    let stage = Stage::new();
    let bundler = stage.bundler(9);
    assert!(bundler.end(WAIT));
    assert!(!bundler.ask(occasion("nan", None, "x"), None, None));
    let refused = bundler.make_now(occasion("asked", None, "x")).await;
    assert!(matches!(refused, Err(BundleError::Stopping)));
    assert!(stage.bundles().is_empty());
}
