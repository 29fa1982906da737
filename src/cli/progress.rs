//! Progress on standard error while something is waited for.

use std::future::Future;

use serde_json::Value;

use super::{
    client::{Client, Events},
    failure::Failure,
    follow::event_text,
    terminal::Terminal,
};

/// Shows events of interest while `work` goes on. Without events there is no progress, and the work goes on all the
/// same.
pub async fn during<T>(
    events: &mut Option<Events>,
    terminal: &Terminal,
    wanted: impl Fn(&Value) -> bool,
    work: impl Future<Output = Result<T, Failure>>,
) -> Result<T, Failure> {
    tokio::pin!(work);
    loop {
        let event = next(events);
        tokio::select! {
            // What has been told is shown before the outcome.
            biased;
            event = event => show(&event, terminal, &wanted),
            done = &mut work => return done,
        }
    }
}

/// The stream of a runtime's events from now on, if it can be had and anybody wants to see it.
pub async fn events(client: &Client, terminal: &Terminal) -> Option<Events> {
    if terminal.json { None } else { client.events(None, true).await.ok() }
}

fn show(event: &Value, terminal: &Terminal, wanted: impl Fn(&Value) -> bool) {
    if wanted(event) {
        terminal.note(event_text(event, terminal.color));
    }
}

/// The next event; waits for ever once there is none any more.
async fn next(events: &mut Option<Events>) -> Value {
    if let Some(stream) = events {
        if let Some(event) = stream.next().await {
            return event;
        }
        *events = None;
    }
    std::future::pending().await
}
