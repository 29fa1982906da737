//! The whole history: actor, thread, sink and bus.

use std::{fs, path::Path};

use actix::{Actor as _, Context, Handler};
use tokio::sync::oneshot;

use super::*;
use crate::{
    event::{EventKind, EventStream},
    history_store::{
        HistoryReader,
        messages::{GetHealth, HistoryFilter, NotRecorded, Record},
    },
    ids::{Pid, RunId},
    shutdown_coordinator::messages::{StopOutcome, UnitStopped},
    state::LoadProgress,
    units::ByteSize,
};

/// Long enough for the slowest machine; no test waits for it unless it fails.
const LONG: Duration = Duration::from_secs(20);

fn spec(path: &Path) -> HistorySpec {
    HistorySpec { path: path.to_owned(), retain: Duration::from_secs(86_400), max_size: ByteSize(1 << 30) }
}

fn run() -> Record {
    let service = "chat".parse().expect("a name");
    Record::RunStarted { run: RunId::fresh(), service, pid: Pid(1), command: vec![], at: clock::wall() }
}

fn phase(state: &str) -> EventKind {
    EventKind::RuntimeState { state: state.to_owned(), reason: None }
}

/// The texts of all recorded phases of the runtime, oldest first.
fn phases(path: &Path) -> Vec<String> {
    let filter = HistoryFilter { limit: 10_000, ..HistoryFilter::default() };
    let rows = HistoryReader::open(path).expect("open").events(&filter).expect("rows");
    rows.iter().rev().filter_map(|row| row.event["state"].as_str().map(str::to_owned)).collect()
}

/// Hands the answer of a stopped unit out.
struct Answer(Option<oneshot::Sender<StopOutcome>>);

impl actix::Actor for Answer {
    type Context = Context<Self>;
}

impl Handler<UnitStopped> for Answer {
    type Result = ();

    fn handle(&mut self, msg: UnitStopped, _: &mut Self::Context) {
        if let Some(sender) = self.0.take() {
            sender.send(msg.outcome).expect("somebody waits");
        }
    }
}

async fn stop(history: &History) -> StopOutcome {
    stop_within(history, LONG).await
}

/// The same for a history that has so long for what is still to be written.
async fn stop_within(history: &History, bound: Duration) -> StopOutcome {
    let (sender, outcome) = oneshot::channel();
    let answer = Answer(Some(sender)).start().recipient();
    let (name, until) = ("history".to_owned(), clock::now() + bound);
    history.stop().do_send(StopUnit { name, until, force: false, answer });
    tokio::time::timeout(bound + LONG, outcome).await.expect("in time").expect("an answer")
}

async fn alert(events: &mut EventStream, wanted: &str) -> EventKind {
    let next = async {
        loop {
            match events.next().await.expect("the bus lives").kind {
                kind @ (EventKind::AlertRaised { .. } | EventKind::AlertCleared { .. }) if kind.name() == wanted => {
                    return kind;
                }
                _ => {}
            }
        }
    };
    tokio::time::timeout(LONG, next).await.expect("an alert in time")
}

#[actix::test]
async fn what_is_acknowledged_can_be_read_and_the_stop_is_clean() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("history.db");
    let bus = EventBus::new(5);
    bus.emit(phase("before"));
    let history = History::start(&spec(&path), &bus).expect("a thread");
    let sink = history.sink();
    sink.record(run());
    assert_eq!(sink.record_acked(vec![run(), run()]).await, Ok(()));
    let rows = HistoryReader::open(&path).expect("open").runs(&HistoryFilter::default()).expect("rows");
    assert_eq!(rows.len(), 3);
    assert_eq!(history.store().send(GetHealth).await.expect("alive"), sink.health());
    assert_eq!(sink.health(), HistoryHealth { state: HistoryState::Ok, buffered: 0, dropped: 0 });

    // Told, and the stop asked for before anybody could write it down.
    bus.emit(phase("last"));
    assert_eq!(stop(&history).await, StopOutcome::Clean);
    assert_eq!(sink.flush().await, Err(NotRecorded::Closed));
    assert_eq!(stop(&history).await, StopOutcome::Clean, "asked twice");
    assert!(history.end(LONG));
    assert_eq!(sink.record_acked(vec![run()]).await, Err(NotRecorded::Closed), "the thread is gone");
    assert_eq!(phases(&path), ["before", "last"]);
}

#[actix::test]
async fn a_storm_of_events_is_written_whole_and_in_order() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("history.db");
    let bus = EventBus::new(5);
    let history = History::start(&spec(&path), &bus).expect("a thread");
    // More than a subscriber may lie behind, less than the bus remembers.
    let storm: Vec<String> = (0..3000).map(|n| n.to_string()).collect();
    tokio::task::yield_now().await;
    for n in &storm {
        bus.emit(phase(n));
    }
    assert_eq!(stop(&history).await, StopOutcome::Clean);
    assert_eq!(history.sink().health().dropped, 0);
    assert!(history.end(LONG));
    assert_eq!(phases(&path), storm);
}

#[actix::test]
async fn steps_of_progress_are_not_kept_and_are_no_loss() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("history.db");
    let bus = EventBus::new(5);
    let history = History::start(&spec(&path), &bus).expect("a thread");
    let step = |done| EventKind::ServiceLoad {
        service: "chat".parse().expect("a name"),
        run_id: None,
        load: LoadProgress { phase: "weights".to_owned(), done, total: 9, eta: None },
    };
    for n in 0..9 {
        bus.emit(step(n));
        bus.emit(phase(&n.to_string()));
        tokio::task::yield_now().await;
    }
    bus.emit(step(9));
    assert_eq!(stop(&history).await, StopOutcome::Clean);
    assert_eq!(history.sink().health().dropped, 0);
    assert!(history.end(LONG));
    let rows = HistoryReader::open(&path).expect("open").events(&HistoryFilter::default()).expect("rows");
    assert_eq!((rows.len(), phases(&path).len()), (9, 9));
}

#[actix::test]
async fn trouble_is_told_and_its_end_as_well() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("history.db");
    fs::create_dir(&path).expect("in the way");
    let bus = EventBus::new(5);
    let mut events = bus.subscribe(None);
    let history = History::start(&spec(&path), &bus).expect("a thread");
    let sink = history.sink();
    assert!(matches!(sink.record_acked(vec![run()]).await, Err(NotRecorded::Buffered(_))));
    assert!(matches!(sink.health().state, HistoryState::Degraded(_)));
    let raised = alert(&mut events, "alert.raised").await;
    assert!(matches!(raised, EventKind::AlertRaised { alert, .. } if alert == "history_degraded"));
    fs::remove_dir(&path).expect("out of the way");
    let cleared = alert(&mut events, "alert.cleared").await;
    assert!(matches!(cleared, EventKind::AlertCleared { alert, .. } if alert == "history_degraded"));
    assert_eq!(sink.flush().await, Ok(()));
    assert_eq!(sink.health().state, HistoryState::Ok);
    assert_eq!(stop(&history).await, StopOutcome::Clean);
    assert!(history.end(LONG));
    let rows = HistoryReader::open(&path).expect("open").runs(&HistoryFilter::default()).expect("rows");
    assert_eq!(rows.len(), 1);
}

#[actix::test]
async fn what_cannot_be_written_at_the_end_is_said() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("history.db");
    fs::create_dir(&path).expect("in the way");
    let history = History::start(&spec(&path), &EventBus::new(5)).expect("a thread");
    history.sink().record(run());
    let outcome = stop_within(&history, Duration::from_secs(5)).await;
    assert!(matches!(&outcome, StopOutcome::Stuck(why) if why.contains("records are lost")), "{outcome:?}");
    assert!(history.end(LONG));
}

/// A history whose database somebody else has locked, in a folder of its own.
async fn locked() -> (tempfile::TempDir, History, rusqlite::Connection) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("history.db");
    let history = History::start(&spec(&path), &EventBus::new(5)).expect("a thread");
    assert_eq!(history.sink().flush().await, Ok(()));
    let other = rusqlite::Connection::open(&path).expect("open");
    other.execute_batch("BEGIN IMMEDIATE").expect("locked");
    (folder, history, other)
}

#[actix::test]
async fn a_sender_never_waits_and_what_is_too_much_is_counted() {
    const SENT: u64 = 25_000;
    let (_folder, history, other) = locked().await;
    let sink = history.sink();
    // The store takes until it is full and then waits for the lock; as many again are on their way; the rest is lost.
    (0..SENT).for_each(|_| sink.record(run()));
    assert!(sink.health().dropped > 0);
    other.execute_batch("ROLLBACK").expect("unlocked");
    assert_eq!(stop(&history).await, StopOutcome::Clean);
    let written: u64 =
        other.query_row("SELECT count(*) FROM runs", [], |row| row.get::<_, u32>(0)).map(u64::from).expect("a number");
    assert_eq!(written + sink.health().dropped, SENT);
    assert!(history.end(LONG));
}

#[actix::test]
async fn whoever_gives_up_waiting_gives_up_no_record() {
    let (folder, history, other) = locked().await;
    let sink = history.sink();
    // The first one holds the store's thread at the lock, so the second one lies in the mailbox when it is given up.
    for _ in 0..2 {
        let given_up = tokio::time::timeout(Duration::from_millis(100), sink.record_acked(vec![run()])).await;
        assert!(given_up.is_err(), "{given_up:?}");
    }
    other.execute_batch("ROLLBACK").expect("unlocked");
    assert_eq!(stop(&history).await, StopOutcome::Clean);
    assert!(history.end(LONG));
    let rows = HistoryReader::open(&folder.path().join("history.db"))
        .expect("open")
        .runs(&HistoryFilter::default())
        .expect("rows");
    assert_eq!(rows.len(), 2);
}

#[actix::test]
async fn a_sink_without_a_history_forgets() {
    let sink = HistorySink::none();
    sink.record(run());
    assert_eq!(sink.flush().await, Err(NotRecorded::Closed));
    assert!(matches!(sink.health().state, HistoryState::Degraded(_)));
}
