//! How a load gets on, as a stream that any executor can poll.

use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll},
};

use futures_util::{Stream, StreamExt, stream, stream::BoxStream};
use greenroom_actors::state::{LoadProgress, ServiceState, ServiceStatus};
use tokio::sync::watch;

/// Steps of a load, in order, until the service is ready or its start has failed; none where its engine tells nothing.
/// Only the newest step is kept: whoever looks seldom misses what lay between.
pub struct Progress(BoxStream<'static, LoadProgress>);

impl fmt::Debug for Progress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Progress").finish_non_exhaustive()
    }
}

/// Where a listener stands.
struct Listener {
    status: watch::Receiver<ServiceStatus>,
    told: Option<LoadProgress>,
    /// Whether a start has been seen: a service that rests at first has not been reached by its load yet.
    begun: bool,
}

impl Progress {
    pub(super) fn of(mut status: watch::Receiver<ServiceStatus>) -> Self {
        // What is known now is news as well.
        status.mark_changed();
        let listener = Listener { status, told: None, begun: false };
        let steps = stream::unfold(listener, |mut listener| async move {
            loop {
                // Its supervisor is gone, and with it the service.
                listener.status.changed().await.ok()?;
                let now = listener.status.borrow_and_update().clone();
                if is_over(&now, &mut listener.begun) {
                    return None;
                }
                if now.load.is_some() && now.load != listener.told {
                    listener.told.clone_from(&now.load);
                    return now.load.map(|step| (step, listener));
                }
            }
        });
        Self(steps.boxed())
    }
}

/// Whether nothing more is to be told of this start.
fn is_over(now: &ServiceStatus, begun: &mut bool) -> bool {
    let on_its_way = matches!(now.state, ServiceState::Spawning | ServiceState::Starting);
    *begun |= on_its_way;
    let is_up = matches!(now.state, ServiceState::Ready | ServiceState::Unready);
    is_up || (*begun && !on_its_way)
}

impl Stream for Progress {
    type Item = LoadProgress;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.poll_next_unpin(cx)
    }
}

#[cfg(test)]
mod tests {
    use greenroom_actors::{state::Disposition, time::Timestamp};

    use super::*;
    use crate::embed::block_on;

    fn status(state: ServiceState, done: Option<u64>) -> ServiceStatus {
        let name = "chat".parse().expect("a name");
        let load = done.map(|done| LoadProgress { phase: "weights".to_owned(), done, total: 4, eta: None });
        ServiceStatus { state, load, ..ServiceStatus::initial(name, Disposition::OnDemand, Timestamp::from_micros(0)) }
    }

    #[test]
    fn steps_are_told_until_the_service_is_ready() {
        let (publish, status_of) = watch::channel(status(ServiceState::Failed, None));
        let mut steps = Progress::of(status_of);
        let mut next = |state, done| {
            publish.send_replace(status(state, done));
            block_on(async { futures_util::poll!(steps.next()) })
        };
        assert_eq!(next(ServiceState::Failed, None), Poll::Pending, "a failure of before says nothing about this load");
        assert_eq!(next(ServiceState::Spawning, None), Poll::Pending);
        let step = |poll: Poll<Option<LoadProgress>>| match poll {
            Poll::Ready(Some(step)) => step.done,
            other => panic!("no step: {other:?}"),
        };
        assert_eq!(step(next(ServiceState::Starting, Some(1))), 1);
        assert_eq!(next(ServiceState::Starting, Some(1)), Poll::Pending, "nothing is told twice");
        assert_eq!(step(next(ServiceState::Starting, Some(3))), 3);
        assert_eq!(next(ServiceState::Ready, None), Poll::Ready(None));
    }

    #[test]
    fn one_that_is_ready_has_no_steps() {
        let (_publish, status_of) = watch::channel(status(ServiceState::Ready, None));
        assert_eq!(block_on(Progress::of(status_of).next()), None);
    }
}
