//! What the history remembers, for whoever holds a handle.

use greenroom_actors::{
    cause::chain,
    history_store::{
        HistoryError, HistoryReader,
        messages::{EventRow, HistoryFilter, RequestRow, RunRow, SwapRow},
    },
    job::JobView,
};

use super::{CommandError, RuntimeHandle, aside::aside};

impl RuntimeHandle {
    /// Past runs, newest first.
    ///
    /// # Errors
    /// When the history cannot be read.
    pub async fn history_runs(&self, filter: HistoryFilter) -> Result<Vec<RunRow>, CommandError> {
        self.read_history(move |reader| reader.runs(&filter)).await
    }

    /// Past events, newest first.
    ///
    /// # Errors
    /// When the history cannot be read.
    pub async fn history_events(&self, filter: HistoryFilter) -> Result<Vec<EventRow>, CommandError> {
        self.read_history(move |reader| reader.events(&filter)).await
    }

    /// Past swaps, newest first; a service's are those in which it came and those in which it left.
    ///
    /// # Errors
    /// When the history cannot be read.
    pub async fn history_swaps(&self, filter: HistoryFilter) -> Result<Vec<SwapRow>, CommandError> {
        self.read_history(move |reader| reader.swaps(&filter)).await
    }

    /// Past requests for models, newest first.
    ///
    /// # Errors
    /// When the history cannot be read.
    pub async fn history_requests(&self, filter: HistoryFilter) -> Result<Vec<RequestRow>, CommandError> {
        self.read_history(move |reader| reader.requests(&filter)).await
    }

    /// Past and present jobs, newest first; the filter's `service` is the kind of job.
    ///
    /// # Errors
    /// When the history cannot be read.
    pub async fn history_jobs(&self, filter: HistoryFilter) -> Result<Vec<JobView>, CommandError> {
        self.read_history(move |reader| reader.jobs(&filter)).await
    }

    /// Reads from the history, on a thread of its own, so that a slow disk holds up neither the caller's executor nor the
    /// writer.
    pub(super) async fn read_history<T: Send + 'static>(
        &self,
        read: impl FnOnce(&HistoryReader) -> Result<T, HistoryError> + Send + 'static,
    ) -> Result<T, CommandError> {
        let path = self.inner.spec.history.path.clone();
        let done = aside("history-read", move || HistoryReader::open(&path).and_then(|reader| read(&reader))).await;
        done.map_err(|error| CommandError::History(error.to_string()))?
            .map_err(|error| CommandError::History(chain(&error)))
    }
}
