//! What is waited for ends with the server that it is waited for in.

use std::future::Future;

use tokio::sync::watch;

use super::errors::ApiError;

/// Waits for `wait`, but no longer than until `closing` turns to `true`. What is done by then is told: of a job that is on
/// disk, say, nobody may hear that it was refused.
///
/// # Errors
/// 503 `stopping`.
pub(super) async fn unless_closing<T>(
    mut closing: watch::Receiver<bool>,
    wait: impl Future<Output = T>,
) -> Result<T, ApiError> {
    tokio::select! {
        biased;
        done = wait => Ok(done),
        _closed = closing.wait_for(|closing| *closing) => Err(ApiError::stopping()),
    }
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};

    use super::*;

    #[tokio::test]
    async fn a_wait_ends_with_the_server_and_what_is_done_is_told() {
        let closing = watch::Sender::new(false);
        assert_eq!(unless_closing(closing.subscribe(), ready(7)).await, Ok(7));
        let waits = tokio::spawn(unless_closing(closing.subscribe(), pending::<()>()));
        closing.send_replace(true);
        assert_eq!(waits.await.expect("no panic"), Err(ApiError::stopping()));
        assert_eq!(unless_closing(closing.subscribe(), ready(7)).await, Ok(7));
    }
}
