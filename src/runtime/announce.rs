//! Events as log lines, for whoever watches a runtime in the foreground.

use greenroom_actors::{event::EventStream, os::clock, plain::plain};
use tracing::Level;

use super::narrate::{Line, Narrator};

/// Writes events as log lines until the bus is gone.
pub async fn log_events(mut events: EventStream) {
    let mut narrator = Narrator::default();
    loop {
        let due = narrator.next_due();
        let wait = async {
            match due {
                Some(due) => tokio::time::sleep_until(due.into()).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            event = events.next() => match event {
                Some(event) => narrator.hear(&event, clock::now()).iter().for_each(log),
                None => return,
            },
            () = wait => narrator.due(clock::now()).iter().for_each(log),
        }
    }
}

/// A reason may hold what a program has printed.
fn log(Line { level, text }: &Line) {
    let text = plain(text);
    match *level {
        Level::ERROR => tracing::error!("{text}"),
        Level::WARN => tracing::warn!("{text}"),
        _ => tracing::info!("{text}"),
    }
}
