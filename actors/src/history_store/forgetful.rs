//! The history of a build without one (Cargo feature `history`): takes every message and keeps nothing.
//!
//! The same names as those of the real one, so that nobody else needs to know. A report or record is not lost here, it
//! was never wanted: handing one over succeeds. Who wants to read gets an error that says why there is nothing.

use std::{convert::Infallible, io, path::Path, time::Duration};

use actix::{Actor, Addr, Context, Handler, Recipient};

use super::messages::{
    EventRow, GetHealth, HistoryFilter, HistoryHealth, HistoryState, NotRecorded, PeakRow, Record, RecordAll,
    RequestRow, RunRow, ShutdownReportRow, SwapRow,
};
use crate::{
    event::EventBus,
    job::{JobId, JobView},
    shutdown_coordinator::messages::{StopOutcome, StopUnit, UnitStopped},
    spec::HistorySpec,
    time::Timestamp,
};

/// No question is answered with more rows than this.
pub const MOST_ROWS: u32 = 10_000;

/// Why the history cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum HistoryError {
    /// This build keeps none.
    #[error("this build of Greenroom keeps no history: it was built without the feature `history`")]
    NotBuilt,
}

/// The history's actor.
#[derive(Debug, Default)]
pub struct HistoryStore;

impl Actor for HistoryStore {
    type Context = Context<Self>;
}

impl Handler<RecordAll> for HistoryStore {
    type Result = ();

    fn handle(&mut self, RecordAll { written, .. }: RecordAll, _: &mut Self::Context) {
        // Whoever gave up waiting does not mind.
        drop(written.send(Ok(())));
    }
}

impl Handler<GetHealth> for HistoryStore {
    type Result = HistoryHealth;

    fn handle(&mut self, _: GetHealth, _: &mut Self::Context) -> HistoryHealth {
        health()
    }
}

impl Handler<StopUnit> for HistoryStore {
    type Result = ();

    fn handle(&mut self, msg: StopUnit, _: &mut Self::Context) {
        msg.answer.do_send(UnitStopped { name: msg.name, outcome: StopOutcome::Clean });
    }
}

fn health() -> HistoryHealth {
    HistoryHealth { state: HistoryState::Absent, buffered: 0, dropped: 0 }
}

/// Takes records from anybody and forgets them.
#[derive(Debug, Clone, Default)]
pub struct HistorySink;

impl HistorySink {
    /// One that forgets everything.
    #[must_use]
    pub fn none() -> Self {
        Self
    }

    /// Forgets a record.
    pub fn record(&self, _: Record) {}

    /// Forgets records.
    ///
    /// # Errors
    /// Never; the signature is that of a build that keeps them.
    pub async fn record_acked(&self, _: Vec<Record>) -> Result<(), NotRecorded> {
        Ok(())
    }

    /// Nothing is on its way.
    ///
    /// # Errors
    /// Never, as above.
    pub async fn flush(&self) -> Result<(), NotRecorded> {
        Ok(())
    }

    /// That there is none.
    #[must_use]
    pub fn health(&self) -> HistoryHealth {
        health()
    }
}

/// What answers in place of a history.
#[derive(Debug)]
pub struct History {
    store: Addr<HistoryStore>,
}

impl History {
    /// Starts the actor on this thread; there is nothing that could hold it up.
    ///
    /// # Errors
    /// Never; the signature is that of a build that needs a thread.
    pub fn start(_: &HistorySpec, _: &EventBus) -> io::Result<Self> {
        Ok(Self { store: HistoryStore.start() })
    }

    /// Where records are handed over.
    #[must_use]
    pub fn sink(&self) -> HistorySink {
        HistorySink
    }

    /// What the coordinator tells to stop.
    #[must_use]
    pub fn stop(&self) -> Recipient<StopUnit> {
        self.store.clone().recipient()
    }

    /// The actor itself.
    #[must_use]
    pub fn store(&self) -> Addr<HistoryStore> {
        self.store.clone()
    }

    /// There is no thread to be ended.
    #[must_use]
    pub fn end(self, _: Duration) -> bool {
        true
    }
}

/// An open history: in this build there can be none.
#[derive(Debug)]
pub struct HistoryReader(Infallible);

impl HistoryReader {
    /// Says that there is nothing to open.
    ///
    /// # Errors
    /// Always.
    pub fn open(_: &Path) -> Result<Self, HistoryError> {
        Err(HistoryError::NotBuilt)
    }

    /// Past and present runs.
    ///
    /// # Errors
    /// Nobody gets here.
    pub fn runs(&self, _: &HistoryFilter) -> Result<Vec<RunRow>, HistoryError> {
        match self.0 {}
    }

    /// Past events.
    ///
    /// # Errors
    /// Nobody gets here.
    pub fn events(&self, _: &HistoryFilter) -> Result<Vec<EventRow>, HistoryError> {
        match self.0 {}
    }

    /// What runs held at most.
    ///
    /// # Errors
    /// Nobody gets here.
    pub fn peaks(&self) -> Result<Vec<PeakRow>, HistoryError> {
        match self.0 {}
    }

    /// Past swaps.
    ///
    /// # Errors
    /// Nobody gets here.
    pub fn swaps(&self, _: &HistoryFilter) -> Result<Vec<SwapRow>, HistoryError> {
        match self.0 {}
    }

    /// Past requests for models.
    ///
    /// # Errors
    /// Nobody gets here.
    pub fn requests(&self, _: &HistoryFilter) -> Result<Vec<RequestRow>, HistoryError> {
        match self.0 {}
    }

    /// Past and present jobs.
    ///
    /// # Errors
    /// Nobody gets here.
    pub fn jobs(&self, _: &HistoryFilter) -> Result<Vec<JobView>, HistoryError> {
        match self.0 {}
    }

    /// All jobs that are still to be done.
    ///
    /// # Errors
    /// Nobody gets here.
    pub fn open_jobs(&self) -> Result<Vec<JobView>, HistoryError> {
        match self.0 {}
    }

    /// The jobs that are being worked on.
    ///
    /// # Errors
    /// Nobody gets here.
    pub fn jobs_at_work(&self) -> Result<Vec<JobId>, HistoryError> {
        match self.0 {}
    }

    /// The jobs that have ended and were submitted last.
    ///
    /// # Errors
    /// Nobody gets here.
    pub fn ended_jobs(&self, _: u32, _: u32) -> Result<Vec<JobView>, HistoryError> {
        match self.0 {}
    }

    /// One job.
    ///
    /// # Errors
    /// Nobody gets here.
    pub fn job(&self, _: JobId) -> Result<Option<JobView>, HistoryError> {
        match self.0 {}
    }

    /// The newest jobs between two ids.
    ///
    /// # Errors
    /// Nobody gets here.
    pub fn jobs_between(&self, _: JobId, _: JobId) -> Result<Vec<JobView>, HistoryError> {
        match self.0 {}
    }

    /// Reports of ordered stops.
    ///
    /// # Errors
    /// Nobody gets here.
    pub fn shutdown_reports(&self, _: u32) -> Result<Vec<ShutdownReportRow>, HistoryError> {
        match self.0 {}
    }
}

/// Forgets the report of an ordered stop; `shutdown.log` has it.
///
/// # Errors
/// Never; the signature is that of a build that keeps it.
pub fn append_shutdown_report(_: &Path, _: u64, _: Timestamp, _: &serde_json::Value) -> Result<(), HistoryError> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::ByteSize;

    #[actix_rt::test]
    async fn it_takes_everything_and_keeps_nothing() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("history.db");
        let spec = HistorySpec { path: path.clone(), retain: Duration::from_secs(60), max_size: ByteSize(1 << 20) };
        let history = History::start(&spec, &EventBus::new(1)).expect("nothing can fail");
        let report = Record::ShutdownReport { epoch: 1, at: Timestamp::from_micros(0), report: 1.into() };
        assert_eq!(history.sink().record_acked(vec![report]).await, Ok(()));
        assert_eq!(history.store().send(GetHealth).await.expect("alive"), history.sink().health());
        assert!(append_shutdown_report(&path, 1, Timestamp::from_micros(0), &1.into()).is_ok());
        assert!(matches!(HistoryReader::open(&path), Err(HistoryError::NotBuilt)));
        assert!(history.end(Duration::ZERO) && !path.exists());
    }
}
