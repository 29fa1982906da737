//! How many events a second the history takes with acknowledgement, each on disk (`synchronous = FULL`) before its
//! sender goes on.
//!
//! `cargo bench --bench history [-- SECONDS [SENDERS...]]`. The database lies in the folder that `TMPDIR` names, so that
//! different disks can be compared.

use std::time::Duration;

use greenroom_actors::{
    event::{Event, EventId, EventKind},
    history_store::{History, HistorySink, messages::Record},
    os::clock,
    spec::HistorySpec,
    units::ByteSize,
};

fn main() {
    // `cargo bench` adds `--bench`.
    let mut numbers = std::env::args().skip(1).filter_map(|argument| argument.parse::<u64>().ok());
    let seconds = numbers.next().unwrap_or(3);
    let mut senders: Vec<u64> = numbers.collect();
    if senders.is_empty() {
        senders = vec![1, 16, 128, 1024];
    }
    println!("{:>8} {:>14} {:>12}", "senders", "acknowledged/s", "mean wait");
    for senders in senders {
        let done = run(senders, Duration::from_secs(seconds));
        let rate = done as f64 / seconds as f64;
        println!("{senders:>8} {rate:>14.0} {:>9.2} ms", senders as f64 / rate * 1000.0);
    }
}

/// Lets so many senders record one event after the other; how many were acknowledged.
fn run(senders: u64, time: Duration) -> u64 {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("history.db");
    let spec = HistorySpec { path, retain: Duration::from_secs(86_400), max_size: ByteSize(4 << 30) };
    actix::System::new().block_on(async move {
        let history = History::start(&spec, &greenroom_actors::event::EventBus::new(0)).expect("a thread");
        history.sink().flush().await.expect("open");
        let end = clock::now() + time;
        let tasks = (0..senders).map(|epoch| actix_rt::spawn(record(history.sink(), epoch + 1, end)));
        let mut done = 0;
        for task in tasks.collect::<Vec<_>>() {
            done += task.await.expect("a count");
        }
        assert!(history.end(Duration::from_secs(10)), "the thread ends");
        done
    })
}

async fn record(sink: HistorySink, epoch: u64, end: std::time::Instant) -> u64 {
    let mut sequence = 0;
    while clock::now() < end {
        sequence += 1;
        let kind = EventKind::RuntimeState { state: "running".to_owned(), reason: Some("a measurement".to_owned()) };
        let event = Event { id: EventId { epoch, sequence }, at: clock::wall(), kind };
        sink.record_acked(vec![Record::Event(event)]).await.expect("on disk");
    }
    sequence
}
