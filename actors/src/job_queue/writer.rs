//! Writes jobs down, in the order in which they change: all that has come while the disk was busy in one go.

use std::time::Duration;

use actix::{Message, WeakRecipient};
use tokio::{
    sync::{mpsc, oneshot},
    time::timeout,
};

use crate::{
    history_store::{
        HistorySink,
        messages::{NotRecorded, Record},
    },
    job::{JobId, JobView},
};

/// Rows that are written in one go.
const MOST: usize = 1_000;
/// A disk that does not answer for so long counts as one that cannot be written; the history goes on trying.
const BOUND: Duration = Duration::from_secs(5);

/// A row has been tried to be written.
#[derive(Debug, Clone, Message)]
#[rtype(result = "()")]
pub struct Written {
    /// Of this job.
    pub id: JobId,
    /// Which write of it.
    pub number: u64,
    /// Why it is not on disk.
    pub result: Result<(), String>,
}

/// Who is told what became of a write.
#[derive(Debug)]
pub(super) enum Told {
    /// The queue: which write of the job it was.
    Queue(u64),
    /// Nobody.
    Nobody,
    /// Whoever waits for it.
    Waiter(oneshot::Sender<Result<(), String>>),
}

/// A row to be written.
#[derive(Debug)]
pub(super) struct Row {
    pub job: Box<JobView>,
    pub told: Told,
}

/// Writes what comes, until nobody sends any more.
pub(super) async fn write(history: HistorySink, mut rows: mpsc::UnboundedReceiver<Row>, queue: WeakRecipient<Written>) {
    let mut batch = Vec::new();
    while rows.recv_many(&mut batch, MOST).await > 0 {
        let (jobs, waiters): (Vec<_>, Vec<_>) =
            batch.drain(..).map(|Row { job, told }| (Record::Job(job.clone()), (job.id, told))).unzip();
        let result = match timeout(BOUND, history.record_acked(jobs)).await {
            Ok(written) => written,
            Err(_) => Err(NotRecorded::Buffered("the disk does not answer".to_owned())),
        };
        let result = result.map_err(|error| error.to_string());
        let Some(queue) = queue.upgrade() else { return };
        for (id, told) in waiters {
            match told {
                Told::Queue(number) => queue.do_send(Written { id, number, result: result.clone() }),
                Told::Nobody => {}
                // An error means that nobody waits any more.
                Told::Waiter(waiter) => drop(waiter.send(result.clone())),
            }
        }
    }
}
