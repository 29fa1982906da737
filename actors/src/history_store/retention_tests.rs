//! Retention on a database in memory.

use super::*;
use crate::{
    event::{Event, EventId, EventKind},
    history_store::{
        messages::{PeakRow, Record, RequestRow},
        migrations::migrate,
        writer::write_all,
    },
    ids::{Pid, RunId},
    job::{JobState, JobView, sample::queued},
    state::ExitReport,
    units::ByteSize,
};

const DAY: Duration = Duration::from_secs(86_400);

fn at(days: u32) -> Timestamp {
    Timestamp::from_micros(1_763_715_600_000_000).after(DAY * days)
}

fn database() -> Connection {
    let mut connection = Connection::open_in_memory().expect("memory");
    connection.pragma_update(None, "auto_vacuum", "INCREMENTAL").expect("set");
    migrate(&mut connection, 0).expect("migrated");
    connection
}

fn event(sequence: u64, at: Timestamp, text: usize) -> Record {
    let kind = EventKind::RuntimeState { state: "running".to_owned(), reason: Some("x".repeat(text)) };
    Record::Event(Event { id: EventId { epoch: 1, sequence }, at, kind })
}

fn run(started: Timestamp, ended: Option<Timestamp>) -> Vec<Record> {
    let (run, service) = (RunId::fresh(), "chat".parse().expect("a name"));
    let mut records = vec![Record::RunStarted { run, service, pid: Pid(1), command: vec![], at: started }];
    records.extend(ended.map(|at| {
        let exit = ExitReport { code: Some(0), signal: None, class: None, stderr: vec![], at };
        Record::RunEnded { run, exit, wanted: true }
    }));
    records
}

fn count(connection: &Connection, table: &str) -> i64 {
    connection.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0)).expect("a number")
}

fn retention(retain: Duration, max_size: u64, opened: Timestamp) -> Retention {
    let spec = HistorySpec { path: "unused".into(), retain, max_size: ByteSize(max_size) };
    Retention::new(&spec, opened)
}

/// Steps to the end; how many it took.
fn settle(retention: Retention, connection: &mut Connection, now: Timestamp) -> usize {
    (1..1000).find(|_| retention.step(connection, now).expect("a step") == Progress::Done).expect("an end")
}

#[test]
fn what_is_too_old_goes_in_small_steps_and_what_runs_stays() {
    let mut connection = database();
    let mut records: Vec<Record> = (0..2500).map(|n| event(n, at(0), 10)).collect();
    records.extend((2500..2510).map(|n| event(n, at(9), 10)));
    records.extend(run(at(0), Some(at(1)))); // over long ago
    records.extend(run(at(0), Some(at(9)))); // began long ago, over lately
    records.extend(run(at(0), None)); // an earlier runtime was killed
    records.extend(run(at(2), None)); // runs since this runtime began
    records.push(Record::ShutdownReport { epoch: 1, at: at(0), report: serde_json::Value::Null });
    write_all(&mut connection, &records).expect("written");
    let steps = settle(retention(DAY * 5, u64::MAX, at(1)), &mut connection, at(10));
    assert!(steps > 3, "{steps}");
    assert_eq!((count(&connection, "events"), count(&connection, "runs")), (10, 2));
    assert_eq!(count(&connection, "shutdown_reports"), 0);
}

#[test]
fn what_is_too_much_goes_the_oldest_first_and_the_file_shrinks() {
    let mut connection = database();
    let records: Vec<Record> = (0..20_000).map(|n| event(n, at(1).after(Duration::from_secs(n)), 500)).collect();
    write_all(&mut connection, &records).expect("written");
    let pages = |c: &Connection| c.pragma_query_value(None, "page_count", |r| r.get::<_, i64>(0)).expect("a number");
    let (before, limit) = (pages(&connection), 4 << 20);
    settle(retention(DAY * 90, limit, at(0)), &mut connection, at(2));
    assert!(used_bytes(&connection).expect("a size") <= limit);
    assert!(count(&connection, "events") > 3000, "no more than needed");
    let newest: i64 = connection.query_row("SELECT max(sequence) FROM events", [], |r| r.get(0)).expect("a number");
    assert_eq!(newest, 19_999);
    assert!(pages(&connection) < before / 2 + PAGES, "{} of {before} pages", pages(&connection));
}

#[test]
fn a_limit_that_nothing_can_meet_ends_all_the_same() {
    let mut connection = database();
    write_all(&mut connection, &[event(1, at(1), 10)]).expect("written");
    write_all(&mut connection, &run(at(1), None)).expect("written");
    settle(retention(DAY * 90, 0, at(0)), &mut connection, at(2));
    assert_eq!((count(&connection, "events"), count(&connection, "runs")), (0, 1), "what runs stays");
}

#[test]
fn peaks_go_by_their_age_and_never_for_the_size() {
    let mut connection = database();
    let peak = |key: &str, at| {
        let (service, command) = ("chat".parse().expect("a name"), Vec::new());
        Record::Peak(PeakRow {
            key: key.to_owned(),
            at,
            service,
            command,
            file: None,
            layers: None,
            vram: None,
            ram: 1,
        })
    };
    write_all(&mut connection, &[peak("old", at(0)), peak("new", at(9))]).expect("written");
    let records: Vec<Record> = (0..5000).map(|n| event(n, at(9), 500)).collect();
    write_all(&mut connection, &records).expect("written");
    settle(retention(DAY * 5, 1, at(0)), &mut connection, at(10));
    assert_eq!((count(&connection, "events"), count(&connection, "peaks")), (0, 1));
}

fn request(number: u64, at: Timestamp) -> Record {
    let row = RequestRow {
        at,
        model: Some("chat".to_owned()),
        service: None,
        code: 200,
        error: None,
        waited: 0.0,
        took: 0.1,
        bytes: 9,
        whole: true,
    };
    Record::Request { epoch: 1, number, row }
}

#[test]
fn requests_go_by_their_age_and_are_the_first_to_go_for_the_size() {
    let mut connection = database();
    let mut records: Vec<Record> = (0..2500).map(|n| request(n, at(0))).collect();
    records.extend((2500..2510).map(|n| request(n, at(9))));
    records.extend((0..100).map(|n| event(n, at(8), 10)));
    write_all(&mut connection, &records).expect("written");
    settle(retention(DAY * 5, u64::MAX, at(0)), &mut connection, at(10));
    assert_eq!((count(&connection, "requests"), count(&connection, "events")), (10, 100));

    let limit = used_bytes(&connection).expect("a size");
    let many: Vec<Record> = (0..20_000).map(|n| request(10_000 + n, at(9).after(Duration::from_secs(n)))).collect();
    write_all(&mut connection, &many).expect("written");
    settle(retention(DAY * 90, limit + (256 << 10), at(0)), &mut connection, at(10));
    let left = count(&connection, "requests");
    assert!((1..20_000).contains(&left), "no more than needed: {left}");
    assert_eq!(count(&connection, "events"), 100, "not before the requests");
    let newest: i64 = connection.query_row("SELECT max(number) FROM requests", [], |r| r.get(0)).expect("a number");
    assert_eq!(newest, 29_999);
}

#[test]
fn jobs_go_by_the_age_of_their_end_and_one_that_is_open_never_goes() {
    let mut connection = database();
    let job = |submitted: Timestamp, finished: Option<Timestamp>| {
        let state = if finished.is_some() { JobState::Succeeded } else { JobState::Queued };
        Record::Job(Box::new(JobView { submitted, finished, state, ..queued("image", 0) }))
    };
    let records = [job(at(0), None), job(at(0), Some(at(1))), job(at(0), Some(at(9))), job(at(9), Some(at(9)))];
    write_all(&mut connection, &records).expect("written");
    settle(retention(DAY * 3, 1 << 30, at(0)), &mut connection, at(10));
    assert_eq!(count(&connection, "jobs"), 3, "the one that ended long ago has gone");
    settle(retention(DAY * 30, 1, at(0)), &mut connection, at(10));
    let open = "SELECT state FROM jobs";
    let left: Vec<String> =
        connection.prepare(open).expect("a query").query_map([], |row| row.get(0)).expect("rows").flatten().collect();
    assert_eq!(left, ["queued"], "however large the file is");
}
