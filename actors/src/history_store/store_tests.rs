//! The store on real files that are damaged, deleted, in the way, or full.

use std::fs;

use tempfile::TempDir;

use super::*;
use crate::{
    event::{Event, EventId, EventKind},
    history_store::{
        HistoryReader,
        backlog::MOST_RECORDS,
        files::{set_aside_before, with_suffix},
        messages::HistoryFilter,
        migrations,
    },
    job::{JobOutcome, JobState, JobView, sample::queued},
    os::clock,
};

struct Stage {
    _folder: TempDir,
    path: PathBuf,
    store: Store,
    now: Instant,
}

impl Stage {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("history.db");
        Self { store: Store::new(path.clone()), path, _folder: folder, now: clock::now() }
    }

    /// Adds one event and commits.
    fn record(&mut self, sequence: u64) -> Result<(), NotRecorded> {
        self.store.add(event(sequence));
        self.store.commit(self.now, clock::wall())
    }

    fn reopen(&mut self) {
        self.store = Store::new(self.path.clone());
    }

    /// The sequences in the database, oldest first.
    fn written(&self) -> Vec<u64> {
        let filter = HistoryFilter { limit: 10_000, ..HistoryFilter::default() };
        let rows = HistoryReader::open(&self.path).expect("open").events(&filter).expect("rows");
        let sequence = |id: &str| id.parse::<EventId>().expect("an id").sequence;
        rows.iter().rev().map(|row| sequence(&row.id)).collect()
    }

    fn damage(&self, contents: &[u8]) {
        for suffix in ["-wal", "-shm"] {
            drop(fs::remove_file(with_suffix(&self.path, suffix)));
        }
        fs::write(&self.path, contents).expect("damaged");
    }
}

fn event(sequence: u64) -> Record {
    let kind = EventKind::RuntimeState { state: "running".to_owned(), reason: Some("x".repeat(100)) };
    let at = Timestamp::from_micros(1_763_715_600_000_000 + i64::try_from(sequence).expect("small"));
    Record::Event(Event { id: EventId { epoch: 1, sequence }, at, kind })
}

fn kinds(news: &[News]) -> Vec<&'static str> {
    let kind = |news: &News| match news {
        News::Degraded(_) => "degraded",
        News::Overflowing(_) => "overflowing",
        News::Recovered => "recovered",
        News::Damaged(_) => "damaged",
        News::Replaced => "replaced",
    };
    news.iter().map(kind).collect()
}

#[test]
fn records_are_written_once_however_often_they_come() {
    let mut stage = Stage::new();
    assert_eq!(stage.record(1), Ok(()));
    assert_eq!(stage.record(1), Ok(()));
    assert_eq!(stage.record(2), Ok(()));
    assert_eq!(stage.written(), [1, 2]);
    assert_eq!((stage.store.state(), stage.store.take_news()), (HistoryState::Ok, vec![]));
}

#[test]
fn a_file_that_is_no_database_is_set_aside_and_a_fresh_one_made() {
    let mut stage = Stage::new();
    fs::write(&stage.path, "this is no database, but it is long enough to be looked at".repeat(50)).expect("written");
    assert_eq!(stage.record(1), Ok(()));
    assert_eq!(stage.written(), [1]);
    assert_eq!(kinds(&stage.store.take_news()), ["damaged", "replaced"]);
    assert_eq!(set_aside_before(&stage.path).len(), 1);
}

#[test]
fn a_database_with_broken_pages_is_set_aside_when_it_is_opened() {
    let mut stage = Stage::new();
    for n in 0..500 {
        stage.store.add(event(n));
    }
    stage.store.close(Duration::from_secs(1), stage.now, clock::wall()).expect("closed");
    let mut contents = fs::read(&stage.path).expect("read");
    let half = contents.len() / 2;
    contents[4096..half].fill(0x5A);
    stage.damage(&contents);
    stage.reopen();
    assert_eq!(stage.record(1000), Ok(()));
    assert_eq!(stage.written(), [1000]);
    assert_eq!(kinds(&stage.store.take_news()), ["damaged", "replaced"]);
}

#[test]
fn a_database_cut_short_while_in_use_is_noticed_before_anything_is_acknowledged() {
    let mut stage = Stage::new();
    for n in 0..500 {
        stage.store.add(event(n));
    }
    assert_eq!(stage.record(500), Ok(()));
    stage.store.with(stage.now, clock::wall(), |database| database.take_log_over()).expect("taken over");
    stage.store.with(stage.now, clock::wall(), Database::check).expect("good");
    fs::OpenOptions::new().write(true).open(&stage.path).expect("open").set_len(0).expect("cut short");
    assert_eq!(stage.record(501), Ok(()));
    assert!(stage.written().contains(&501));
    assert_eq!(kinds(&stage.store.take_news()), ["damaged", "replaced"]);
}

#[test]
fn a_database_deleted_while_in_use_is_made_again_with_what_was_not_acknowledged() {
    let mut stage = Stage::new();
    assert_eq!(stage.record(1), Ok(()));
    fs::remove_file(&stage.path).expect("deleted");
    assert_eq!(stage.record(2), Ok(()));
    assert_eq!(stage.written(), [2]);
    assert_eq!(kinds(&stage.store.take_news()), ["damaged", "replaced"]);
}

#[test]
fn a_log_deleted_while_in_use_costs_nothing() {
    let mut stage = Stage::new();
    assert_eq!(stage.record(1), Ok(()));
    fs::remove_file(with_suffix(&stage.path, "-wal")).expect("deleted");
    assert_eq!(stage.record(2), Ok(()));
    assert_eq!(stage.record(3), Ok(()));
    assert_eq!(stage.written(), [1, 2, 3]);
    assert_eq!(stage.store.take_news(), []);
}

#[test]
fn a_lost_table_is_damage() {
    let mut stage = Stage::new();
    assert_eq!(stage.record(1), Ok(()));
    let other = rusqlite::Connection::open(&stage.path).expect("open");
    other.execute_batch("DROP TABLE events").expect("dropped");
    assert_eq!(stage.record(2), Ok(()));
    assert_eq!(stage.written(), [2]);
    assert_eq!(kinds(&stage.store.take_news()), ["damaged", "replaced"]);
}

#[test]
fn with_something_in_the_way_records_are_kept_and_tried_again_after_pauses() {
    let mut stage = Stage::new();
    fs::create_dir(&stage.path).expect("in the way");
    assert!(matches!(stage.record(1), Err(NotRecorded::Buffered(_))));
    assert_eq!(stage.store.retry_at(), Some(stage.now + Duration::from_secs(1)));
    fs::remove_dir(&stage.path).expect("out of the way");
    assert!(matches!(stage.record(2), Err(NotRecorded::Buffered(_))), "not before the pause is over");
    assert!(matches!(stage.store.state(), HistoryState::Degraded(_)) && stage.store.buffered() == 2);
    stage.now += Duration::from_secs(1);
    assert_eq!(stage.record(3), Ok(()));
    assert_eq!(stage.written(), [1, 2, 3]);
    assert_eq!(kinds(&stage.store.take_news()), ["degraded", "recovered"]);
    assert_eq!((stage.store.buffered(), stage.store.retry_at()), (0, None));
}

#[test]
fn pauses_grow_while_it_lasts() {
    let mut stage = Stage::new();
    fs::create_dir(&stage.path).expect("in the way");
    let mut pauses = Vec::new();
    for n in 0..7 {
        stage.record(n).expect_err("in the way");
        let next = stage.store.retry_at().expect("a time");
        pauses.push(next.duration_since(stage.now).as_secs());
        stage.now = next;
    }
    assert_eq!(pauses, [1, 2, 4, 5, 5, 5, 5]);
    assert_eq!(kinds(&stage.store.take_news()), ["degraded"], "said once");
}

#[test]
fn past_the_bound_the_oldest_are_dropped_counted_and_told_once() {
    let mut stage = Stage::new();
    fs::create_dir(&stage.path).expect("in the way");
    stage.record(0).expect_err("in the way");
    for n in 1..=MOST_RECORDS as u64 + 4 {
        assert!(!stage.store.add(event(n)), "no use to commit at once");
    }
    assert_eq!(stage.store.commit(stage.now, clock::wall()), Err(NotRecorded::Dropped(5)));
    assert_eq!((stage.store.buffered(), stage.store.dropped()), (MOST_RECORDS as u64, 5));
    fs::remove_dir(&stage.path).expect("out of the way");
    stage.now += Duration::from_secs(1);
    assert_eq!(stage.store.commit(stage.now, clock::wall()), Ok(()));
    assert_eq!(stage.written().first(), Some(&5));
    assert_eq!(kinds(&stage.store.take_news()), ["degraded", "overflowing", "recovered"]);
}

#[test]
fn a_full_disk_loses_nothing() {
    let mut stage = Stage::new();
    assert_eq!(stage.record(1), Ok(()));
    stage.store.with(stage.now, clock::wall(), |database| {
        database.limit_growth(2);
        Ok(())
    });
    for n in 2..500 {
        stage.store.add(event(n));
    }
    let refused = stage.store.commit(stage.now, clock::wall());
    assert!(matches!(&refused, Err(NotRecorded::Buffered(why)) if why.contains("full")), "{refused:?}");
    // The limit went with the connection: there is room again.
    stage.now += Duration::from_secs(1);
    assert_eq!(stage.record(500), Ok(()));
    assert_eq!(stage.written(), (1..=500).collect::<Vec<_>>());
}

#[test]
fn the_end_of_a_job_outlasts_a_full_disk_and_all_that_happens_meanwhile() {
    let mut stage = Stage::new();
    let runs = JobView { state: JobState::Running, ..queued("image", 1) };
    let over = JobView { state: JobState::Succeeded, outcome: Some(JobOutcome::Succeeded), ..runs.clone() };
    stage.store.add(Record::Job(Box::new(runs)));
    assert_eq!(stage.store.commit(stage.now, clock::wall()), Ok(()));
    stage.store.with(stage.now, clock::wall(), |database| {
        database.limit_growth(2);
        Ok(())
    });
    stage.store.add(Record::Job(Box::new(over.clone())));
    for n in 0..MOST_RECORDS as u64 + 500 {
        stage.store.add(event(n));
    }
    let refused = stage.store.commit(stage.now, clock::wall());
    assert!(refused.is_err() && stage.store.dropped() > 0, "{refused:?}");
    // There was no room for thousands of events, and there is for the one row that tells what the job has come to.
    let reader = HistoryReader::open(&stage.path).expect("open");
    assert_eq!(reader.job(over.id).expect("rows"), Some(over.clone()));
    assert_eq!(reader.open_jobs().expect("rows"), []);
    assert_eq!(stage.store.buffered(), MOST_RECORDS as u64 - 1, "the others wait");
    stage.now += Duration::from_secs(1);
    assert_eq!(stage.store.commit(stage.now, clock::wall()), Ok(()));
    assert_eq!(stage.store.buffered(), 0);
}

#[test]
fn without_any_room_the_end_of_a_job_waits_whatever_else_comes() {
    let mut stage = Stage::new();
    fs::create_dir(&stage.path).expect("in the way");
    let over = JobView { state: JobState::Succeeded, outcome: Some(JobOutcome::Succeeded), ..queued("image", 1) };
    stage.store.add(Record::Job(Box::new(over.clone())));
    for n in 0..MOST_RECORDS as u64 + 500 {
        stage.store.add(event(n));
    }
    stage.store.commit(stage.now, clock::wall()).expect_err("in the way");
    fs::remove_dir(&stage.path).expect("out of the way");
    stage.now += Duration::from_secs(1);
    assert_eq!(stage.store.commit(stage.now, clock::wall()), Ok(()));
    let reader = HistoryReader::open(&stage.path).expect("open");
    assert_eq!(reader.job(over.id).expect("rows"), Some(over));
}

#[test]
fn a_locked_database_is_an_obstacle_and_not_damage() {
    let mut stage = Stage::new();
    assert_eq!(stage.record(1), Ok(()));
    let other = rusqlite::Connection::open(&stage.path).expect("open");
    other.execute_batch("BEGIN IMMEDIATE").expect("locked");
    stage.store.with(stage.now, clock::wall(), |database| database.hurry(Duration::ZERO));
    assert!(matches!(stage.record(2), Err(NotRecorded::Buffered(_))));
    other.execute_batch("ROLLBACK").expect("unlocked");
    stage.now += Duration::from_secs(1);
    assert_eq!(stage.record(3), Ok(()));
    assert_eq!(stage.written(), [1, 2, 3]);
    assert!(set_aside_before(&stage.path).is_empty());
}

#[test]
fn newer_and_foreign_databases_are_left_alone() {
    for (application, version) in [(0, 0), (super::super::schema::APPLICATION, 99)] {
        let mut stage = Stage::new();
        let other = rusqlite::Connection::open(&stage.path).expect("made");
        other.execute_batch("CREATE TABLE precious (x); INSERT INTO precious VALUES (1)").expect("filled");
        other.pragma_update(None, "application_id", application).expect("set");
        other.pragma_update(None, "user_version", version).expect("set");
        drop(other);
        let before = fs::read(&stage.path).expect("read");
        assert!(matches!(stage.record(1), Err(NotRecorded::Buffered(_))));
        assert_eq!(fs::read(&stage.path).expect("read"), before);
        assert_eq!(kinds(&stage.store.take_news()), ["degraded"]);
        assert!(set_aside_before(&stage.path).is_empty());
    }
}

#[test]
fn a_file_of_version_1_is_upgraded_and_keeps_its_rows() {
    let mut stage = Stage::new();
    let mut old = rusqlite::Connection::open(&stage.path).expect("made");
    migrations::tests::version_1(&mut old);
    old.execute("INSERT INTO events VALUES (1, 1, 5, 'runtime.state', NULL, '{}')", []).expect("a row");
    drop(old);
    assert_eq!(stage.record(2), Ok(()));
    assert_eq!(stage.written(), [1, 2]);
    let reader = HistoryReader::open(&stage.path).expect("open");
    assert_eq!(reader.shutdown_reports(0).expect("rows"), []);
}

#[test]
fn closing_writes_what_waits_and_says_what_is_lost() {
    let mut stage = Stage::new();
    stage.store.add(event(1));
    assert_eq!(stage.store.close(Duration::from_secs(1), stage.now, clock::wall()), Ok(()));
    assert!(!with_suffix(&stage.path, "-wal").exists(), "the log was taken over");
    assert_eq!(stage.written(), [1]);
    let mut stage = Stage::new();
    fs::create_dir(&stage.path).expect("in the way");
    stage.store.add(event(1));
    let lost = stage.store.close(Duration::from_secs(1), stage.now, clock::wall()).expect_err("in the way");
    assert!(lost.starts_with("1 records are lost"), "{lost}");
}
