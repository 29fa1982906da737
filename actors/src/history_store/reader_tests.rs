//! Questions to histories that run, ran, or never were.

use super::*;
use crate::{
    event::{Event, EventId, EventKind, Severity, SwapSeconds},
    history_store::{append_shutdown_report, database::Database, messages::Record, migrations},
    ids::{Pid, RunId, ServiceName},
    job::{JobId, JobOutcome, JobState, JobView, sample::queued},
    spec::FailureClass,
    state::{ExitReport, ServiceState},
    time::Timestamp,
};

fn at(seconds: u64) -> Timestamp {
    Timestamp::from_micros(1_763_715_600_000_000).after(Duration::from_secs(seconds))
}

fn name(text: &str) -> ServiceName {
    text.parse().expect("a name")
}

fn exit(class: Option<FailureClass>, seconds: u64) -> ExitReport {
    ExitReport { code: Some(1), signal: None, class, stderr: vec!["no room".to_owned()], at: at(seconds) }
}

fn state(sequence: u64, service: &str, to: ServiceState) -> Record {
    let (service, from) = (name(service), ServiceState::Starting);
    let kind = EventKind::ServiceState { service, run_id: None, from, to, reason: None, pid: None, exit: None };
    Record::Event(Event { id: EventId { epoch: 7, sequence }, at: at(sequence), kind })
}

/// Two runs of `chat` (one failed, one ready), one of `image`, and four events.
fn filled(path: &Path) -> (Database, Vec<RunId>) {
    let runs: Vec<RunId> = (0..3).map(|_| RunId::fresh()).collect();
    let started = |n: usize, service: &str, seconds| {
        let command = vec!["llama-server".to_owned(), "-m".to_owned(), "a b".to_owned()];
        Record::RunStarted { run: runs[n], service: name(service), pid: Pid(100), command, at: at(seconds) }
    };
    let alert = EventKind::AlertRaised {
        alert: "stuck".to_owned(),
        severity: Severity::Critical,
        service: Some(name("image")),
        message: "it outlived SIGKILL".to_owned(),
    };
    let mut database = Database::open(path).expect("open");
    let left_out = database.write(&[
        started(0, "chat", 10),
        Record::RunEnded { run: runs[0], exit: exit(Some(FailureClass::OomGpu), 20), wanted: false },
        started(1, "chat", 30),
        Record::RunReady { run: runs[1], at: at(40) },
        Record::RunReady { run: runs[1], at: at(50) },
        started(2, "image", 15),
        Record::RunEnded { run: runs[2], exit: exit(None, 25), wanted: true },
        state(1, "chat", ServiceState::Backoff),
        state(2, "chat", ServiceState::Ready),
        state(3, "image", ServiceState::Ready),
        Record::Event(Event { id: EventId { epoch: 7, sequence: 4 }, at: at(4), kind: alert }),
    ]);
    assert_eq!(left_out, Ok(0));
    (database, runs)
}

fn ids(rows: &[EventRow]) -> Vec<&str> {
    rows.iter().map(|row| row.id.as_str()).collect()
}

#[test]
fn runs_come_back_as_they_were_told_while_the_writer_is_open() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("history.db");
    let (_writer, runs) = filled(&path);
    let reader = HistoryReader::open(&path).expect("open");
    let all = reader.runs(&HistoryFilter::default()).expect("rows");
    assert_eq!(all.iter().map(|r| r.run_id).collect::<Vec<_>>(), [runs[1], runs[2], runs[0]]);
    assert_eq!((all[0].ready, all[0].ended, &all[0].exit, all[0].wanted), (Some(at(40)), None, &None, None));
    assert_eq!(all[2].exit, Some(exit(Some(FailureClass::OomGpu), 20)));
    assert_eq!((all[2].command[2].as_str(), all[2].pid, all[1].wanted), ("a b", Pid(100), Some(true)));
}

#[test]
fn filters_are_joined() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("history.db");
    let (_writer, runs) = filled(&path);
    let reader = HistoryReader::open(&path).expect("open");
    let run_ids = |filter: &HistoryFilter| -> Vec<RunId> {
        reader.runs(filter).expect("rows").iter().map(|r| r.run_id).collect()
    };
    let events = |filter: &HistoryFilter| reader.events(filter).expect("rows");
    let chat = HistoryFilter { service: Some(name("chat")), ..HistoryFilter::default() };
    let failed = HistoryFilter { failed: true, ..HistoryFilter::default() };
    assert_eq!(run_ids(&chat), [runs[1], runs[0]]);
    assert_eq!(run_ids(&failed), [runs[0]]);
    assert_eq!(run_ids(&HistoryFilter { since: Some(at(25)), ..HistoryFilter::default() }), [runs[1], runs[2]]);
    assert_eq!(run_ids(&HistoryFilter { limit: 1, ..chat.clone() }), [runs[1]]);
    assert_eq!(ids(&events(&chat)), ["7-2", "7-1"]);
    assert_eq!(ids(&events(&failed)), ["7-4", "7-1"]);
    assert_eq!(ids(&events(&HistoryFilter { since: Some(at(2)), ..chat.clone() })), ["7-2"]);
    assert_eq!(events(&chat)[0].event["type"], "service.state");
    let none = HistoryFilter { service: Some(name("chat")), failed: true, since: Some(at(30)), limit: 0 };
    assert_eq!((run_ids(&none), events(&none)), (vec![], vec![]));
}

#[test]
fn without_a_history_it_says_so() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("history.db");
    assert!(matches!(HistoryReader::open(&path), Err(HistoryError::Absent(p)) if p == path));
    assert!(!path.exists(), "looking makes nothing");
    let (beyond, text) = (folder.path().join("text"), "no database".repeat(200));
    fs::write(&beyond, text).expect("written");
    assert!(matches!(HistoryReader::open(&beyond), Err(HistoryError::Unreadable { .. })));
    assert!(matches!(HistoryReader::open(&beyond.join("x")), Err(HistoryError::Unreachable { .. })));
}

#[test]
fn files_of_every_age_and_origin_are_told_apart() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = |n: &str| folder.path().join(n);
    fs::write(file("empty"), "").expect("written");
    let empty = HistoryReader::open(&file("empty")).expect("open");
    assert_eq!(empty.runs(&HistoryFilter::default()).expect("rows"), []);
    assert_eq!(empty.shutdown_reports(0).expect("rows"), []);
    assert_eq!(empty.peaks().expect("rows"), []);

    let mut old = Connection::open(file("old")).expect("made");
    migrations::tests::version_1(&mut old);
    let reader = HistoryReader::open(&file("old")).expect("open");
    assert_eq!(reader.events(&HistoryFilter::default()).expect("rows"), []);
    assert_eq!(reader.shutdown_reports(0).expect("rows"), []);
    assert_eq!(reader.peaks().expect("rows"), []);
    assert_eq!(reader.requests(&HistoryFilter::default()).expect("rows"), []);

    old.pragma_update(None, "user_version", 99).expect("set");
    assert!(matches!(HistoryReader::open(&file("old")), Err(HistoryError::Newer { found: 99, .. })));
    old.pragma_update(None, "application_id", 1).expect("set");
    assert!(matches!(HistoryReader::open(&file("old")), Err(HistoryError::Foreign(_))));
}

fn peak(key: &str, seconds: u64, vram: Option<u64>, ram: u64) -> PeakRow {
    let (service, command) = (name("chat"), vec!["llama-server".to_owned(), String::new()]);
    PeakRow {
        key: key.to_owned(),
        at: at(seconds),
        service,
        command,
        file: Some("/m/a b".into()),
        layers: Some(44),
        vram,
        ram,
    }
}

#[test]
fn peaks_come_back_as_they_were_the_newest_five_of_each_key() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("history.db");
    let mut database = Database::open(&path).expect("open");
    let mut records: Vec<Record> = (0..8).map(|n| Record::Peak(peak("a", n, Some(n), 7))).collect();
    records.push(Record::Peak(peak("b", 1, None, 9)));
    assert_eq!(database.write(&records), Ok(0));
    let rows = || HistoryReader::open(&path).expect("open").peaks().expect("rows");
    let kept: Vec<_> = (3..8).rev().map(|n| peak("a", n, Some(n), 7)).chain([peak("b", 1, None, 9)]).collect();
    assert_eq!(rows(), kept);

    // The same run again: the larger figures stay, and one that was not measured is learned.
    let again = [peak("a", 7, Some(3), 8), peak("b", 1, Some(u64::from(u32::MAX) << 8), 1)].map(Record::Peak);
    assert_eq!(database.write(&again), Ok(0));
    assert_eq!((rows()[0].vram, rows()[0].ram), (Some(7), 8));
    assert_eq!((rows()[5].vram, rows()[5].ram), (Some(u64::from(u32::MAX) << 8), 9));
    assert_eq!(database.write(&[Record::Peak(peak("b", 1, None, 1))]), Ok(0));
    assert_eq!(rows()[5].vram, Some(u64::from(u32::MAX) << 8), "what is not measured takes nothing away");
}

#[test]
fn reports_are_added_without_actors_and_the_last_one_counts() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("history.db");
    for (epoch, second, left) in [(1, 1, 0), (2, 2, 3), (2, 3, 0)] {
        let report = serde_json::json!({ "left": left });
        append_shutdown_report(&path, epoch, at(second), &report).expect("added");
    }
    let rows = HistoryReader::open(&path).expect("open").shutdown_reports(0).expect("rows");
    let told: Vec<_> = rows.iter().map(|r| (r.epoch, r.at, r.report["left"].as_i64())).collect();
    assert_eq!(told, [(2, at(3), Some(0)), (1, at(1), Some(0))]);
    let in_the_way = folder.path().join("folder");
    fs::create_dir(&in_the_way).expect("made");
    let refused = append_shutdown_report(&in_the_way, 1, at(1), &serde_json::Value::Null);
    assert!(matches!(refused, Err(HistoryError::Unwritable { .. })));
}

#[test]
fn a_file_that_nobody_can_write_is_read_as_it_is() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("odd #name?100%.db");
    drop(filled(&path));
    assert!(!has_log(&path));
    let (connection, identity) = open(&path, true).expect("open");
    assert_eq!(identity, Identity::Ours { version: migrations::tests::NEWEST });
    let count: i64 = connection.query_row("SELECT count(*) FROM runs", [], |r| r.get(0)).expect("a number");
    assert_eq!(count, 3);
    assert!(!with_suffix(&path, "-shm").exists(), "nothing was made beside it");
}

#[test]
fn swaps_are_found_by_who_came_and_by_who_left() {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("history.db");
    let (mut database, runs) = filled(&path);
    let seconds = SwapSeconds { drain: 0.1, load: 2.0, total: 2.1, ..SwapSeconds::default() };
    let swap = |sequence, service: &str, from: &[&str]| {
        let from = from.iter().map(|other| name(other)).collect();
        let kind = EventKind::SwapDone { service: name(service), run_id: runs[0], from, seconds };
        Record::Event(Event { id: EventId { epoch: 7, sequence }, at: at(sequence), kind })
    };
    let written = database.write(&[swap(5, "image", &["chat"]), swap(6, "chat", &["image"]), swap(7, "tts", &[])]);
    assert_eq!(written, Ok(0));
    let reader = HistoryReader::open(&path).expect("open");
    let came = |filter: HistoryFilter| -> Vec<String> {
        let rows = reader.swaps(&filter).expect("read");
        assert!(rows.iter().all(|row| row.seconds == seconds && row.run_id == runs[0]));
        rows.iter().map(|row| row.service.to_string()).collect()
    };
    assert_eq!(came(HistoryFilter::default()), ["tts", "chat", "image"]);
    assert_eq!(came(HistoryFilter { service: Some(name("chat")), ..HistoryFilter::default() }), ["chat", "image"]);
    assert_eq!(came(HistoryFilter { since: Some(at(6)), limit: 1, ..HistoryFilter::default() }), ["tts"]);
    assert!(came(HistoryFilter { failed: true, ..HistoryFilter::default() }).is_empty());
}

#[test]
fn requests_come_back_as_they_were_and_each_of_them_once() {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("history.db");
    let mut database = Database::open(&path).expect("open");
    let row = |seconds, code, whole| RequestRow {
        at: at(seconds),
        model: Some("org/model".to_owned()),
        service: Some(name("chat")),
        code,
        error: None,
        waited: 0.25,
        took: 1.5,
        bytes: 1 << 40,
        whole,
    };
    let refused =
        RequestRow { model: None, service: None, error: Some("queue_full".to_owned()), bytes: 0, ..row(4, 429, true) };
    let rows = [row(1, 200, true), row(2, 200, false), row(3, 502, true), refused];
    let numbered = rows.iter().cloned().zip(1..);
    let records: Vec<Record> = numbered.map(|(row, number)| Record::Request { epoch: 7, number, row }).collect();
    assert_eq!(database.write(&records), Ok(0));
    assert_eq!(database.write(&records), Ok(0), "once more");
    let reader = HistoryReader::open(&path).expect("open");
    let read = |filter: HistoryFilter| reader.requests(&filter).expect("rows");
    let [first, broken, failed, refused] = rows;
    let all = [refused.clone(), failed.clone(), broken.clone(), first];
    assert_eq!(read(HistoryFilter::default()), all);
    let bad = HistoryFilter { failed: true, ..HistoryFilter::default() };
    assert_eq!(read(bad.clone()), [refused, failed.clone(), broken.clone()]);
    let of_chat = HistoryFilter { service: Some(name("chat")), since: Some(at(2)), ..bad };
    assert_eq!(read(of_chat.clone()), [failed.clone(), broken]);
    assert_eq!(read(HistoryFilter { limit: 1, ..of_chat }), [failed]);
}

#[test]
fn a_job_is_what_was_written_of_it_last_and_the_open_ones_come_oldest_first() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("history.db");
    let mut database = Database::open(&path).expect("open");
    let jobs: Vec<JobView> =
        ["image", "video", "image", "image"].iter().zip(0..).map(|(job, n)| queued(job, n)).collect();
    let with = |n: usize, state, outcome| JobView { state, outcome, ..jobs[n].clone() };
    let written = [
        with(3, JobState::Queued, None),
        with(0, JobState::Queued, None),
        with(1, JobState::Running, None),
        with(2, JobState::Queued, None),
        with(0, JobState::Failed, Some(JobOutcome::Failed)),
        with(3, JobState::Cleaning, Some(JobOutcome::Cancelled)),
    ];
    let records: Vec<Record> = written.iter().cloned().map(|job| Record::Job(Box::new(job))).collect();
    assert_eq!(database.write(&records), Ok(0));
    let reader = HistoryReader::open(&path).expect("open");
    let states = |jobs: Vec<JobView>| jobs.into_iter().map(|job| (job.id, job.state)).collect::<Vec<_>>();
    let mut open = [(jobs[1].id, JobState::Running), (jobs[2].id, JobState::Queued), (jobs[3].id, JobState::Cleaning)];
    // Ids of one millisecond are in no order.
    open.sort();
    assert_eq!(states(reader.open_jobs().expect("rows")), open);
    let mut at_work = [jobs[1].id, jobs[3].id];
    at_work.sort();
    assert_eq!(reader.jobs_at_work().expect("rows"), at_work);
    assert_eq!(reader.job(jobs[0].id).expect("rows"), Some(written[4].clone()));
    assert_eq!(reader.job(JobId::fresh()).expect("rows"), None);
    let filter = HistoryFilter { service: Some(name("image")), ..HistoryFilter::default() };
    let image: Vec<JobId> = reader.jobs(&filter).expect("rows").iter().map(|job| job.id).collect();
    assert_eq!(image, [jobs[3].id, jobs[2].id, jobs[0].id], "newest first");
    let failed = HistoryFilter { failed: true, ..HistoryFilter::default() };
    assert_eq!(states(reader.jobs(&failed).expect("rows")), [(jobs[0].id, JobState::Failed)]);
}

#[test]
fn of_the_jobs_that_have_ended_the_last_ones_are_read_by_number_and_by_bytes() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("history.db");
    let mut database = Database::open(&path).expect("open");
    let ended = |n| JobView { state: JobState::Failed, outcome: Some(JobOutcome::Failed), ..queued("image", n) };
    let jobs: Vec<JobView> = (0..4).map(ended).chain([queued("image", 9)]).collect();
    let records: Vec<Record> = jobs.iter().cloned().map(|job| Record::Job(Box::new(job))).collect();
    assert_eq!(database.write(&records), Ok(0));
    let reader = HistoryReader::open(&path).expect("open");
    let read = |count, bytes| reader.ended_jobs(count, bytes).expect("rows");
    let newest = [jobs[3].clone(), jobs[2].clone(), jobs[1].clone(), jobs[0].clone()];
    assert_eq!(read(9, u32::MAX), newest, "the open one is none of them");
    assert_eq!(read(2, u32::MAX), newest[..2]);
    let one = u32::try_from(serde_json::to_string(&jobs[3]).expect("JSON").len()).expect("short");
    assert_eq!(read(9, 3 * one), newest[..3]);
    assert_eq!(read(9, 3 * one - 1), newest[..2]);
    assert_eq!(read(9, one - 1), []);
}
