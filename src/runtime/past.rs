//! What the history remembers, for whoever holds a handle.

use greenroom_actors::{
    cause::chain,
    history_store::{
        HistoryReader,
        messages::{EventRow, HistoryFilter, RequestRow, RunRow, SwapRow},
    },
};

use super::{CommandError, RuntimeHandle};

impl RuntimeHandle {
    /// Past runs, newest first.
    ///
    /// # Errors
    /// When the history cannot be read.
    pub async fn history_runs(&self, filter: HistoryFilter) -> Result<Vec<RunRow>, CommandError> {
        self.read_history(move |reader| reader.runs(&filter).map_err(|e| history_error(&e))).await
    }

    /// Past events, newest first.
    ///
    /// # Errors
    /// When the history cannot be read.
    pub async fn history_events(&self, filter: HistoryFilter) -> Result<Vec<EventRow>, CommandError> {
        self.read_history(move |reader| reader.events(&filter).map_err(|e| history_error(&e))).await
    }

    /// Past swaps, newest first; a service's are those in which it came and those in which it left.
    ///
    /// # Errors
    /// When the history cannot be read.
    pub async fn history_swaps(&self, filter: HistoryFilter) -> Result<Vec<SwapRow>, CommandError> {
        self.read_history(move |reader| reader.swaps(&filter).map_err(|e| history_error(&e))).await
    }

    /// Past requests for models, newest first.
    ///
    /// # Errors
    /// When the history cannot be read.
    pub async fn history_requests(&self, filter: HistoryFilter) -> Result<Vec<RequestRow>, CommandError> {
        self.read_history(move |reader| reader.requests(&filter).map_err(|e| history_error(&e))).await
    }

    async fn read_history<T: Send + 'static>(
        &self,
        read: impl FnOnce(&HistoryReader) -> Result<T, CommandError> + Send + 'static,
    ) -> Result<T, CommandError> {
        let path = self.inner.spec.history.path.clone();
        // A thread of its own, so that a slow disk holds up neither the caller's executor nor the writer.
        let (answer, answered) = tokio::sync::oneshot::channel();
        let work = move || {
            let result = HistoryReader::open(&path).map_err(|e| history_error(&e)).and_then(|reader| read(&reader));
            // An error means that the caller has gone.
            drop(answer.send(result));
        };
        let started = std::thread::Builder::new().name("history-read".to_owned()).spawn(work);
        started.map_err(|e| CommandError::History(e.to_string()))?;
        answered.await.map_err(|_| CommandError::History("the reading thread ended early".to_owned()))?
    }
}

fn history_error(error: &(dyn std::error::Error + 'static)) -> CommandError {
    CommandError::History(chain(error))
}
