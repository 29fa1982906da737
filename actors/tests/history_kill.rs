//! What the history has acknowledged survives `kill -9` of the process that wrote it, at any moment.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    os::unix::process::ExitStatusExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use greenroom_actors::{
    event::{EventBus, EventKind},
    history_store::{History, messages::Record},
    spec::HistorySpec,
    units::ByteSize,
};

/// How often the writer is killed.
const KILLS: u64 = 10;
/// Senders that wait for their acknowledgements side by side.
const SENDERS: usize = 8;
/// Tells the test program that it is the writer: the path of the database and the epoch of its events.
const WRITER: &str = "GREENROOM_TEST_HISTORY_WRITER";

#[test]
fn acknowledged_events_survive_kill_9() {
    if let Ok(told) = std::env::var(WRITER) {
        let (epoch, path) = told.split_once(':').expect("EPOCH:PATH");
        return write_for_ever(Path::new(path), epoch.parse().expect("a number"));
    }
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("history.db");
    for epoch in 1..=KILLS {
        let acknowledged = write_until_killed(&path, epoch);
        let database = rusqlite::Connection::open(&path).expect("open");
        let check: String = database.query_row("PRAGMA integrity_check", [], |row| row.get(0)).expect("a verdict");
        assert_eq!(check, "ok");
        let mut there = database.prepare("SELECT 1 FROM events WHERE epoch = ?1 AND sequence = ?2").expect("prepared");
        for sequence in &acknowledged {
            let epoch = i64::try_from(epoch).expect("small");
            assert!(there.exists([epoch, *sequence]).expect("read"), "{epoch}-{sequence} was acknowledged and is lost");
        }
        assert!(!acknowledged.is_empty(), "the writer got to nothing");
    }
}

/// Ends the writer also when an assertion fails.
struct Writer(Child);

impl Drop for Writer {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// Starts a writer, kills it some random time after its first acknowledgement, and returns all that it printed.
fn write_until_killed(path: &Path, epoch: u64) -> Vec<i64> {
    let child = Command::new(std::env::current_exe().expect("this program"))
        .args(["--exact", "acknowledged_events_survive_kill_9", "--nocapture"])
        .env(WRITER, format!("{epoch}:{}", path.display()))
        .stdout(Stdio::piped())
        .spawn()
        .expect("a writer");
    let mut writer = Writer(child);
    let lines = BufReader::new(writer.0.stdout.take().expect("its output")).lines();
    // The last line may be cut off by the kill: such a one has no end mark.
    let mut acknowledged = lines.map_while(Result::ok).filter_map(|line| {
        let sequence = line.strip_prefix("acknowledged ")?.strip_suffix(" .")?;
        sequence.parse::<i64>().ok()
    });
    let first = acknowledged.next().expect("one acknowledgement");
    let pause = Duration::from_micros(fastrand::u64(0..150_000));
    let (told, ended) = std::sync::mpsc::channel::<()>();
    let rest = std::thread::scope(|scope| {
        scope.spawn(move || {
            // The random moment; or the writer's own end, which the test would find wrong below.
            assert!(ended.recv_timeout(pause).is_err(), "nothing is ever sent");
            writer.0.kill().expect("killed");
            let status = writer.0.wait().expect("reaped");
            assert_eq!(status.signal(), Some(9), "the writer ended by itself");
        });
        let rest: Vec<i64> = acknowledged.collect();
        drop(told);
        rest
    });
    std::iter::once(first).chain(rest).collect()
}

/// The writer: prints each event's sequence once it is acknowledged.
fn write_for_ever(path: &Path, epoch: u64) {
    let path: PathBuf = path.to_owned();
    actix::System::new().block_on(async move {
        let bus = EventBus::new(epoch);
        let (retain, max_size) = (Duration::from_secs(86_400), ByteSize(1 << 30));
        let history = History::start(&HistorySpec { path, retain, max_size }, &EventBus::new(0)).expect("a thread");
        let senders = (0..SENDERS).map(|_| {
            let (sink, bus) = (history.sink(), bus.clone());
            actix_rt::spawn(async move {
                loop {
                    let event = bus.emit(EventKind::RuntimeState { state: "running".to_owned(), reason: None });
                    let sequence = event.id.sequence;
                    assert_eq!(sink.record_acked(vec![Record::Event(event)]).await, Ok(()));
                    let mut out = std::io::stdout().lock();
                    writeln!(out, "acknowledged {sequence} .").and_then(|()| out.flush()).expect("printed");
                }
            })
        });
        futures_util::future::try_join_all(senders).await.expect("they never end");
    });
}
