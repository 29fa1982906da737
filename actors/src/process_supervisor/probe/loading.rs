//! Tells how a load, or a job, gets on, not faster than anybody looks.

use std::{convert::Infallible, future::pending, time::Duration};

use tokio::{sync::watch, time::sleep};

use crate::{
    engines::LoadStep,
    job::JobProgress,
    os::clock,
    process_supervisor::{lifecycle::RunNews, output::Pace, run::Reporter},
    state::LoadProgress,
};

/// Between two pieces of news. What comes in between is dropped but for the latest: a bar may be drawn a thousand times
/// a second.
const PAUSE: Duration = Duration::from_millis(100);

/// Tells every new step of a load. Never ends by itself.
pub(super) async fn tell_loading(loading: &watch::Sender<Option<LoadStep>>, report: &Reporter) -> Infallible {
    tell(loading, |progress| report(RunNews::Loading(progress))).await
}

/// Tells every new step of a job. Never ends by itself.
pub(super) async fn tell_steps(steps: &watch::Sender<Option<LoadStep>>, report: &Reporter) -> Infallible {
    tell(steps, |LoadProgress { done, total, eta, .. }| report(RunNews::Step(JobProgress::of(done, total, eta)))).await
}

async fn tell(loading: &watch::Sender<Option<LoadStep>>, report: impl Fn(LoadProgress)) -> Infallible {
    let mut loading = loading.subscribe();
    let mut pace = Pace::default();
    while loading.changed().await.is_ok() {
        let step = loading.borrow_and_update().clone();
        if let Some(step) = step {
            report(pace.note(clock::now(), step));
        }
        sleep(PAUSE).await;
    }
    pending().await
}
